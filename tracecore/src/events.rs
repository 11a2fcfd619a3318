//! What happens, as it happens.
//!
//! Metrics count and logs tell; events let other code react, and let tests wait for what they expect instead of for
//! time to pass. Emitting with no subscriber costs one load and a branch. A subscription is a guard: dropping it ends
//! it. Deliberately absent here: filters, and events sent through a pipeline.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;

use crate::component::Role;
use crate::config::ComponentId;
use crate::error::ErrorKind;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// Every component has started: the service is ready.
    ServiceReady,
    /// A stop was asked for.
    ServiceStopping,
    /// Everything has stopped.
    ServiceStopped,
    /// A component's `start` returned.
    ComponentStarted {
        /// Which one.
        id: ComponentId,
        /// What it does.
        role: Role,
    },
    /// A component could not start.
    ComponentStartFailed {
        /// Which one.
        id: ComponentId,
        /// What it does.
        role: Role,
        /// Why.
        kind: ErrorKind,
    },
    /// A component ended with a panic or an error and runs again after a back-off.
    ComponentRestarted {
        /// Which one.
        id: ComponentId,
        /// What it does.
        role: Role,
        /// Why.
        kind: ErrorKind,
    },
    /// A component has stopped for good.
    ComponentStopped {
        /// Which one.
        id: ComponentId,
        /// What it does.
        role: Role,
    },
    /// Every branch took a receiver's batch.
    BatchAccepted {
        /// The receiver.
        id: ComponentId,
        /// How many items it had.
        items: u64,
    },
    /// A branch refused a receiver's batch.
    BatchRefused {
        /// The receiver.
        id: ComponentId,
        /// How many items it had.
        items: u64,
        /// Whether sending it again can help.
        retryable: bool,
    },
    /// An exporter delivered a batch.
    ExportSucceeded {
        /// The exporter.
        id: ComponentId,
        /// How many items it had.
        items: u64,
    },
    /// One attempt of an exporter failed.
    ExportFailed {
        /// The exporter.
        id: ComponentId,
        /// Why.
        kind: ErrorKind,
    },
    /// Items are lost, and counted as lost.
    ItemsDropped {
        /// Who dropped them.
        id: ComponentId,
        /// How many.
        items: u64,
        /// Why.
        reason: &'static str,
    },
}

/// The bus. Cheap to clone; each service has its own.
#[derive(Clone, Debug, Default)]
pub struct Events(Arc<Bus>);

#[derive(Debug, Default)]
struct Bus {
    /// The length of `subscribers`, so that an emitter without one takes no lock.
    count: AtomicUsize,
    subscribers: Mutex<Vec<mpsc::UnboundedSender<Event>>>,
}

impl Events {
    /// Tells every subscriber. `event` is called only if there is one.
    pub fn emit(&self, event: impl FnOnce() -> Event) {
        if self.0.count.load(Ordering::Relaxed) == 0 {
            return;
        }
        let event = event();
        let mut subscribers = self.0.subscribers.lock().unwrap_or_else(PoisonError::into_inner);
        subscribers.retain(|subscriber| subscriber.send(event.clone()).is_ok());
        self.0.count.store(subscribers.len(), Ordering::Relaxed);
    }

    /// Every event from now on.
    pub fn subscribe(&self) -> Subscription {
        let (sender, receiver) = mpsc::unbounded_channel();
        let mut subscribers = self.0.subscribers.lock().unwrap_or_else(PoisonError::into_inner);
        subscribers.push(sender);
        self.0.count.store(subscribers.len(), Ordering::Relaxed);
        Subscription { receiver }
    }
}

/// The events since it was made.
#[derive(Debug)]
pub struct Subscription {
    receiver: mpsc::UnboundedReceiver<Event>,
}

impl Subscription {
    /// The next event; `None` once the bus is gone.
    pub async fn next(&mut self) -> Option<Event> {
        self.receiver.recv().await
    }

    /// Waits for the first event that `wanted` accepts; `None` once the bus is gone.
    pub async fn wait_for(&mut self, mut wanted: impl FnMut(&Event) -> bool) -> Option<Event> {
        loop {
            let event = self.next().await?;
            if wanted(&event) {
                return Some(event);
            }
        }
    }
}
