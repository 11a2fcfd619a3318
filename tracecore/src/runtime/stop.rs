//! The order in which everything stops. Each step has a deadline, and what it leaves is counted.

use std::sync::Arc;

use futures_util::future::join_all;
use tokio::task::JoinSet;
use tokio::time::{timeout, timeout_at};

use super::STOP_DEADLINE;
use super::service::{Outgoing, Running};
use crate::cx::Base;
use crate::error::Report;
use crate::events::Event;
use crate::surface::SHUTDOWN_BUDGET;
use crate::telemetry::{DropReason, TelemetryError};
use crate::time::Instant;

/// Stops the service. Receivers have half of the time to end; the queues have what is then left of it.
pub(super) async fn stop(mut running: Running, deadline: Instant) {
    tracing::info!("tracecore stopping");
    running.shared.events.emit(|| Event::ServiceStopping);
    if let Some(surface) = &running.surface {
        surface.health().draining();
    }
    stop_receivers(&mut running, deadline).await;
    stop_processors(&mut running).await;
    drain(&mut running, deadline).await;
    stop_exporters(&running).await;
    running.shared.events.emit(|| Event::ServiceStopped);
    if let Some(mut surface) = running.surface.take() {
        surface.shutdown(Instant::now() + SHUTDOWN_BUDGET).await;
    }
    let _ = running.shared.telemetry.shutdown().inspect_err(unclean);
    tracing::info!("tracecore stopped");
}

async fn stop_receivers(running: &mut Running, deadline: Instant) {
    let now = Instant::now();
    let deadline = now + deadline.saturating_duration_since(now) / 2;
    for base in &running.receivers {
        base.shutdown.cancel();
        base.tasks.close();
    }
    if !joined(&mut running.supervisors, deadline).await {
        aborted("a receiver");
    }
    for base in &running.receivers {
        if timeout_at(deadline, base.tasks.wait()).await.is_err() {
            late(base, "its tasks");
        }
        base.abort.cancel();
    }
}

async fn stop_processors(running: &mut Running) {
    for stage in &running.stages {
        stage.base().shutdown.cancel();
    }
    let deadline = Instant::now() + STOP_DEADLINE;
    if !joined(&mut running.backgrounds, deadline).await {
        aborted("the background of a processor");
    }
    join_all(running.stages.iter().map(|stage| end(stage.base(), Arc::clone(stage).stop()))).await;
}

/// Lets the exporters empty their queues until the deadline; counts what is then left.
async fn drain(running: &mut Running, deadline: Instant) {
    running.shared.drain.begin(deadline);
    for exporter in &running.exporters {
        exporter.exit.queue.close();
    }
    joined(&mut running.consumers, deadline).await;
    for exporter in &running.exporters {
        let items = exporter.exit.queue.abandon();
        if items > 0 {
            exporter.exit.telemetry.dropped(DropReason::Shutdown, items);
            tracing::warn!(component = %exporter.base.id, items, reason = "shutdown", "items were dropped: the queue did not drain within service.drain_timeout");
            let (id, reason) = (exporter.base.id.clone(), DropReason::Shutdown.as_str());
            running.shared.events.emit(|| Event::ItemsDropped { id, items, reason });
        }
    }
}

async fn stop_exporters(running: &Running) {
    let stops = running.exporters.iter().map(|Outgoing { base, outlet, .. }| end(base, Arc::clone(outlet).stop()));
    join_all(stops).await;
}

/// Ends a component that waits for calls, with its tasks. All of a role end at the same time, so one deadline is enough.
async fn end(base: &Base, stop: impl Future<Output = ()>) {
    base.shutdown.cancel();
    base.tasks.close();
    let ended = async {
        stop.await;
        base.tasks.wait().await;
    };
    if timeout(STOP_DEADLINE, ended).await.is_err() {
        late(base, "its stop or its tasks");
    }
    base.abort.cancel();
}

fn late(base: &Base, what: &'static str) {
    tracing::warn!(component = %base.id, role = %base.role(), what, "a component did not stop in time");
}

fn aborted(what: &'static str) {
    tracing::warn!(what, "something did not stop in time and was aborted");
}

fn unclean(error: &TelemetryError) {
    tracing::warn!(error = %Report(error), "cannot shut down self-telemetry");
}

/// Waits for all tasks until the deadline, then aborts what is left. Whether all ended by themselves.
async fn joined(tasks: &mut JoinSet<()>, deadline: Instant) -> bool {
    let all = timeout_at(deadline, async { while tasks.join_next().await.is_some() {} }).await;
    if all.is_ok() {
        return true;
    }
    tasks.shutdown().await;
    false
}
