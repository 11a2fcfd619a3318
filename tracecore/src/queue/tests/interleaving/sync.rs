//! The checker's lock, with one thing more: another thread may run before it is taken, as the checker has it, and also
//! right after it is let go of. What follows there, a wake-up or a wait, is tokio's, which the checker does not see.
//!
//! Time passes when the checker lets a timer go on, and then as far as that timer.

use std::ops::{Deref, DerefMut};
use std::sync::{LockResult, PoisonError};

use shuttle::sync::atomic::{AtomicBool, Ordering};

use crate::time::{Duration, Instant};

/// How much time has passed, in nanoseconds, over all schedules. The checker runs its threads on one.
static PASSED: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);

thread_local! {
    static BEGIN: Instant = Instant::now();
    static STOPPED: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

pub(in super::super) fn now() -> Instant {
    BEGIN.with(|begin| *begin) + Duration::from_nanos(PASSED.load(Ordering::SeqCst))
}

/// From now on no timer goes on.
pub(in super::super) fn stop_time() {
    STOPPED.set(true);
}

pub(in super::super) fn start_time() {
    STOPPED.set(false);
}

pub(in super::super) async fn sleep_until(due: Instant) {
    if STOPPED.get() {
        std::future::pending::<()>().await;
    }
    shuttle::future::yield_now().await;
    let passed = BEGIN.with(|begin| due.saturating_duration_since(*begin));
    PASSED.fetch_max(passed.as_nanos() as u64, Ordering::SeqCst);
}

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
