//! Batches to send, and what stands in them.

use crate::signal::view::{DataRef, Number, View};
use crate::signal::{Batch, Decoded};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, LogsData, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Metric, MetricsData, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric,
};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, TracesData};

/// A gauge of this name with this many points.
pub fn metrics(name: &str, items: usize) -> Batch {
    let points = (0..items).map(|item| NumberDataPoint { time_unix_nano: item as u64, ..Default::default() }).collect();
    let data = Some(metric::Data::Gauge(Gauge { data_points: points }));
    let metrics = vec![Metric { name: name.to_owned(), data, ..Default::default() }];
    let scope_metrics = vec![ScopeMetrics { metrics, ..Default::default() }];
    let resource_metrics = vec![ResourceMetrics { scope_metrics, ..Default::default() }];
    valid(&Decoded::Metrics(MetricsData { resource_metrics }))
}

/// This many spans of this name.
pub fn spans(name: &str, items: usize) -> Batch {
    let spans = vec![Span { name: name.to_owned(), ..Default::default() }; items];
    let scope_spans = vec![ScopeSpans { spans, ..Default::default() }];
    let resource_spans = vec![ResourceSpans { scope_spans, ..Default::default() }];
    valid(&Decoded::Traces(TracesData { resource_spans }))
}

/// This many log records of this event.
pub fn logs(name: &str, items: usize) -> Batch {
    let log_records = vec![LogRecord { event_name: name.to_owned(), ..Default::default() }; items];
    let scope_logs = vec![ScopeLogs { log_records, ..Default::default() }];
    let resource_logs = vec![ResourceLogs { scope_logs, ..Default::default() }];
    valid(&Decoded::Logs(LogsData { resource_logs }))
}

fn valid(decoded: &Decoded) -> Batch {
    Batch::from_decoded(decoded).expect("it has neither ids nor depth")
}

/// The name of the first metric of a batch.
pub fn name_of(batch: &Batch) -> String {
    let View::Metrics(mut resources) = batch.view() else { panic!("{} where metrics are expected", batch.signal()) };
    let first = resources.find_map(|resource| resource.metrics().next());
    first.map(|(_, _, metric)| metric.name.to_owned()).unwrap_or_default()
}

/// The points of one metric: the attributes of each as `key=value` words, its start and its value.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Points(pub Vec<(String, u64, Number)>);

/// The points of the sum or the gauge `name` in a batch, in the order of the wire; none if it is not there.
pub fn points(batch: &Batch, name: &str) -> Points {
    let View::Metrics(resources) = batch.view() else { panic!("{} where metrics are expected", batch.signal()) };
    let mut found = Vec::new();
    for (_, _, metric) in resources.flat_map(|resource| resource.metrics()).filter(|(_, _, m)| m.name == name) {
        let Some(DataRef::Gauge { data_points } | DataRef::Sum { data_points, .. }) = metric.data else {
            panic!("{name} is neither a sum nor a gauge")
        };
        found.extend(data_points.map(|point| {
            let words: Vec<_> = point.attributes().map(|kv| format!("{}={}", kv.key, kv.value)).collect();
            (words.join(" "), point.start_time_unix_nano, point.value.expect("the encoder writes one"))
        }));
    }
    Points(found)
}
