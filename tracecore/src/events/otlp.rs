//! From events straight to the bytes of an OTLP export request, one log record for each.
//!
//! Field numbers are those of `opentelemetry/proto/logs/v1/logs.proto`. What an event says of its process stands on the
//! resource, everything else on the record; a record has no body, because its `event_name` says what happened.

use std::sync::Arc;

use super::kinds::Value;
use super::meta::Occurrence;
use crate::signal::write::Writer;
use crate::time::unix_nanos;

/// The scope of the records.
const SCOPE: &str = "tracecore.events";

/// Room for a record, so that a buffer seldom grows.
const RECORD_CAPACITY: usize = 256;

/// Encodes events of this process as one scope of one resource.
pub(crate) fn encode(occurrences: &[Arc<Occurrence>], resource: &[(String, String)], version: &str) -> Vec<u8> {
    let mut request = Writer::with_capacity((occurrences.len() + 1) * RECORD_CAPACITY);
    request.message(1, |resource_logs| {
        resource_logs.message(1, |w| {
            for (key, value) in resource {
                w.attribute(1, key, value);
            }
            attribute(w, 1, "process.pid", Value::Number(std::process::id().into()));
        });
        resource_logs.message(2, |scope_logs| {
            scope_logs.message(1, |w| {
                w.string(1, SCOPE);
                w.string(2, version);
            });
            for occurrence in occurrences {
                scope_logs.message(2, |w| record(w, occurrence));
            }
        });
    });
    request.into_bytes()
}

fn record(w: &mut Writer, Occurrence { meta, event }: &Occurrence) {
    let (time, severity) = (unix_nanos(meta.time), event.severity());
    w.fixed64(1, time);
    w.varint(2, severity as u64);
    w.string(3, severity.as_str());
    if let Some(component) = &meta.component {
        w.attribute(6, "component", component.as_str());
    }
    if let Some(correlation) = meta.correlation {
        w.attribute(6, "correlation_id", &correlation.to_string());
    }
    if let Some(duration) = meta.duration_us() {
        attribute(w, 6, "duration_us", Value::Number(duration));
    }
    event.visit(&mut |field, value| attribute(w, 6, field, value));
    w.fixed64(11, time);
    w.string(12, event.name());
}

/// An OTLP `KeyValue` field. A number that OTLP has no room for is the greatest that it has.
fn attribute(w: &mut Writer, field: u32, key: &str, value: Value<'_>) {
    w.message(field, |w| {
        w.string(1, key);
        w.message(2, |w| match value {
            Value::Word(word) => w.string(1, word),
            Value::Flag(flag) => w.varint(2, flag.into()),
            Value::Number(number) => w.varint(3, number.min(i64::MAX as u64)),
        });
    });
}
