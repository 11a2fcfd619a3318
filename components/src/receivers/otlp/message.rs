//! The one message in the body of a unary gRPC call.
//!
//! Invariants: nothing is reserved by what the prefix declares; what is held is at most the message, or twice what has come
//! of it; a large message that came in one DATA frame is a slice of it, without a copy. How the body is cut into frames
//! changes nothing of what is read.

use std::fmt;

use bytes::Bytes;
use tracecore::otlp::grpc::{Code, Prefix};
use tracecore::otlp::status::Status;

/// The least that is reserved for a message that comes in pieces, in bytes.
const MIN_RESERVE: usize = 16 * 1024;

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
    Pieces(Prefix, Vec<u8>),
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
                self.state = State::Pieces(prefix, Vec::new());
            } else {
                let rest = piece.split_off(length);
                self.state = State::Whole(prefix, own(piece));
                piece = rest;
            }
        }
        if let State::Pieces(prefix, message) = &mut self.state {
            let missing = length(*prefix) - message.len();
            let taken = piece.split_to(piece.len().min(missing));
            if message.capacity() - message.len() < taken.len() {
                let doubled = message.len().max(MIN_RESERVE).max(taken.len());
                message.reserve_exact(doubled.min(missing));
            }
            message.extend_from_slice(&taken);
            if taken.len() == missing {
                self.state = State::Whole(*prefix, std::mem::take(message).into());
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
