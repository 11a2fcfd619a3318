//! Bytes that come in pieces, put together in one buffer.
//!
//! Invariant: nothing is reserved by what a client says that it will send. What is held is at most twice what has come, and
//! in the end as much.

use bytes::Bytes;

/// The least that is reserved, in bytes, unless less can come.
const MIN_RESERVE: usize = 16 * 1024;

/// What has come.
#[derive(Debug, Default)]
pub(super) struct Pieces(Vec<u8>);

impl Pieces {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// How many bytes are held for it.
    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        self.0.capacity()
    }

    /// Takes the next piece of what will be at most `most` bytes, all together.
    pub(super) fn push(&mut self, piece: &[u8], most: usize) {
        let Pieces(bytes) = self;
        if bytes.capacity() - bytes.len() < piece.len() {
            let doubled = bytes.len().max(MIN_RESERVE).max(piece.len());
            bytes.reserve_exact(doubled.min(most.saturating_sub(bytes.len())));
        }
        bytes.extend_from_slice(piece);
    }

    /// All of it.
    pub(super) fn finish(mut self) -> Bytes {
        self.0.shrink_to_fit();
        self.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_follows_what_has_come() {
        let most = 20 << 20;
        let mut pieces = Pieces::default();
        for length in [1, 5, 16 * 1024, 100_000, 1, 1 << 20] {
            pieces.push(&vec![b'x'; length], most);
            let (held, came) = (pieces.room(), pieces.len());
            assert!(held <= (2 * came).max(MIN_RESERVE), "{held} bytes for {came}");
        }
    }

    #[test]
    fn what_is_announced_and_comes_is_held_without_room_beside_it() {
        let mut pieces = Pieces::default();
        for _ in 0..100 {
            pieces.push(&[b'x'; 1000], 100_000);
        }
        assert_eq!((pieces.len(), pieces.room()), (100_000, 100_000));
        let mut few = Pieces::default();
        few.push(b"few", 3);
        assert_eq!((few.room(), few.finish().as_ref()), (3, &b"few"[..]));
    }
}
