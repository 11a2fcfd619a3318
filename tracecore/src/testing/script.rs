//! How a component of a test finds what its test wants of it.
//!
//! A configuration is data and cannot hold a closure. So a test keeps a script under a key, writes the key into its
//! YAML, and the component looks it up.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::Semaphore;

use super::ceiling::within_ceiling;

/// What a component does when it is started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// Starts at once.
    #[default]
    Ready,
    /// Returns an error.
    Fail,
    /// Never returns.
    Hang,
    /// Panics.
    Panic,
    /// Starts, and says that it is degraded. Only a receiver can be.
    Degraded,
}

/// The scripts of one kind of component, by key. For who writes a component for tests of their own.
///
/// ```
/// use std::sync::Arc;
///
/// use tracecore::testing::Scripts;
///
/// static ANSWERS: Scripts<u32> = Scripts::new();
///
/// let key = ANSWERS.keep("answer", &Arc::new(42));
/// assert_eq!(ANSWERS.find(&key).as_deref(), Some(&42));
/// assert_ne!(ANSWERS.keep("answer", &Arc::new(42)), key, "each has a key of its own");
/// ```
pub struct Scripts<T>(Mutex<Option<HashMap<String, Arc<T>>>>);

impl<T> Scripts<T> {
    /// None.
    pub const fn new() -> Self {
        Scripts(Mutex::new(None))
    }

    /// Keeps a script for the rest of the process; the key that it is found by, which no other of this process has.
    pub fn keep(&self, kind: &str, script: &Arc<T>) -> String {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let key = format!("{kind}-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        lock(&self.0).get_or_insert_default().insert(key.clone(), Arc::clone(script));
        key
    }

    /// The script of this key.
    pub fn find(&self, key: &str) -> Option<Arc<T>> {
        lock(&self.0).as_ref()?.get(key).cloned()
    }
}

impl<T> Default for Scripts<T> {
    fn default() -> Self {
        Scripts::new()
    }
}

/// What a component does when it is started, and each start as an event.
pub(super) struct Starts {
    next: Mutex<Start>,
    begun: Semaphore,
}

impl Default for Starts {
    fn default() -> Self {
        Starts { next: Mutex::default(), begun: Semaphore::new(0) }
    }
}

impl Starts {
    pub(super) fn set(&self, start: Start) {
        *lock(&self.next) = start;
    }

    /// The component's side: its `start` is called.
    pub(super) fn begin(&self) -> Start {
        self.begun.add_permits(1);
        *lock(&self.next)
    }

    /// The test's side: waits for one call.
    pub(super) async fn begins(&self) {
        within_ceiling(self.begun.acquire()).await.expect("it is never closed").forget();
    }
}

/// The settings of a component that follows a script.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    /// Which script it follows.
    pub(super) key: String,
}

/// Scripts panic on purpose: what a panic poisoned is used all the same.
pub(super) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
