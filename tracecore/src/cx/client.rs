//! Asking others over HTTP, for a component.
//!
//! Invariant: the life of every connection, and of the pool that holds them, is told as events of the component.
//! Deliberately absent: spans. What an exporter sends is an attempt, and the attempt has one.

use std::sync::Arc;
use std::time::Duration;

use super::Cx;
use super::life::Base;
use crate::component::Component;
use crate::events::{ConnectionEvent, Draft, Group, PoolEvent};
use crate::net::{Client, ClientSettings, ConnectFailure, PoolHealth, PoolObserver};

/// How a connection of a pool ended: hyper, whose pool it is, does not say.
const CLOSED: &str = "unknown";

impl<C: Component> Cx<C> {
    /// A client with a pool of its own. It connects when it has something to send.
    pub fn client(&self, settings: impl Into<ClientSettings>) -> Client {
        Client::new(settings, Arc::new(PoolEvents(self.base.clone())))
    }
}

/// Tells the life of a pool as events of a component.
struct PoolEvents(Base);

impl PoolEvents {
    fn tell<G: Group>(&self, event: impl FnOnce() -> G, took: Duration) {
        self.0.shared.events.emit(|| Draft::of(&self.0.id, event()).lasting(took));
    }
}

impl PoolObserver for PoolEvents {
    fn pool_created(&self) {
        self.0.tell(|| PoolEvent::Created {});
    }

    fn connection_opened(&self, took: Duration) {
        self.tell(|| ConnectionEvent::Opened {}, took);
    }

    fn connection_failed(&self, why: ConnectFailure, took: Duration) {
        self.tell(|| ConnectionEvent::Failed { error: why.as_str().to_owned() }, took);
    }

    fn connection_closed(&self, lived: Duration) {
        self.tell(|| ConnectionEvent::Closed { reason: CLOSED }, lived);
    }

    fn acquired(&self, took: Duration) {
        self.tell(|| ConnectionEvent::Acquired {}, took);
    }

    fn released(&self, held: Duration) {
        self.tell(|| ConnectionEvent::Released {}, held);
    }

    fn pool_health(&self, health: PoolHealth) {
        let PoolHealth { active, idle } = health;
        self.0.tell(|| PoolEvent::Health { active: active as u64, idle: idle as u64 });
    }
}
