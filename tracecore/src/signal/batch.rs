//! The batch: validated OTLP bytes with their count.

use std::borrow::Cow;
use std::iter;
use std::slice;
use std::sync::Arc;

use bytes::Bytes;
use opentelemetry_proto::tonic::logs::v1::LogsData;
use opentelemetry_proto::tonic::metrics::v1::MetricsData;
use opentelemetry_proto::tonic::trace::v1::TracesData;
use prost::Message;

use super::view::View;
use super::walk::{Walked, walk};
use super::{Metadata, Signal, WireError, normalise};

/// One signal as OTLP protobuf. Cloning clones references.
///
/// The bytes are kept in one or a few parts, each a whole export request (`ExportTraceServiceRequest` and so on, which
/// are `TracesData` and so on by another name). Every part passed validation: there is no other way to a batch.
#[derive(Clone, Debug)]
pub struct Batch {
    signal: Signal,
    parts: Parts,
    items: u64,
    size: usize,
    canonical: bool,
    unknown_fields: bool,
    metadata: Option<Metadata>,
}

/// Most batches have one part, which then needs no allocation of its own.
#[derive(Clone, Debug)]
enum Parts {
    One(Bytes),
    Many(Arc<Vec<Bytes>>),
}

/// Two batches of different signals cannot be merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot merge {other} into a batch of {batch}")]
pub struct SignalMismatch {
    /// The signal of the batch that was to grow.
    pub batch: Signal,
    /// The signal of the other.
    pub other: Signal,
}

impl Batch {
    /// Validates one export request of `signal` in a single pass that allocates nothing.
    ///
    /// # Errors
    ///
    /// Whatever prost would refuse; trace and span ids that are neither empty nor 16 (8) bytes long; more than 64
    /// nested messages.
    pub fn validate(signal: Signal, request: Bytes) -> Result<Batch, WireError> {
        let Walked { items, canonical, unknown_fields } = walk(signal, &request)?;
        Ok(Batch {
            signal,
            size: request.len(),
            parts: Parts::One(request),
            items,
            canonical,
            unknown_fields,
            metadata: None,
        })
    }

    /// Encodes `decoded`.
    ///
    /// # Errors
    ///
    /// Ids of a wrong length and too deep nesting, as for [`validate`](Batch::validate): the decoded form has room for
    /// both.
    pub fn from_decoded(decoded: &Decoded) -> Result<Batch, WireError> {
        let (signal, request) = match decoded {
            Decoded::Traces(data) => (Signal::Traces, data.encode_to_vec()),
            Decoded::Metrics(data) => (Signal::Metrics, data.encode_to_vec()),
            Decoded::Logs(data) => (Signal::Logs, data.encode_to_vec()),
        };
        Batch::validate(signal, request.into())
    }

    /// What the batch carries.
    pub fn signal(&self) -> Signal {
        self.signal
    }

    /// The number of spans, metric data points or log records.
    pub fn items(&self) -> u64 {
        self.items
    }

    /// Whether there is no item. An empty batch may still have bytes: a resource without spans has.
    pub fn is_empty(&self) -> bool {
        self.items == 0
    }

    /// The encoded size in bytes, all parts together.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The encoded requests. Written one after the other they are one request.
    pub fn parts(&self) -> &[Bytes] {
        match &self.parts {
            Parts::One(part) => slice::from_ref(part),
            Parts::Many(parts) => parts,
        }
    }

    /// Whether no singular field and no `oneof` occurs twice in a message and every key stands before its value. A
    /// batch that is not canonical is [`normalised`](Batch::normalised) before it is edited.
    pub fn is_canonical(&self) -> bool {
        self.canonical
    }

    /// Whether there are (or were, before it was cut or edited) fields that this version of OTLP does not have. They pass through and survive edits;
    /// decoding loses them.
    pub fn has_unknown_fields(&self) -> bool {
        self.unknown_fields
    }

    /// What the request brought beside its body, if its receiver keeps that.
    pub fn metadata(&self) -> Option<&Metadata> {
        self.metadata.as_ref()
    }

    /// The batch with what its request brought beside its body.
    #[must_use]
    pub fn with_metadata(self, metadata: Metadata) -> Batch {
        Batch { metadata: Some(metadata), ..self }
    }

    /// A batch of these requests, which have all properties of this batch but its items.
    pub(super) fn with_parts(&self, mut parts: Vec<Bytes>, items: u64) -> Batch {
        let size = parts.iter().map(Bytes::len).sum();
        let parts = match parts.len() {
            0 | 1 => Parts::One(parts.pop().unwrap_or_default()),
            _ => Parts::Many(Arc::new(parts)),
        };
        Batch { parts, items, size, metadata: self.metadata.clone(), ..*self }
    }

    /// Appends `other` without copying: its parts are kept behind the parts of this batch. Metadata is kept if both have the
    /// same.
    ///
    /// # Errors
    ///
    /// If the signals differ; the batch is then as before.
    pub fn merge(&mut self, other: Batch) -> Result<(), SignalMismatch> {
        if self.signal != other.signal {
            return Err(SignalMismatch { batch: self.signal, other: other.signal });
        }
        if other.size == 0 {
            return Ok(());
        }
        if self.size == 0 {
            *self = other;
            return Ok(());
        }
        match &mut self.parts {
            Parts::One(part) => {
                let parts = iter::once(&*part).chain(other.parts()).cloned();
                self.parts = Parts::Many(Arc::new(parts.collect()));
            }
            Parts::Many(parts) => Arc::make_mut(parts).extend_from_slice(other.parts()),
        }
        self.items += other.items;
        self.size += other.size;
        self.canonical &= other.canonical;
        self.unknown_fields |= other.unknown_fields;
        if self.metadata != other.metadata {
            self.metadata = None;
        }
        Ok(())
    }

    /// The batch to read, without decoding it.
    pub fn view(&self) -> View<'_> {
        View::of(self)
    }

    /// The decoded form, for what truly needs it (JSON, tests). Loses unknown fields.
    pub fn decode(&self) -> Decoded {
        match self.signal {
            Signal::Traces => Decoded::Traces(self.decode_parts()),
            Signal::Metrics => Decoded::Metrics(self.decode_parts()),
            Signal::Logs => Decoded::Logs(self.decode_parts()),
        }
    }

    fn decode_parts<M: Message + Default>(&self) -> M {
        let mut data = M::default();
        for part in self.parts() {
            data.merge(part.as_ref()).expect("validation accepts nothing that prost refuses");
        }
        data
    }

    /// The batch in canonical form: itself if it is canonical, else with duplicates resolved the way protobuf does, and
    /// every key before its value. Unknown fields stay.
    pub fn normalised(&self) -> Cow<'_, Batch> {
        if self.canonical {
            return Cow::Borrowed(self);
        }
        let mut batch = self.with_parts(Vec::new(), 0);
        for part in self.parts() {
            let part = Batch::validate(self.signal, normalise::request(self.signal, part).into());
            let part = part.expect("nothing is written that was not valid where it stood");
            batch.merge(part).expect("the signal is the same");
        }
        Cow::Owned(Batch { metadata: self.metadata.clone(), ..batch })
    }
}

/// A batch in the official decoded form.
#[derive(Clone, Debug, PartialEq)]
pub enum Decoded {
    /// Spans.
    Traces(TracesData),
    /// Metrics.
    Metrics(MetricsData),
    /// Log records.
    Logs(LogsData),
}

impl Decoded {
    /// What the data is.
    pub fn signal(&self) -> Signal {
        match self {
            Decoded::Traces(_) => Signal::Traces,
            Decoded::Metrics(_) => Signal::Metrics,
            Decoded::Logs(_) => Signal::Logs,
        }
    }
}
