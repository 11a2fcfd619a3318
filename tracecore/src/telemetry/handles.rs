//! The handles that have been given out, each id once: two components of one id are one.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::families::MAX_COMPONENTS;

/// The handles of one role.
pub(super) struct Handles<T>(Mutex<BTreeMap<Box<str>, T>>);

impl<T> Default for Handles<T> {
    fn default() -> Self {
        Handles(Mutex::default())
    }
}

impl<T: Clone> Handles<T> {
    pub(super) fn get(&self, id: &str, make: impl FnOnce() -> T) -> T {
        let mut handles = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(handle) = handles.get(id) {
            return handle.clone();
        }
        if handles.len() >= MAX_COMPONENTS {
            tracing::warn!(component = id, max = MAX_COMPONENTS, "too many components for a series each: sharing one");
        }
        let handle = make();
        handles.insert(id.into(), handle.clone());
        handle
    }
}
