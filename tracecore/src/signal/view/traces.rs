//! Spans, borrowed.

pub use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
pub use opentelemetry_proto::tonic::trace::v1::status::StatusCode;

use super::common::{Attributes, ResourceRef, ScopeRef, ValueRef};
use super::wire::{Body, Repeated};

/// The spans of one resource.
#[derive(Clone, Copy, Debug, Default)]
pub struct ResourceSpansRef<'a> {
    /// What the spans are about; all of it absent if the sender gave none.
    pub resource: ResourceRef<'a>,
    /// The schema of the resource.
    pub schema_url: &'a str,
    body: Body<'a>,
}

impl<'a> ResourceSpansRef<'a> {
    /// Its spans by scope.
    pub fn scopes(&self) -> Repeated<'a, ScopeSpansRef<'a>> {
        self.body.repeated(2)
    }

    /// Every span with its resource and its scope.
    pub fn spans(&self) -> impl Iterator<Item = (ResourceRef<'a>, ScopeRef<'a>, SpanRef<'a>)> + use<'a> {
        let resource = self.resource;
        self.scopes().flat_map(move |scoped| scoped.spans().map(move |span| (resource, scoped.scope, span)))
    }
}

impl<'a> From<Body<'a>> for ResourceSpansRef<'a> {
    fn from(body: Body<'a>) -> Self {
        let mut spans = ResourceSpansRef { body, ..Default::default() };
        for (number, value) in body.fields() {
            match number {
                1 => spans.resource = value.message(),
                3 => spans.schema_url = value.text(),
                _ => {}
            }
        }
        spans
    }
}

/// The spans of one scope.
#[derive(Clone, Copy, Debug, Default)]
pub struct ScopeSpansRef<'a> {
    /// What made the spans; all of it absent if the sender gave none.
    pub scope: ScopeRef<'a>,
    /// The schema of the scope and its spans.
    pub schema_url: &'a str,
    body: Body<'a>,
}

impl<'a> ScopeSpansRef<'a> {
    /// Its spans.
    pub fn spans(&self) -> Repeated<'a, SpanRef<'a>> {
        self.body.repeated(2)
    }
}

impl<'a> From<Body<'a>> for ScopeSpansRef<'a> {
    fn from(body: Body<'a>) -> Self {
        let mut spans = ScopeSpansRef { body, ..Default::default() };
        for (number, value) in body.fields() {
            match number {
                1 => spans.scope = value.message(),
                3 => spans.schema_url = value.text(),
                _ => {}
            }
        }
        spans
    }
}

/// One span.
#[derive(Clone, Copy, Debug, Default)]
pub struct SpanRef<'a> {
    /// 16 bytes, or none.
    pub trace_id: &'a [u8],
    /// 8 bytes, or none.
    pub span_id: &'a [u8],
    /// W3C trace state.
    pub trace_state: &'a str,
    /// 8 bytes, or none for a root span.
    pub parent_span_id: &'a [u8],
    /// W3C trace flags in the low 8 bits.
    pub flags: u32,
    /// The operation.
    pub name: &'a str,
    /// Its place between client and server.
    pub kind: SpanKind,
    /// Nanoseconds since the Unix epoch.
    pub start_time_unix_nano: u64,
    /// Nanoseconds since the Unix epoch.
    pub end_time_unix_nano: u64,
    /// How many attributes the sender left out.
    pub dropped_attributes_count: u32,
    /// How many events the sender left out.
    pub dropped_events_count: u32,
    /// How many links the sender left out.
    pub dropped_links_count: u32,
    /// How it ended, if the sender said so.
    pub status: Option<StatusRef<'a>>,
    body: Body<'a>,
}

impl<'a> SpanRef<'a> {
    /// Its attributes.
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes::of(self.body, 9)
    }

    /// The value of its first attribute called `key`.
    pub fn attr(&self, key: &str) -> Option<ValueRef<'a>> {
        self.attributes().get(key)
    }

    /// What happened meanwhile.
    pub fn events(&self) -> Repeated<'a, EventRef<'a>> {
        self.body.repeated(11)
    }

    /// The spans it points to.
    pub fn links(&self) -> Repeated<'a, LinkRef<'a>> {
        self.body.repeated(13)
    }
}

impl<'a> From<Body<'a>> for SpanRef<'a> {
    fn from(body: Body<'a>) -> Self {
        let mut span = SpanRef { body, ..Default::default() };
        for (number, value) in body.fields() {
            match number {
                1 => span.trace_id = value.bytes(),
                2 => span.span_id = value.bytes(),
                3 => span.trace_state = value.text(),
                4 => span.parent_span_id = value.bytes(),
                5 => span.name = value.text(),
                6 => span.kind = value.enumeration(),
                7 => span.start_time_unix_nano = value.u64(),
                8 => span.end_time_unix_nano = value.u64(),
                10 => span.dropped_attributes_count = value.u32(),
                12 => span.dropped_events_count = value.u32(),
                14 => span.dropped_links_count = value.u32(),
                15 => span.status = Some(value.message()),
                16 => span.flags = value.u32(),
                _ => {}
            }
        }
        span
    }
}

/// Something that happened during a span.
#[derive(Clone, Copy, Debug, Default)]
pub struct EventRef<'a> {
    /// Nanoseconds since the Unix epoch.
    pub time_unix_nano: u64,
    /// What happened.
    pub name: &'a str,
    /// How many attributes the sender left out.
    pub dropped_attributes_count: u32,
    body: Body<'a>,
}

impl<'a> EventRef<'a> {
    /// Its attributes.
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes::of(self.body, 3)
    }
}

impl<'a> From<Body<'a>> for EventRef<'a> {
    fn from(body: Body<'a>) -> Self {
        let mut event = EventRef { body, ..Default::default() };
        for (number, value) in body.fields() {
            match number {
                1 => event.time_unix_nano = value.u64(),
                2 => event.name = value.text(),
                4 => event.dropped_attributes_count = value.u32(),
                _ => {}
            }
        }
        event
    }
}

/// A pointer from a span to another.
#[derive(Clone, Copy, Debug, Default)]
pub struct LinkRef<'a> {
    /// 16 bytes, or none.
    pub trace_id: &'a [u8],
    /// 8 bytes, or none.
    pub span_id: &'a [u8],
    /// W3C trace state.
    pub trace_state: &'a str,
    /// How many attributes the sender left out.
    pub dropped_attributes_count: u32,
    /// W3C trace flags in the low 8 bits.
    pub flags: u32,
    body: Body<'a>,
}

impl<'a> LinkRef<'a> {
    /// Its attributes.
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes::of(self.body, 4)
    }
}

impl<'a> From<Body<'a>> for LinkRef<'a> {
    fn from(body: Body<'a>) -> Self {
        let mut link = LinkRef { body, ..Default::default() };
        for (number, value) in body.fields() {
            match number {
                1 => link.trace_id = value.bytes(),
                2 => link.span_id = value.bytes(),
                3 => link.trace_state = value.text(),
                5 => link.dropped_attributes_count = value.u32(),
                6 => link.flags = value.u32(),
                _ => {}
            }
        }
        link
    }
}

/// How a span ended.
#[derive(Clone, Copy, Debug, Default)]
pub struct StatusRef<'a> {
    /// Why, for people.
    pub message: &'a str,
    /// The outcome.
    pub code: StatusCode,
}

impl<'a> From<Body<'a>> for StatusRef<'a> {
    fn from(body: Body<'a>) -> Self {
        let mut status = StatusRef::default();
        for (number, value) in body.fields() {
            match number {
                2 => status.message = value.text(),
                3 => status.code = value.enumeration(),
                _ => {}
            }
        }
        status
    }
}
