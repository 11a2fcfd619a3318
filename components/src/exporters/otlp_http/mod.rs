//! The `otlp_http` exporter: OTLP over HTTP/1.1, as protobuf or JSON.
//!
//! A batch is one POST whose body is the batch as it is, in as many parts as it has, or compressed, or as JSON. What an
//! answer means is in [`answer`]. A redirect is an answer like any other that is no success: credentials go where the
//! settings say and nowhere else.
//!
//! Deliberately absent: HTTP/2 (`otlp_grpc` has it), proxies, cookies, profiles.

mod answer;
mod config;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, Uri};
use tracecore::net::tls::ClientTls;
use tracecore::net::{Client, ClientLimits, ClientSettings};
use tracecore::otlp;
use tracecore::prelude::*;

use crate::otlp::{Compression, Error, TRACEPARENT, configured, tell_of_partial, user_agent};

use self::config::{Config, Encoding};

/// Sends batches over OTLP/HTTP, to a backend or to another collector.
#[exporter(
    "otlp_http",
    aliases = ["otlphttp", "otlphttpexporter"],
    config = Config,
    error = Error,
    example = "endpoint: http://localhost:4318",
)]
struct OtlpHttp {
    config: Config,
    tls: Option<Arc<ClientTls>>,
    compression: Compression,
    headers: HeaderMap,
    client: Option<Client>,
}

impl Exporter for OtlpHttp {
    const TIMEOUT: Period = Period::secs(30);

    fn new(config: Config) -> Result<Self, Error> {
        let mut headers = configured(&config.headers)?;
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(config.encoding.format().content_type()));
        let level = config.compression_params.level;
        let compression = Compression::new(config.compression.encoding(), level).map_err(Error::Level)?;
        if let Some(encoding) = compression.encoding() {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
        }
        let tls = ClientTls::new(config.tls.clone()).map_err(Error::Tls)?;
        let mut urls = Signal::ALL.into_iter().filter_map(|signal| config.url(signal)).peekable();
        if urls.peek().is_none() {
            return Err(Error::NoEndpoint);
        }
        let secured = urls.any(|url| url.scheme_str() == Some("https"));
        Ok(OtlpHttp { tls: secured.then(|| Arc::new(tls)), config, compression, headers, client: None })
    }

    fn can_send(&self, signal: Signal) -> Result<(), Error> {
        self.config.url(signal).map(drop).ok_or(Error::NoEndpointFor(signal))
    }

    async fn start(&mut self, cx: &Cx<Self>) -> Result<(), Error> {
        if let Some(tls) = &self.tls {
            tls.load().await.map_err(Error::Tls)?;
        }
        if !self.headers.contains_key(USER_AGENT) {
            self.headers.insert(USER_AGENT, user_agent(cx.version()));
        }
        let limits = ClientLimits {
            // The time of an attempt is the runtime's to limit.
            request: Duration::MAX,
            idle: self.config.idle_conn_timeout.get(),
            max_idle: self.config.max_idle(),
            ..ClientLimits::DEFAULT
        };
        self.client = Some(cx.client(ClientSettings { tls: self.tls.clone(), ..limits.into() }));
        Ok(())
    }

    async fn export(&self, batch: &Batch, cx: &Cx<Self>) -> Result<(), Error> {
        let client = self.client.as_ref().ok_or(Error::NotStarted)?;
        let url = self.config.url(batch.signal()).ok_or(Error::NoEndpointFor(batch.signal()))?;
        let payload = match self.config.encoding {
            Encoding::Proto => self.compression.body(batch.parts(), cx).await?,
            Encoding::Json => {
                let batch = batch.clone();
                let text = cx.offload().run(move || Bytes::from(otlp::json::encode(&batch))).await;
                self.compression.body(&[text], cx).await?
            }
        };
        let parent = cx.attempt().span.and_then(|span| HeaderValue::try_from(span.to_string()).ok());
        let head = || {
            let mut request = Request::new(());
            *request.method_mut() = Method::POST;
            *request.uri_mut() = url.clone();
            let mut headers = self.headers.clone();
            headers.extend(parent.clone().map(|parent| (TRACEPARENT, parent)));
            *request.headers_mut() = headers;
            request
        };
        let answer = client.exchange(head, payload).await.map_err(Error::Call)?;
        tell_of_partial(cx, answer::read(batch.signal(), &answer, cx.now())?);
        Ok(())
    }
}

impl Config {
    /// How many connections are kept for a host.
    fn max_idle(&self) -> usize {
        let of_host = self.max_idle_conns_per_host.unwrap_or(NonZeroUsize::MAX);
        if self.disable_keep_alives { 0 } else { self.max_idle_conns.min(of_host).get() }
    }

    /// Where requests of `signal` go.
    fn url(&self, signal: Signal) -> Option<Uri> {
        let own = match signal {
            Signal::Traces => &self.traces_endpoint,
            Signal::Metrics => &self.metrics_endpoint,
            Signal::Logs => &self.logs_endpoint,
        };
        let below = || self.endpoint.as_ref().map(|base| base.join(otlp::path(signal)));
        own.as_ref().map(|url| url.uri().clone()).or_else(below)
    }
}
