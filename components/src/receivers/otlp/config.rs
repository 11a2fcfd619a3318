//! Settings of the `otlp` receiver. Keys and defaults are the Collector's, but for the limits that it does not have.

use std::collections::BTreeMap;
use std::num::{NonZeroU32, NonZeroUsize};

use tracecore::config::{Named, ServerAuth, ServerTls};
use tracecore::net::{Http2, Limits, MAX_STREAMS, MIN_PING_INTERVAL};
use tracecore::otlp;
use tracecore::otlp::compression::Encoding;
use tracecore::prelude::*;

/// The port of OTLP/gRPC, and that of OTLP/HTTP.
const PORTS: (u16, u16) = (4317, 4318);

/// Open connections of one protocol. A gateway serves a node with one; what each takes beside its requests is not charged, so
/// this bounds it.
const MAX_CONNECTIONS: NonZeroUsize = NonZeroUsize::new(1024).expect("1024 is not zero");

/// The largest gRPC message in MiB, and the largest HTTP body: what the specification recommends.
const MAX_MESSAGE_MIB: NonZeroU32 = NonZeroU32::new(4).expect("4 is not zero");
const MAX_BODY: ByteSize = ByteSize::mib(20);

/// How long a gRPC connection may have no request. The Collector waits for ever; SDKs send every minute at the latest,
/// and a client that has gone silently must not keep its place among `max_connections`.
const GRPC_IDLE: Period = Period::minutes(5);

/// Bytes of a request's headers. Metadata of gRPC clients may be larger than what scrapers send.
const MAX_HEADER_BYTES: usize = 16 * 1024;

/// Settings of the `otlp` receiver.
#[config]
pub(super) struct Config {
    /// What is listened for, at least one.
    pub(super) protocols: Protocols,
}

/// What is listened for. A protocol is on if its key is there, with or without settings.
#[config]
pub(super) struct Protocols {
    /// OTLP/gRPC.
    #[default]
    pub(super) grpc: Named<Grpc>,
    /// OTLP/HTTP, in protobuf and in JSON.
    #[default]
    pub(super) http: Named<Http>,
}

/// OTLP/gRPC. Requests may be compressed with gzip, zstd and deflate.
#[config]
pub(super) struct Grpc {
    /// Where to listen, as `host:port`.
    #[default(Endpoint::localhost(PORTS.0))]
    pub(super) endpoint: Endpoint,
    /// The largest message in MiB, compressed as well as not.
    #[default(MAX_MESSAGE_MIB)]
    pub(super) max_recv_msg_size_mib: NonZeroU32,
    /// How many requests of one connection may be open at once.
    #[default(NonZeroU32::new(MAX_STREAMS).expect("it is not zero"))]
    pub(super) max_concurrent_streams: NonZeroU32,
    /// How many clients may be connected; further ones wait.
    #[default(MAX_CONNECTIONS)]
    pub(super) max_connections: NonZeroUsize,
    /// From the end of a request's headers to its answer.
    #[default(Period::secs(30))]
    pub(super) request_timeout: Period,
    /// Without effect, for files of the Collector: what is read goes into buffers of the size of what comes.
    #[default(ByteSize::kib(512))]
    #[expect(dead_code, reason = "it is there for who has it in a file")]
    read_buffer_size: ByteSize,
    /// Without effect, as `read_buffer_size`.
    #[default(ByteSize::kib(32))]
    #[expect(dead_code, reason = "it is there for who has it in a file")]
    write_buffer_size: ByteSize,
    /// How long connections last, and how it is found out that a client has gone.
    #[default]
    pub(super) keepalive: Keepalive,
    /// Whether the metadata of a request goes with its batch, for processors.
    #[default(false)]
    pub(super) include_metadata: bool,
    /// Not there yet.
    #[expect(dead_code, reason = "to have a value it would have to exist")]
    tls: Option<ServerTls>,
    /// Not there yet.
    #[expect(dead_code, reason = "to have a value it would have to exist")]
    auth: Option<ServerAuth>,
}

/// How long connections last, and how it is found out that a client has gone.
#[config]
pub(super) struct Keepalive {
    /// What the server does.
    #[default]
    pub(super) server_parameters: ServerParameters,
    /// What clients may do.
    #[default]
    pub(super) enforcement_policy: EnforcementPolicy,
}

/// How often clients may ask whether the server is there. One that asks more often is told so, and its connection is
/// closed: gRPC clients then ask less.
#[config]
pub(super) struct EnforcementPolicy {
    /// How long a client has to wait before it asks again, unless it was answered a request meanwhile.
    #[default(Period::secs(MIN_PING_INTERVAL.as_secs()))]
    pub(super) min_time: Period,
    /// Whether that holds while it has no request under way. Otherwise it has to wait two hours then.
    #[default(false)]
    pub(super) permit_without_stream: bool,
}

/// What the server does about connections that are idle, old or dead.
#[config]
pub(super) struct ServerParameters {
    /// How long a connection may have no request; then its client is asked to make another.
    #[default(GRPC_IDLE)]
    pub(super) max_connection_idle: Period,
    /// How long a connection may last; then its client is asked to make another. Without it, for ever.
    pub(super) max_connection_age: Option<Period>,
    /// How long requests in flight are waited for after `max_connection_age`. Without it, as long as they may take.
    pub(super) max_connection_age_grace: Option<Period>,
    /// How long nothing may come before the client is asked whether it is there. Without it, never.
    pub(super) time: Option<Period>,
    /// How long the client's answer may take.
    #[default(Period::secs(20))]
    pub(super) timeout: Period,
}

impl Grpc {
    /// The largest message in bytes.
    pub(super) fn max_message(&self) -> usize {
        usize::try_from(u64::from(self.max_recv_msg_size_mib.get()) << 20).unwrap_or(usize::MAX)
    }

    pub(super) fn limits(&self) -> Limits {
        let ServerParameters { max_connection_idle, max_connection_age, max_connection_age_grace, time, timeout } =
            self.keepalive.server_parameters;
        let EnforcementPolicy { min_time, permit_without_stream } = self.keepalive.enforcement_policy;
        Limits {
            request: self.request_timeout.get(),
            idle: max_connection_idle.get(),
            header_bytes: MAX_HEADER_BYTES,
            // Counted by who reads it, whose answer is gRPC's.
            body_bytes: usize::MAX,
            connections: self.max_connections,
            http2: Some(Http2 {
                streams: self.max_concurrent_streams.get(),
                max_age: max_connection_age.map(Period::get),
                max_age_grace: max_connection_age_grace.map(Period::get),
                ping_interval: time.map(Period::get),
                ping_timeout: timeout.get(),
                min_ping_interval: min_time.get(),
                pings_without_stream: permit_without_stream,
                ..Http2::default()
            }),
            ..Limits::default()
        }
    }
}

/// OTLP/HTTP. Requests may be compressed with gzip, zstd and deflate.
#[config]
pub(super) struct Http {
    /// Where to listen, as `host:port`.
    #[default(Endpoint::localhost(PORTS.1))]
    pub(super) endpoint: Endpoint,
    /// Where traces are taken.
    #[default(otlp::path(Signal::Traces).to_owned())]
    pub(super) traces_url_path: String,
    /// Where metrics are taken.
    #[default(otlp::path(Signal::Metrics).to_owned())]
    pub(super) metrics_url_path: String,
    /// Where logs are taken.
    #[default(otlp::path(Signal::Logs).to_owned())]
    pub(super) logs_url_path: String,
    /// The largest body, compressed as well as not.
    #[default(MAX_BODY)]
    pub(super) max_request_body_size: ByteSize,
    /// What a body may be compressed with, and `""` for not at all; others are refused.
    #[default(vec![Compression::None, Compression::Gzip, Compression::Zstd, Compression::Zlib, Compression::Deflate])]
    pub(super) compression_algorithms: Vec<Compression>,
    /// Headers of every answer. Their values are shown nowhere.
    #[default]
    pub(super) response_headers: BTreeMap<String, Secret>,
    /// Which pages of other origins browsers may send from. Without it, none.
    pub(super) cors: Option<Cors>,
    /// How many clients may be connected; further ones wait.
    #[default(MAX_CONNECTIONS)]
    pub(super) max_connections: NonZeroUsize,
    /// From the first byte of a request to the end of its headers.
    #[default(Period::secs(5))]
    pub(super) read_header_timeout: Period,
    /// From the end of a request's headers to its answer, its body included.
    #[default(Period::secs(30))]
    pub(super) read_timeout: Period,
    /// How long a client may take nothing of its answer.
    #[default(Period::secs(10))]
    pub(super) write_timeout: Period,
    /// How long a connection may have no request.
    #[default(Period::minutes(1))]
    pub(super) idle_timeout: Period,
    /// Whether the headers of a request go with its batch, for processors.
    #[default(false)]
    pub(super) include_metadata: bool,
    /// Not there yet.
    #[expect(dead_code, reason = "to have a value it would have to exist")]
    tls: Option<ServerTls>,
    /// Not there yet.
    #[expect(dead_code, reason = "to have a value it would have to exist")]
    auth: Option<ServerAuth>,
}

/// How a body is compressed, in the Collector's words.
#[config]
#[derive(Copy, PartialEq, Eq)]
pub(super) enum Compression {
    /// Not at all.
    #[value("")]
    None,
    /// gzip.
    Gzip,
    /// zstd.
    Zstd,
    /// deflate, by another name.
    Zlib,
    /// deflate.
    Deflate,
}

impl Compression {
    pub(super) fn encoding(self) -> Encoding {
        match self {
            Compression::None => Encoding::Identity,
            Compression::Gzip => Encoding::Gzip,
            Compression::Zstd => Encoding::Zstd,
            Compression::Zlib | Compression::Deflate => Encoding::Deflate,
        }
    }
}

/// Cross-origin resource sharing: which pages browsers may send from.
#[config]
pub(super) struct Cors {
    /// The origins of these pages, such as `https://example.com`; `*` in one stands for any characters.
    #[default]
    pub(super) allowed_origins: Vec<String>,
    /// Which headers their requests may have beside `Accept`, `Accept-Language`, `Content-Language`, `Content-Type`,
    /// `Content-Encoding` and `X-Requested-With`; `*` for any.
    #[default]
    pub(super) allowed_headers: Vec<String>,
    /// For how many seconds a browser may keep the answer, 0 for its own default.
    #[default(0)]
    pub(super) max_age: u32,
}

impl Http {
    /// The largest body in bytes.
    pub(super) fn max_body(&self) -> usize {
        usize::try_from(self.max_request_body_size.get()).unwrap_or(usize::MAX)
    }

    pub(super) fn limits(&self) -> Limits {
        Limits {
            header_read: self.read_header_timeout.get(),
            request: self.read_timeout.get(),
            idle: self.idle_timeout.get(),
            write_stall: self.write_timeout.get(),
            header_bytes: MAX_HEADER_BYTES,
            // Counted by who reads it, whose answer is OTLP's.
            body_bytes: usize::MAX,
            connections: self.max_connections,
            http2: None,
        }
    }
}
