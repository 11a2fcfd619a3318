//! Where the collector's own telemetry is sent: OTLP over HTTP, as protobuf.
//!
//! Invariants: our own sending is never traced, neither here nor by whoever receives it; a backend that does not take
//! what it is sent costs one warning until it does again; nothing is kept for later, so it costs no memory either. The
//! next push holds the same counts, and a lost span is a lost span.
//!
//! The exporters of `opentelemetry-otlp` are not used: they take headers, timeouts and retries from environment
//! variables, hide why a connection failed, and log on their own. What they encode with is in `opentelemetry-proto`.

use std::mem;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue, USER_AGENT};
use http::{Request, StatusCode, Uri};

use super::BuildInfo;
use crate::error::Report;
use crate::net::{Client, ClientError, ClientLimits, ClientSettings};

/// One connection: whoever sends one request after the other needs no more.
const LIMITS: ClientLimits = ClientLimits { max_idle: 1, ..ClientLimits::DEFAULT };

/// Of a trace that is not kept. Whoever traces the requests that it is sent, our own receiver if the endpoint is its, or
/// a gateway, then does not trace this one: otherwise each export would be the reason for another.
const NOT_TRACED: HeaderValue = HeaderValue::from_static("00-00000000000000000000000000000001-0000000000000001-00");

const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");

/// One signal's way to its backend.
#[derive(Debug)]
pub(super) struct Destination {
    client: Client,
    url: Uri,
    user_agent: HeaderValue,
    /// Whether the last request failed, and has been told.
    failing: bool,
}

/// Why a backend does not have what it was sent.
#[derive(Debug, thiserror::Error)]
enum SendError {
    #[error(transparent)]
    Call(#[from] ClientError),
    #[error("the backend answered {0}")]
    Refused(StatusCode),
    #[error("the backend did not take {0} of the items")]
    Rejected(i64),
}

impl Destination {
    /// Making one touches nothing.
    pub(super) fn new(url: Uri, build: &BuildInfo) -> Self {
        let user_agent = HeaderValue::try_from(format!("{}/{}", build.command, build.version));
        let user_agent = user_agent.unwrap_or(HeaderValue::from_static("tracecore"));
        // Whom an `https` URL is asked of is trusted as the system does.
        let settings = ClientSettings { tls: Some(Arc::default()), ..LIMITS.into() };
        Destination { client: Client::new(settings, Arc::new(())), url, user_agent, failing: false }
    }

    /// Sends one encoded request. `rejected` reads in the answer how many items were not taken.
    pub(super) async fn post(&mut self, body: Bytes, rejected: fn(&[u8]) -> i64) {
        match self.try_post(body, rejected).await {
            Ok(()) => self.works(),
            Err(error) => self.fails(&error),
        }
    }

    fn works(&mut self) {
        if mem::take(&mut self.failing) {
            tracing::info!(url = %self.url, "the collector's own telemetry is taken again");
        }
    }

    fn fails(&mut self, error: &SendError) {
        let (url, error) = (&self.url, Report(error));
        if mem::replace(&mut self.failing, true) {
            tracing::debug!(%url, %error, "the collector's own telemetry is still not taken");
        } else {
            tracing::warn!(%url, %error, "the collector's own telemetry is not taken; this is said once until it is");
        }
    }

    async fn try_post(&self, body: Bytes, rejected: fn(&[u8]) -> i64) -> Result<(), SendError> {
        let mut request = Request::new(body);
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = self.url.clone();
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, PROTOBUF);
        headers.insert(USER_AGENT, self.user_agent.clone());
        headers.insert("traceparent", NOT_TRACED);
        let answer = self.client.send(request).await?;
        if !answer.status().is_success() {
            return Err(SendError::Refused(answer.status()));
        }
        match rejected(answer.body()) {
            ..=0 => Ok(()),
            items => Err(SendError::Rejected(items)),
        }
    }
}
