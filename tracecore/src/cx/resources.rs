//! What components hold of the things that there is a limited number of: listeners, threads.
//!
//! Invariant: what is taken is counted before its event is told, and what is given back likewise, so that whoever hears
//! the event finds the count. The count does not depend on who listens. It is taken once for a listener or a thread,
//! never for a batch.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;

use super::life::Base;
use crate::events::ResourceEvent;

/// The listeners among the resources.
pub(crate) const LISTENER: &str = "listener";

/// The threads among the resources.
pub(super) const THREAD: &str = "thread";

/// How many of each resource the components of a service have taken and given back. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Resources(Arc<watch::Sender<BTreeMap<&'static str, Balance>>>);

/// Of one resource.
#[derive(Clone, Copy, Debug, Default)]
struct Balance {
    acquired: u64,
    released: u64,
}

impl Resources {
    /// How many of this resource (`listener`, `thread`) were ever taken.
    pub fn acquired(&self, resource: &str) -> u64 {
        self.balance(resource).acquired
    }

    /// How many of this resource are held now.
    pub fn held(&self, resource: &str) -> u64 {
        let Balance { acquired, released } = self.balance(resource);
        acquired - released
    }

    /// Waits until none of this resource is held.
    pub async fn released(&self, resource: &str) {
        let none_held = |balances: &BTreeMap<&'static str, Balance>| {
            balances.get(resource).is_none_or(|balance| balance.acquired == balance.released)
        };
        // The sender is in `self`.
        let _ = self.0.subscribe().wait_for(none_held).await;
    }

    fn balance(&self, resource: &str) -> Balance {
        self.0.borrow().get(resource).copied().unwrap_or_default()
    }

    fn count(&self, resource: &'static str, change: impl FnOnce(&mut Balance)) {
        self.0.send_modify(|balances| change(balances.entry(resource).or_default()));
    }
}

impl Base {
    /// One of a resource is taken.
    pub(crate) fn acquired(&self, resource: &'static str) {
        self.shared.resources.count(resource, |balance| balance.acquired += 1);
        self.tell(|| ResourceEvent::Acquired { resource });
    }

    /// One of a resource is given back.
    pub(crate) fn released(&self, resource: &'static str) {
        self.shared.resources.count(resource, |balance| balance.released += 1);
        self.tell(|| ResourceEvent::Released { resource });
    }
}

/// Something that there is a limited number of, taken; it is given back when this is dropped.
pub(super) struct Held {
    base: Base,
    resource: &'static str,
}

impl Held {
    pub(super) fn take(base: Base, resource: &'static str) -> Self {
        base.acquired(resource);
        Held { base, resource }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.base.released(self.resource);
    }
}
