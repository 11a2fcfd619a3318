//! Keeping a component alive: one task that runs life after life until shutdown.
//!
//! A life that ends by panic, by error, or without having been asked to, is followed by another after a back-off, until
//! its restart budget is used up: then it is a permanent error, and the rest of the collector goes on. The supervisor
//! holds what outlives a life (its id, its metrics, its sockets); its neighbours notice nothing.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::oneshot;

use super::backoff::{Backoff, Restarts};
use super::failure::{Failure, contain};
use super::stage::Stage;
use super::{OnStartError, PROBE_INTERVAL, Readiness};
use crate::cx::{Base, measured};
use crate::error::ErrorKind;
use crate::events::{Draft, ServiceEvent};
use crate::seam;
use crate::status::State;
use crate::telemetry::StopReason;
use crate::time::Instant;

/// What the boot hears of a component's first start.
pub(crate) enum FirstStart {
    /// It has started.
    Started,
    /// It has not, and is tried again while the service goes on.
    TriedAgain,
    /// It has not, and the service stays without it.
    Ignored,
    /// It has not, and the service must not start.
    Fatal(Failure),
}

/// Reports once that the component has started, or could not.
pub(crate) struct Announce {
    first: Option<oneshot::Sender<FirstStart>>,
    readiness: Option<Readiness>,
}

impl Announce {
    pub(crate) fn new(readiness: Readiness) -> (Self, oneshot::Receiver<FirstStart>) {
        let (sender, receiver) = oneshot::channel();
        (Announce { first: Some(sender), readiness: Some(readiness) }, receiver)
    }

    fn first(&mut self, outcome: FirstStart) {
        if let Some(sender) = self.first.take() {
            // The boot may have been cut short by a signal.
            let _ = sender.send(outcome);
        }
    }

    /// The service need not wait for it.
    fn release(&mut self) {
        self.readiness = None;
    }
}

/// The lives of one component: what follows the end of each.
struct Lives {
    base: Base,
    policy: OnStartError,
    announce: Announce,
    restarts: Restarts,
    /// The waits between starts that fail.
    starts: Backoff,
    ever_started: bool,
    /// It waits in `probe`, and the log has been told.
    probing: bool,
}

impl Lives {
    fn new(base: Base, policy: OnStartError, announce: Announce) -> Self {
        let restarts = Restarts::new(base.shared.restart_budget);
        let starts = Restarts::start_backoff();
        Lives { base, policy, announce, restarts, starts, ever_started: false, probing: false }
    }

    /// Starts it, trying again as the policy says. True once it has started.
    async fn begin(&mut self, start: impl Fn() -> BoxFuture<'static, Result<(), Failure>> + Send) -> bool {
        loop {
            seam::point().await;
            let began = Instant::now();
            match contain(start()).await {
                Ok(Ok(())) => {
                    self.started(began.elapsed());
                    return true;
                }
                Ok(Err(failure)) | Err(failure) => {
                    if !self.not_started(&failure).await {
                        return false;
                    }
                }
            }
        }
    }

    fn started(&mut self, took: Duration) {
        let Lives { base, announce, .. } = self;
        self.ever_started = true;
        if std::mem::take(&mut self.probing) {
            base.checked("probe", true);
        }
        self.starts.reset();
        announce.first(FirstStart::Started);
        base.started(took);
        let role = base.role();
        base.shared.events.emit(|| Draft::of(&base.id, ServiceEvent::Started { role }).lasting(took));
        // Last: whoever waits for the service to be ready finds its components told of.
        announce.release();
        tracing::info!(component = %base.id, %role, ?took, "component started");
    }

    /// What follows a start that failed. Whether there is another.
    async fn not_started(&mut self, failure: &Failure) -> bool {
        let base = self.base.clone();
        base.end_incarnation();
        let (role, kind) = (base.role(), failure.kind);
        base.tell(|| ServiceEvent::StartFailed { role, kind, error: failure.message.clone() });
        match self.policy {
            OnStartError::Probe => self.probe(failure).await,
            OnStartError::Retry => {
                base.count_error(failure.kind);
                base.supervised_after(State::RecoverableError, failure);
                self.announce.first(FirstStart::TriedAgain);
                let wait = self.starts.wait();
                tracing::error!(component = %base.id, %role, %kind, error = %failure, ?wait, "component cannot start and is tried again");
                self.next_life(failure, wait).await
            }
            OnStartError::Fail | OnStartError::Ignore if self.ever_started => self.again(failure).await,
            OnStartError::Ignore => {
                base.count_error(failure.kind);
                tracing::warn!(component = %base.id, %role, error = %failure, "component could not start and is ignored");
                base.supervised_after(State::PermanentError, failure);
                base.let_go();
                self.announce.first(FirstStart::Ignored);
                self.announce.release();
                false
            }
            OnStartError::Fail => {
                base.count_error(failure.kind);
                base.supervised_after(State::FatalError, failure);
                self.announce.first(FirstStart::Fatal(failure.clone()));
                false
            }
        }
    }

    /// Waits for what the component needs to appear. The service is ready without it; only the first look is an error.
    async fn probe(&mut self, failure: &Failure) -> bool {
        let base = self.base.clone();
        base.checked("probe", false);
        if !self.probing {
            self.probing = true;
            base.count_error(failure.kind);
            tracing::warn!(component = %base.id, role = %base.role(), error = %failure, every = ?PROBE_INTERVAL, "component cannot start yet: waiting for what it needs");
        }
        // Before its first start it is still starting: absent hardware is not an error.
        let state = if self.ever_started { State::RecoverableError } else { State::Starting };
        base.supervised_after(state, failure);
        self.announce.first(FirstStart::TriedAgain);
        self.announce.release();
        self.next_life(failure, PROBE_INTERVAL).await
    }

    /// What follows a life that failed. Whether there is another.
    async fn failed(&mut self, failure: &Failure) -> bool {
        self.base.end_incarnation();
        self.base.stopped(StopReason::Crashed);
        self.again(failure).await
    }

    /// Another life within the budget, or none.
    async fn again(&mut self, failure: &Failure) -> bool {
        let base = self.base.clone();
        base.count_error(failure.kind);
        let Some(wait) = self.restarts.wait() else {
            give_up(&base, failure);
            base.let_go();
            return false;
        };
        tracing::error!(component = %base.id, role = %base.role(), kind = %failure.kind, error = %failure, ?wait, "component failed and will run again");
        base.supervised_after(State::RecoverableError, failure);
        self.next_life(failure, wait).await
    }

    /// Waits until the next life is due; false once shutdown was asked for.
    async fn next_life(&self, failure: &Failure, wait: Duration) -> bool {
        let goes_on = self.base.shutdown.run_until_cancelled(tokio::time::sleep(wait)).await.is_some();
        if goes_on && self.ever_started {
            self.base.restarted(failure.kind);
        }
        goes_on
    }
}

/// The restart budget of a component is used up.
pub(crate) fn give_up(base: &Base, failure: &Failure) {
    tracing::error!(component = %base.id, role = %base.role(), kind = %failure.kind, error = %failure, "component failed too often in a row and is given up: raise service.restart_budget, or mend what it tells of and restart the collector");
    base.supervised_after(State::PermanentError, failure);
}

/// Runs a component's lives until shutdown. `live` makes one life; it calls its argument once it has started.
pub(crate) async fn supervise(
    base: Base,
    policy: OnStartError,
    announce: Announce,
    live: impl Fn(Base, Box<dyn FnOnce() + Send>) -> BoxFuture<'static, Result<(), Failure>> + Send,
) {
    let mut lives = Lives::new(base.clone(), policy, announce);
    loop {
        seam::point().await;
        let began = Instant::now();
        let (said, mut heard) = oneshot::channel();
        // Nobody may listen any more: the life can end in the same moment.
        let started = Box::new(move || {
            let _ = said.send(());
        });
        let life = async {
            // A panic is the reason of an end that it brings about.
            tokio::select! {
                biased;
                panic = base.panic_of_a_task() => Err(panic),
                ended = contain(measured(&base.telemetry, live(base.clone(), started))) => ended,
            }
        };
        tokio::pin!(life);
        let at_once = tokio::select! {
            biased;
            Ok(()) = &mut heard => None,
            ended = &mut life => Some(ended),
        };
        let started = at_once.is_none() || heard.try_recv().is_ok();
        if started {
            lives.started(began.elapsed());
        }
        let ended = match at_once {
            Some(ended) => ended,
            None => life.await,
        };
        if base.shutdown.is_cancelled() {
            failed_to_stop(&base, ended);
            base.ended.store(true, Ordering::Relaxed);
            return;
        }
        let failure = failure_of(ended);
        let goes_on = if started { lives.failed(&failure).await } else { lives.not_started(&failure).await };
        if !goes_on {
            break;
        }
    }
    base.shutdown.cancelled().await;
    base.ended.store(true, Ordering::Relaxed);
}

/// Tells of a life that was asked to end and did so with a failure.
fn failed_to_stop(base: &Base, ended: Result<Result<(), Failure>, Failure>) {
    if let Ok(Err(failure)) | Err(failure) = ended {
        base.count_error(failure.kind);
        base.remember(failure.kind, &failure.message);
        tracing::warn!(component = %base.id, role = %base.role(), kind = %failure.kind, error = %failure, "component failed while it stopped");
    }
}

/// Starts something that then waits for calls (an exporter), trying again as `policy` says. True once it has started.
pub(crate) async fn start_until(
    base: &Base,
    policy: OnStartError,
    announce: Announce,
    start: impl Fn() -> BoxFuture<'static, Result<(), Failure>> + Send,
) -> bool {
    Lives::new(base.clone(), policy, announce).begin(start).await
}

/// Keeps a processor alive until shutdown: starts it, runs its background, and starts it again if a panic took its
/// instance and no other could be made at once. A background that is given up is one thing, the instance another: batches
/// still go through it, and it is still replaced.
pub(crate) async fn keep(policy: OnStartError, announce: Announce, stage: Arc<dyn Stage>) {
    let base = stage.base();
    let mut lives = Lives::new(base.clone(), policy, announce);
    let mut given_up = false;
    loop {
        if !stage.has_instance() {
            // What a start that did not end has spawned.
            base.end_incarnation();
            let starting = lives.begin(|| Arc::clone(&stage).start());
            // A stop does not wait for a start.
            if base.shutdown.run_until_cancelled(starting).await != Some(true) {
                return;
            }
        }
        let running = async {
            if given_up {
                base.shutdown.cancelled().await;
                return Ok(Ok(()));
            }
            contain(measured(&base.telemetry, Arc::clone(&stage).background())).await
        };
        let ended = tokio::select! {
            biased;
            // How the background of an instance ends that is gone is of no interest.
            () = Arc::clone(&stage).gone() => continue,
            ended = running => ended,
        };
        if base.shutdown.is_cancelled() {
            return failed_to_stop(base, ended);
        }
        let failure = failure_of(ended);
        base.count_error(failure.kind);
        let Some(wait) = lives.restarts.wait() else {
            give_up(base, &failure);
            given_up = true;
            continue;
        };
        tracing::error!(component = %base.id, role = %base.role(), kind = %failure.kind, error = %failure, ?wait, "the background failed and will run again");
        base.supervised_after(State::RecoverableError, &failure);
        tokio::select! {
            biased;
            () = base.shutdown.cancelled() => return,
            // The next instance has a background of its own.
            () = Arc::clone(&stage).gone() => {}
            () = tokio::time::sleep(wait) => {
                base.restarted(failure.kind);
                stage.is_well();
            }
        }
    }
}

fn failure_of(ended: Result<Result<(), Failure>, Failure>) -> Failure {
    match ended {
        Ok(Ok(())) => Failure::new(ErrorKind::Init, "ended without being asked to"),
        Ok(Err(failure)) | Err(failure) => failure,
    }
}
