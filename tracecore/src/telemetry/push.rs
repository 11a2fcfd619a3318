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
