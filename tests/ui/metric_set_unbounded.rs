use tracecore::prelude::*;

/// What is measured.
#[derive(MetricSet)]
struct Data {
    /// Requests by path.
    #[unit("{request}")]
    requests: Counter<String>,
    /// Requests by client and path.
    #[unit("{request}")]
    clients: Counter<(Client, String)>,
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Label)]
#[max(8)]
struct Client(Name);

fn main() {}
