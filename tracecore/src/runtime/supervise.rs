//! Keeping a component alive: one task that runs life after life until shutdown.
//!
//! A life that ends by panic, by error, or without having been asked to, is followed by another after a back-off. The
//! supervisor holds what outlives a life (its id, its metrics, its sockets); its neighbours notice nothing.

use futures_util::future::BoxFuture;
use tokio::sync::oneshot;

use super::backoff::Restarts;
use super::failure::{Failure, contain};
use super::{OnStartError, Readiness};
use crate::cx::Base;
use crate::error::ErrorKind;
use crate::events::Event;

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

    fn started(&mut self, base: &Base) {
        self.first(FirstStart::Started);
        self.readiness = None;
        base.emit(|| Event::ComponentStarted { id: base.id.clone(), role: base.role() });
        tracing::info!(component = %base.id, role = %base.role(), "component started");
    }

    /// Whether the component is to be tried again.
    fn failed(&mut self, base: &Base, failure: &Failure, policy: OnStartError) -> bool {
        base.emit(|| Event::ComponentStartFailed { id: base.id.clone(), role: base.role(), kind: failure.kind });
        let (outcome, again) = match policy {
            OnStartError::Fail => (FirstStart::Fatal(failure.clone()), false),
            OnStartError::Retry => (FirstStart::TriedAgain, true),
            OnStartError::Ignore => {
                tracing::warn!(component = %base.id, role = %base.role(), error = %failure, "component could not start and is ignored");
                self.readiness = None;
                (FirstStart::Ignored, false)
            }
        };
        self.first(outcome);
        again
    }
}

/// Counts a failed life and waits until the next is due; false once shutdown was asked for.
async fn pause(base: &Base, failure: &Failure, restarts: &mut Restarts, restarted: bool) -> bool {
    base.count_error(failure.kind);
    let wait = restarts.wait();
    tracing::error!(component = %base.id, role = %base.role(), kind = %failure.kind, error = %failure, ?wait, "component failed and will run again");
    base.set_failing(true);
    let goes_on = base.shutdown.run_until_cancelled(tokio::time::sleep(wait)).await.is_some();
    if goes_on && restarted {
        base.shared.telemetry.component_restarted(base.id.as_str(), base.role());
        base.emit(|| Event::ComponentRestarted { id: base.id.clone(), role: base.role(), kind: failure.kind });
    }
    goes_on
}

/// Runs a component's lives until shutdown. `live` makes one life; it calls its argument once it has started.
pub(crate) async fn supervise(
    base: Base,
    policy: OnStartError,
    mut announce: Announce,
    live: impl Fn(Base, Box<dyn FnOnce() + Send>) -> BoxFuture<'static, Result<(), Failure>> + Send,
) {
    let mut restarts = Restarts::default();
    let mut ever_started = false;
    loop {
        let (said, mut heard) = oneshot::channel();
        // Nobody may listen any more: the life can end in the same moment.
        let started = Box::new(move || {
            let _ = said.send(());
        });
        let life = async {
            tokio::select! {
                ended = contain(live(base.clone(), started)) => ended,
                panic = base.panic_of_a_task() => Err(panic),
            }
        };
        tokio::pin!(life);
        let at_once = tokio::select! {
            biased;
            Ok(()) = &mut heard => None,
            ended = &mut life => Some(ended),
        };
        if at_once.is_none() || heard.try_recv().is_ok() {
            ever_started = true;
            announce.started(&base);
            base.set_failing(false);
        }
        let ended = match at_once {
            Some(ended) => ended,
            None => life.await,
        };
        if base.shutdown.is_cancelled() {
            break;
        }
        let failure = match ended {
            Ok(Ok(())) => Failure::new(ErrorKind::Init, "ended without being asked to"),
            Ok(Err(failure)) | Err(failure) => failure,
        };
        base.end_incarnation();
        if !ever_started && !announce.failed(&base, &failure, policy) {
            base.count_error(failure.kind);
            base.set_failing(true);
            base.shutdown.cancelled().await;
            break;
        }
        if !pause(&base, &failure, &mut restarts, ever_started).await {
            break;
        }
    }
}

/// Starts something that then waits for calls (an exporter, a processor), trying again as `policy` says. True once it
/// has started.
pub(crate) async fn start_until(
    base: &Base,
    policy: OnStartError,
    mut announce: Announce,
    start: impl Fn() -> BoxFuture<'static, Result<(), Failure>> + Send,
) -> bool {
    let mut restarts = Restarts::default();
    loop {
        match contain(start()).await {
            Ok(Ok(())) => {
                announce.started(base);
                return true;
            }
            Ok(Err(failure)) | Err(failure) => {
                base.end_incarnation();
                let again = announce.failed(base, &failure, policy);
                if !again {
                    base.count_error(failure.kind);
                    return false;
                }
                if !pause(base, &failure, &mut restarts, false).await {
                    return false;
                }
            }
        }
    }
}

/// Runs something again and again until shutdown: the background of what has started.
pub(crate) async fn keep(base: &Base, run: impl Fn() -> BoxFuture<'static, Result<(), Failure>> + Send) {
    let mut restarts = Restarts::default();
    loop {
        let ended = contain(run()).await;
        if base.shutdown.is_cancelled() {
            return;
        }
        let failure = match ended {
            Ok(Ok(())) => Failure::new(ErrorKind::Init, "ended without being asked to"),
            Ok(Err(failure)) | Err(failure) => failure,
        };
        if !pause(base, &failure, &mut restarts, true).await {
            return;
        }
    }
}
