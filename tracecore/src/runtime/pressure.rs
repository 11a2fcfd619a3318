//! Looks at what the process uses of its memory, for as long as batches come in.
//!
//! What a look has shown decides for all receivers at once whether a batch is taken: see [`Memory`]. Whoever wants to know
//! hears of it when it changes, in the log; `tracecore_memory_pressure` shows it.

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::memory::{LOOK_INTERVAL, Look, Memory, Pressure};

/// Looks every so often, until `end`.
pub(super) async fn watch(memory: Memory, end: CancellationToken) {
    let mut slots = interval(LOOK_INTERVAL);
    // After a long sleep one look is enough.
    slots.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while end.run_until_cancelled(slots.tick()).await.is_some() {
        if let Some(look) = memory.look() {
            tell(look, memory.limit().unwrap_or_default());
        }
    }
}

/// What an operator can do about it.
const REMEDY: &str =
    "give the process more (its cgroup, or service.memory_limit), or its exporters smaller sending_queue limits";

fn tell(Look { before, now, used }: Look, limit: u64) {
    match (before, now) {
        (before, now) if before == now => {}
        (_, Pressure::Hard) => {
            tracing::error!(used, limit, "the memory is nearly used up: what comes is refused, for now; {REMEDY}");
        }
        (Pressure::Hard, _) => tracing::info!(used, limit, "what comes is taken again: enough memory is free"),
        (_, Pressure::Soft) => {
            tracing::warn!(
                used,
                limit,
                "the memory is running short: near its end, what comes will be refused; {REMEDY}"
            );
        }
        (_, Pressure::None) => {}
    }
}
