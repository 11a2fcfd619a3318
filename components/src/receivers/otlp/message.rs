//! The one message in the body of a unary gRPC call.
//!
//! Invariants: nothing is reserved by what the prefix declares; what is held is at most the message, or twice what has come
//! of it; a large message that came in one DATA frame is a slice of it, without a copy. How the body is cut into frames
//! changes nothing of what is read.

use std::{fmt, mem};

use bytes::Bytes;
use tracecore::otlp::grpc::{Code, Prefix};
use tracecore::otlp::status::Status;

use super::pieces::Pieces;

/// What has come of the message.
#[derive(Debug)]
pub(super) struct Collector {
    /// The largest message that is taken, as it is in the body.
    limit: usize,
    state: State,
}

#[derive(Debug)]
enum State {
    /// So many bytes of the prefix.
    Prefix([u8; Prefix::SIZE], usize),
    /// Pieces of the message, at least one missing.
    Pieces(Prefix, Pieces),
    /// All of it.
    Whole(Prefix, Bytes),
}

impl Collector {
    pub(super) fn new(limit: usize) -> Self {
        Collector { limit, state: State::Prefix([0; Prefix::SIZE], 0) }
    }

    /// Takes the next piece of the body.
    ///
    /// # Errors
    ///
    /// When the message is larger than the limit, or the body is not one message.
    pub(super) fn push(&mut self, mut piece: Bytes) -> Result<(), Status> {
        if let State::Prefix(bytes, have) = &mut self.state {
            let taken = piece.split_to(piece.len().min(Prefix::SIZE - *have));
            bytes[*have..][..taken.len()].copy_from_slice(&taken);
            *have += taken.len();
            if *have < Prefix::SIZE {
                return Ok(());
            }
            let prefix = Prefix::parse(*bytes).map_err(|error| Status::new(Code::Internal, error.to_string()))?;
            let length = length(prefix);
            if length > self.limit {
                return Err(too_large(length, self.limit));
            }
            if piece.len() < length {
                self.state = State::Pieces(prefix, Pieces::default());
            } else {
                let rest = piece.split_off(length);
                self.state = State::Whole(prefix, own(piece));
                piece = rest;
            }
        }
        if let State::Pieces(prefix, message) = &mut self.state {
            let length = length(*prefix);
            let taken = piece.split_to(piece.len().min(length - message.len()));
            message.push(&taken, length);
            if message.len() == length {
                self.state = State::Whole(*prefix, mem::take(message).finish());
            }
        }
        if piece.is_empty() {
            Ok(())
        } else {
            Err(Status::new(Code::Unimplemented, "a call takes one message, not more"))
        }
    }

    /// The message, when the body has come to its end, and whether it is compressed.
    ///
    /// # Errors
    ///
    /// When there is none, or not all of it.
    pub(super) fn finish(self) -> Result<(bool, Bytes), Status> {
        match self.state {
            State::Whole(prefix, message) => Ok((prefix.compressed, message)),
            State::Prefix(_, 0) => Err(Status::new(Code::Unimplemented, "a call takes one message, and there is none")),
            State::Prefix(..) | State::Pieces(..) => {
                Err(Status::new(Code::Internal, "the body ends in the middle of the message"))
            }
        }
    }
}

/// Up to this size, in bytes, a message is copied out of the frame that it came in. What a connection reads into holds
/// several frames of that size, and a message that waits would hold all of it; for a larger frame there is a buffer of its own.
const MAX_COPIED: usize = 16 * 1024;

fn own(message: Bytes) -> Bytes {
    if message.len() > MAX_COPIED { message } else { Bytes::copy_from_slice(&message) }
}

fn length(prefix: Prefix) -> usize {
    usize::try_from(prefix.length).unwrap_or(usize::MAX)
}

/// Without a delay: to send the same again would never help.
pub(super) fn too_large(size: impl fmt::Display, limit: usize) -> Status {
    let message = format!("a message of {size} bytes, at most {limit} are taken: raise max_recv_msg_size_mib");
    Status::new(Code::ResourceExhausted, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 4 << 20;

    fn read(pieces: &[&[u8]]) -> Result<(bool, Bytes), Code> {
        let mut collector = Collector::new(LIMIT);
        for piece in pieces {
            collector.push(Bytes::copy_from_slice(piece)).map_err(|status| status.code)?;
        }
        collector.finish().map_err(|status| status.code)
    }

    #[test]
    fn how_a_body_is_cut_changes_nothing() {
        let body = [&Prefix { compressed: true, length: 7 }.encode()[..], b"message"].concat();
        let two = [&body[..], &[0]].concat();
        for a in 0..=body.len() {
            for b in a..=body.len() {
                let pieces = [&body[..a], &body[a..b], &body[b..]];
                assert_eq!(read(&pieces), Ok((true, Bytes::from_static(b"message"))), "cut at {a} and {b}");
                assert_eq!(read(&[&two[..a], &two[a..b], &two[b..]]), Err(Code::Unimplemented), "cut at {a} and {b}");
                let cut = read(&pieces[..2]);
                match b {
                    0 => assert_eq!(cut, Err(Code::Unimplemented), "there is no message"),
                    b if b < body.len() => assert_eq!(cut, Err(Code::Internal), "it ends in the middle"),
                    _ => assert!(cut.is_ok()),
                }
            }
        }
    }

    #[test]
    fn nothing_is_reserved_by_what_the_prefix_says() {
        let mut collector = Collector::new(LIMIT);
        let prefix = Prefix { compressed: false, length: LIMIT as u32 };
        collector.push(Bytes::copy_from_slice(&prefix.encode())).unwrap();
        collector.push(Bytes::from_static(b"one")).unwrap();
        let State::Pieces(_, pieces) = &collector.state else { panic!("{collector:?}") };
        assert!(pieces.room() <= 16 * 1024, "{} bytes", pieces.room());
        let over = Prefix { compressed: false, length: LIMIT as u32 + 1 };
        assert_eq!(read(&[&over.encode()]), Err(Code::ResourceExhausted), "before any of it comes");
    }
}
