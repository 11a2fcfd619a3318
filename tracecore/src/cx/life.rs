//! What outlives an incarnation of a component, and what all components of a service share.

use std::borrow::Cow;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Offloads;
use super::activity::Activity;
use super::resources::{LISTENER, Resources};
use super::sockets::Sockets;
use crate::component::Role;
use crate::config::ComponentId;
use crate::emit::Emitter;
use crate::error::ErrorKind;
use crate::events::{Draft, Events, Group, ServiceEvent};
use crate::memory::Memory;
use crate::runtime::Failure;
use crate::status::{Changed, LastError, State, StatusCell};
use crate::telemetry::{
    ComponentTelemetry, ExporterTelemetry, ProcessorTelemetry, ReceiverTelemetry, SelfTelemetry, StopReason,
};
use crate::time::{Clock, Instant};

/// The longest message of a last error that is kept, in bytes: some backends answer with a page. The log has it whole.
const MAX_ERROR_BYTES: usize = 1024;

/// How often an exporter's rejections are logged.
const REJECTION_LOG_INTERVAL: Duration = Duration::from_secs(60);

/// What the components of one service share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) clock: Clock,
    pub(crate) telemetry: SelfTelemetry,
    pub(crate) events: Events,
    /// The memory of the process.
    pub(crate) memory: Memory,
    /// Where components do what keeps a core busy.
    pub(crate) offloads: Offloads,
    /// What components hold.
    pub(crate) resources: Resources,
    /// The attributes that identify this process, on exported data as on its own metrics.
    pub(crate) resource: Arc<[(String, String)]>,
    /// The version of the program.
    pub(crate) version: &'static str,
    pub(crate) drain: Arc<Drain>,
    /// Cancelled by a component that asks the service to stop.
    pub(crate) stop: CancellationToken,
    /// Why the service cannot go on.
    pub(crate) fatal: Arc<OnceLock<Fatal>>,
    /// How often a component is restarted in a row before it is given up; `None` for ever.
    pub(crate) restart_budget: Option<NonZeroU32>,
}

/// The component with which the service cannot go on.
#[derive(Clone, Debug)]
pub(crate) struct Fatal {
    pub(crate) role: Role,
    pub(crate) id: ComponentId,
    pub(crate) message: Arc<str>,
}

/// The end of the service: queues are emptied until a deadline.
#[derive(Debug, Default)]
pub(crate) struct Drain {
    /// The service was asked to stop: nobody waits any more for what can take long.
    pub(crate) begun: CancellationToken,
    deadline: OnceLock<Instant>,
}

impl Drain {
    pub(crate) fn begin(&self, deadline: Instant) {
        // A second stop does not move the deadline.
        let _ = self.deadline.set(deadline);
        self.begun.cancel();
    }

    /// When what is left is given up; `None` while the service runs.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline.get().copied()
    }
}

/// What outlives an incarnation of a component. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Base(Arc<Life>);

pub(crate) struct Life {
    pub(crate) id: ComponentId,
    pub(crate) shared: Shared,
    pub(crate) own: Own,
    /// What is counted of every component, whatever its role.
    pub(crate) telemetry: ComponentTelemetry,
    pub(crate) status: StatusCell,
    /// Held from a change of the status until it is told, so that changes are told in their order. To tell is to put into
    /// mailboxes, which nobody can hold up.
    telling: Mutex<()>,
    pub(crate) activity: Arc<Activity>,
    /// Asks the component to end.
    pub(crate) shutdown: CancellationToken,
    /// By when it is to have ended.
    stop_by: OnceLock<Instant>,
    /// Ends its tasks where they stand: the deadline has passed.
    pub(crate) abort: CancellationToken,
    pub(crate) tasks: TaskTracker,
    /// Ends the tasks of the present incarnation; the next one has its own.
    incarnation: Mutex<CancellationToken>,
    panicked_task: Mutex<Option<Failure>>,
    task_has_panicked: Notify,
    /// When a rejection was last logged.
    told_of_rejection: Mutex<Option<Instant>>,
    /// An incarnation has started and not been told to have stopped.
    alive: AtomicBool,
    /// Its supervisor has ended.
    pub(crate) ended: AtomicBool,
    pub(super) sockets: Sockets,
}

/// What a component has by its role.
pub(crate) enum Own {
    Receiver { telemetry: ReceiverTelemetry, emitter: Emitter },
    Processor { telemetry: ProcessorTelemetry },
    Exporter { telemetry: ExporterTelemetry },
}

impl Own {
    fn role(&self) -> Role {
        match self {
            Own::Receiver { .. } => Role::Receiver,
            Own::Processor { .. } => Role::Processor,
            Own::Exporter { .. } => Role::Exporter,
        }
    }
}

impl Base {
    pub(crate) fn new(id: ComponentId, shared: Shared, own: Own, activity: Arc<Activity>) -> Self {
        let abort = CancellationToken::new();
        let telemetry = shared.telemetry.component(id.as_str(), own.role());
        Base(Arc::new(Life {
            id,
            telemetry,
            status: StatusCell::new(shared.clock.now()),
            telling: Mutex::default(),
            activity,
            shared,
            own,
            shutdown: CancellationToken::new(),
            stop_by: OnceLock::new(),
            incarnation: Mutex::new(abort.child_token()),
            panicked_task: Mutex::default(),
            task_has_panicked: Notify::new(),
            told_of_rejection: Mutex::default(),
            abort,
            tasks: TaskTracker::new(),
            sockets: Sockets::default(),
            alive: AtomicBool::new(false),
            ended: AtomicBool::new(false),
        }))
    }

    pub(crate) fn role(&self) -> Role {
        self.own.role()
    }

    /// Counts an error of the component under its kind. That of an export call is counted with the calls.
    pub(crate) fn count_error(&self, kind: ErrorKind) {
        self.activity.count_error();
        match &self.own {
            Own::Receiver { telemetry, .. } => telemetry.error(kind),
            Own::Processor { telemetry } => telemetry.error(kind),
            Own::Exporter { telemetry } => telemetry.error(kind),
        }
    }

    /// Tells an event of this component.
    pub(crate) fn tell<G: Group>(&self, event: impl FnOnce() -> G) {
        self.shared.events.emit(|| Draft::of(&self.id, event()));
    }

    /// An incarnation has started, in this time.
    pub(crate) fn started(&self, took: Duration) {
        self.telemetry.started(took);
        self.alive.store(true, Ordering::Relaxed);
        if let Own::Receiver { emitter, .. } = &self.own {
            emitter.awaits_first(took);
        }
        self.supervised(State::Ok);
    }

    /// An incarnation has ended, or the component for good.
    pub(crate) fn stopped(&self, reason: StopReason) {
        // What never started, or has been counted, does not stop.
        if self.alive.swap(false, Ordering::Relaxed) {
            self.telemetry.stopped(reason);
        }
    }

    /// Another incarnation begins, after one that ended like this.
    pub(crate) fn restarted(&self, kind: ErrorKind) {
        self.shared.telemetry.component_restarted(self.id.as_str(), self.role());
        let restart_count = self.status.restarted();
        self.tell(|| ServiceEvent::Restarted { role: self.role(), kind, restart_count });
    }

    /// Somebody looked how the component is.
    pub(crate) fn checked(&self, check: &'static str, passed: bool) {
        if !passed {
            self.telemetry.health_check_failed();
        }
        self.tell(|| ServiceEvent::HealthCheck { check, passed });
    }

    /// The supervisor's word on how the component is.
    pub(crate) fn supervised(&self, state: State) {
        self.change(|status, now| status.supervise(state, now));
    }

    /// The same, after a failure.
    pub(crate) fn supervised_after(&self, state: State, failure: &Failure) {
        self.remember(failure.kind, &failure.message);
        self.supervised(state);
    }

    /// The component's own word.
    pub(crate) fn reported(&self, state: State, error: Option<(ErrorKind, String)>) {
        if let Some((kind, message)) = &error {
            self.remember(*kind, message);
        }
        self.change(|status, now| status.report(state, now));
        if state == State::FatalError {
            let message = error.map_or_else(String::new, |(_, message)| message).into();
            let fatal = Fatal { role: self.role(), id: self.id.clone(), message };
            // The first one is the reason; the service stops for it.
            let _ = self.shared.fatal.set(fatal);
            self.shared.stop.cancel();
        }
    }

    /// A batch was delivered. Takes no lock while nothing was wrong.
    pub(crate) fn delivered(&self) {
        if self.status.state() != State::Ok {
            self.change(|status, now| status.deliver(false, now));
        }
    }

    /// A batch could not be delivered, this time.
    pub(crate) fn undelivered(&self, failure: &Failure) {
        self.remember(failure.kind, &failure.message);
        self.change(|status, now| status.deliver(true, now));
    }

    /// Keeps an error as the last one.
    pub(crate) fn remember(&self, kind: ErrorKind, message: &str) {
        let message = shortened(message, MAX_ERROR_BYTES);
        self.status.failed(LastError { kind, message: (&*message).into(), at: self.shared.clock.now() });
    }

    /// Lets the status change and tells of it.
    fn change(&self, change: impl FnOnce(&StatusCell, SystemTime) -> Option<Changed>) {
        let (from, to) = {
            let _in_order = self.telling.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(Changed { from, to }) = change(&self.status, self.shared.clock.now()) else { return };
            if let Own::Receiver { telemetry, .. } = &self.own {
                telemetry.set_degraded(to.is_error());
            }
            self.tell(|| ServiceEvent::StatusChanged { from, to });
            (from, to)
        };
        // A log can be slow.
        tracing::debug!(component = %self.id, role = %self.role(), %from, %to, "the status changed");
    }

    /// Asks the component to end, and to have ended by `deadline`.
    pub(crate) fn ask_to_stop(&self, deadline: Instant) {
        // A second request does not move the deadline.
        let _ = self.stop_by.set(deadline);
        self.supervised(State::Stopping);
        self.shutdown.cancel();
    }

    /// By when it is to have ended; `None` while nobody has asked it to.
    pub(super) fn stop_by(&self) -> Option<Instant> {
        self.stop_by.get().copied()
    }

    /// Whether it is time to log a rejection again. Each is counted; the log would have one per batch.
    pub(super) fn tells_of_rejection(&self) -> bool {
        let now = Instant::now();
        let mut told = self.told_of_rejection.lock().unwrap_or_else(PoisonError::into_inner);
        let due = told.is_none_or(|last| now.duration_since(last) >= REJECTION_LOG_INTERVAL);
        if due {
            *told = Some(now);
        }
        due
    }

    /// A receiver's task that panics, or cannot go on, ends the incarnation as a panic in `run` does. An exporter and a
    /// processor have no `run` to end: theirs is counted.
    pub(crate) fn task_failed(&self, failure: Failure) {
        tracing::error!(component = %self.id, error = %failure, "a task of the component failed");
        match self.own {
            Own::Receiver { .. } => {
                *self.panicked_task.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure);
                self.task_has_panicked.notify_one();
            }
            Own::Processor { .. } | Own::Exporter { .. } => self.count_error(failure.kind),
        }
    }

    /// Waits until a task of the incarnation panics.
    pub(crate) async fn panic_of_a_task(&self) -> Failure {
        loop {
            let panicked = self.panicked_task.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(failure) = panicked {
                return failure;
            }
            self.task_has_panicked.notified().await;
        }
    }

    /// Ends what an incarnation has left behind, when no other follows: its tasks, and its sockets, so that clients are
    /// refused and do not wait for nobody.
    pub(crate) fn let_go(&self) {
        self.end_incarnation();
        for _ in 0..self.close_sockets() {
            self.released(LISTENER);
        }
    }

    /// Lets go of its sockets; how many there were. Servers on them end by themselves.
    pub(crate) fn close_sockets(&self) -> usize {
        self.sockets.close()
    }

    /// The end of the present incarnation.
    pub(super) fn incarnation(&self) -> CancellationToken {
        self.incarnation.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends the tasks that the incarnation has spawned: they were its own, and the next one spawns anew.
    pub(crate) fn end_incarnation(&self) {
        let mut incarnation = self.incarnation.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *incarnation, self.abort.child_token()).cancel();
        self.sockets.leave();
        // Its panics end with it.
        *self.panicked_task.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl std::ops::Deref for Base {
    type Target = Life;

    fn deref(&self) -> &Life {
        &self.0
    }
}

/// The text, or as much of it as fits, with an ellipsis.
fn shortened(text: &str, max_bytes: usize) -> Cow<'_, str> {
    const ELLIPSIS: &str = "…";
    if text.len() <= max_bytes {
        return text.into();
    }
    let end = text.floor_char_boundary(max_bytes.saturating_sub(ELLIPSIS.len()));
    format!("{}{ELLIPSIS}", &text[..end]).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_message_is_cut_between_characters() {
        assert_eq!(shortened("abcdef", 6), "abcdef");
        assert_eq!(shortened("abcdefg", 6), "abc…");
        assert_eq!(shortened("abägggg", 6), "ab…", "the ä would be cut in two");
    }
}
