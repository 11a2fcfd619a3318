//! The `otlp_grpc` exporter: OTLP over gRPC.
//!
//! A batch is one unary call whose message is the batch as it is, in as many parts as it has, or compressed. All calls go
//! side by side over one connection. What an answer means is in [`answer`].
//!
//! Deliberately absent: balancing over several connections (`balancer_name` is accepted), Unix sockets, profiles.

mod answer;
mod config;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::header::{CONTENT_TYPE, TE, USER_AGENT};
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version};
use tracecore::net::tls::ClientTls;
use tracecore::net::{Client, ClientLimits, ClientSettings, Http2Settings, Keepalive, Protocol};
use tracecore::otlp::grpc::{Prefix, encode_timeout};
use tracecore::otlp::grpc_path;
use tracecore::prelude::*;

use crate::otlp::{Compression, Error, TRACEPARENT, configured, tell_of_partial, user_agent};

use self::config::Config;

const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// How long a connection that nothing uses is kept, as gRPC does: a receiver that collects once a minute keeps it.
const IDLE: Duration = Duration::from_secs(30 * 60);

/// Time to connect: shorter than the default of `timeout`, so that it is told that there is no connection and not only that
/// an attempt took too long.
const CONNECT: Duration = Duration::from_secs(4);

/// Sends batches over OTLP/gRPC, to a backend or to another collector.
#[exporter(
    "otlp_grpc",
    aliases = ["otlp", "otlpexporter"],
    config = Config,
    error = Error,
    example = "endpoint: http://localhost:4317",
)]
struct OtlpGrpc {
    config: Config,
    tls: Option<Arc<ClientTls>>,
    compression: Compression,
    headers: HeaderMap,
    /// Where the calls of each signal go.
    methods: [Uri; Signal::ALL.len()],
    client: Option<Client>,
    /// What the other side is told of the time that it has. Every attempt has the same.
    timeout: OnceLock<HeaderValue>,
}

impl Exporter for OtlpGrpc {
    fn new(config: Config) -> Result<Self, Error> {
        let mut headers = configured(&config.headers)?;
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(TE, HeaderValue::from_static("trailers"));
        let compression = Compression::new(config.compression.encoding(), None).map_err(Error::Level)?;
        if let Some(encoding) = compression.encoding() {
            headers.insert(GRPC_ENCODING, HeaderValue::from_static(encoding));
        }
        // The settings are looked at in any case: what is wrong with them should not wait for the scheme to change.
        let mut tls = config.tls.clone();
        // As in gRPC, whoever is asked under another name has a certificate for it.
        let other = || config.authority.as_ref()?.parse::<Authority>().ok().map(|name| name.host().to_owned());
        tls.server_name_override = tls.server_name_override.or_else(other);
        let tls = ClientTls::new(tls).map_err(Error::Tls)?;
        let secured = config.endpoint.tls().unwrap_or(!config.tls.is_plaintext());
        let uri = |signal| config.endpoint.uri(secured, config.authority.as_deref(), grpc_path(signal));
        let [traces, metrics, logs] = [Signal::Traces, Signal::Metrics, Signal::Logs].map(uri);
        let methods =
            [traces.map_err(Error::Authority)?, metrics.map_err(Error::Authority)?, logs.map_err(Error::Authority)?];
        let tls = secured.then(|| Arc::new(tls));
        Ok(OtlpGrpc { config, tls, compression, headers, methods, client: None, timeout: OnceLock::new() })
    }

    async fn start(&mut self, cx: &Cx<Self>) -> Result<(), Error> {
        if let Some(tls) = &self.tls {
            tls.load().await.map_err(Error::Tls)?;
        }
        if !self.headers.contains_key(USER_AGENT) {
            self.headers.insert(USER_AGENT, user_agent(cx.version()));
        }
        let origin = self.config.endpoint.uri(self.tls.is_some(), None, "/").map_err(Error::Authority)?;
        let keepalive = self.config.keepalive.as_ref().map(|keepalive| Keepalive {
            time: keepalive.time.get(),
            timeout: keepalive.timeout.get(),
            permit_without_stream: keepalive.permit_without_stream,
        });
        // The time of an attempt is the runtime's to limit.
        let limits = ClientLimits { request: Duration::MAX, connect: CONNECT, idle: IDLE, ..ClientLimits::DEFAULT };
        let protocol = Protocol::Http2(Http2Settings { origin, keepalive });
        self.client = Some(cx.client(ClientSettings { limits, protocol, tls: self.tls.clone() }));
        Ok(())
    }

    async fn export(&self, batch: &Batch, cx: &Cx<Self>) -> Result<(), Error> {
        let client = self.client.as_ref().ok_or(Error::NotStarted)?;
        let message = self.compression.body(batch.parts(), cx).await?;
        let length = u32::try_from(message.len()).map_err(|error| Error::Encode(error.into()))?;
        let prefix = Prefix { compressed: self.compression.encoding().is_some(), length };
        let attempt = cx.attempt();
        let parent = attempt.span.and_then(|span| HeaderValue::try_from(span.to_string()).ok());
        let head = || {
            let mut request = Request::new(());
            *request.method_mut() = Method::POST;
            *request.version_mut() = Version::HTTP_2;
            *request.uri_mut() = self.method(batch.signal()).clone();
            let mut headers = self.headers.clone();
            headers.insert(GRPC_TIMEOUT, self.timeout(attempt.timeout));
            headers.extend(parent.clone().map(|parent| (TRACEPARENT, parent)));
            *request.headers_mut() = headers;
            request
        };
        let answer = client.exchange(head, message.prefixed(prefix.encode())).await.map_err(Error::Call)?;
        tell_of_partial(cx, answer::read(batch.signal(), &answer)?);
        Ok(())
    }
}

impl OtlpGrpc {
    fn method(&self, signal: Signal) -> &Uri {
        let [traces, metrics, logs] = &self.methods;
        match signal {
            Signal::Traces => traces,
            Signal::Metrics => metrics,
            Signal::Logs => logs,
        }
    }

    fn timeout(&self, limit: Duration) -> HeaderValue {
        let written = || HeaderValue::try_from(encode_timeout(limit)).expect("digits and a letter are a header");
        self.timeout.get_or_init(written).clone()
    }
}
