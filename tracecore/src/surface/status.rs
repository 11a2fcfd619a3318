//! `/status`: the window that a client asks for, and the service that answers.
//!
//! Invariant: the answer is 200 for as long as the surface lives, whatever it says, but for a window that is none.

use bytes::Bytes;
use http::{Response, StatusCode};

use super::routes::{TEXT, reply};
use crate::config::{DurationError, Period};

/// The parameter that says over how long rates are taken. Others are ignored, as they are by the other endpoints.
const WINDOW: &str = "window";

/// What the surface asks of the service behind it, besides its metrics.
pub trait Inspect: Send + Sync + 'static {
    /// How everything is, as JSON, with rates over the last `window`; `None` for a window that suits.
    ///
    /// # Errors
    /// When the window is longer than what is known.
    fn status(&self, window: Option<Period>) -> Result<String, WindowError>;

    /// Whether a service that has started is ready.
    fn is_ready(&self) -> bool;

    /// A probe was answered. `check` is `healthz`, `readyz` (wherever these are mounted) or `health_check`.
    fn probed(&self, check: &'static str, passed: bool);
}

/// A service of nothing, which is always ready.
impl Inspect for () {
    fn status(&self, _: Option<Period>) -> Result<String, WindowError> {
        Ok("{}".to_owned())
    }

    fn is_ready(&self) -> bool {
        true
    }

    fn probed(&self, _: &'static str, _: bool) {}
}

/// Why a window is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    /// It is no length of time.
    #[error("the window {0}")]
    NoDuration(DurationError),
    /// There is more than one.
    #[error("the window is given twice")]
    Twice,
    /// Nobody knows what was so long ago.
    #[error("the window is longer than the {0} that are kept (telemetry.status.retention)")]
    TooLong(Period),
}

/// The answer to `/status?query`.
pub(super) fn respond(inspect: &dyn Inspect, query: &str) -> Response<Bytes> {
    match window(query).and_then(|window| inspect.status(window)) {
        Ok(status) => reply(StatusCode::OK, "application/json", status),
        Err(error) => reply(StatusCode::BAD_REQUEST, TEXT, format!("{error}\n")),
    }
}

/// Nothing that can be a length of time is written differently in a query, so nothing is decoded.
fn window(query: &str) -> Result<Option<Period>, WindowError> {
    let parameters = query.split('&').map(|parameter| parameter.split_once('=').unwrap_or((parameter, "")));
    let mut windows = parameters.filter(|(name, _)| *name == WINDOW).map(|(_, value)| value);
    let Some(window) = windows.next() else { return Ok(None) };
    if windows.next().is_some() {
        return Err(WindowError::Twice);
    }
    window.parse().map(Some).map_err(WindowError::NoDuration)
}
