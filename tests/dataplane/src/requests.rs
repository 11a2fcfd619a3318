//! Prepared requests, and the mark by which each is known again.
//!
//! A mark is eight bytes, half of them a number, in the first item of a request, in a field that every collector passes on and that
//! stands at a fixed place in the wire form: the id of a span, the time of a log record, the start time of a point. It is
//! overwritten in place before a request goes out, so nothing is encoded while the bench runs.

#[expect(dead_code, reason = "the tests of the walk use more of it")]
#[path = "../../../tracecore/src/signal/tests/payload.rs"]
mod payload;

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::LogsData;
use opentelemetry_proto::tonic::metrics::v1::{Metric, MetricsData, NumberDataPoint, metric};
use opentelemetry_proto::tonic::trace::v1::TracesData;
use prost::Message;

use crate::signal::Signal;
use payload::{Payload, Script};

/// The upper half of a mark. No time between 1970 and 2200 has it, and no id of the prepared requests.
const MARK: u64 = 0x7C5A_39E1 << 32;

/// Items that share a resource.
const PER_RESOURCE: usize = 100;

/// A request whose mark can be changed.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// The encoded request.
    pub(crate) bytes: Vec<u8>,
    /// Where the mark stands in it.
    pub(crate) mark: usize,
}

/// The length of a mark.
pub(crate) const MARK_BYTES: usize = 8;

/// The mark with this number, as it stands in a request.
pub(crate) fn mark(number: u32) -> [u8; MARK_BYTES] {
    value(number).to_le_bytes()
}

fn value(number: u32) -> u64 {
    MARK | u64::from(number)
}

impl Request {
    /// Writes the mark with this number.
    pub(crate) fn set_mark(&mut self, number: u32) {
        self.bytes[self.mark..][..MARK_BYTES].copy_from_slice(&mark(number));
    }
}

/// The number of what may be a mark.
pub(crate) fn number(value: u64) -> Option<u32> {
    #[expect(clippy::cast_possible_truncation, reason = "the lower half is the number")]
    (value >> 32 == MARK >> 32).then_some(value as u32)
}

/// `count` different requests of `items` items each, one resource for each hundred.
pub(crate) fn prepare(signal: Signal, items: usize, count: usize) -> Vec<Request> {
    let mut payload = Payload::new(Script::Ascii);
    (0..count).map(|_| request(&mut payload, signal, items)).collect()
}

/// The attribute that one item in a hundred has, for a filter to find.
pub(crate) const DROP: &str = "bench.drop";

/// Which item of a hundred has it; not the first, which is marked.
const DROPPED: usize = 50;

fn request(payload: &mut Payload, signal: Signal, items: usize) -> Request {
    let mut bytes = Vec::new();
    for start in (0..items).step_by(PER_RESOURCE) {
        let count = PER_RESOURCE.min(items - start);
        let (marked, dropped) = ((start == 0).then_some(value(0)), (count > DROPPED).then_some(DROPPED));
        // A message that is encoded after another continues it: repeated fields concatenate.
        match signal {
            Signal::Traces => traces(payload.traces(count), marked, dropped).encode(&mut bytes),
            Signal::Metrics => metrics(payload.metrics(count), marked, dropped).encode(&mut bytes),
            Signal::Logs => logs(payload.logs(count), marked, dropped).encode(&mut bytes),
        }
        .expect("a vector grows");
    }
    let pattern = mark(0);
    let found = bytes.windows(pattern.len()).position(|window| window == pattern);
    Request { mark: found.expect("the first item has a mark"), bytes }
}

fn traces(mut data: TracesData, marked: Option<u64>, dropped: Option<usize>) -> TracesData {
    let spans = &mut data.resource_spans[0].scope_spans[0].spans;
    if let Some(mark) = marked {
        spans[0].span_id = mark.to_le_bytes().to_vec();
    }
    if let Some(dropped) = dropped {
        spans[dropped].attributes.push(drop_attribute());
    }
    data
}

fn metrics(mut data: MetricsData, marked: Option<u64>, dropped: Option<usize>) -> MetricsData {
    let metrics = &mut data.resource_metrics[0].scope_metrics[0].metrics;
    if let Some(mark) = marked {
        gauge(&mut metrics[0]).start_time_unix_nano = mark;
    }
    if let Some(dropped) = dropped {
        gauge(&mut metrics[dropped]).attributes.push(drop_attribute());
    }
    data
}

fn gauge(metric: &mut Metric) -> &mut NumberDataPoint {
    match &mut metric.data {
        Some(metric::Data::Gauge(gauge)) => &mut gauge.data_points[0],
        other => unreachable!("the metrics of these places are gauges, not {other:?}"),
    }
}

fn logs(mut data: LogsData, marked: Option<u64>, dropped: Option<usize>) -> LogsData {
    let records = &mut data.resource_logs[0].scope_logs[0].log_records;
    if let Some(mark) = marked {
        records[0].time_unix_nano = mark;
    }
    if let Some(dropped) = dropped {
        records[dropped].attributes.push(drop_attribute());
    }
    data
}

fn drop_attribute() -> KeyValue {
    let value = Some(AnyValue { value: Some(any_value::Value::BoolValue(true)) });
    KeyValue { key: DROP.to_owned(), value, ..KeyValue::default() }
}
