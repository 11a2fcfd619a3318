//! Spans.

use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, TracesData};

use super::common::{COUNTS, ENUMS, TIMES, around, attributes, or_default, or_none, span_ids, texts, trace_ids};
use super::pairs::rows;

/// Bits of W3C's trace flags, those of OTLP that say whether a context is remote, and all.
const FLAGS: [u32; 4] = [0, 1, 0x301, u32::MAX];

pub(super) fn request() -> TracesData {
    let scope = |scope, spans, schema_url| ScopeSpans { scope, spans, schema_url };
    let resource = |resource, scope_spans, schema_url| ResourceSpans { resource, scope_spans, schema_url };
    TracesData { resource_spans: around(spans(), scope, resource) }
}

fn spans() -> Vec<Span> {
    let states = ["".to_owned(), "vendor=a:b,other=1".to_owned()];
    let (attributes, texts) = (attributes(), texts());
    let events = or_default(rows(|choices| Event {
        time_unix_nano: choices.of(&TIMES),
        name: choices.of(&texts),
        attributes: choices.of(&attributes),
        dropped_attributes_count: choices.of(&COUNTS),
    }));
    let links = or_default(rows(|choices| Link {
        trace_id: choices.of(&trace_ids()),
        span_id: choices.of(&span_ids()),
        trace_state: choices.of(&states),
        attributes: choices.of(&attributes),
        dropped_attributes_count: choices.of(&COUNTS),
        flags: choices.of(&FLAGS),
    }));
    let messages = ["".to_owned(), texts[2].clone()];
    let statuses = or_none(rows(|choices| Status { message: choices.of(&messages), code: choices.of(&ENUMS) }));
    // A span has one after the other of them, so that all are somewhere.
    let (mut events, mut links) = (events.into_iter().cycle(), links.into_iter().cycle());
    rows(|choices| Span {
        trace_id: choices.of(&trace_ids()),
        span_id: choices.of(&span_ids()),
        trace_state: choices.of(&states),
        parent_span_id: choices.of(&span_ids()),
        flags: choices.of(&FLAGS),
        name: choices.of(&texts),
        kind: choices.of(&ENUMS),
        start_time_unix_nano: choices.of(&TIMES),
        end_time_unix_nano: choices.of(&TIMES),
        attributes: choices.of(&attributes),
        dropped_attributes_count: choices.of(&COUNTS),
        events: events.by_ref().take(choices.of(&[0, 1, 3])).collect(),
        dropped_events_count: choices.of(&COUNTS),
        links: links.by_ref().take(choices.of(&[0, 1, 3])).collect(),
        dropped_links_count: choices.of(&COUNTS),
        status: choices.of(&statuses),
    })
}
