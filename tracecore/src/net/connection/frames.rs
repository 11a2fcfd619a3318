//! Follows the frames in what an HTTP/2 client sends (RFC 9113, section 4.1), for what the `h2` crate does not say: that a
//! header block does not come to its end, and that nothing comes but frames that carry no request.
//!
//! Costs some instructions a frame and none a byte. Invariant: however the bytes are cut into reads, what is found is the
//! same. Deliberately absent: any judgement of what is in a frame.

use crate::net::http2::MAX_CONTROL_FRAMES;

/// `PRI * HTTP/2.0 …`, in bytes.
const PREFACE_BYTES: usize = 24;

/// Bytes of a frame's head: length, type, flags, stream.
const HEAD_BYTES: usize = 9;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// Where in the frames a client is.
#[derive(Debug)]
pub(super) struct Frames {
    /// Bytes that belong to what is passed over: the preface, or the rest of a frame.
    rest: usize,
    /// How long that frame is; 0 for the preface.
    length: usize,
    /// The type of that frame; a preface is as little a request as a header block is.
    kind: u8,
    /// The head of the next frame, as far as it has come.
    head: [u8; HEAD_BYTES],
    have: usize,
    /// A header block has begun and not ended.
    in_block: bool,
    /// Frames in a row that are no part of a request.
    control: u32,
    /// Pings that ask for an answer and were not looked at.
    pings: u32,
    /// The last stream that was opened.
    last_stream: u32,
}

/// What a read has brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// Whole frames, or a request's body that goes on.
    Whole,
    /// The beginning of something else.
    Begins,
    /// More of it, without an end.
    GoesOn,
    /// One frame too many that is no part of a request.
    Flood,
}

impl Frames {
    pub(super) fn new() -> Self {
        let head = [0; HEAD_BYTES];
        let (rest, kind) = (PREFACE_BYTES, HEADERS);
        Frames { rest, length: 0, kind, head, have: 0, in_block: false, control: 0, pings: 0, last_stream: 0 }
    }

    pub(super) fn read(&mut self, mut bytes: &[u8]) -> Read {
        let was_whole = self.is_whole();
        let mut passed_whole = false;
        while !bytes.is_empty() {
            let taken = if self.rest > 0 {
                let taken = bytes.len().min(self.rest);
                self.rest -= taken;
                taken
            } else {
                let taken = bytes.len().min(HEAD_BYTES - self.have);
                self.head[self.have..][..taken].copy_from_slice(&bytes[..taken]);
                self.have += taken;
                if self.have == HEAD_BYTES && self.begin() > MAX_CONTROL_FRAMES {
                    return Read::Flood;
                }
                taken
            };
            bytes = &bytes[taken..];
            passed_whole |= self.is_whole();
        }
        match self.is_whole() {
            true => Read::Whole,
            false if was_whole || passed_whole => Read::Begins,
            false => Read::GoesOn,
        }
    }

    /// How long the frame is that has not come whole, 0 if there is none.
    pub(super) fn unfinished(&self) -> usize {
        if self.rest > 0 { self.length } else { 0 }
    }

    /// The pings that have come since the last time.
    pub(super) fn take_pings(&mut self) -> u32 {
        std::mem::take(&mut self.pings)
    }

    /// The last stream that was opened, 0 for none.
    pub(super) fn last_stream(&self) -> u32 {
        self.last_stream
    }

    /// A head is complete: gives how many frames in a row are no part of a request.
    fn begin(&mut self) -> u32 {
        let [a, b, c, kind, flags, stream @ ..] = self.head;
        (self.have, self.kind) = (0, kind);
        self.rest = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        self.length = self.rest;
        if matches!(kind, HEADERS | CONTINUATION) {
            self.in_block = flags & END_HEADERS == 0;
        }
        match kind {
            HEADERS => self.last_stream = u32::from_be_bytes(stream),
            PING if flags & ACK == 0 => self.pings += 1,
            _ => {}
        }
        let requests = kind == HEADERS || kind == DATA && self.rest > 0;
        self.control = if requests { 0 } else { self.control + 1 };
        self.control
    }

    fn is_whole(&self) -> bool {
        self.have == 0 && !self.in_block && (self.rest == 0 || self.kind == DATA)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, length: u8) -> Vec<u8> {
        let mut frame = vec![0, 0, length, kind, flags, 0, 0, 0, 1];
        frame.resize(HEAD_BYTES + usize::from(length), b'x');
        frame
    }

    #[test]
    fn only_a_body_may_stop_in_the_middle() {
        let mut frames = Frames::new();
        assert_eq!(frames.read(b"PRI * HTTP/2.0\r\n"), Read::GoesOn);
        assert_eq!(frames.read(b"\r\nSM\r\n\r\n"), Read::Whole);
        assert_eq!(frames.read(&frame(HEADERS, 0, 3)), Read::Begins);
        assert_eq!(frames.read(&frame(CONTINUATION, 0, 3)), Read::GoesOn);
        assert_eq!(frames.read(&frame(CONTINUATION, END_HEADERS, 3)), Read::Whole);
        let data = frame(DATA, 0, 100);
        assert_eq!(frames.read(&data[..4]), Read::Begins);
        assert_eq!(frames.read(&data[4..50]), Read::Whole);
        let next = [&data[50..], &frame(HEADERS, END_HEADERS, 9)[..12]].concat();
        assert_eq!(frames.read(&next), Read::Begins, "the body has ended in between");
    }

    #[test]
    fn the_cut_of_the_reads_changes_nothing() {
        let stream =
            [&[b'p'; PREFACE_BYTES][..], &frame(HEADERS, 0, 7), &frame(CONTINUATION, 4, 1), &frame(DATA, 1, 9)];
        let stream = stream.concat();
        for cut in 0..stream.len() {
            let mut frames = Frames::new();
            frames.read(&stream[..cut]);
            assert_eq!(frames.read(&stream[cut..]), Read::Whole, "cut at {cut}");
        }
    }

    #[test]
    fn what_has_not_come_whole_is_known_by_its_length() {
        let mut frames = Frames::new();
        frames.read(&[b'p'; PREFACE_BYTES - 1]);
        assert_eq!(frames.unfinished(), 0);
        let data = frame(DATA, 0, 100);
        let lengths = [(b"p".as_slice(), 0), (&data[..8], 0), (&data[8..9], 100), (&data[9..], 0), (&data[..50], 100)];
        for (bytes, length) in lengths {
            frames.read(bytes);
            assert_eq!(frames.unfinished(), length, "after {} bytes", bytes.len());
        }
    }

    #[test]
    fn control_frames_are_counted_between_requests() {
        let (ping, headers) = (frame(PING, 0, 8), frame(HEADERS, END_HEADERS, 1));
        let mut frames = Frames::new();
        frames.read(&[b'p'; PREFACE_BYTES]);
        frames.read(&headers);
        frames.read(&frame(PING, ACK, 8));
        assert_eq!((frames.take_pings(), frames.last_stream()), (0, 1), "an answer asks for nothing");
        frames.read(&headers);
        for _ in 0..2 {
            for _ in 0..MAX_CONTROL_FRAMES {
                assert_eq!(frames.read(&ping), Read::Whole);
            }
            frames.read(&headers);
        }
        for _ in 0..MAX_CONTROL_FRAMES {
            frames.read(&ping);
        }
        assert_eq!(frames.read(&ping), Read::Flood);
        assert_eq!((frames.take_pings(), frames.take_pings()), (3 * MAX_CONTROL_FRAMES + 1, 0));
    }
}
