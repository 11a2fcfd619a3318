//! The `test_poster` exporter: posts each batch as OTLP/HTTP, through the client that a component gets.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, StatusCode, Uri};
use tracecore::net::{Client, ClientError, ClientLimits};
use tracecore::prelude::*;

/// Where metrics go.
const PATH: &str = "/v1/metrics";

/// Posts each batch as OTLP/HTTP.
#[exporter("test_poster", signals = [Metrics], config = Config, error = Error)]
struct TestPoster {
    url: Uri,
    client: Option<Client>,
}

/// Settings of the `test_poster` exporter.
#[config]
struct Config {
    /// The other side, as `host:port`.
    endpoint: Endpoint,
}

/// What can go wrong.
#[derive(Debug, thiserror::Error, Classify)]
enum Error {
    /// The endpoint cannot be part of a URL.
    #[error("the endpoint is none of a URL")]
    #[kind(Init)]
    Address(#[source] http::uri::InvalidUri),
    /// It is not started.
    #[error("there is no client")]
    #[kind(Init)]
    NoClient,
    /// There is no answer.
    #[error(transparent)]
    #[kind(Connect)]
    Call(ClientError),
    /// The other side does not take it now.
    #[error("the other side answered {0}")]
    #[kind(Io)]
    Refused(StatusCode),
}

impl Exporter for TestPoster {
    fn new(config: Config) -> Result<Self, Error> {
        let url = Uri::try_from(format!("http://{}{PATH}", config.endpoint)).map_err(Error::Address)?;
        Ok(TestPoster { url, client: None })
    }

    async fn start(&mut self, cx: &Cx<Self>) -> Result<(), Error> {
        self.client = Some(cx.client(ClientLimits::default()));
        Ok(())
    }

    async fn export(&self, batch: &Batch, _: &Cx<Self>) -> Result<(), Error> {
        let client = self.client.as_ref().ok_or(Error::NoClient)?;
        let mut request = Request::new(Bytes::from(batch.parts().concat()));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = self.url.clone();
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        let answer = client.send(request).await.map_err(Error::Call)?;
        if answer.status().is_success() { Ok(()) } else { Err(Error::Refused(answer.status())) }
    }
}
