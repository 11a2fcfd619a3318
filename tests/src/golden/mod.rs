//! Golden requests: every field of OTLP absent, empty, usual and extreme, and in each message each pair of such choices.
//!
//! A bug in what carries telemetry shows itself in one choice or in two that meet, seldom in three: all pairs of a message
//! are some dozen of it, where all combinations would be more than anybody can send. What there is follows from the choices
//! alone, so it is the same each time. A message that is left out hides what it would have had: therefore the pairs are
//! those of one message and not of the whole, and beside each list that is empty there is one that has all of them.

mod common;
mod logs;
mod metrics;
mod pairs;
mod traces;

use std::fmt::Debug;

use prost::Message;
use tracecore::signal::{Decoded, Signal};

/// The golden request of a signal.
pub fn golden(signal: Signal) -> Decoded {
    match signal {
        Signal::Traces => Decoded::Traces(traces::request()),
        Signal::Metrics => Decoded::Metrics(metrics::request()),
        Signal::Logs => Decoded::Logs(logs::request()),
    }
}

/// What differs between two requests of one signal, resource by resource. Bytes are compared, so that a NaN is equal to
/// itself and -0.0 is not 0.0. At most three are told, and how many there are too many or too few.
pub fn differences(expected: &Decoded, arrived: &Decoded) -> Vec<String> {
    match (expected, arrived) {
        (Decoded::Traces(e), Decoded::Traces(a)) => compare(&e.resource_spans, &a.resource_spans),
        (Decoded::Metrics(e), Decoded::Metrics(a)) => compare(&e.resource_metrics, &a.resource_metrics),
        (Decoded::Logs(e), Decoded::Logs(a)) => compare(&e.resource_logs, &a.resource_logs),
        _ => vec!["they are of two signals".to_owned()],
    }
}

fn compare<M: Message + Debug>(expected: &[M], arrived: &[M]) -> Vec<String> {
    let resources = expected.iter().zip(arrived).enumerate();
    let differ = resources.filter(|(_, (expected, arrived))| expected.encode_to_vec() != arrived.encode_to_vec());
    let told = differ.take(3).map(|(number, (expected, arrived))| difference(number, expected, arrived));
    let counts =
        (expected.len() != arrived.len()).then(|| format!("{} resources of {}", arrived.len(), expected.len()));
    told.chain(counts).collect()
}

/// Where two messages begin to differ, with a little of what is before and behind.
fn difference(number: usize, expected: &impl Debug, arrived: &impl Debug) -> String {
    const AROUND: usize = 200;
    let (expected, arrived) = (format!("{expected:?}"), format!("{arrived:?}"));
    let same = expected.bytes().zip(arrived.bytes()).take_while(|(expected, arrived)| expected == arrived).count();
    let part = |text: &str| {
        let (from, to) = (same.saturating_sub(AROUND), (same + AROUND).min(text.len()));
        text[text.floor_char_boundary(from)..text.floor_char_boundary(to)].to_owned()
    };
    format!("resource {number}: …{}…\n    arrived: …{}…", part(&expected), part(&arrived))
}
