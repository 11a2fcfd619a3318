//! The collector's own metrics, sent over OTLP beside being served.
//!
//! They are read by a second reader of the same provider, cumulative like the first, so both say the same. Nothing here
//! counts: no series of ours moves because of a push.

use std::sync::{Arc, Weak};

use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::reader::MetricReader;
use opentelemetry_sdk::metrics::{InstrumentKind, ManualReader, Pipeline, Temporality};
use prost::Message;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::otlp::Destination;
use super::outbound::Outbound;
use super::provider::Identity;
use crate::config::{HttpUrl, Period};
use crate::time::Duration;

/// Where an OTLP/HTTP backend takes metrics, below its base URL.
const PATH: &str = "/v1/metrics";

/// A reader that the provider and the push share.
#[derive(Clone, Debug, Default)]
pub(super) struct PushReader(Arc<ManualReader>);

impl MetricReader for PushReader {
    fn register_pipeline(&self, pipeline: Weak<Pipeline>) {
        self.0.register_pipeline(pipeline);
    }

    fn collect(&self, metrics: &mut ResourceMetrics) -> OTelSdkResult {
        self.0.collect(metrics)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn temporality(&self, _: InstrumentKind) -> Temporality {
        Temporality::Cumulative
    }
}

/// Sends what the reader that comes back reads to `endpoint`, once `outbound` has started.
pub(super) fn push(endpoint: &HttpUrl, interval: Period, identity: Identity<'_>, outbound: &Outbound) -> PushReader {
    let reader = PushReader::default();
    let destination = Destination::new(endpoint.join(PATH), identity.build);
    outbound.add(|stop| run(reader.clone(), destination, interval.get(), stop));
    reader
}

/// Sends every `interval` until `stop`, and once more then.
async fn run(reader: PushReader, mut destination: Destination, interval: Duration, stop: CancellationToken) {
    while stop.run_until_cancelled(sleep(interval)).await.is_some() {
        push_once(&reader, &mut destination).await;
    }
    push_once(&reader, &mut destination).await;
}

async fn push_once(reader: &PushReader, destination: &mut Destination) {
    let mut metrics = ResourceMetrics::default();
    if let Err(error) = reader.collect(&mut metrics) {
        tracing::debug!(%error, "there are no metrics to push");
        return;
    }
    let request = ExportMetricsServiceRequest::from(&metrics);
    destination.post(request.encode_to_vec().into(), rejected).await;
}

/// How many points the backend did not take.
fn rejected(answer: &[u8]) -> i64 {
    let answer = ExportMetricsServiceResponse::decode(answer).unwrap_or_default();
    answer.partial_success.map_or(0, |partial| partial.rejected_data_points)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use http::StatusCode;
    use opentelemetry_proto::tonic::metrics::v1::{AggregationTemporality, Metric, metric::Data, number_data_point};
    use tokio::net::TcpListener;

    use super::*;
    use crate::error::ErrorKind;
    use crate::net::testing::Logs;
    use crate::telemetry::testing::{Answer, Backend, Received, pushing_to, shown};
    use crate::telemetry::{FLUSH_BUDGET, SelfTelemetry};
    use crate::time::Instant;

    /// So long that no push comes by itself.
    const NEVER: Period = Period::minutes(600);

    /// Far above what a backend on this machine needs.
    const PLENTY: Duration = Duration::from_secs(30);

    async fn stop(telemetry: &SelfTelemetry) {
        telemetry.stop(Instant::now() + PLENTY).await;
    }

    /// The metrics of one push, by name.
    fn metrics(received: &Received) -> BTreeMap<String, Metric> {
        assert_eq!(received.path, "/v1/metrics");
        let [resource] = &received.metrics().resource_metrics[..] else { panic!("one resource") };
        let [scope] = &resource.scope_metrics[..] else { panic!("one scope") };
        scope.metrics.iter().map(|metric| (metric.name.clone(), metric.clone())).collect()
    }

    /// The points of a sum by their attributes; it must be cumulative.
    fn sum(metric: &Metric) -> BTreeMap<String, u64> {
        let Some(Data::Sum(sum)) = &metric.data else { panic!("{metric:?}") };
        assert_eq!((sum.aggregation_temporality(), sum.is_monotonic), (AggregationTemporality::Cumulative, true));
        let value = |value: number_data_point::Value| match value {
            number_data_point::Value::AsInt(value) => u64::try_from(value).unwrap(),
            number_data_point::Value::AsDouble(value) => value as u64,
        };
        let labels = |attributes| {
            let mut labels = shown(attributes);
            labels.sort();
            labels.join(" ")
        };
        sum.data_points.iter().map(|point| (labels(&point.attributes), value(point.value.unwrap()))).collect()
    }

    #[tokio::test]
    async fn what_is_pushed_is_what_is_served() {
        let mut backend = Backend::start().await;
        let telemetry = pushing_to(&backend.url, NEVER);
        let exporter = telemetry.exporter("otlp", &[ErrorKind::Connect]);
        let receiver = telemetry.receiver("clock", &[]);
        (0..3).for_each(|_| exporter.call_succeeded());
        exporter.call_failed(ErrorKind::Connect);
        receiver.emitted(41);
        receiver.observe_latency(Duration::from_millis(3));
        stop(&telemetry).await;
        let received = backend.rest();
        let [received] = &received[..] else { panic!("one push, and not {}", received.len()) };
        let pushed = metrics(received);

        let served = telemetry.gather();
        let served: BTreeSet<_> =
            served.iter().map(|family| family.name().to_owned()).filter(|name| name != "target_info").collect();
        let names: BTreeSet<_> = pushed.keys().map(|name| name.replace('.', "_")).collect();
        assert_eq!(names, served);

        assert_eq!(sum(&pushed["tracecore.receiver.emissions_total"]), [("component_id=clock".to_owned(), 41)].into());
        let calls = sum(&pushed["tracecore.exporter.calls_total"]);
        assert_eq!(calls["component_id=otlp kind= result=success"], 3, "{calls:?}");
        assert_eq!(calls["component_id=otlp kind=connect result=failure"], 1, "{calls:?}");
        let latency = &pushed["tracecore.receiver.collection_latency_seconds"];
        let Some(Data::Histogram(histogram)) = &latency.data else { panic!("{latency:?}") };
        assert_eq!((latency.unit.as_str(), histogram.data_points[0].count), ("s", 1));
        assert_eq!(histogram.data_points[0].explicit_bounds[0], 0.0001);

        let resource = received.metrics().resource_metrics[0].resource.clone().unwrap();
        let attributes: BTreeSet<_> = shown(&resource.attributes).into_iter().collect();
        let expected =
            ["host.name=node-7", "service.instance.id=one", "service.name=tracecore", "service.version=1.2.3"];
        assert_eq!(attributes, expected.map(ToOwned::to_owned).into());
    }

    #[tokio::test]
    async fn a_push_moves_no_series_of_ours() {
        let (logs, _guard) = Logs::capture();
        let mut backend = Backend::start().await;
        let telemetry = pushing_to(&backend.url, Period::millis(1));
        telemetry.exporter("otlp", &[]).call_succeeded();
        // What the kernel says of the process moves by itself.
        let everything = || {
            let mut families = telemetry.gather();
            families.retain(|family| !family.name().starts_with("process_"));
            format!("{families:?}")
        };
        let before = everything();
        let first = metrics(&backend.next().await);
        for answer in [Answer::Status(StatusCode::OK), Answer::Status(StatusCode::BAD_GATEWAY)] {
            *backend.answer.lock().unwrap() = answer;
            for _ in 0..5 {
                let pushed = metrics(&backend.next().await);
                assert!(pushed.keys().eq(first.keys()));
                let sums = |metrics: &BTreeMap<String, Metric>| {
                    metrics
                        .values()
                        .filter(|metric| !metric.name.starts_with("process_"))
                        .filter(|metric| matches!(metric.data, Some(Data::Sum(_))))
                        .map(sum)
                        .collect::<Vec<_>>()
                };
                assert_eq!(sums(&pushed), sums(&first));
            }
        }
        assert_eq!(everything(), before);
        stop(&telemetry).await;
        assert_eq!(everything(), before);
        let text = logs.text();
        assert_eq!(text.matches("WARN").count(), 1, "{text}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_backend_does_not_hold_up_the_stop() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let telemetry = pushing_to(&format!("http://{}", listener.local_addr().unwrap()), NEVER);
        let before = Instant::now();
        telemetry.stop(before + FLUSH_BUDGET).await;
        let took = before.elapsed();
        assert!((FLUSH_BUDGET..FLUSH_BUDGET + Duration::from_millis(10)).contains(&took), "{took:?}");
    }
}
