//! The attempt of an exporter to deliver a batch, as the exporter sees it from within.
//!
//! Several attempts of one exporter run side by side and share its context, so what is of one attempt alone goes with the
//! task and not with the context. It is there for the time of a call to `export` and costs no allocation.

use std::future::Future;
use std::time::Duration;

use super::Cx;
use crate::component::Exporter;
use crate::telemetry::SpanContext;

tokio::task_local! {
    static ATTEMPT: Attempt;
}

/// One attempt to deliver a batch.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    /// What the other side is told as its parent (`traceparent`): the span of this attempt; where no spans are made, that
    /// of the request that brought the batch.
    pub span: Option<SpanContext>,
    /// Time that the attempt has, from its beginning: the setting `timeout`.
    pub timeout: Duration,
}

impl Attempt {
    /// Runs `export` as this attempt.
    pub(crate) fn run<F: Future>(self, export: F) -> impl Future<Output = F::Output> {
        ATTEMPT.scope(self, export)
    }
}

impl<C: Exporter> Cx<C> {
    /// The attempt that this is called in. Outside of `export` it has no span, and the exporter's own limit.
    pub fn attempt(&self) -> Attempt {
        ATTEMPT.try_with(|attempt| *attempt).unwrap_or(Attempt { span: None, timeout: C::TIMEOUT.get() })
    }
}
