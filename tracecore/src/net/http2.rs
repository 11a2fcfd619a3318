//! What a listener that speaks HTTP/2 allows its clients, beside what every listener does.
//!
//! The limits on what a client can make a server do for nothing are those of RUSTSEC-2023-0034 and RUSTSEC-2024-0003
//! (streams opened and reset at once) and RUSTSEC-2024-0332 (header blocks that do not end); the `h2` crate keeps them.

use std::time::Duration;

/// Streams, which are requests, open at once on one connection. Each can hold a message that is not complete, so it is a
/// limit on memory: a sender that waits for an answer before its next request needs one, gRPC clients open a second
/// connection or wait.
pub const MAX_STREAMS: u32 = 100;

/// Bytes of a frame. The default of the protocol, 16 KiB, cuts a request of a megabyte into 64 frames, each copied; a frame
/// is buffered whole, so this is also what a connection can hold of one that does not end.
pub const MAX_FRAME_BYTES: u32 = 1024 * 1024;

/// Bytes that a client may send on one stream before they are taken.
pub const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;

/// Bytes that a client may send on all streams of a connection before they are taken: 40 ms of round trip at 100 MB a
/// second.
pub const CONNECTION_WINDOW_BYTES: u32 = 4 * 1024 * 1024;

/// Streams that a client has reset before they were looked at; one more ends the connection.
pub const MAX_PENDING_RESETS: usize = 20;

/// Frames in a row that are no part of a request (pings, settings, window updates, resets, empty DATA); one more ends the
/// connection. An idle client sends a few, a busy one has requests in between.
pub const MAX_CONTROL_FRAMES: u32 = 1000;

/// How long the answer to a ping may take.
pub const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// How long a client has to let pass between two pings, as gRPC has it (`doc/keepalive.md` there).
pub const MIN_PING_INTERVAL: Duration = Duration::from_secs(5 * 60);

/// The same while it has no request under way, unless it may ping then too.
pub(super) const MIN_IDLE_PING_INTERVAL: Duration = Duration::from_secs(2 * 60 * 60);

/// Pings that came too soon and are forgiven; one more ends the connection. An answer makes good for those before it.
pub(super) const MAX_EARLY_PINGS: u32 = 2;

/// The limits of HTTP/2. The default is made of the constants of this module, without a limit on age and without pings:
/// a client that has gone silently is found by [`super::Limits::idle`].
#[derive(Clone, Copy, Debug)]
pub struct Http2 {
    /// Streams open at once; a client that opens more has them refused. See [`MAX_STREAMS`].
    pub streams: u32,
    /// Bytes of a frame, from 16 KiB to 16 MiB. See [`MAX_FRAME_BYTES`].
    pub frame_bytes: u32,
    /// Bytes under way on a stream. See [`STREAM_WINDOW_BYTES`].
    pub stream_window: u32,
    /// Bytes under way on a connection. See [`CONNECTION_WINDOW_BYTES`].
    pub connection_window: u32,
    /// Streams that were reset before they were looked at; the connection ends. See [`MAX_PENDING_RESETS`].
    pub pending_resets: usize,
    /// How long a connection may last; then its client is asked to make another.
    pub max_age: Option<Duration>,
    /// How long its requests in flight are waited for after that; `None` for as long as they may take.
    pub max_age_grace: Option<Duration>,
    /// How long nothing may come before the client is asked whether it is there.
    pub ping_interval: Option<Duration>,
    /// How long its answer may take; the connection is closed. See [`PING_TIMEOUT`].
    pub ping_timeout: Duration,
    /// How long the client has to let pass between two pings of its own; a client that does not is told
    /// `too_many_pings`, and the connection is closed. See [`MIN_PING_INTERVAL`].
    pub min_ping_interval: Duration,
    /// Whether that holds while no request is under way; otherwise it has to let pass two hours then.
    pub pings_without_stream: bool,
}

impl Default for Http2 {
    fn default() -> Self {
        Http2 {
            streams: MAX_STREAMS,
            frame_bytes: MAX_FRAME_BYTES,
            stream_window: STREAM_WINDOW_BYTES,
            connection_window: CONNECTION_WINDOW_BYTES,
            pending_resets: MAX_PENDING_RESETS,
            max_age: None,
            max_age_grace: None,
            ping_interval: None,
            ping_timeout: PING_TIMEOUT,
            min_ping_interval: MIN_PING_INTERVAL,
            pings_without_stream: false,
        }
    }
}
