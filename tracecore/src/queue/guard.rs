//! The circuit breaker between an exporter's consumers and its backend: who waits, and what is told of it.
//!
//! A call needs a [`Pass`], and its outcome goes back through it. While the breaker is open a pass takes as long as the
//! breaker says, and the batch waits with its consumer; the queue behind it goes on taking batches until it is full.
//!
//! A shutdown is not held back. What is then called beside a breaker that is open is called without a permit, and says
//! nothing to the breaker: with a deadline near it is better to ask a dead backend in vain than not to ask one that is back.
//!
//! Deliberately absent: refusing a batch because the breaker is open. Whoever brings one hears of a full queue, as ever.

use std::sync::{Arc, Mutex, PoisonError};

use super::CircuitBreaker;
use super::breaker::{Admission, Breaker, Permit, Transition};
use crate::cx::Base;
use crate::emit::Passage;
use crate::events::{BreakerEvent, Draft, micros};
use crate::telemetry::{BreakerState, BreakerTelemetry, ComponentTelemetry};
use crate::time::{Duration, Instant};

/// The breaker of one exporter, and what it tells.
pub(super) struct Guard {
    breaker: Arc<Breaker>,
    base: Base,
    telemetry: BreakerTelemetry,
    component: ComponentTelemetry,
    /// Held from the look at the state until the gauge shows it, so that no older state follows a newer one.
    shown: Mutex<()>,
}

/// The right to call the exporter once. Dropped, the call says nothing about the backend.
#[must_use = "say how the call went"]
pub(super) struct Pass<'a> {
    guard: &'a Guard,
    /// `None` for a call that a shutdown makes past an open breaker.
    permit: Option<Permit<'a>>,
    passage: Passage,
    waited: Duration,
}

impl Guard {
    pub(super) fn new(settings: &CircuitBreaker, base: Base) -> Self {
        let telemetry = &base.shared.telemetry;
        Guard {
            breaker: Arc::new(Breaker::new(settings)),
            telemetry: telemetry.breaker(base.id.as_str()),
            component: telemetry.component(base.id.as_str(), base.role()),
            base,
            shown: Mutex::default(),
        }
    }

    pub(super) fn breaker(&self) -> &Arc<Breaker> {
        &self.breaker
    }

    /// Waits until the breaker lets this batch through, or the service stops. At once while it is closed.
    pub(super) async fn pass(&self, passage: Passage) -> Pass<'_> {
        let drain = &self.base.shared.drain;
        let mut began = None;
        loop {
            let draining = drain.deadline().is_some();
            if draining {
                self.breaker.try_now();
            }
            let permit = match self.breaker.admit() {
                Admission::Allowed { permit, transition } => {
                    self.report(transition, passage);
                    Some(permit)
                }
                Admission::Refused { .. } if draining => None,
                Admission::Refused { retry_at } => {
                    began.get_or_insert_with(|| self.rejected(passage, retry_at));
                    drain.begun.run_until_cancelled(self.breaker.chance()).await;
                    continue;
                }
            };
            let waited = began.map_or(Duration::ZERO, |began: Instant| began.elapsed());
            return Pass { guard: self, permit, passage, waited };
        }
    }

    /// A batch begins to wait, now.
    fn rejected(&self, passage: Passage, retry_at: Instant) -> Instant {
        let now = Instant::now();
        let retry_in_us = micros(retry_at.saturating_duration_since(now));
        self.tell(passage, BreakerEvent::Rejected { retry_in_us }, None);
        now
    }

    /// Tells of a transition, if there was one.
    fn report(&self, transition: Option<Transition>, passage: Passage) {
        let Some(Transition { from, to, lasted }) = transition else { return };
        {
            let _shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
            self.telemetry.changed(to);
            self.telemetry.stands(self.breaker.state());
        }
        let component = &self.base.id;
        match to {
            BreakerState::Open => {
                tracing::warn!(%component, from = from.as_str(), "the circuit breaker opened: batches wait");
            }
            BreakerState::HalfOpen => tracing::debug!(%component, "the circuit breaker lets a trial call through"),
            BreakerState::Closed => tracing::info!(%component, "the circuit breaker closed: the backend answers"),
        }
        self.tell(passage, BreakerEvent::StateChanged { from, to }, Some(lasted));
    }

    fn tell(&self, passage: Passage, event: BreakerEvent, lasted: Option<Duration>) {
        self.base.shared.events.emit(|| {
            let draft = Draft::of(&self.base.id, event).about(passage.correlation);
            match lasted {
                Some(lasted) => draft.lasting(lasted),
                None => draft,
            }
        });
    }
}

impl<'a> Pass<'a> {
    /// How long the breaker held the batch back.
    pub(super) fn waited(&self) -> Duration {
        self.waited
    }

    /// The backend answered: it took the batch, or refused it for good.
    pub(super) fn answered(self) {
        self.settle(true, Permit::succeeded);
    }

    /// The backend did not answer, or said that it cannot take the batch now.
    pub(super) fn failed(self) {
        self.settle(false, Permit::failed);
    }

    /// The call says nothing about the backend.
    pub(super) fn ignored(self) {
        if let Some(permit) = self.permit {
            permit.ignored();
        }
    }

    fn settle(self, passed: bool, settle: impl FnOnce(Permit<'a>) -> Option<Transition>) {
        let Pass { guard, permit, passage, .. } = self;
        let Some(permit) = permit else { return };
        if permit.is_trial() {
            guard.tell(passage, BreakerEvent::HealthCheck { passed }, None);
            if !passed {
                guard.component.health_check_failed();
            }
        }
        guard.report(settle(permit), passage);
    }
}
