//! Serving for a component: as one of its tasks, on a socket that outlives it.
//!
//! Invariants: the socket belongs to the runtime and stays bound while the component is made anew, so that a client
//! waits in the backlog and is never refused; the server ends with the task that it runs in, within the deadline of its
//! stop; a listener that is broken is an error of the component, which is then restarted, and never silence.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use super::{Accept, Exit, HttpService, Limits, Observer, serve};
use crate::time::Instant;

/// The socket of a component cannot accept again.
#[derive(Debug, thiserror::Error)]
#[error("cannot accept connections on {listen} any more")]
pub struct ListenerFailed {
    listen: SocketAddr,
}

/// Serves until `stop` resolves, and then as [`serve`] until the deadline that it gave. Dropping the future, as the end
/// of the component's incarnation does, cuts every connection and leaves the socket as it is.
///
/// # Errors
///
/// [`ListenerFailed`], when the socket is broken. What is cut at the deadline is no error: the observer is told.
pub async fn serve_component<L: Accept, S: HttpService>(
    listener: Arc<L>,
    service: S,
    limits: Limits,
    observer: Arc<dyn Observer>,
    stop: impl Future<Output = Instant> + Send,
) -> Result<(), ListenerFailed> {
    let listen = listener.local_addr();
    match serve(listener, service, limits, observer, stop).await {
        Exit::Shutdown | Exit::Aborted => Ok(()),
        Exit::ListenerError => Err(ListenerFailed { listen }),
    }
}
