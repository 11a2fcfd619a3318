//! How a component is: one state out of a closed set, moved only along allowed edges.
//!
//! Three have a say, and the worst word wins: the supervisor (does it run?), the runtime's delivery (does the other side
//! take what it sends?), the component itself ([`Cx::report_status`](crate::cx::Cx::report_status)). Invariant: a state
//! that is final stays, whoever says otherwise.
//!
//! States and edges are the OpenTelemetry Collector's, except that one that is stopping reports no more errors: it ends
//! in `Stopped`, and what went wrong is its last error.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tokio::sync::watch;

use crate::error::ErrorKind;

/// The state of a component.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// It has not started yet.
    Starting,
    /// It works.
    Ok,
    /// Something is wrong that time or a restart may mend.
    RecoverableError,
    /// Something is wrong that a person must mend. The rest of the collector goes on.
    PermanentError,
    /// Something is wrong with which the collector cannot go on: it stops.
    FatalError,
    /// It was asked to stop.
    Stopping,
    /// It has stopped.
    Stopped,
}

impl State {
    /// Every state, in the order of a life.
    pub const ALL: [State; 7] = [
        State::Starting,
        State::Ok,
        State::RecoverableError,
        State::PermanentError,
        State::FatalError,
        State::Stopping,
        State::Stopped,
    ];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            State::Starting => "starting",
            State::Ok => "ok",
            State::RecoverableError => "recoverable_error",
            State::PermanentError => "permanent_error",
            State::FatalError => "fatal_error",
            State::Stopping => "stopping",
            State::Stopped => "stopped",
        }
    }

    /// Whether a component may go from this state to `next`, another one.
    pub const fn may_become(self, next: State) -> bool {
        use State::{FatalError, Ok, PermanentError, RecoverableError, Starting, Stopped, Stopping};
        match self {
            Starting => matches!(next, Ok | RecoverableError | PermanentError | FatalError | Stopping),
            Ok => matches!(next, RecoverableError | PermanentError | FatalError | Stopping),
            RecoverableError => matches!(next, Ok | PermanentError | FatalError | Stopping),
            PermanentError => matches!(next, Stopping),
            Stopping => matches!(next, Stopped),
            FatalError | Stopped => false,
        }
    }

    /// Whether something is wrong.
    pub const fn is_error(self) -> bool {
        matches!(self, State::RecoverableError | State::PermanentError | State::FatalError)
    }

    /// Of two components' states, the one that says how both together are: the worse.
    #[must_use]
    pub fn and(self, other: State) -> State {
        const fn badness(state: State) -> u8 {
            match state {
                State::Stopped => 0,
                State::Ok => 1,
                State::Stopping => 2,
                State::Starting => 3,
                State::RecoverableError => 4,
                State::PermanentError => 5,
                State::FatalError => 6,
            }
        }
        if badness(other) > badness(self) { other } else { self }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a component says of itself; `E` is its error.
#[derive(Debug)]
pub enum ComponentStatus<'a, E> {
    /// It works.
    Ok,
    /// It works with less than it should, and that may pass.
    RecoverableError(&'a E),
    /// It cannot do its work until a person has mended something.
    PermanentError(&'a E),
    /// The collector must not go on like this: it stops, and exits with 1.
    FatalError(&'a E),
}

// By hand: a derive would ask it of the error, of which this holds only a reference.
impl<E> Clone for ComponentStatus<'_, E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E> Copy for ComponentStatus<'_, E> {}

/// What went wrong last.
#[derive(Clone, Debug, PartialEq)]
pub struct LastError {
    /// Its kind.
    pub kind: ErrorKind,
    /// In words, with its causes; the end of a very long one is cut off.
    pub message: Arc<str>,
    /// When.
    pub at: SystemTime,
}

/// How a component is, and since when.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    /// Its state.
    pub state: State,
    /// When it came into this state.
    pub since: SystemTime,
    /// What went wrong last, if anything ever did.
    pub last_error: Option<LastError>,
    /// How often it has been restarted.
    pub restarts: u64,
}

/// A change of state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Changed {
    pub(crate) from: State,
    pub(crate) to: State,
}

/// The words of the three who have a say.
#[derive(Debug)]
struct Words {
    supervisor: State,
    /// The other side does not take what it sends.
    undelivered: bool,
    component: State,
}

impl Words {
    /// What a component reports of itself counts only while it runs: starting, stopping and failing are the supervisor's.
    fn worst(&self) -> State {
        match self.supervisor {
            State::Ok if self.undelivered => self.component.and(State::RecoverableError),
            State::Ok => self.component,
            other => other,
        }
    }
}

/// The status of a component, where it is kept.
#[derive(Debug)]
pub(crate) struct StatusCell {
    words: Mutex<Words>,
    shown: watch::Sender<Status>,
}

impl StatusCell {
    /// Of one that is starting.
    pub(crate) fn new(now: SystemTime) -> Self {
        let status = Status { state: State::Starting, since: now, last_error: None, restarts: 0 };
        StatusCell {
            words: Mutex::new(Words { supervisor: State::Starting, undelivered: false, component: State::Ok }),
            shown: watch::Sender::new(status),
        }
    }

    /// How it is now.
    pub(crate) fn get(&self) -> Status {
        self.shown.borrow().clone()
    }

    /// Its state now.
    pub(crate) fn state(&self) -> State {
        self.shown.borrow().state
    }

    /// Whether a life of it is under way: it has started and has not ended.
    pub(crate) fn is_alive(&self) -> bool {
        // Asked to stop, it may have ended; that takes no longer than the stop.
        matches!(self.words().supervisor, State::Ok | State::Stopping)
    }

    /// Hears of every change.
    pub(crate) fn watch(&self) -> watch::Receiver<Status> {
        self.shown.subscribe()
    }

    /// The supervisor's word. A life that ends takes what it said of itself with it.
    pub(crate) fn supervise(&self, state: State, now: SystemTime) -> Option<Changed> {
        self.change(now, |words| {
            words.supervisor = state;
            if state.is_error() || state == State::Starting {
                words.component = State::Ok;
            }
        })
    }

    /// The component's word.
    pub(crate) fn report(&self, state: State, now: SystemTime) -> Option<Changed> {
        self.change(now, |words| {
            // What needs a person is not taken back by the next good batch.
            if words.component != State::PermanentError || state == State::FatalError {
                words.component = state;
            }
        })
    }

    /// Whether the component has not said this of itself already. What is shown can be another's word.
    pub(crate) fn is_news(&self, state: State) -> bool {
        self.words().component != state
    }

    /// Whether the other side takes what it sends.
    pub(crate) fn deliver(&self, undelivered: bool, now: SystemTime) -> Option<Changed> {
        self.change(now, |words| words.undelivered = undelivered)
    }

    /// Remembers what went wrong.
    pub(crate) fn failed(&self, error: LastError) {
        self.shown.send_modify(|status| status.last_error = Some(error));
    }

    /// Counts a restart; how many there were.
    pub(crate) fn restarted(&self) -> u64 {
        let mut restarts = 0;
        self.shown.send_modify(|status| {
            status.restarts += 1;
            restarts = status.restarts;
        });
        restarts
    }

    /// Shows the worst of the words, if it may be shown.
    fn change(&self, now: SystemTime, change: impl FnOnce(&mut Words)) -> Option<Changed> {
        let mut words = self.words();
        change(&mut words);
        let to = words.worst();
        let mut changed = None;
        // Under the lock of the words: of two changes the later one is shown.
        self.shown.send_if_modified(|status| {
            if status.state == to || !status.state.may_become(to) {
                return false;
            }
            changed = Some(Changed { from: status.state, to });
            status.state = to;
            status.since = now;
            true
        });
        changed
    }

    fn words(&self) -> MutexGuard<'_, Words> {
        self.words.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    #[test]
    fn only_the_allowed_edges_can_be_walked() {
        use State::{FatalError, Ok, PermanentError, RecoverableError, Starting, Stopped, Stopping};
        let allowed = [
            (Starting, vec![Ok, RecoverableError, PermanentError, FatalError, Stopping]),
            (Ok, vec![RecoverableError, PermanentError, FatalError, Stopping]),
            (RecoverableError, vec![Ok, PermanentError, FatalError, Stopping]),
            (PermanentError, vec![Stopping]),
            (FatalError, vec![]),
            (Stopping, vec![Stopped]),
            (Stopped, vec![]),
        ];
        for (from, to) in allowed {
            for next in State::ALL {
                assert_eq!(from.may_become(next), to.contains(&next), "{from} to {next}");
                let cell = in_state(from);
                let changed = cell.supervise(next, NOW);
                assert_eq!(changed.is_some(), to.contains(&next), "{from} to {next}");
                assert_eq!(cell.state(), if to.contains(&next) { next } else { from });
            }
        }
    }

    /// A cell that came to this state along allowed edges.
    fn in_state(state: State) -> StatusCell {
        let cell = StatusCell::new(NOW);
        if state == State::Stopped {
            cell.supervise(State::Stopping, NOW);
        }
        cell.supervise(state, NOW);
        assert_eq!(cell.state(), state);
        cell
    }

    #[test]
    fn the_worst_word_wins_and_a_good_one_clears_only_its_own() {
        let cell = in_state(State::Ok);
        cell.deliver(true, NOW);
        cell.report(State::RecoverableError, NOW);
        assert_eq!(cell.deliver(false, NOW), None);
        assert_eq!(cell.state(), State::RecoverableError, "the component still says so");
        cell.report(State::Ok, NOW);
        assert_eq!(cell.state(), State::Ok);
    }

    #[test]
    fn what_is_said_in_start_is_shown_once_it_has_started() {
        let cell = StatusCell::new(NOW);
        assert_eq!(cell.report(State::RecoverableError, NOW), None);
        assert_eq!(
            cell.supervise(State::Ok, NOW),
            Some(Changed { from: State::Starting, to: State::RecoverableError })
        );
    }

    #[test]
    fn a_life_that_ends_takes_its_word_with_it() {
        let cell = in_state(State::Ok);
        cell.report(State::RecoverableError, NOW);
        cell.supervise(State::RecoverableError, NOW);
        cell.supervise(State::Ok, NOW);
        assert_eq!(cell.state(), State::Ok);
    }

    #[test]
    fn what_needs_a_person_stays_until_the_stop() {
        let cell = in_state(State::Ok);
        cell.report(State::PermanentError, NOW);
        cell.report(State::Ok, NOW);
        assert_eq!(cell.state(), State::PermanentError);
        cell.supervise(State::Stopping, NOW);
        cell.supervise(State::Stopped, NOW);
        assert_eq!(cell.state(), State::Stopped);
    }
}
