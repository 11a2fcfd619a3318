//! Work that takes a core for a while, such as compressing.
//!
//! Invariant: so many calls at a time and no more, however many wait: each has a thread, and what it works on is held in
//! memory. What receivers have to do and what the others have are counted apart, so that what comes in cannot hold up
//! what goes out.

use std::num::NonZeroUsize;
use std::sync::Arc;

use tokio::sync::Semaphore;

use super::life::Own;
use super::{Base, Cx};
use crate::component::Component;

/// How many calls run at a time unless `service.workers` says otherwise: as many as there are worker threads by default.
const AT_ONCE: NonZeroUsize = NonZeroUsize::new(4).expect("4 is not zero");

/// Runs work beside the threads that receive and send. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Offload(Arc<Semaphore>);

impl Offload {
    /// Runs `work` when its turn comes, and gives its result: for what keeps a core busy for more than some hundred
    /// microseconds. It costs about ten microseconds, so less is better done in place. Dropping the future gives up its
    /// turn; what runs already cannot be given up, and ends by itself.
    ///
    /// # Panics
    /// When `work` does.
    #[expect(clippy::disallowed_methods, reason = "it computes and ends; what may block for long has `Cx::blocking`")]
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let turn = Arc::clone(&self.0).acquire_owned().await.expect("nobody closes it");
        // The turn lasts until the result is taken, or nobody wants it: results that wait are held in memory too.
        match tokio::task::spawn_blocking(move || (work(), turn)).await {
            Ok((done, _turn)) => done,
            Err(failed) => match failed.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_cancelled) => std::future::pending().await,
            },
        }
    }
}

/// The work of all components of a service.
#[derive(Clone)]
pub(crate) struct Offloads {
    receiving: Offload,
    other: Offload,
}

impl Offloads {
    /// For a service with so many worker threads, if it says how many.
    pub(crate) fn new(workers: Option<NonZeroUsize>) -> Self {
        let new = || Offload(Arc::new(Semaphore::new(workers.unwrap_or(AT_ONCE).get())));
        Offloads { receiving: new(), other: new() }
    }

    fn of(&self, base: &Base) -> &Offload {
        if matches!(base.own, Own::Receiver { .. }) { &self.receiving } else { &self.other }
    }
}

impl<C: Component> Cx<C> {
    /// Where work is done that keeps a core busy.
    pub fn offload(&self) -> &Offload {
        self.base.shared.offloads.of(&self.base)
    }
}
