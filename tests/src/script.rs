//! The scripts of this process, by key.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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

/// The scripts of one kind of component.
pub(crate) struct Scripts<T>(Mutex<Option<HashMap<String, Arc<T>>>>);

impl<T> Scripts<T> {
    pub(crate) const fn new() -> Self {
        Scripts(Mutex::new(None))
    }

    /// Keeps a script for the rest of the process, under the key that it holds.
    pub(crate) fn keep(&self, key: &str, script: &Arc<T>) {
        lock(&self.0).get_or_insert_default().insert(key.to_owned(), Arc::clone(script));
    }

    pub(crate) fn find(&self, key: &str) -> Option<Arc<T>> {
        lock(&self.0).as_ref()?.get(key).cloned()
    }
}

/// A key that no other script of this process has.
pub(crate) fn fresh_key(kind: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("{kind}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Scripts panic on purpose: what a panic poisoned is used all the same.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
