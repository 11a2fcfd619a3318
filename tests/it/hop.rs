//! From one collector to the next over OTLP, with a real socket between them.

use std::net::Ipv4Addr;

use tracecore::signal::Signal;
use tracecore_tests::loopback;

/// A way to send OTLP.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Protocol {
    Grpc,
    Protobuf,
    Json,
}

impl Protocol {
    pub(crate) const ALL: [Protocol; 3] = [Protocol::Grpc, Protocol::Protobuf, Protocol::Json];
}

/// Where a collector receives OTLP: an address of its own, so that it can come back to it.
pub(crate) struct Hop(Ipv4Addr);

impl Hop {
    pub(crate) fn new() -> Self {
        Hop(loopback())
    }

    /// A receiver of all protocols.
    pub(crate) fn receiver(&self) -> String {
        format!(
            "otlp: {{protocols: {{grpc: {{endpoint: '{0}:4317', max_recv_msg_size_mib: 64}}, \
             http: {{endpoint: '{0}:4318', max_request_body_size: 64MiB}}}}}}",
            self.0
        )
    }

    /// An exporter to it, with further settings.
    pub(crate) fn exporter(&self, protocol: Protocol, settings: &str) -> String {
        let (name, port, encoding) = match protocol {
            Protocol::Grpc => ("otlp_grpc", 4317, ""),
            Protocol::Protobuf => ("otlp_http", 4318, "encoding: proto, "),
            Protocol::Json => ("otlp_http", 4318, "encoding: json, "),
        };
        format!("{name}: {{endpoint: 'http://{}:{port}', {encoding}{settings}}}", self.0)
    }
}

/// A collector with a pipeline for each signal from a receiver through processors to an exporter, each in one line.
pub(crate) fn collector(receiver: &str, processors: &str, exporter: &str) -> String {
    let name = |yaml: &str| yaml.split(':').next().unwrap_or_default().to_owned();
    let (from, through, to) = (name(receiver), name(processors), name(exporter));
    let components = format!("{{receivers: [{from}], processors: [{through}], exporters: [{to}]}}");
    let pipelines: Vec<_> = Signal::ALL.iter().map(|signal| format!("{signal}: {components}")).collect();
    format!(
        "receivers:\n  {receiver}\nprocessors:\n  {processors}\nexporters:\n  {exporter}\nservice:\n  pipelines: {{{}}}\n",
        pipelines.join(", ")
    )
}
