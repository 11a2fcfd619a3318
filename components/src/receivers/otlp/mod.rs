//! The `otlp` receiver: traces, metrics and logs over OTLP, by gRPC ([`grpc`]) and HTTP ([`http`]).
//!
//! What came is validated and goes on as it came: from the socket to the batch nothing is decoded, but what is compressed
//! or JSON. The sender hears what became of it: taken, come again, or not at all.
//!
//! Deliberately absent: profiles, TLS and authentication (for all servers at once, in `net`).

mod config;
mod cors;
mod grpc;
mod http;
mod intake;
mod message;
mod pieces;
mod refusals;
mod reply;
mod unpack;

use std::sync::Arc;

use ::http::HeaderMap;
use tracecore::net::{BindError, Bound};
use tracecore::prelude::*;

use self::config::Config;
use self::grpc::Grpc;
use self::http::Http;
use self::intake::Intake;
use crate::otlp::{HeaderError, configured};

/// Takes traces, metrics and logs over OTLP: gRPC, and HTTP with protobuf or JSON.
#[receiver(
    "otlp",
    aliases = ["otlpreceiver"],
    config = Config,
    error = Error,
    example = "protocols: {grpc: , http: }",
)]
struct Otlp {
    config: Config,
    response_headers: HeaderMap,
}

/// What can go wrong.
#[derive(Debug, thiserror::Error, Classify)]
enum Error {
    /// Nothing to listen for.
    #[error("`protocols` names none: write `grpc:`, `http:` or both beneath it")]
    #[kind(Init)]
    NoProtocol,
    /// An answer cannot have such a header.
    #[error("protocols.http.response_headers: {0}")]
    #[kind(Init)]
    Header(HeaderError),
    /// The port is taken, or the address is not one of this machine.
    #[error(transparent)]
    #[kind(Init)]
    Listen(BindError),
}

impl Receiver for Otlp {
    fn new(config: Config) -> Result<Self, Error> {
        let protocols = &config.protocols;
        if protocols.grpc.0.is_none() && protocols.http.0.is_none() {
            return Err(Error::NoProtocol);
        }
        let response_headers = protocols.http.0.as_ref().map(|http| configured(&http.response_headers));
        let response_headers = response_headers.transpose().map_err(Error::Header)?.unwrap_or_default();
        Ok(Otlp { config, response_headers })
    }

    async fn start(&mut self, cx: &Cx<Self>) -> Result<(), Error> {
        if let Some(config) = &self.config.protocols.grpc.0 {
            let listener = listen(cx, "grpc", &config.endpoint).await?;
            let intake = Intake::new(cx, "grpc", config.include_metadata);
            cx.serve(listener, Grpc::new(intake, config.max_message()), config.limits());
        }
        if let Some(config) = &self.config.protocols.http.0 {
            let listener = listen(cx, "http", &config.endpoint).await?;
            let intake = Intake::new(cx, "http", config.include_metadata);
            cx.serve(listener, Http::new(intake, config, self.response_headers.clone()), config.limits());
        }
        Ok(())
    }

    async fn run(self, cx: Cx<Self>) -> Result<(), Error> {
        cx.shutdown_requested().await;
        Ok(())
    }
}

async fn listen(cx: &Cx<Otlp>, protocol: &'static str, endpoint: &Endpoint) -> Result<Arc<Bound>, Error> {
    let setting = || format!("receivers.{}.protocols.{protocol}.endpoint", cx.id());
    let listener = cx.listen(&endpoint.to_string()).await;
    let listener = listener.map_err(|error| Error::Listen(error.for_setting(setting())))?;
    tracing::info!(component = %cx.id(), listen = %listener.local_addr(), protocol, "receiving OTLP");
    Ok(listener)
}
