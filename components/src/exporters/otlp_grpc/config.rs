//! The settings of the `otlp_grpc` exporter. Keys and defaults are the Collector's.

use std::collections::BTreeMap;

use tracecore::config::{ClientAuth, GrpcEndpoint};
use tracecore::net::tls::TlsClientConfig;
use tracecore::prelude::*;

use crate::otlp::CompressionType;

/// Settings of the `otlp_grpc` exporter.
#[config]
pub(super) struct Config {
    /// The server, as `host:port`. `https://` before it asks for TLS, `http://` for none, whatever `tls.insecure` says;
    /// `dns:///` may stand there too.
    pub endpoint: GrpcEndpoint,
    /// How requests are compressed.
    #[default]
    pub compression: CompressionType,
    /// Headers of every request, such as `authorization`. Their values are shown nowhere.
    #[default]
    pub headers: BTreeMap<String, Secret>,
    /// TLS. It is on unless `insecure` is true.
    #[default]
    pub tls: TlsClientConfig,
    /// When a connection from which nothing comes is asked whether it lives. With `null`, never.
    #[default(Some(KeepaliveConfig::default()))]
    pub keepalive: Option<KeepaliveConfig>,
    /// The name of the server in the requests (`:authority`), where it is not the endpoint. Over TLS its certificate must
    /// have this name, unless `tls.server_name_override` says another.
    pub authority: Option<String>,
    /// Without effect, for files of the Collector. One connection to one address carries all requests, as with `pick_first`; after
    /// it has ended, the name is resolved anew.
    #[default]
    #[expect(dead_code, reason = "it is there for who has it in a file")]
    balancer_name: Balancer,
    /// Without effect, for files of the Collector. A request waits while a connection is made, and is tried again as
    /// `retry_on_failure` says.
    #[default(false)]
    #[expect(dead_code, reason = "it is there for who has it in a file")]
    wait_for_ready: bool,
    /// Without effect, for files of the Collector. Bytes; what is sent is not gathered in a buffer.
    #[default(ByteSize::kib(512))]
    #[expect(dead_code, reason = "it is there for who has it in a file")]
    write_buffer_size: ByteSize,
    /// Without effect, for files of the Collector. Bytes; answers are small.
    #[expect(dead_code, reason = "it is there for who has it in a file")]
    read_buffer_size: Option<ByteSize>,
    /// Not there yet: see `headers`.
    #[expect(dead_code, reason = "to have a value it would have to exist")]
    auth: Option<ClientAuth>,
}

/// When a connection from which nothing comes is asked whether it lives.
#[config]
pub(super) struct KeepaliveConfig {
    /// Time in which nothing came.
    #[default(Period::secs(10))]
    pub time: Period,
    /// Time for the answer; the connection is then taken for dead.
    #[default(Period::secs(10))]
    pub timeout: Period,
    /// Whether it is asked while no request is under way. A server may close a connection on which it is.
    #[default(false)]
    pub permit_without_stream: bool,
}

/// How the addresses of a name share the requests.
#[config]
#[derive(Copy, PartialEq, Eq)]
pub(super) enum Balancer {
    /// One after the other.
    #[default]
    RoundRobin,
    /// The first that answers has them all.
    PickFirst,
}
