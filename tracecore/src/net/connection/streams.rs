//! The streams of one HTTP/2 connection: their futures, and by when each must be done.
//!
//! hyper hands over the future of each stream, and the task of the connection polls it. So a request costs no task and no
//! wake-up of another thread, and what came in one read is answered in one write. The clock costs a request two looks at
//! it: there is one alarm for all, it is moved forward at once and backward only when it rings, and only then every stream
//! is looked at.

use std::future::{Future, poll_fn};
use std::mem;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use hyper::rt::Executor;

use super::after;
use crate::net::http2::{MAX_EARLY_PINGS, MIN_IDLE_PING_INTERVAL};
use crate::net::{Closed, Http2, Limits};
use crate::time::Instant;

/// Shared by the parts of one connection, which are polled one at a time: the lock is never contended.
#[derive(Clone)]
pub(super) struct Streams(Arc<Mutex<State>>);

struct State {
    limits: Limits,
    /// By id.
    open: Vec<Option<Open>>,
    /// Ids that can be used again.
    free: Vec<usize>,
    /// The stream whose future hyper is about to hand over.
    begun: Option<usize>,
    /// Handed over and not polled yet.
    fresh: Vec<Stream>,
    /// Since when no stream is open.
    idle: Option<Instant>,
    /// Since when the client takes no byte, while there are bytes for it.
    stalled: Option<Instant>,
    /// Since when something comes that is not complete and not a part of a request's body: the preface, a header block.
    arriving: Option<Instant>,
    /// When the client is asked to make another connection.
    retires: Option<Instant>,
    /// The client was asked to, for this reason; then the connection is cut.
    leaving: Option<(Closed, Instant)>,
    /// Nothing is due before.
    earliest: Instant,
    pings: Pings,
}

/// What the client's own pings have come to.
#[derive(Default)]
struct Pings {
    last: Option<Instant>,
    /// Those that came too soon.
    early: u32,
    /// A request was answered since the last one.
    answered: bool,
}

/// A stream that is open.
struct Open {
    began: Instant,
    due: Due,
    /// Of its future, while it waits.
    waker: Option<Waker>,
}

/// What the time has come for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Due {
    Nothing,
    /// The server answers in the handler's place.
    LastWord,
    /// The client does not take that: the stream is reset.
    Reset,
}

/// What the connection is to do about its time limits.
pub(super) enum Alarm {
    /// Go on until then.
    At(Instant),
    /// Ask the client to leave.
    Leave,
    /// End.
    Close(Closed),
}

impl Streams {
    pub(super) fn new(limits: Limits, settings: &Http2) -> Self {
        let now = Instant::now();
        let retires = settings.max_age.map(|age| after(now, age));
        Streams(Arc::new(Mutex::new(State {
            limits,
            open: Vec::new(),
            free: Vec::new(),
            begun: None,
            fresh: Vec::new(),
            idle: Some(now),
            stalled: None,
            arriving: Some(now),
            retires,
            leaving: None,
            earliest: now,
            pings: Pings::default(),
        })))
    }

    /// A request's headers are complete; gives the id of its stream. hyper hands over the future next.
    pub(super) fn begin(&self) -> usize {
        let now = Instant::now();
        let mut state = self.lock();
        let id = state.free.pop().unwrap_or_else(|| {
            state.open.push(None);
            state.open.len() - 1
        });
        state.open[id] = Some(Open { began: now, due: Due::Nothing, waker: None });
        state.begun = Some(id);
        state.idle = None;
        let due = after(now, state.limits.request);
        state.not_later_than(due);
        id
    }

    /// Runs the handler of a stream until the server answers in its place, which is `None`.
    pub(super) async fn in_time<F: Future>(&self, id: usize, handler: F) -> Option<F::Output> {
        let mut handler = pin!(handler);
        poll_fn(|cx| match handler.as_mut().poll(cx) {
            Poll::Ready(answer) => Poll::Ready(Some(answer)),
            Poll::Pending if self.due(id) == Due::Nothing => Poll::Pending,
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }

    /// The futures that hyper has handed over since the last time.
    pub(super) fn take_fresh(&self, into: &mut impl Extend<Stream>) {
        let mut state = self.lock();
        if !state.fresh.is_empty() {
            into.extend(state.fresh.drain(..));
        }
    }

    /// The client takes no byte since now, or takes them again.
    pub(super) fn stalls(&self, stalls: bool) {
        let mut state = self.lock();
        state.stalled = stalls.then(Instant::now);
        if let Some(since) = state.stalled {
            let due = after(since, state.limits.write_stall);
            state.not_later_than(due);
        }
    }

    /// What is coming is a part of something that must be complete in time, or is no more.
    pub(super) fn arrives(&self, arrives: bool) {
        let mut state = self.lock();
        state.arriving = arrives.then(Instant::now);
        if let Some(since) = state.arriving {
            let due = after(since, state.limits.header_read);
            state.not_later_than(due);
        }
    }

    /// The client pings, so many times at once: whether that is too often.
    pub(super) fn pinged(&self, times: u32, settings: &Http2) -> bool {
        let now = Instant::now();
        let mut state = self.lock();
        let interval = match state.idle {
            Some(_) if !settings.pings_without_stream => MIN_IDLE_PING_INTERVAL,
            _ => settings.min_ping_interval,
        };
        let pings = &mut state.pings;
        for _ in 0..times {
            let last = pings.last.replace(now);
            if mem::take(&mut pings.answered) {
                pings.early = 0;
            } else if last.is_some_and(|last| now < after(last, interval)) {
                pings.early = pings.early.saturating_add(1);
            }
        }
        pings.early > MAX_EARLY_PINGS
    }

    /// The client floods: the connection ends without asking it.
    pub(super) fn refuse(&self) {
        self.lock().leaving = Some((Closed::Refused, Instant::now()));
    }

    /// Nothing is due before.
    pub(super) fn earliest(&self) -> Instant {
        self.lock().earliest
    }

    /// Looks at every limit.
    pub(super) fn ring(&self, settings: &Http2) -> Alarm {
        self.lock().ring(Instant::now(), settings)
    }

    /// Why the client was asked to leave, if it was.
    pub(super) fn left_for(&self) -> Option<Closed> {
        self.lock().leaving.map(|(closed, _)| closed)
    }

    fn due(&self, id: usize) -> Due {
        self.lock().open[id].as_ref().map_or(Due::Nothing, |open| open.due)
    }

    /// The future of a stream waits: whether it need not, because the stream is to be reset.
    fn waits(&self, id: usize, waker: &Waker) -> bool {
        let mut state = self.lock();
        let Some(open) = &mut state.open[id] else { return false };
        if !open.waker.as_ref().is_some_and(|kept| kept.will_wake(waker)) {
            open.waker = Some(waker.clone());
        }
        open.due == Due::Reset
    }

    fn ended(&self, id: usize) {
        let mut state = self.lock();
        state.open[id] = None;
        state.free.push(id);
        state.pings.answered = true;
        if state.free.len() == state.open.len() {
            let now = Instant::now();
            state.idle = Some(now);
            let due = after(now, state.limits.idle);
            state.not_later_than(due);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn not_later_than(&mut self, due: Instant) {
        self.earliest = self.earliest.min(due);
    }

    fn ring(&mut self, now: Instant, settings: &Http2) -> Alarm {
        let Limits { header_read, request, idle, write_stall, .. } = self.limits;
        let mut next = after(now, request);
        for open in self.open.iter_mut().flatten() {
            let answer_by = after(open.began, request);
            let (due, then) = match after(answer_by, write_stall) {
                reset_by if reset_by <= now => (Due::Reset, None),
                reset_by if answer_by <= now => (Due::LastWord, Some(reset_by)),
                _ => (Due::Nothing, Some(answer_by)),
            };
            if mem::replace(&mut open.due, due) != due {
                open.waker.take().inspect(Waker::wake_by_ref);
            }
            next = then.map_or(next, |then| next.min(then));
        }
        let closes = [
            self.arriving.map(|since| (after(since, header_read), Closed::HeaderTimeout)),
            self.stalled.map(|since| (after(since, write_stall), Closed::WriteTimeout)),
            self.leaving.map(|(closed, cut)| (cut, closed)),
        ];
        for (at, closed) in closes.into_iter().flatten() {
            if at <= now {
                return Alarm::Close(closed);
            }
            next = next.min(at);
        }
        if self.leaving.is_none() {
            let grace = settings.max_age_grace.map_or_else(|| after(now, super::A_YEAR), |grace| after(now, grace));
            let leaves = [
                (self.idle.map(|since| after(since, idle)), Closed::IdleTimeout, after(now, write_stall)),
                (self.retires, Closed::MaxAge, grace),
            ];
            for (at, closed, cut) in leaves {
                match at {
                    Some(at) if at <= now => {
                        self.leaving = Some((closed, cut));
                        self.earliest = next.min(cut);
                        return Alarm::Leave;
                    }
                    at => next = at.map_or(next, |at| next.min(at)),
                }
            }
        }
        self.earliest = next;
        Alarm::At(next)
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, future: F) {
        let mut state = self.lock();
        let id = state.begun.take();
        let stream = Stream { future: Box::pin(future), id, streams: self.clone() };
        state.fresh.push(stream);
    }
}

/// What hyper does for one stream.
pub(super) struct Stream {
    future: Pin<Box<dyn Future<Output = ()> + Send>>,
    id: Option<usize>,
    streams: Streams,
}

impl Future for Stream {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let done = self.future.as_mut().poll(cx).is_ready();
        if done || self.id.is_some_and(|id| self.streams.waits(id, cx.waker())) {
            return Poll::Ready(());
        }
        Poll::Pending
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.streams.ended(id);
        }
    }
}
