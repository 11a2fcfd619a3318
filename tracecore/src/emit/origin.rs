//! What joins a batch to the request that brought it, and to what is told of it later.
//!
//! Invariant: one id goes the whole way. The trace of a request, ours or its sender's, is the correlation id of its batches,
//! so that the log of a node and that of its gateway can be joined; whether spans are made changes nothing of that.
//! Deliberately absent: what a sender adds beside the ids (`tracestate`, baggage).

use http::{Extensions, HeaderMap};

use crate::events::CorrelationId;
use crate::telemetry::SpanContext;

/// The request that a batch came with. The default is none: the batch is the receiver's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin(Option<SpanContext>);

impl Origin {
    /// Of a request by its headers and extensions: the span that [`crate::cx::Cx::serve`] has made for it; where there are
    /// no spans, what its sender says in `traceparent`. Allocates nothing.
    pub fn of(headers: &HeaderMap, extensions: &Extensions) -> Self {
        extensions.get().copied().unwrap_or_else(|| Origin(SpanContext::from_traceparent(headers)))
    }

    /// The span of a request.
    pub(crate) fn span(context: SpanContext) -> Self {
        Origin(Some(context))
    }

    /// The span whose child the batch's is.
    pub(super) fn parent(self) -> Option<SpanContext> {
        self.0
    }
}

/// What follows a batch on its way, and joins what is told of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Passage {
    /// The id of its events.
    pub(crate) correlation: CorrelationId,
    /// The span of which each attempt to export it is a child.
    pub(crate) span: Option<SpanContext>,
}

/// The passage of a batch in a test of what does not look at it.
#[cfg(test)]
pub(crate) const PASSAGE: Passage = Passage { correlation: CorrelationId(1), span: None };

impl Passage {
    /// Where there is no span, `unjoined` gives the id.
    pub(super) fn new(span: Option<SpanContext>, unjoined: impl FnOnce() -> CorrelationId) -> Self {
        let joined = span.and_then(|span| CorrelationId::from_trace_id(span.trace_id()));
        Passage { correlation: joined.unwrap_or_else(unjoined), span }
    }

    /// Of what the collector sends of itself: no attempt to export it has a span.
    pub(crate) fn not_traced(correlation: CorrelationId) -> Self {
        Passage { correlation, span: Some(SpanContext::NOT_KEPT) }
    }

    /// Whether it is that of something which the collector sends of itself.
    pub(crate) fn is_own(self) -> bool {
        self.span == Some(SpanContext::NOT_KEPT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn headers(traceparent: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(http::HeaderName::from_static("traceparent"), traceparent.parse().unwrap())])
    }

    #[test]
    fn the_trace_of_the_sender_is_the_id_of_its_batches_without_spans_too() {
        let origin = Origin::of(&headers(PARENT), &Extensions::new());
        let passage = Passage::new(origin.parent(), || unreachable!("there is a trace"));
        assert_eq!(passage.correlation.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(passage.span.unwrap().to_string(), PARENT);
    }

    #[test]
    fn the_span_of_the_request_comes_before_its_senders() {
        let ours = SpanContext::from_traceparent(&headers("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000007-01"));
        let mut extensions = Extensions::new();
        extensions.insert(Origin::span(ours.unwrap()));
        assert_eq!(Origin::of(&headers(PARENT), &extensions).parent(), ours);
    }

    #[test]
    fn a_batch_of_nobody_has_an_id_of_its_own() {
        let origin = Origin::of(&headers("none of ours"), &Extensions::new());
        assert_eq!(origin, Origin::default());
        assert_eq!(Passage::new(origin.parent(), || CorrelationId(7)).correlation, CorrelationId(7));
    }
}
