//! The order in which everything stops. Each step has a deadline, and what it leaves is counted.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::future::join_all;
use tokio::task::JoinSet;
use tokio::time::{timeout, timeout_at};

use super::service::{Outgoing, Running};
use super::stage::Stage;
use super::{ABORT_GRACE, STOP_DEADLINE};
use crate::cx::{Base, LISTENER};
use crate::error::Report;
use crate::events::{BatchEvent, Draft, ServiceEvent};
use crate::seam;
use crate::status::State;
use crate::surface::SHUTDOWN_BUDGET;
use crate::telemetry::{DropReason, FLUSH_BUDGET, SelfTelemetry, StopReason};
use crate::time::{Duration, Instant};

/// How long the pipeline that sends events may take for those of the stop, if nothing is left of the drain: a backend
/// that works needs milliseconds.
const LAST_DRAIN: Duration = Duration::from_millis(500);

/// Stops the service.
pub(super) async fn stop(mut running: Running, deadline: Instant) {
    tracing::info!("tracecore stopping");
    let began = Instant::now();
    running.shared.events.emit(|| Draft::new(ServiceEvent::Stopping {}));
    running.health.draining();
    stop_components(&mut running, deadline).await;
    let surface = async {
        let deadline = Instant::now() + SHUTDOWN_BUDGET;
        let served = running.surface.iter_mut().chain(&mut running.health_checks);
        join_all(served.map(|serving| serving.shutdown(deadline))).await;
        running.surface = None;
        running.health_checks.clear();
        abort(&mut running.sampler).await;
    };
    // Side by side: together they may not take longer than the surface alone.
    tokio::join!(surface, running.shared.telemetry.stop(Instant::now() + FLUSH_BUDGET));
    end_telemetry(&running.shared.telemetry);
    // Last: whoever waits for it finds nothing of the service left.
    running
        .shared
        .events
        .emit(|| Draft::new(ServiceEvent::Stopped { reason: StopReason::Graceful }).lasting(began.elapsed()));
    running.mirrors.end_log().await;
    tracing::info!("tracecore stopped");
}

/// Stops the components in the order in which a batch meets them, those that the events go through last.
///
/// Everything hears of it at once: receivers are asked to end, emits that wait for room are refused, what holds deliveries
/// up (a back-off, an open breaker) is cut short. For half of the time the queues still take what receivers bring; after
/// that they only deliver. An emit that waits for the outcome of its delivery hears it from the drain, by its end, so a
/// receiver has a moment more than the drain.
async fn stop_components(running: &mut Running, deadline: Instant) {
    seam::point().await;
    let now = Instant::now();
    let half = now + deadline.saturating_duration_since(now) / 2;
    let last_word = deadline + ABORT_GRACE;
    running.shared.drain.begin(deadline);
    for base in &running.receivers {
        base.ask_to_stop(last_word);
    }
    // Those that have not ended by then go on beside the drain.
    let _ = timeout_at(half, receivers_end(&running.receivers, &mut running.supervisors)).await;
    let exporters = std::mem::take(&mut running.exporters);
    let (last, first): (Vec<_>, Vec<_>) = exporters.iter().partition(|exporter| exporter.last);
    let Running { receivers, supervisors, stages, backgrounds, consumers, .. } = running;
    // Side by side: a processor that is slow to stop must not cost the queues their time.
    tokio::join!(
        async {
            stop_receivers(receivers, supervisors, last_word).await;
            stop_processors(stages, backgrounds).await;
        },
        drain(&first, consumers, deadline),
    );
    stop_exporters(&first).await;
    // What these have told until here is still sent.
    running.mirrors.end_pipeline().await;
    stop_processors(&running.last.stages, &mut running.last.backgrounds).await;
    let deadline = deadline.max(Instant::now() + LAST_DRAIN);
    drain(&last, &mut running.last.consumers, deadline).await;
    stop_exporters(&last).await;
}

/// Waits until the receivers and all of their tasks have ended.
async fn receivers_end(receivers: &[Base], supervisors: &mut JoinSet<()>) {
    while supervisors.join_next().await.is_some() {}
    let tasks = receivers.iter().map(|base| {
        base.tasks.close();
        base.tasks.wait()
    });
    join_all(tasks).await;
}

async fn stop_receivers(receivers: &[Base], supervisors: &mut JoinSet<()>, deadline: Instant) {
    if !joined(supervisors, deadline).await {
        tracing::warn!("a receiver did not stop in time and was aborted");
        abort(supervisors).await;
    }
    // One whose supervisor was aborted has not stopped by itself.
    let reason = |base: &Base| match base.ended.load(Ordering::Relaxed) {
        true => StopReason::Graceful,
        false => StopReason::Crashed,
    };
    join_all(receivers.iter().map(|base| end(base, deadline, reason(base)))).await;
}

async fn stop_processors(stages: &[Arc<dyn Stage>], backgrounds: &mut JoinSet<()>) {
    seam::point().await;
    for stage in stages {
        stage.base().ask_to_stop(Instant::now() + STOP_DEADLINE);
    }
    if !joined(backgrounds, Instant::now() + STOP_DEADLINE).await {
        tracing::warn!("a processor's background did not stop in time and was aborted");
        abort(backgrounds).await;
    }
    join_all(stages.iter().map(stop_processor)).await;
}

async fn stop_processor(stage: &Arc<dyn Stage>) {
    let base = stage.base();
    let mut reason = StopReason::Graceful;
    if timeout(STOP_DEADLINE, Arc::clone(stage).stop()).await.is_err() {
        tracing::warn!(component = %base.id, deadline = ?STOP_DEADLINE, "the processor did not stop in time");
        reason = StopReason::Crashed;
    }
    end(base, Instant::now() + STOP_DEADLINE, reason).await;
}

async fn stop_exporters(exporters: &[&Outgoing]) {
    seam::point().await;
    join_all(exporters.iter().map(|exporter| stop_exporter(exporter))).await;
}

/// Lets the exporters empty their queues until the deadline; counts what is then left.
async fn drain(exporters: &[&Outgoing], consumers: &mut JoinSet<()>, deadline: Instant) {
    seam::point().await;
    for exporter in exporters {
        exporter.exit.queue.close(DropReason::Shutdown);
    }
    if !joined(consumers, deadline).await {
        // Each consumer lets go of the batch that it has under way, and that batch is counted below.
        for exporter in exporters {
            exporter.cut.cancel();
        }
        if !joined(consumers, Instant::now() + ABORT_GRACE).await {
            abort(consumers).await;
        }
    }
    for Outgoing { base, exit, .. } in exporters {
        // What a blocked thread holds is given up too; if its call succeeds after all, nobody hears of it.
        let items = exit.queue.abandon();
        if items > 0 {
            exit.telemetry.dropped(DropReason::Shutdown, items);
            tracing::warn!(component = %base.id, items, reason = "shutdown", "items were dropped: the queue did not drain within service.drain_timeout");
            base.tell(|| BatchEvent::Dropped { items, reason: DropReason::Shutdown.as_str() });
        }
    }
}

async fn stop_exporter(exporter: &Outgoing) {
    let base = &exporter.base;
    base.ask_to_stop(Instant::now() + STOP_DEADLINE);
    let mut reason = StopReason::Graceful;
    if timeout(STOP_DEADLINE, Arc::clone(&exporter.outlet).stop()).await.is_err() {
        tracing::warn!(component = %base.id, deadline = ?STOP_DEADLINE, "the exporter did not stop in time");
        reason = StopReason::Crashed;
    }
    end(base, Instant::now() + STOP_DEADLINE, reason).await;
}

/// Waits for the tasks of a component until the deadline, then aborts them: the component has stopped.
async fn end(base: &Base, deadline: Instant, mut reason: StopReason) {
    base.tasks.close();
    if timeout_at(deadline, base.tasks.wait()).await.is_err() {
        reason = StopReason::Crashed;
        tracing::warn!(component = %base.id, role = %base.role(), "tasks of the component did not stop in time and were aborted");
        base.abort.cancel();
        // One that does not even yield cannot be ended: the stop goes on without it.
        let _ = timeout(ABORT_GRACE, base.tasks.wait()).await;
    }
    for _ in 0..base.close_sockets() {
        base.released(LISTENER);
    }
    base.supervised(State::Stopped);
    base.stopped(reason);
    base.tell(|| ServiceEvent::Stopped { reason });
    tracing::debug!(component = %base.id, role = %base.role(), "component stopped");
}

fn end_telemetry(telemetry: &SelfTelemetry) {
    if let Err(error) = telemetry.shutdown() {
        tracing::warn!(error = %Report(&error), "cannot shut down self-telemetry");
    }
}

/// Waits for all tasks until the deadline. Whether all have ended.
async fn joined(tasks: &mut JoinSet<()>, deadline: Instant) -> bool {
    timeout_at(deadline, async { while tasks.join_next().await.is_some() {} }).await.is_ok()
}

/// Ends what is left where it stands. One that blocks its thread ends when it lets go of it; the stop goes on.
async fn abort(tasks: &mut JoinSet<()>) {
    tasks.abort_all();
    joined(tasks, Instant::now() + ABORT_GRACE).await;
    tasks.detach_all();
}
