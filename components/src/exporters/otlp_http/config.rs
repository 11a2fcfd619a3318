//! The settings of the `otlp_http` exporter. Keys and defaults are the Collector's.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use tracecore::config::{ClientAuth, HttpUrl, Profiles, Proxy};
use tracecore::net::tls::TlsClientConfig;
use tracecore::net::{POOL_IDLE_TIMEOUT, POOL_MAX_IDLE};
use tracecore::otlp::Format;
use tracecore::prelude::*;

use crate::otlp::CompressionType;

/// Settings of the `otlp_http` exporter.
#[config]
pub(super) struct Config {
    /// The base URL of the server: `/v1/traces`, `/v1/metrics` and `/v1/logs` are appended to it. `https://` asks for TLS.
    pub endpoint: Option<HttpUrl>,
    /// Where traces go, as the whole URL, in place of what `endpoint` says.
    pub traces_endpoint: Option<HttpUrl>,
    /// Where metrics go, as the whole URL, in place of what `endpoint` says.
    pub metrics_endpoint: Option<HttpUrl>,
    /// Where logs go, as the whole URL, in place of what `endpoint` says.
    pub logs_endpoint: Option<HttpUrl>,
    /// Not there yet.
    #[expect(dead_code, reason = "to have a value it would have to exist")]
    profiles_endpoint: Option<Profiles>,
    /// Not there yet.
    #[expect(dead_code, reason = "to have a value it would have to exist")]
    proxy_url: Option<Proxy>,
    /// How a batch is written.
    #[default]
    pub encoding: Encoding,
    /// How requests are compressed.
    #[default]
    pub compression: CompressionType,
    /// How well requests are compressed.
    #[default]
    pub compression_params: CompressionParams,
    /// Headers of every request, such as `authorization`. Their values are shown nowhere.
    #[default]
    pub headers: BTreeMap<String, Secret>,
    /// TLS, of what is `https://`.
    #[default]
    pub tls: TlsClientConfig,
    /// How long a connection is kept unused. Shorter than the Collector's 90s, so that it is seldom met just when the
    /// server closes it.
    #[default(IDLE)]
    pub idle_conn_timeout: Period,
    /// How many connections are kept unused, for each host.
    #[default(MAX_IDLE)]
    pub max_idle_conns: NonZeroUsize,
    /// As `max_idle_conns`; the smaller of the two counts.
    pub max_idle_conns_per_host: Option<NonZeroUsize>,
    /// `true`: a connection serves one request.
    #[default(false)]
    pub disable_keep_alives: bool,
    /// Without effect, for files of the Collector. There are as many connections as requests under way, and of these no more
    /// than `sending_queue.num_consumers`.
    #[expect(dead_code, reason = "it is there for who has it in a file")]
    max_conns_per_host: Option<usize>,
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

const IDLE: Period = Period::secs(POOL_IDLE_TIMEOUT.as_secs());

const MAX_IDLE: NonZeroUsize = NonZeroUsize::new(POOL_MAX_IDLE).expect("some are kept");

/// How a batch is written.
#[config]
#[derive(Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    /// As protobuf.
    #[default]
    Proto,
    /// As JSON.
    Json,
}

impl Encoding {
    pub(super) fn format(self) -> Format {
        match self {
            Encoding::Proto => Format::Protobuf,
            Encoding::Json => Format::Json,
        }
    }
}

/// How well requests are compressed.
#[config]
pub(super) struct CompressionParams {
    /// The level: 1 to 9 for gzip, zlib and deflate, -7 to 22 for zstd. Without, the fastest that compresses well.
    pub level: Option<i32>,
}
