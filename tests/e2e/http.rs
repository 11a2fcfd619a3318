//! A client, and what it reads from an exposition.

use tracecore::testing::{CEILING, ceiling};

use crate::process::Process;

/// An answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: String,
}

/// The answer to `GET url`; `None` if there is no connection.
pub(crate) fn try_get(url: &str, accept: &str) -> Option<Answer> {
    let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(ceiling(CEILING)));
    let agent: ureq::Agent = config.build().into();
    let mut response = agent.get(url).header("Accept", accept).call().ok()?;
    let body = response.body_mut().read_to_string().expect("the body is text");
    Some(Answer { status: response.status().as_u16(), headers: response.headers().clone(), body })
}

/// The answer to `GET url`.
pub(crate) fn get(url: &str) -> Answer {
    get_as(url, "*/*")
}

/// The answer to `GET url` in the media type `accept`.
pub(crate) fn get_as(url: &str, accept: &str) -> Answer {
    try_get(url, accept).unwrap_or_else(|| panic!("{url} does not answer"))
}

/// Where the surface of a process listens, from its log.
pub(crate) fn surface_of(process: &mut Process) -> String {
    let line = process.logs("serving metrics and health");
    let (_, address) = line.split_once("listen=").expect("the line names the address");
    let (address, _) = address.split_once('}').expect("the span ends");
    format!("http://{address}")
}

/// The value of the first series whose line begins so.
pub(crate) fn value(exposition: &str, series: &str) -> Option<f64> {
    let line = exposition.lines().find(|line| line.starts_with(series))?;
    line.rsplit_once(' ')?.1.parse().ok()
}
