//! The handles that were given out, so that asking twice for an id gives the same series.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::spec::MAX_COMPONENTS;

/// Handles of one type by id.
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
