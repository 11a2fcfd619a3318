//! Work that takes a core for a while, such as compressing.

use super::Cx;
use crate::component::Component;

impl<C: Component> Cx<C> {
    /// Runs `work` beside the threads that receive and send, and gives its result: for what keeps a core busy for more than
    /// some hundred microseconds. It costs about ten microseconds, so less is better done in place. It cannot be given up:
    /// a call that nobody waits for any more ends by itself.
    ///
    /// # Panics
    /// When `work` does.
    #[expect(clippy::disallowed_methods, reason = "it computes and ends; what may block for long has `Cx::blocking`")]
    pub async fn offload<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        match tokio::task::spawn_blocking(work).await {
            Ok(done) => done,
            Err(failed) => match failed.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_cancelled) => std::future::pending().await,
            },
        }
    }
}
