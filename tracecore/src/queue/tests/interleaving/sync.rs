//! The checker's lock, with one thing more: another thread may run before it is taken, as the checker has it, and also
//! right after it is let go of. What follows there, a wake-up or a wait, is tokio's, which the checker does not see.

use std::ops::{Deref, DerefMut};
use std::sync::{LockResult, PoisonError};

use shuttle::sync::atomic::{AtomicBool, Ordering};

#[derive(Debug)]
pub(in super::super) struct Mutex<T>(shuttle::sync::Mutex<T>);

/// `None` while it is dropped.
pub(in super::super) struct MutexGuard<'a, T>(Option<shuttle::sync::MutexGuard<'a, T>>);

impl<T> Mutex<T> {
    pub(in super::super) fn new(value: T) -> Self {
        Mutex(shuttle::sync::Mutex::new(value))
    }

    pub(in super::super) fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        let guard = |guard| MutexGuard(Some(guard));
        self.0.lock().map(guard).map_err(|poisoned| PoisonError::new(guard(poisoned.into_inner())))
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect("it is not dropped")
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_mut().expect("it is not dropped")
    }
}

impl<T> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        self.0 = None;
        // Any access to what threads share lets the checker choose who goes on.
        AtomicBool::new(false).load(Ordering::SeqCst);
    }
}
