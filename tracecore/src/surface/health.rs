//! What the probes say.
//!
//! `/healthz` asks whether to kill the process: 200 from the first moment until the surface itself shuts down, also
//! while the queues drain. `/readyz` asks whether the process does its work: 200 between the end of the start and the
//! request to stop, except while the service behind says that it is not. A degraded component does not change the first.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};

use super::routes::reply;
use crate::net::media::{Accepted, accept};
use crate::time::Instant;

/// How far the process has come. It only moves forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Components are starting.
    Starting,
    /// Every component has started.
    Ready,
    /// A stop was asked for; queues drain.
    Draining,
    /// The surface itself shuts down.
    Stopped,
}

impl State {
    const ALL: [State; 4] = [State::Starting, State::Ready, State::Draining, State::Stopped];
}

/// The state that the runtime drives and the probes report. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    state: AtomicU8,
    /// When it became ready.
    since: OnceLock<Instant>,
}

impl Health {
    /// A process that starts.
    pub fn new() -> Self {
        Health::default()
    }

    /// Every component has started. Without effect once a stop was asked for: a late start is no readiness.
    pub fn ready(&self) {
        self.0.since.get_or_init(Instant::now);
        self.advance(State::Ready);
    }

    /// A stop was asked for.
    pub fn draining(&self) {
        self.advance(State::Draining);
    }

    /// The surface shuts down.
    pub(super) fn stopped(&self) {
        self.advance(State::Stopped);
    }

    /// For how long it has been ready; `None` if it has not been.
    pub(super) fn uptime(&self) -> Option<Duration> {
        self.0.since.get().map(Instant::elapsed)
    }

    /// The state now.
    pub fn state(&self) -> State {
        State::ALL[usize::from(self.0.state.load(Ordering::Relaxed))]
    }

    /// Nothing else is published with the state, so relaxed order is enough.
    fn advance(&self, state: State) {
        self.0.state.fetch_max(state as u8, Ordering::Relaxed);
    }

    pub(super) fn healthz(&self) -> Probe {
        match self.state() {
            State::Starting | State::Ready | State::Draining => OK,
            State::Stopped => SHUTTING_DOWN,
        }
    }

    /// `is_ready` is asked of a service that has started.
    pub(super) fn readyz(&self, is_ready: impl FnOnce() -> bool) -> Probe {
        match self.state() {
            State::Ready if is_ready() => READY,
            State::Ready | State::Starting | State::Draining => NOT_READY,
            State::Stopped => SHUTTING_DOWN,
        }
    }
}

/// One answer of a probe. The text ends its line, for people with a terminal; the JSON is the object and nothing else.
#[derive(Clone, Copy)]
pub(super) struct Probe {
    status: StatusCode,
    text: &'static str,
    json: &'static str,
}

const OK: Probe = Probe { status: StatusCode::OK, text: "ok\n", json: r#"{"status":"ok"}"# };

const READY: Probe = Probe { status: StatusCode::OK, text: "ready\n", json: r#"{"status":"ready"}"# };

const NOT_READY: Probe =
    Probe { status: StatusCode::SERVICE_UNAVAILABLE, text: "not ready\n", json: r#"{"status":"not ready"}"# };

const SHUTTING_DOWN: Probe =
    Probe { status: StatusCode::SERVICE_UNAVAILABLE, text: "shutting down\n", json: r#"{"status":"shutting down"}"# };

impl Probe {
    pub(super) fn has_passed(self) -> bool {
        self.status == StatusCode::OK
    }

    pub(super) fn respond(self, headers: &HeaderMap) -> Response<Bytes> {
        let (content_type, body) = if prefers_json(&accept(headers)) {
            ("application/json", self.json)
        } else {
            ("text/plain; charset=utf-8", self.text)
        };
        reply(self.status, content_type, body)
    }
}

/// Text wins ties, and where the header says nothing or is malformed.
fn prefers_json(accept: &str) -> bool {
    Accepted::parse(accept).is_some_and(|a| a.quality("application", "json") > a.quality("text", "plain"))
}
