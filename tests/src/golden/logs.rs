//! Log records.

use opentelemetry_proto::tonic::logs::v1::{LogRecord, LogsData, ResourceLogs, ScopeLogs};

use super::common::{COUNTS, ENUMS, TIMES, around, attributes, some, span_ids, texts, trace_ids, values};
use super::pairs::rows;

pub(super) fn request() -> LogsData {
    let scope = |scope, log_records, schema_url| ScopeLogs { scope, log_records, schema_url };
    let resource = |resource, scope_logs, schema_url| ResourceLogs { resource, scope_logs, schema_url };
    LogsData { resource_logs: around(records(), scope, resource) }
}

fn records() -> Vec<LogRecord> {
    let (attributes, texts, bodies) = (attributes(), texts(), some(&values()));
    rows(|choices| LogRecord {
        time_unix_nano: choices.of(&TIMES),
        observed_time_unix_nano: choices.of(&TIMES),
        severity_number: choices.of(&ENUMS),
        severity_text: choices.of(&texts),
        body: choices.of(&bodies),
        attributes: choices.of(&attributes),
        dropped_attributes_count: choices.of(&COUNTS),
        flags: choices.of(&[0, 1, u32::MAX]),
        trace_id: choices.of(&trace_ids()),
        span_id: choices.of(&span_ids()),
        event_name: choices.of(&texts),
    })
}
