//! Log records, borrowed.

use super::common::{Attributes, ResourceRef, ScopeRef, ValueRef};
use super::wire::{Body, Repeated};

/// The log records of one resource.
#[derive(Clone, Copy, Debug, Default)]
pub struct ResourceLogsRef<'a> {
    /// What the records are about; all of it absent if the sender gave none.
    pub resource: ResourceRef<'a>,
    /// The schema of the resource.
    pub schema_url: &'a str,
    body: Body<'a>,
}

impl<'a> ResourceLogsRef<'a> {
    /// Its records by scope.
    pub fn scopes(&self) -> Repeated<'a, ScopeLogsRef<'a>> {
        self.body.repeated(2)
    }

    /// Every record with its resource and its scope.
    pub fn log_records(&self) -> impl Iterator<Item = (ResourceRef<'a>, ScopeRef<'a>, LogRecordRef<'a>)> + use<'a> {
        let resource = self.resource;
        self.scopes().flat_map(move |scoped| scoped.log_records().map(move |log| (resource, scoped.scope, log)))
    }
}

impl<'a> From<Body<'a>> for ResourceLogsRef<'a> {
    fn from(body: Body<'a>) -> Self {
        let mut logs = ResourceLogsRef { body, ..Default::default() };
        for (number, value) in body.fields() {
            match number {
                1 => logs.resource = value.message(),
                3 => logs.schema_url = value.text(),
                _ => {}
            }
        }
        logs
    }
}

/// The log records of one scope.
#[derive(Clone, Copy, Debug, Default)]
pub struct ScopeLogsRef<'a> {
    /// What made the records; all of it absent if the sender gave none.
    pub scope: ScopeRef<'a>,
    /// The schema of the scope and its records.
    pub schema_url: &'a str,
    body: Body<'a>,
}

impl<'a> ScopeLogsRef<'a> {
    /// Its records.
    pub fn log_records(&self) -> Repeated<'a, LogRecordRef<'a>> {
        self.body.repeated(2)
    }
}

impl<'a> From<Body<'a>> for ScopeLogsRef<'a> {
    fn from(body: Body<'a>) -> Self {
        let mut logs = ScopeLogsRef { body, ..Default::default() };
        for (number, value) in body.fields() {
            match number {
                1 => logs.scope = value.message(),
                3 => logs.schema_url = value.text(),
                _ => {}
            }
        }
        logs
    }
}

/// One log record.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogRecordRef<'a> {
    /// When it happened, in nanoseconds since the Unix epoch; 0 if unknown.
    pub time_unix_nano: u64,
    /// When it was collected, in nanoseconds since the Unix epoch.
    pub observed_time_unix_nano: u64,
    /// 1 to 24, greater is worse; 0 if unknown. A number, because it is compared.
    pub severity_number: i32,
    /// The severity as the source words it.
    pub severity_text: &'a str,
    /// The message.
    pub body: ValueRef<'a>,
    /// How many attributes the sender left out.
    pub dropped_attributes_count: u32,
    /// W3C trace flags in the low 8 bits.
    pub flags: u32,
    /// 16 bytes, or none.
    pub trace_id: &'a [u8],
    /// 8 bytes, or none.
    pub span_id: &'a [u8],
    /// The name that makes the record an event.
    pub event_name: &'a str,
    record: Body<'a>,
}

impl<'a> LogRecordRef<'a> {
    /// Its attributes.
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes::of(self.record, 6)
    }

    /// The value of its first attribute called `key`.
    pub fn attr(&self, key: &str) -> Option<ValueRef<'a>> {
        self.attributes().get(key)
    }
}

impl<'a> From<Body<'a>> for LogRecordRef<'a> {
    fn from(record: Body<'a>) -> Self {
        let mut log = LogRecordRef { record, ..Default::default() };
        for (number, value) in record.fields() {
            match number {
                1 => log.time_unix_nano = value.u64(),
                2 => log.severity_number = value.i32(),
                3 => log.severity_text = value.text(),
                5 => log.body = value.message(),
                7 => log.dropped_attributes_count = value.u32(),
                8 => log.flags = value.u32(),
                9 => log.trace_id = value.bytes(),
                10 => log.span_id = value.bytes(),
                11 => log.observed_time_unix_nano = value.u64(),
                12 => log.event_name = value.text(),
                _ => {}
            }
        }
        log
    }
}
