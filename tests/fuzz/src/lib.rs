//! What the targets have in common: how an input is read, and what prost says of it.

use opentelemetry_proto::tonic::logs::v1::LogsData;
use opentelemetry_proto::tonic::metrics::v1::{MetricsData, metric};
use opentelemetry_proto::tonic::trace::v1::TracesData;
use prost::Message;
use tracecore::signal::{Batch, Decoded, Signal, WireError};

pub mod signal;

/// The first byte of an input says which signal the rest is meant for.
pub fn signal_and_rest(input: &[u8]) -> Option<(Signal, &[u8])> {
    let (first, rest) = input.split_first()?;
    Some((Signal::ALL[usize::from(*first) % Signal::ALL.len()], rest))
}

/// What prost reads of a request.
pub fn decode(signal: Signal, bytes: &[u8]) -> Result<Decoded, prost::DecodeError> {
    Ok(match signal {
        Signal::Traces => Decoded::Traces(TracesData::decode(bytes)?),
        Signal::Metrics => Decoded::Metrics(MetricsData::decode(bytes)?),
        Signal::Logs => Decoded::Logs(LogsData::decode(bytes)?),
    })
}

/// What prost writes. Bytes can be compared where a NaN is not equal to itself.
pub fn encode(decoded: &Decoded) -> Vec<u8> {
    match decoded {
        Decoded::Traces(data) => data.encode_to_vec(),
        Decoded::Metrics(data) => data.encode_to_vec(),
        Decoded::Logs(data) => data.encode_to_vec(),
    }
}

/// How many spans, points or records there are.
pub fn count(decoded: &Decoded) -> u64 {
    let items: usize = match decoded {
        Decoded::Traces(data) => data.resource_spans.iter().flat_map(|r| &r.scope_spans).map(|s| s.spans.len()).sum(),
        Decoded::Logs(data) => data.resource_logs.iter().flat_map(|r| &r.scope_logs).map(|s| s.log_records.len()).sum(),
        Decoded::Metrics(data) => {
            let metrics = data.resource_metrics.iter().flat_map(|r| &r.scope_metrics).flat_map(|s| &s.metrics);
            metrics.filter_map(|metric| metric.data.as_ref()).map(points).sum()
        }
    };
    items as u64
}

fn points(data: &metric::Data) -> usize {
    match data {
        metric::Data::Gauge(gauge) => gauge.data_points.len(),
        metric::Data::Sum(sum) => sum.data_points.len(),
        metric::Data::Histogram(histogram) => histogram.data_points.len(),
        metric::Data::ExponentialHistogram(histogram) => histogram.data_points.len(),
        metric::Data::Summary(summary) => summary.data_points.len(),
    }
}

/// A batch of these bytes, if they are one. What the walk makes of them is what prost makes of them, but for what it
/// refuses of its own.
pub fn batch(signal: Signal, bytes: &[u8]) -> Option<Batch> {
    match (Batch::validate(signal, bytes.to_vec().into()), decode(signal, bytes)) {
        (Ok(batch), Ok(decoded)) => {
            assert_eq!(batch.items(), count(&decoded), "they do not count alike");
            Some(batch)
        }
        (Err(_), Err(_)) | (Err(WireError::IdLength { .. } | WireError::Depth(_)), Ok(_)) => None,
        (Ok(_), Err(error)) => panic!("only prost refuses: {error}"),
        (Err(error), Ok(_)) => panic!("only the walk refuses: {error}"),
    }
}
