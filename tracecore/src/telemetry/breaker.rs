//! What the circuit breaker of an exporter says of itself.

use std::sync::Arc;

use super::families::Families;
use super::instruments::{BoundCounter, BoundGauge};
use super::labels::BreakerState;

/// The metrics of one exporter's breaker. Cheap to clone; two handles of one id are the same.
#[derive(Clone)]
pub struct BreakerTelemetry(Arc<Inner>);

struct Inner {
    state: BoundGauge,
    transitions: [BoundCounter; BreakerState::ALL.len()],
}

impl BreakerTelemetry {
    pub(super) fn new(families: &Families, id: &str) -> Self {
        let families = &families.exporter;
        BreakerTelemetry(Arc::new(Inner {
            state: families.breaker_state.bind([id], number(BreakerState::Closed)),
            transitions: BreakerState::ALL.map(|to| families.breaker_transitions.bind([id, to.as_str()])),
        }))
    }

    /// Says that the breaker went to another state. A new one is closed, which is no change.
    pub fn changed(&self, to: BreakerState) {
        self.stands(to);
        self.0.transitions[to as usize].add(1);
    }

    /// Shows where the breaker stands. Of changes that follow each other closely the last one that is told need not be the
    /// last one that was made.
    pub fn stands(&self, state: BreakerState) {
        self.0.state.set(number(state));
    }
}

/// What the gauge shows for a state.
fn number(state: BreakerState) -> f64 {
    match state {
        BreakerState::Closed => 0.0,
        BreakerState::Open => 1.0,
        BreakerState::HalfOpen => 2.0,
    }
}
