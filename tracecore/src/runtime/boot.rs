//! The order in which everything starts: exporters, processors, receivers, each once what it hands on to is there.
//!
//! The boot waits for the first start of each, and goes on as its `on_start_error` says. What then keeps it alive runs beside.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::inspect::{Inspection, serve_health_check, serve_surface};
use super::pressure;
use super::service::{Outgoing, Running, StartError};
use super::spec::ReceiverSpec;
use super::supervise::{Announce, FirstStart, keep, start_until, supervise};
use super::{Place, Readiness, contain};
use crate::cx::{Activity, Base, Own, measured};
use crate::emit::{Branch, Emitter, Exit, Route};
use crate::error::ErrorKind;
use crate::events::{ConfigEvent, Draft};
use crate::graph::{Plan, Planned, PlannedExporter, PlannedPipeline};
use crate::queue::{ErasedOutlet, Queue};

/// What feeds a pipeline and where it ends, as positions among the receivers and the exporters of the service.
struct Ends {
    receivers: Vec<usize>,
    exporters: Vec<usize>,
}

/// A component whose first start the boot waits for.
struct Pending {
    base: Base,
    first: oneshot::Receiver<FirstStart>,
}

impl Pending {
    /// Whether it runs, or will: false if it is ignored.
    async fn wait(self) -> Result<bool, StartError> {
        let message = match self.first.await {
            Ok(FirstStart::Started | FirstStart::TriedAgain) => return Ok(true),
            Ok(FirstStart::Ignored) => return Ok(false),
            Ok(FirstStart::Fatal(failure)) => failure.message,
            Err(_) => "its task ended".to_owned(),
        };
        Err(StartError::Component { role: self.base.role(), id: self.base.id.clone(), message })
    }
}

impl Running {
    /// Starts the surface, then everything else in the order in which a batch leaves.
    pub(super) async fn boot(&mut self, plan: Plan) -> Result<(), StartError> {
        self.shared.telemetry.start();
        self.mirrors.listen(&self.shared);
        let (readiness, unready) = mpsc::channel(1);
        self.unready = Some(unready);
        let Running { telemetry_settings, shared, board, health, sampler, .. } = self;
        shared.telemetry.register_components(board);
        let inspection = Arc::new(Inspection::new(telemetry_settings, shared, Arc::clone(board)));
        self.surface = serve_surface(telemetry_settings, shared, &inspection, health, sampler).await?;
        for check in &self.health_check_settings {
            self.health_checks.push(serve_health_check(check, shared, &inspection, health).await?);
        }
        sampler.spawn(pressure::watch(shared.memory.clone(), shared.drain.begun.clone()));
        let sends_events = plan.pipelines.iter().find(|pipeline| Some(&pipeline.id) == self.mirrors.pipeline());
        let last = sends_events.map(|pipeline| pipeline.exporters.clone()).unwrap_or_default();
        self.start_exporters(plan.exporters, &last, &readiness).await?;
        let (branches, feeds) = self.start_processors(plan.pipelines, &readiness).await?;
        if let Some(branch) = branches.iter().find(|branch| Some(&branch.id) == self.mirrors.pipeline()) {
            self.mirrors.connect(branch, &self.shared);
        }
        let mut pending = Vec::new();
        for (index, planned) in plan.receivers.into_iter().enumerate() {
            let fed = feeds.iter().zip(&branches).filter(|(feed, _)| feed.receivers.contains(&index));
            let route = Route { branches: fed.map(|(_, branch)| Arc::clone(branch)).collect() };
            pending.push(self.start_receiver(planned, route, readiness.clone()));
        }
        for (branch, feed) in branches.iter().zip(&feeds) {
            self.board.add_pipeline(branch.id.clone(), self.members(branch, feed));
        }
        for pending in pending {
            pending.wait().await?;
        }
        let components =
            (self.exporters.len() + self.stages.len() + self.last.stages.len() + self.receivers.len()) as u64;
        let applied = ConfigEvent::Applied { components, pipelines: branches.len() as u64 };
        let took = self.began.elapsed();
        self.shared.telemetry.service().config_applied(took);
        self.shared.events.emit(|| Draft::new(applied).lasting(took));
        Ok(())
    }

    /// All that takes part in a pipeline, in the order in which a batch meets it.
    fn members(&self, branch: &Branch, ends: &Ends) -> Vec<Base> {
        let receivers = ends.receivers.iter().filter_map(|index| self.receivers.get(*index)).cloned();
        let processors = branch.processors.iter().map(|stage| stage.base().clone());
        // One that is ignored too: without it the pipeline is not well.
        let exporters = ends.exporters.iter().filter_map(|index| self.exporters.get(*index));
        let exporters = exporters.map(|exporter| exporter.base.clone());
        receivers.chain(processors).chain(exporters).collect()
    }

    /// Starts the exporters, of which those at the positions `last` stop after all others.
    async fn start_exporters(
        &mut self,
        plan: Vec<PlannedExporter>,
        last: &[usize],
        readiness: &Readiness,
    ) -> Result<(), StartError> {
        let mut pending = Vec::new();
        for (index, PlannedExporter { planned, delivery }) in plan.into_iter().enumerate() {
            let last = last.contains(&index);
            let id = planned.unit.id.clone();
            let telemetry = self.shared.telemetry.exporter(id.as_str(), planned.unit.entry.kinds);
            let own = Own::Exporter { telemetry: telemetry.clone() };
            let base = Base::new(id.clone(), self.shared.clone(), own, Arc::default());
            let queue = Queue::new(&delivery.sending_queue);
            self.shared.telemetry.register_queue(id.as_str(), &queue);
            let exit = Exit {
                id,
                telemetry,
                queue: Arc::clone(&queue),
                overflow: delivery.sending_queue.overflow(),
                waits_for_result: delivery.sending_queue.waits_for_result(),
            };
            let consumers = delivery.sending_queue.num_consumers.get();
            let outlet = planned.spec.outlet(base.clone(), Arc::clone(&queue), delivery, planned.on_start_error);
            let cut = CancellationToken::new();
            let breaker = Some(outlet.breaker());
            self.board.add(Place { base: base.clone(), queue: Some(queue), breaker, pipeline: None });
            self.exporters.push(Outgoing {
                base: base.clone(),
                exit: exit.clone(),
                cut: cut.clone(),
                ignored: false,
                last,
                outlet: Arc::clone(&outlet),
            });
            let (announce, first) = Announce::new(readiness.clone());
            pending.push(Pending { base: base.clone(), first });
            let tasks = if last { &mut self.last.consumers } else { &mut self.consumers };
            tasks.spawn(async move {
                let start = || Arc::clone(&outlet).start();
                let starting = start_until(&base, planned.on_start_error, announce, start);
                if base.shared.drain.begun.run_until_cancelled(starting).await == Some(true) {
                    let consumer = || keep_consuming(base.clone(), Arc::clone(&outlet), cut.clone());
                    (0..consumers).map(|_| consumer()).collect::<JoinSet<()>>().join_all().await;
                }
            });
        }
        for (pending, exporter) in pending.into_iter().zip(&mut self.exporters) {
            exporter.ignored = !pending.wait().await?;
        }
        Ok(())
    }

    /// Starts the processors of all pipelines; the branches that they make, and what feeds and what ends each.
    async fn start_processors(
        &mut self,
        plan: Vec<PlannedPipeline>,
        readiness: &Readiness,
    ) -> Result<(Vec<Arc<Branch>>, Vec<Ends>), StartError> {
        let mut pending = Vec::new();
        let mut branches = Vec::new();
        let mut feeds = Vec::new();
        for pipeline in plan {
            let mut processors = Vec::new();
            let (stages, backgrounds) = if Some(&pipeline.id) == self.mirrors.pipeline() {
                (&mut self.last.stages, &mut self.last.backgrounds)
            } else {
                (&mut self.stages, &mut self.backgrounds)
            };
            for planned in pipeline.processors {
                let id = planned.unit.id.clone();
                let telemetry = self.shared.telemetry.processor(id.as_str(), planned.unit.entry.kinds);
                let own = Own::Processor { telemetry: telemetry.clone() };
                let base = Base::new(id, self.shared.clone(), own, Arc::default());
                self.board.add(Place {
                    base: base.clone(),
                    queue: None,
                    breaker: None,
                    pipeline: Some(pipeline.id.clone()),
                });
                let stage = planned.spec.stage(base.clone(), telemetry);
                processors.push(Arc::clone(&stage));
                stages.push(Arc::clone(&stage));
                let (announce, first) = Announce::new(readiness.clone());
                pending.push(Pending { base, first });
                backgrounds.spawn(keep(planned.on_start_error, announce, stage));
            }
            let exporters = pipeline.exporters.iter().map(|index| &self.exporters[*index]);
            let (ignored, exits): (Vec<_>, Vec<_>) = exporters.partition(|exporter| exporter.ignored);
            let [ignored, exits] = [ignored, exits].map(|of| of.into_iter().map(|one| one.exit.clone()).collect());
            let telemetry = self.shared.telemetry.pipeline(&pipeline.id.to_string());
            branches.push(Arc::new(Branch { id: pipeline.id, telemetry, processors, exits, ignored }));
            feeds.push(Ends { receivers: pipeline.receivers, exporters: pipeline.exporters });
        }
        for pending in pending {
            pending.wait().await?;
        }
        Ok((branches, feeds))
    }

    fn start_receiver(
        &mut self,
        planned: Planned<Box<dyn ReceiverSpec>>,
        route: Route,
        readiness: Readiness,
    ) -> Pending {
        let id = planned.unit.id.clone();
        let telemetry = self.shared.telemetry.receiver(id.as_str(), planned.unit.entry.kinds);
        let mut measures = false;
        (planned.unit.entry.data)(&mut |_| measures = true);
        if measures {
            // The runtime counts this kind when a label of the receiver's data reaches its cap.
            self.shared.telemetry.receiver(id.as_str(), &[ErrorKind::Cardinality]);
        }
        let activity = Arc::<Activity>::default();
        let emitter = Emitter::new(id.clone(), telemetry.clone(), &self.shared, Arc::clone(&activity));
        emitter.connect(route);
        let base = Base::new(id, self.shared.clone(), Own::Receiver { telemetry, emitter }, activity);
        self.receivers.push(base.clone());
        self.board.add(Place { base: base.clone(), queue: None, breaker: None, pipeline: None });
        let (announce, first) = Announce::new(readiness);
        let pending = Pending { base: base.clone(), first };
        let live = move |base: Base, started: Box<dyn FnOnce() + Send>| planned.spec.live(base, started);
        self.supervisors.spawn(supervise(base, planned.on_start_error, announce, live));
        pending
    }
}

/// Runs a consumer of an exporter's queue until the queue is closed and empty, or it is cut off. What panics outside of
/// the exporter's calls costs one batch, which is counted as cut off, and the consumer goes on.
async fn keep_consuming(base: Base, outlet: Arc<dyn ErasedOutlet>, cut: CancellationToken) {
    loop {
        let consuming = contain(measured(&base.telemetry, Arc::clone(&outlet).consume()));
        match cut.run_until_cancelled(consuming).await {
            Some(Err(panic)) => {
                base.count_error(panic.kind);
                tracing::error!(component = %base.id, error = %panic, "a consumer of the queue panicked and goes on");
            }
            Some(Ok(())) | None => return,
        }
    }
}
