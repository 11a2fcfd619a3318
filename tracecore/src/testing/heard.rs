//! Waiting for events, and what a test is told of those that came when the one it waits for did not.
//!
//! A listener has a place in the order of events: waiting passes everything up to the event that it was for. Whoever
//! refutes an event says how far he looks; deliberately absent is a way to look at nothing and find nothing.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::ceiling::{CEILING, ceiling};
use crate::events::{Filter, Gap, Occurrence, Subscription};

/// How many events a failure shows: more than a test of one thing causes, and less than scrolls away.
const SHOWN: usize = 100;

/// How long a paused clock goes on after a block, so that everything that can run has run: the smallest step of a timer.
const SETTLE: Duration = Duration::from_millis(1);

/// What a test can listen to: a [`TestService`](super::TestService), or any subscription.
pub trait Listening {
    /// A place from which to listen.
    fn listening(&mut self) -> Listener<'_>;
}

impl Listening for Subscription {
    fn listening(&mut self) -> Listener<'_> {
        Listener { events: self, heard: None }
    }
}

/// A test that listens.
#[derive(Debug)]
pub struct Listener<'a> {
    pub(super) events: &'a mut Subscription,
    /// What the listener remembers from before.
    pub(super) heard: Option<&'a mut Heard>,
}

/// The events that were passed on the way, the latest last.
#[derive(Debug, Default)]
pub(super) struct Heard {
    latest: VecDeque<Arc<Occurrence>>,
    /// How many came before those.
    earlier: u64,
    /// How many were lost: the subscription is bounded.
    missed: u64,
}

impl Heard {
    fn note(&mut self, occurrence: Arc<Occurrence>) {
        if self.latest.len() == SHOWN {
            self.latest.pop_front();
            self.earlier += 1;
        }
        self.latest.push_back(occurrence);
    }

    /// What failed, and what there was instead.
    fn failure(&self, what: &str) -> String {
        let mut text = what.to_owned();
        let shown = self.latest.len();
        // A string takes everything.
        let _ = match (shown, self.earlier) {
            (0, _) => write!(text, "; no event came"),
            (_, 0) => write!(text, "; the events that came:"),
            (_, earlier) => write!(text, "; {earlier} events came, and then these {shown}:"),
        };
        for occurrence in &self.latest {
            let _ = write!(text, "\n  {occurrence}");
        }
        if self.missed > 0 {
            let _ = write!(text, "\n  and {} were missed: the subscription is bounded", self.missed);
        }
        text
    }
}

/// Why a listener hears nothing more.
const CLOSED: &str = "no more events can come: the service is gone, or its events are switched off";

/// Reads up to the first event that one of `wanted` accepts; says which.
async fn first(
    events: &mut Subscription,
    heard: &mut Heard,
    wanted: &[Filter],
) -> Result<(usize, Arc<Occurrence>), Gap> {
    loop {
        let occurrence = events.next().await?;
        heard.note(Arc::clone(&occurrence));
        if let Some(which) = wanted.iter().position(|filter| filter.accepts(&occurrence)) {
            return Ok((which, occurrence));
        }
    }
}

impl Listener<'_> {
    /// Passes everything that has come.
    #[doc(hidden)]
    pub fn pass(self) {
        let mut own = Heard::default();
        let heard = self.heard.unwrap_or(&mut own);
        loop {
            match self.events.try_next() {
                Some(Ok(occurrence)) => heard.note(occurrence),
                Some(Err(Gap::Missed(missed))) => heard.missed += missed,
                Some(Err(Gap::Closed)) | None => break,
            }
        }
    }

    /// The first event that one of `wanted` accepts, and which of them that is.
    #[doc(hidden)]
    pub async fn any<const N: usize>(self, wanted: [Filter; N]) -> Result<(usize, Arc<Occurrence>), String> {
        let mut own = Heard::default();
        let heard = self.heard.unwrap_or(&mut own);
        let ceiling = ceiling(CEILING);
        let reading = async {
            loop {
                match first(self.events, heard, &wanted).await {
                    Err(Gap::Missed(missed)) => heard.missed += missed,
                    other => break other,
                }
            }
        };
        let why = match timeout(ceiling, reading).await {
            Ok(Ok(found)) => return Ok(found),
            Ok(Err(_)) => format!(": {CLOSED}"),
            Err(_) => format!(" within {ceiling:?}"),
        };
        let expected: Vec<String> = wanted.iter().map(|filter| format!("`{filter}`")).collect();
        Err(heard.failure(&format!("expected {}{why}", expected.join(" or "))))
    }

    /// The first event that `wanted` accepts.
    #[doc(hidden)]
    pub async fn one(self, wanted: Filter) -> Result<Arc<Occurrence>, String> {
        self.any([wanted]).await.map(|(_, occurrence)| occurrence)
    }

    /// One event for each of `wanted`, in this order; others may come between.
    #[doc(hidden)]
    pub async fn sequence<const N: usize>(self, wanted: [Filter; N]) -> Result<[Arc<Occurrence>; N], String> {
        let mut own = Heard::default();
        let heard = self.heard.unwrap_or(&mut own);
        let mut found = Vec::with_capacity(N);
        for (index, filter) in wanted.iter().enumerate() {
            let listener = Listener { events: &mut *self.events, heard: Some(&mut *heard) };
            let one = listener.one(filter.clone()).await;
            found.push(one.map_err(|unmet| format!("event {} of {N} of the sequence: {unmet}", index + 1))?);
        }
        Ok(found.try_into().unwrap_or_else(|_| unreachable!("one was found for each")))
    }

    /// That no event which `unwanted` accepts comes while a paused clock goes on for `time`.
    #[doc(hidden)]
    pub async fn none_for(self, unwanted: Filter, time: Duration) -> Result<(), String> {
        let mut own = Heard::default();
        let heard = self.heard.unwrap_or(&mut own);
        if time < SETTLE {
            return Err(format!("refuting `{unwanted}` for {time:?} waits for nothing: {SETTLE:?} is the least"));
        }
        if !clock_is_paused() {
            return Err(format!(
                "refuting `{unwanted}` for a time needs a paused clock: pause it, or say until which event"
            ));
        }
        let wanted = [unwanted];
        let mut came = timeout(time, first(self.events, heard, &wanted)).await;
        if came.is_err()
            && let Some(last) = last_moment(self.events, heard, &wanted)
        {
            came = Ok(last);
        }
        let [unwanted] = wanted;
        match came {
            Err(_) => Ok(()),
            Ok(outcome) => Err(heard.failure(&refuted(&unwanted, outcome))),
        }
    }

    /// That no event which `unwanted` accepts comes by the time that everything which can run has run.
    #[doc(hidden)]
    pub async fn none_now(self, unwanted: Filter) -> Result<(), String> {
        self.none_for(unwanted, SETTLE).await
    }

    /// That no event which `unwanted` accepts comes before one that `end` accepts.
    #[doc(hidden)]
    pub async fn none_until(self, unwanted: Filter, end: Filter) -> Result<(), String> {
        let mut own = Heard::default();
        let heard = self.heard.unwrap_or(&mut own);
        let (ceiling, wanted) = (ceiling(CEILING), [unwanted, end]);
        let came = timeout(ceiling, first(self.events, heard, &wanted)).await;
        let [unwanted, end] = wanted;
        let what = match came {
            Ok(Ok((1, _))) => return Ok(()),
            Ok(outcome) => refuted(&unwanted, outcome),
            Err(_) => format!("refuting `{unwanted}` until `{end}`: that did not come within {ceiling:?}"),
        };
        Err(heard.failure(&what))
    }
}

/// Events of the very moment in which the time was over.
fn last_moment(
    events: &mut Subscription,
    heard: &mut Heard,
    wanted: &[Filter],
) -> Option<Result<(usize, Arc<Occurrence>), Gap>> {
    loop {
        match events.try_next()? {
            Ok(occurrence) => {
                heard.note(Arc::clone(&occurrence));
                if let Some(which) = wanted.iter().position(|filter| filter.accepts(&occurrence)) {
                    return Some(Ok((which, occurrence)));
                }
            }
            Err(gap) => return Some(Err(gap)),
        }
    }
}

/// Why an event is not refuted.
fn refuted(unwanted: &Filter, outcome: Result<(usize, Arc<Occurrence>), Gap>) -> String {
    match outcome {
        Ok((_, came)) => format!("`{unwanted}` must not come, and there was `{came}`"),
        Err(Gap::Missed(missed)) => format!("refuting `{unwanted}`: it may be among {missed} events that were missed"),
        Err(Gap::Closed) => format!("refuting `{unwanted}`: {CLOSED}"),
    }
}

/// Whether time stands still: the runtime's does not move while the machine's does.
#[expect(clippy::disallowed_methods, reason = "it asks which of the two clocks moves")]
fn clock_is_paused() -> bool {
    let (real, pausable) = (std::time::Instant::now(), tokio::time::Instant::now());
    while real.elapsed() < Duration::from_micros(1) {
        std::hint::spin_loop();
    }
    tokio::time::Instant::now() == pausable
}
