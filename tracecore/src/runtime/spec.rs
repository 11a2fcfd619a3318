//! From a typed component to what the runtime holds: settings that were read once, and boxed loops made from them.
//!
//! Each trait here has one generic implementor. A receiver's incarnation, an exporter's consumer and a processor's
//! background are boxed once each; a batch is never boxed.

use std::marker::PhantomData;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::time::timeout;

use super::failure::{Failure, contain, contain_call, contain_fallible};
use super::stage::{Place, Stage};
use super::{OnStartError, START_DEADLINE};
use crate::component::{Component, Exporter, Processor, Receiver};
use crate::config::{ConfigError, Node, Period};
use crate::cx::{Base, Cx};
use crate::error::{Classify, ErrorKind};
use crate::queue::{DeliverySettings, ErasedOutlet, Outlet, Queue};
use crate::signal::Signal;
use crate::telemetry::ProcessorTelemetry;

/// A configured receiver.
pub(crate) trait ReceiverSpec: Send + Sync {
    /// Constructs it once and throws it away: whether its settings go together.
    fn check(&self) -> Result<(), Failure>;

    /// One life of it: `new`, `start`, then `run`. Calls `started` in between.
    fn live(&self, base: Base, started: Box<dyn FnOnce() + Send>) -> BoxFuture<'static, Result<(), Failure>>;
}

/// A configured processor.
pub(crate) trait ProcessorSpec: Send + Sync {
    /// Constructs it once and throws it away: whether its settings go together.
    fn check(&self) -> Result<(), Failure>;

    /// The processor's place in one pipeline.
    fn stage(&self, base: Base, telemetry: ProcessorTelemetry) -> Arc<dyn Stage>;
}

/// A configured exporter.
pub(crate) trait ExporterSpec: Send + Sync {
    /// Constructs it once and throws it away: why its settings do not go together, or which of its signals it cannot send.
    fn check(&self, signals: &[Signal]) -> Vec<Failure>;

    /// The time limit of one attempt where the settings have none.
    fn timeout(&self) -> Period;

    /// The far end of the exporter's queue.
    fn outlet(
        &self,
        base: Base,
        queue: Arc<Queue>,
        settings: DeliverySettings,
        on_start_error: OnStartError,
    ) -> Arc<dyn ErasedOutlet>;
}

/// Settings of a component of type `C`.
struct Spec<C: Component> {
    config: C::Config,
    component: PhantomData<fn() -> C>,
}

impl<C: Component> Spec<C> {
    fn read(settings: &Node, path: &str, errors: &mut Vec<ConfigError>) -> Option<Box<Self>> {
        let config = settings.read(path, errors)?;
        Some(Box::new(Spec { config, component: PhantomData }))
    }
}

pub(crate) fn specify_receiver<C: Receiver>(
    settings: &Node,
    path: &str,
    errors: &mut Vec<ConfigError>,
) -> Option<Box<dyn ReceiverSpec>> {
    Some(Spec::<C>::read(settings, path, errors)?)
}

pub(crate) fn specify_processor<C: Processor>(
    settings: &Node,
    path: &str,
    errors: &mut Vec<ConfigError>,
) -> Option<Box<dyn ProcessorSpec>> {
    Some(Spec::<C>::read(settings, path, errors)?)
}

pub(crate) fn specify_exporter<C: Exporter>(
    settings: &Node,
    path: &str,
    errors: &mut Vec<ConfigError>,
) -> Option<Box<dyn ExporterSpec>> {
    Some(Spec::<C>::read(settings, path, errors)?)
}

/// Constructs a component. A constructor that panics is a failure like any other.
pub(crate) fn construct<C, E: Classify>(new: impl FnOnce() -> Result<C, E>) -> Result<C, Failure> {
    contain_call(|| new().map_err(Failure::from))?
}

/// Starts a component within its deadline.
pub(crate) async fn start<E: Classify>(starting: impl Future<Output = Result<(), E>>) -> Result<(), Failure> {
    // The start is let go of within the boundary as well, if it takes too long.
    let started = contain(async {
        let late = || Failure::new(ErrorKind::Init, format!("did not start within {START_DEADLINE:?}"));
        timeout(START_DEADLINE, starting).await.map_or_else(|_| Err(late()), |started| started.map_err(Failure::from))
    });
    started.await?
}

impl<C: Receiver> ReceiverSpec for Spec<C> {
    fn check(&self) -> Result<(), Failure> {
        construct(|| C::new(self.config.clone())).map(drop)
    }

    fn live(&self, base: Base, started: Box<dyn FnOnce() + Send>) -> BoxFuture<'static, Result<(), Failure>> {
        let config = self.config.clone();
        Box::pin(async move {
            let mut receiver = construct(|| C::new(config))?;
            let shutdown = base.shutdown.clone();
            let cx = Cx::new(base);
            // A stop does not wait for a start.
            let Some(begun) = shutdown.run_until_cancelled(start(receiver.start(&cx))).await else { return Ok(()) };
            begun?;
            started();
            contain_fallible(receiver.run(cx)).await
        })
    }
}

impl<C: Processor> ProcessorSpec for Spec<C> {
    fn check(&self) -> Result<(), Failure> {
        construct(|| C::new(self.config.clone())).map(drop)
    }

    fn stage(&self, base: Base, telemetry: ProcessorTelemetry) -> Arc<dyn Stage> {
        Arc::new(Place::<C>::new(self.config.clone(), base, telemetry))
    }
}

impl<C: Exporter> ExporterSpec for Spec<C> {
    fn check(&self, signals: &[Signal]) -> Vec<Failure> {
        match construct(|| C::new(self.config.clone())) {
            Ok(exporter) => {
                signals.iter().filter_map(|signal| construct(|| exporter.can_send(*signal)).err()).collect()
            }
            Err(failure) => vec![failure],
        }
    }

    fn timeout(&self) -> Period {
        C::TIMEOUT
    }

    fn outlet(
        &self,
        base: Base,
        queue: Arc<Queue>,
        settings: DeliverySettings,
        on_start_error: OnStartError,
    ) -> Arc<dyn ErasedOutlet> {
        Arc::new(Outlet::<C>::new(self.config.clone(), base, queue, settings, on_start_error))
    }
}
