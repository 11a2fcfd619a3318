//! The accept loop, and a handle on one that runs in a task.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep_until, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug, error, info, warn};

use super::handler::{HttpService, panic_message};
use super::{Accept, Closed, Exit, Limits, Observer, connection};
use crate::time::Instant;

/// The first pause after a failed accept. Doubles up to [`MAX_BACKOFF`].
const MIN_BACKOFF: Duration = Duration::from_millis(10);

/// The longest pause between two accepts that fail: descriptors that come free are used within a second.
const MAX_BACKOFF: Duration = Duration::from_secs(1);

/// How long an aborted task is waited for. An abort takes effect at the task's next await, at once unless a handler
/// blocks its thread, and that must not hold up the end of the process.
const ABORT_GRACE: Duration = Duration::from_millis(100);

/// Accepts and serves until `stop` resolves, then lets requests in flight finish until the deadline that `stop` gave.
/// Idle connections are closed at once; what is still open at the deadline is cut, and a deadline in the past cuts
/// at once. Returns within a moment of the deadline whatever the handlers do.
///
/// Dropping the future cuts every connection. A failure to accept is retried with a growing pause; only a listener
/// that can never accept again ends the loop.
pub async fn serve<L, S>(
    listener: L,
    service: S,
    limits: Limits,
    observer: Arc<dyn Observer>,
    stop: impl Future<Output = Instant> + Send,
) -> Exit
where
    L: Accept,
    S: HttpService,
{
    let mut report = ExitReport { observer: Arc::clone(&observer), exit: Exit::Aborted };
    let mut connections = Connections::new(service, limits, observer);
    let accepted = connections.accept_until(stop, &listener).await;
    let listen = listener.local_addr();
    drop(listener);
    report.exit = match accepted {
        Ok(deadline) => connections.drain(deadline).await,
        Err(error) => {
            error!(%listen, %error, "serve exited with error");
            Exit::ListenerError
        }
    };
    report.exit
}

/// A [`serve`] in a task of its own. Dropping it cuts every connection.
#[derive(Debug)]
pub struct Server {
    local_addr: SocketAddr,
    stop: Option<oneshot::Sender<Instant>>,
    task: JoinSet<Exit>,
    exit: Option<Exit>,
}

impl Server {
    /// Starts to serve. Logs carry the span that is current here.
    pub fn start<L: Accept, S: HttpService>(
        listener: L,
        service: S,
        limits: Limits,
        observer: Arc<dyn Observer>,
    ) -> Self {
        let local_addr = listener.local_addr();
        let (stop, stopped) = oneshot::channel();
        // A sender that is gone without a word means that this handle was dropped: there is nothing to wait for.
        let stopped = async { stopped.await.unwrap_or_else(|_| Instant::now()) };
        let mut task = JoinSet::new();
        task.spawn(serve(listener, service, limits, observer, stopped).in_current_span());
        Server { local_addr, stop: Some(stop), task, exit: None }
    }

    /// The address listened on.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Waits until the server ends by itself, which only a broken listener makes it do. Dropping the future is safe.
    pub async fn exited(&mut self) -> Exit {
        if let Some(exit) = self.exit {
            return exit;
        }
        let ended = self.task.join_next().await.and_then(Result::ok);
        *self.exit.insert(ended.unwrap_or(Exit::Aborted))
    }

    /// Stops as [`serve`] describes, and says how it ended. Once ended, the same answer again.
    pub async fn shutdown(&mut self, deadline: Instant) -> Exit {
        if let Some(stop) = self.stop.take() {
            // Sending fails when the server ended by itself; its answer is waiting.
            let _ = stop.send(deadline);
        }
        // `serve` keeps its deadline unless a handler blocks the thread that it needs.
        match timeout_at(deadline.max(Instant::now()) + 2 * ABORT_GRACE, self.exited()).await {
            Ok(exit) => exit,
            Err(_elapsed) => {
                self.task.abort_all();
                *self.exit.insert(Exit::Aborted)
            }
        }
    }
}

/// Says how the server ended, also when it is dropped.
struct ExitReport {
    observer: Arc<dyn Observer>,
    exit: Exit,
}

impl Drop for ExitReport {
    fn drop(&mut self) {
        self.observer.exited(self.exit);
    }
}

/// The open connections, each a task.
struct Connections<S> {
    tasks: JoinSet<()>,
    /// The limit was reached, and not half of the connections have ended since: one message tells of all that.
    full: bool,
    stopping: CancellationToken,
    service: S,
    limits: Limits,
    observer: Arc<dyn Observer>,
}

impl<S: HttpService> Connections<S> {
    fn new(service: S, limits: Limits, observer: Arc<dyn Observer>) -> Self {
        Connections {
            tasks: JoinSet::new(),
            full: false,
            stopping: CancellationToken::new(),
            service,
            limits,
            observer,
        }
    }

    /// Accepts until `stop` resolves, and gives its deadline; an error is one that no retry cures.
    async fn accept_until<L: Accept>(
        &mut self,
        stop: impl Future<Output = Instant> + Send,
        listener: &L,
    ) -> io::Result<Instant> {
        let mut stop = pin!(stop);
        let mut accepting = Accepting::default();
        loop {
            tokio::select! {
                biased;
                deadline = &mut stop => return Ok(deadline),
                Some(ended) = self.tasks.join_next() => self.ended(ended),
                accepted = accepting.next(listener), if self.have_room() => match accepted {
                    Ok((io, peer)) => {
                        accepting.succeeded();
                        self.open(io, peer);
                    }
                    Err(error) if is_final(&error) => return Err(error),
                    Err(error) => {
                        self.observer.accept_failed();
                        accepting.failed(&error, listener.local_addr());
                    }
                },
            }
        }
    }

    fn have_room(&self) -> bool {
        self.tasks.len() < self.limits.connections.get()
    }

    fn open<Io>(&mut self, io: Io, peer: SocketAddr)
    where
        Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let open = Open::new(Arc::clone(&self.observer), peer);
        let observer = Arc::clone(&self.observer);
        let served = connection::run(io, peer, self.service.clone(), self.limits, observer, self.stopping.clone());
        self.tasks.spawn(async move { open.closes(served.await) }.in_current_span());
        if !self.have_room() && !self.full {
            self.full = true;
            self.observer.connections_full();
            warn!(limit = self.limits.connections, "connection limit reached: further clients wait");
        }
    }

    fn ended(&mut self, ended: Result<(), JoinError>) {
        if self.tasks.len() <= self.limits.connections.get() / 2 {
            self.full = false;
        }
        if let Some(panic) = ended.err().and_then(|error| error.try_into_panic().ok()) {
            self.observer.handler_panicked();
            error!(panic = panic_message(&*panic), "body of an answer panicked");
        }
    }

    async fn drain(&mut self, deadline: Instant) -> Exit {
        self.stopping.cancel();
        if timeout_at(deadline, self.all_ended()).await.is_ok() {
            return Exit::Shutdown;
        }
        warn!(open = self.tasks.len(), "connections still open at the shutdown deadline: cutting them");
        self.cut().await;
        Exit::Aborted
    }

    async fn cut(&mut self) {
        self.tasks.abort_all();
        if timeout(ABORT_GRACE, self.all_ended()).await.is_err() {
            warn!(open = self.tasks.len(), "request handlers block their threads: leaving them behind");
            self.tasks.detach_all();
        }
    }

    async fn all_ended(&mut self) {
        while let Some(ended) = self.tasks.join_next().await {
            self.ended(ended);
        }
    }
}

/// One open connection: counted as closed however its task ends.
struct Open {
    observer: Arc<dyn Observer>,
    peer: SocketAddr,
    closed: Closed,
}

impl Open {
    fn new(observer: Arc<dyn Observer>, peer: SocketAddr) -> Self {
        observer.connection_opened();
        Open { observer, peer, closed: Closed::Cut }
    }

    fn closes(mut self, how: Closed) {
        self.closed = how;
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.observer.connection_closed(self.closed);
        debug!(peer = %self.peer, how = self.closed.as_str(), "connection closed");
    }
}

/// When to accept next, after failures.
#[derive(Default)]
struct Accepting {
    /// The failures in a row.
    failures: u32,
    not_before: Option<Instant>,
}

impl Accepting {
    async fn next<L: Accept>(&self, listener: &L) -> io::Result<(L::Io, SocketAddr)> {
        if let Some(not_before) = self.not_before {
            sleep_until(not_before).await;
        }
        listener.accept().await
    }

    fn failed(&mut self, error: &io::Error, listen: SocketAddr) {
        if is_of_one_connection(error) {
            return;
        }
        if self.failures == 0 {
            warn!(%listen, %error, "cannot accept connections: trying again");
        }
        let pause = MIN_BACKOFF.saturating_mul(1 << self.failures.min(16)).min(MAX_BACKOFF);
        self.failures = self.failures.saturating_add(1);
        self.not_before = Some(Instant::now() + pause);
    }

    fn succeeded(&mut self) {
        if self.failures > 0 {
            info!(failures = self.failures, "accepting connections again");
            *self = Accepting::default();
        }
    }
}

/// The connection went away before it was accepted: the next one may be fine.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// The socket does not listen (`EINVAL`), or its kind never accepts (`EOPNOTSUPP`). Everything else passes: descriptors
/// and memory come free, networks come back.
fn is_final(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported)
}
