//! What OTLP says about a request and its answer, without a socket: paths, statuses, responses, compression, JSON.
//!
//! Servers and clients share it, so that both ends mean the same. Everything here takes bytes and gives bytes or an
//! error, whatever the bytes are. Deliberately absent: any I/O (that is [`net`](crate::net)), and the validation of a
//! request (that is [`Batch::validate`](crate::signal::Batch::validate)).

pub mod compression;
pub mod grpc;
pub mod response;
pub mod status;

pub use crate::signal::json;

use crate::signal::Signal;

/// How a request, a response or a status is written in a body. gRPC is always protobuf.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// `application/x-protobuf`.
    Protobuf,
    /// `application/json`.
    Json,
}

impl Format {
    /// The value of `content-type` in OTLP/HTTP.
    pub const fn content_type(self) -> &'static str {
        match self {
            Format::Protobuf => "application/x-protobuf",
            Format::Json => "application/json",
        }
    }

    /// The format of a `content-type`, whose parameters (`; charset=utf-8`) do not matter.
    pub fn from_content_type(value: &str) -> Option<Format> {
        let essence = value.split(';').next().unwrap_or_default().trim();
        [Format::Protobuf, Format::Json].into_iter().find(|format| essence.eq_ignore_ascii_case(format.content_type()))
    }
}

/// Where OTLP/HTTP takes requests of `signal`.
pub const fn path(signal: Signal) -> &'static str {
    match signal {
        Signal::Traces => "/v1/traces",
        Signal::Metrics => "/v1/metrics",
        Signal::Logs => "/v1/logs",
    }
}

/// The gRPC method that takes requests of `signal`, as the path of its HTTP/2 request.
pub const fn grpc_path(signal: Signal) -> &'static str {
    match signal {
        Signal::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        Signal::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        Signal::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
    }
}

/// The signal whose requests go to this path of OTLP/HTTP.
pub fn signal_of_path(path: &str) -> Option<Signal> {
    Signal::ALL.into_iter().find(|signal| self::path(*signal) == path)
}

/// The signal whose requests this gRPC method takes.
pub fn signal_of_grpc_path(path: &str) -> Option<Signal> {
    Signal::ALL.into_iter().find(|signal| grpc_path(*signal) == path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_back_to_its_signal() {
        for signal in Signal::ALL {
            assert_eq!(signal_of_path(path(signal)), Some(signal));
            assert_eq!(signal_of_grpc_path(grpc_path(signal)), Some(signal));
        }
        assert_eq!(signal_of_path("/v1/traces/"), None);
        assert_eq!(signal_of_grpc_path("/v1/traces"), None);
    }

    #[test]
    fn a_content_type_is_read_whatever_its_case_and_parameters() {
        assert_eq!(Format::from_content_type("Application/JSON; charset=utf-8"), Some(Format::Json));
        assert_eq!(Format::from_content_type("application/x-protobuf"), Some(Format::Protobuf));
        assert_eq!(Format::from_content_type("application/grpc"), None);
        assert_eq!(Format::from_content_type(""), None);
    }
}
