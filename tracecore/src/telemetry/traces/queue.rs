//! Between a span that has ended and the backend: a bounded queue and the one task that empties it.
//!
//! Invariants: ending a span neither waits nor fails; at most [`MAX_QUEUED`] spans wait; a span is sent once, and what
//! cannot be sent is let go.
//!
//! The SDK has a processor for this. It is not used: it has a thread of its own, on which an exporter that needs the
//! runtime cannot run, and it blocks whoever shuts it down.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use opentelemetry::Context;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};
use prost::Message;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::telemetry::otlp::Destination;
use crate::time::Duration;

/// Spans that wait for the backend. One with its attributes takes about a kilobyte, so this is about two megabytes.
const MAX_QUEUED: usize = 2048;

/// Spans in one request: OpenTelemetry's default.
const MAX_BATCH: usize = 512;

/// How long the first span of a batch waits for others: OpenTelemetry's default.
const BATCH_DELAY: Duration = Duration::from_secs(5);

/// Where spans go when they end.
#[derive(Debug)]
pub(super) struct SpanQueue {
    ended: mpsc::Sender<SpanData>,
    lost: Arc<AtomicU64>,
}

/// The far end of a [`SpanQueue`].
pub(super) struct Sender {
    ended: mpsc::Receiver<SpanData>,
    lost: Arc<AtomicU64>,
    /// Whether spans were lost when it was last looked at.
    losing: bool,
    resource: ResourceAttributesWithSchema,
    destination: Destination,
}

/// An empty queue.
pub(super) fn span_queue(resource: ResourceAttributesWithSchema, destination: Destination) -> (SpanQueue, Sender) {
    let (sender, receiver) = mpsc::channel(MAX_QUEUED);
    let lost = Arc::new(AtomicU64::new(0));
    let sending = Sender { ended: receiver, lost: Arc::clone(&lost), losing: false, resource, destination };
    (SpanQueue { ended: sender, lost }, sending)
}

impl SpanProcessor for SpanQueue {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if self.ended.try_send(span).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

impl Sender {
    /// Sends what ends until `stop`, then what is left.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut batch = Vec::new();
        while stop.run_until_cancelled(self.fill(&mut batch)).await == Some(true) {
            self.send(mem::take(&mut batch)).await;
        }
        // From here on a span that ends is lost; those that wait are not.
        self.ended.close();
        self.take(&mut batch);
        while !batch.is_empty() {
            self.send(mem::take(&mut batch)).await;
            self.take(&mut batch);
        }
    }

    /// Waits for a batch: full, or one whose time has come. Can be given up at any moment: what came stays in `batch`.
    /// False if nothing will ever come.
    async fn fill(&mut self, batch: &mut Vec<SpanData>) -> bool {
        if self.ended.recv_many(batch, MAX_BATCH).await == 0 {
            return false;
        }
        let _elapsed = timeout(BATCH_DELAY, async {
            while batch.len() < MAX_BATCH && self.ended.recv_many(batch, MAX_BATCH - batch.len()).await > 0 {}
        })
        .await;
        true
    }

    fn take(&mut self, batch: &mut Vec<SpanData>) {
        while batch.len() < MAX_BATCH
            && let Ok(span) = self.ended.try_recv()
        {
            batch.push(span);
        }
    }

    async fn send(&mut self, batch: Vec<SpanData>) {
        self.tell_lost();
        let request = group_spans_by_resource_and_scope(batch, &self.resource);
        let request = ExportTraceServiceRequest { resource_spans: request };
        self.destination.post(request.encode_to_vec().into(), rejected).await;
    }

    /// One warning for each run of batches between which spans were lost.
    fn tell_lost(&mut self) {
        let spans = self.lost.swap(0, Ordering::Relaxed);
        if spans > 0 && !self.losing {
            tracing::warn!(spans, max = MAX_QUEUED, "spans of the collector's own were lost: the backend is too slow");
        }
        self.losing = spans > 0;
    }
}

/// How many spans the backend did not take.
fn rejected(answer: &[u8]) -> i64 {
    let answer = ExportTraceServiceResponse::decode(answer).unwrap_or_default();
    answer.partial_success.map_or(0, |partial| partial.rejected_spans)
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{Tracer as _, TracerProvider as _};
    use opentelemetry_sdk::trace::SdkTracerProvider;

    use super::*;
    use crate::telemetry::testing::BUILD;
    use crate::time::Instant;

    #[tokio::test(start_paused = true)]
    async fn a_batch_waits_for_others_but_not_for_long() {
        let destination = Destination::new("http://localhost:1/v1/traces".parse().unwrap(), &BUILD);
        let (queue, mut sender) = span_queue(ResourceAttributesWithSchema::default(), destination);
        let provider = SdkTracerProvider::builder().with_span_processor(queue).build();
        let ends = || drop(provider.tracer("test").start("operation"));
        let (mut batch, begin) = (Vec::new(), Instant::now());
        ends();
        assert!(sender.fill(&mut batch).await);
        assert_eq!((batch.len(), begin.elapsed()), (1, BATCH_DELAY));
        batch.clear();
        (0..MAX_BATCH + 1).for_each(|_| ends());
        assert!(sender.fill(&mut batch).await);
        assert_eq!((batch.len(), begin.elapsed()), (MAX_BATCH, BATCH_DELAY), "a full batch waits for nobody");
        batch.clear();
        let (_, filled) = tokio::join!(async { drop(provider) }, sender.fill(&mut batch));
        assert_eq!((filled, batch.len(), begin.elapsed()), (true, 1, BATCH_DELAY), "nothing more will come");
        assert!(!sender.fill(&mut batch).await);
    }
}
