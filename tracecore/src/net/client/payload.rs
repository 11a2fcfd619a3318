//! What a request carries: one or several parts that are written one after the other and never put together first.

use std::io::IoSlice;
use std::iter;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use hyper::body::{Body, Frame, SizeHint};

/// Bytes of what may stand before the parts: the prefix of a gRPC message.
const PREFIX_BYTES: usize = 5;

/// The body of a request. Cloning clones references.
///
/// It is made from `Bytes`, or from the parts of a batch. An HTTP/2 connection splits it into frames wherever a frame is
/// full, so many small parts cost no more frames than one large one.
#[derive(Clone, Debug)]
pub struct Payload {
    prefix: [u8; PREFIX_BYTES],
    /// How much of the prefix is written: all of it, where there is none.
    prefix_written: u8,
    parts: Parts,
    /// What is left to write, the prefix included.
    remaining: usize,
    /// Shared with who wants to know whether all of it is written: nobody writes it any more when this is gone.
    unwritten: Option<Arc<()>>,
}

#[derive(Clone, Debug)]
enum Parts {
    /// Most bodies have one part, which needs no allocation of its own.
    One(Bytes),
    /// Several, of which those before `at` are written.
    Many { parts: Arc<[Bytes]>, at: usize, written: usize },
}

/// Nothing.
impl Default for Payload {
    fn default() -> Self {
        Payload::of(&[])
    }
}

impl Payload {
    /// The parts, one after the other.
    pub fn of(parts: &[Bytes]) -> Self {
        let parts = match parts {
            [] => Parts::One(Bytes::new()),
            [part] => Parts::One(part.clone()),
            parts => Parts::Many {
                parts: parts.iter().filter(|part| !part.is_empty()).cloned().collect(),
                at: 0,
                written: 0,
            },
        };
        let mut payload = Payload {
            prefix: [0; PREFIX_BYTES],
            prefix_written: PREFIX_BYTES as u8,
            parts,
            remaining: 0,
            unwritten: None,
        };
        payload.remaining = payload.pieces().map(<[u8]>::len).sum();
        payload
    }

    /// With five bytes before the parts.
    #[must_use]
    pub fn prefixed(self, prefix: [u8; PREFIX_BYTES]) -> Self {
        debug_assert_eq!(usize::from(self.prefix_written), PREFIX_BYTES, "a payload has one prefix");
        Payload { prefix, prefix_written: 0, remaining: self.remaining + PREFIX_BYTES, ..self }
    }

    /// What is shared as long as this payload waits to be written.
    pub(super) fn watch(&mut self) -> Arc<()> {
        Arc::clone(self.unwritten.get_or_insert_default())
    }

    /// Bytes, all together.
    pub fn len(&self) -> usize {
        self.remaining
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.remaining == 0
    }

    /// What is left to write; no piece is empty.
    fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let prefix = self.prefix.get(usize::from(self.prefix_written)..).unwrap_or_default();
        let (first, rest): (&[u8], &[Bytes]) = match &self.parts {
            Parts::One(part) => (part, &[]),
            Parts::Many { parts, at, written } => match parts.get(*at..).unwrap_or_default() {
                [first, rest @ ..] => (first.get(*written..).unwrap_or_default(), rest),
                [] => (&[], &[]),
            },
        };
        iter::once(prefix)
            .chain(iter::once(first))
            .chain(rest.iter().map(Bytes::as_ref))
            .filter(|piece| !piece.is_empty())
    }
}

impl From<Bytes> for Payload {
    fn from(bytes: Bytes) -> Self {
        Payload::of(&[bytes])
    }
}

impl Buf for Payload {
    fn remaining(&self) -> usize {
        self.remaining
    }

    fn chunk(&self) -> &[u8] {
        self.pieces().next().unwrap_or_default()
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut filled = 0;
        for (slice, piece) in slices.iter_mut().zip(self.pieces()) {
            *slice = IoSlice::new(piece);
            filled += 1;
        }
        filled
    }

    fn advance(&mut self, count: usize) {
        assert!(count <= self.remaining, "no more is written than there is");
        self.remaining -= count;
        let of_prefix = count.min(PREFIX_BYTES - usize::from(self.prefix_written));
        self.prefix_written += of_prefix as u8;
        let mut count = count - of_prefix;
        match &mut self.parts {
            Parts::One(part) => part.advance(count),
            Parts::Many { parts, at, written } => {
                while let Some(part) = parts.get(*at).filter(|_| count > 0) {
                    let of_part = count.min(part.len() - *written);
                    count -= of_part;
                    *written += of_part;
                    if *written == part.len() {
                        (*at, *written) = (*at + 1, 0);
                    }
                }
            }
        }
    }
}

/// As one frame: HTTP/1 writes all of its pieces at once.
impl Body for Payload {
    type Data = Payload;
    type Error = std::convert::Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Payload>, Self::Error>>> {
        let whole = std::mem::take(self.get_mut());
        Poll::Ready((!whole.is_empty()).then(|| Ok(Frame::data(whole))))
    }

    fn is_end_stream(&self) -> bool {
        self.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining as u64)
    }
}
