//! The `test_dialer` exporter: posts each batch as OTLP/HTTP over connections that its test makes, of memory.
//!
//! What goes wrong on the way to a backend is a matter of the connection: that there is none, that nothing comes back on
//! it, that it ends in the middle. Sockets cannot be told to do that, and a paused clock does not wait for them.

use std::fmt;
use std::future::pending;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Uri};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracecore::net::{Client, ClientError, ClientLimits, Connect};
use tracecore::prelude::*;
use tracecore::testing::{Scripts, within_ceiling};

/// Bytes that are on their way on a connection; what a kernel takes before anybody reads.
const IN_FLIGHT: usize = 64 * 1024;

/// The end of a request's head.
const HEAD_END: &[u8] = b"\r\n\r\n";

static SCRIPTS: Scripts<Script> = Scripts::new();

/// Posts each batch over connections that its test makes.
#[exporter("test_dialer", signals = [Metrics], config = Config, error = Error)]
struct TestDialer {
    client: Client,
}

/// Settings of the `test_dialer` exporter.
#[config]
struct Config {
    /// Which script it follows.
    key: String,
}

/// What can go wrong.
#[derive(Debug, thiserror::Error, Classify)]
enum Error {
    /// The key is nobody's.
    #[error("there is no script `{0}`")]
    #[kind(Init)]
    NoScript(String),
    /// There is no answer.
    #[error(transparent)]
    #[kind(Connect)]
    Call(ClientError),
}

/// How the next connections turn out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// The backend takes what is sent, and says so.
    Open,
    /// The name has no address.
    Unresolved,
    /// Nobody listens.
    Refused,
    /// Packets are lost on the way: there is no answer to an attempt to connect.
    Lost,
    /// The backend accepts the connection and what is sent, and never answers.
    Silent,
    /// The other side is gone without a word, and nothing that is sent is read.
    HalfOpen,
    /// The connection is reset after the head of a request.
    ResetInRequest,
    /// The backend has taken the request; the connection is reset in the middle of the answer.
    ResetInAnswer,
}

struct Script {
    path: Mutex<Path>,
    dialled: mpsc::UnboundedSender<Path>,
    taken: Mutex<Vec<Batch>>,
    /// The backend's ends of the connections.
    peers: Mutex<JoinSet<()>>,
    /// Held by each of the client's ends.
    open: Arc<()>,
}

/// The far end of a `test_dialer`. Its text is the key for the YAML.
pub struct Wire {
    key: String,
    script: Arc<Script>,
    dialled: mpsc::UnboundedReceiver<Path>,
}

impl Default for Wire {
    fn default() -> Self {
        let (sender, dialled) = mpsc::unbounded_channel();
        let script = Arc::new(Script {
            path: Mutex::new(Path::Open),
            dialled: sender,
            taken: Mutex::default(),
            peers: Mutex::default(),
            open: Arc::default(),
        });
        Wire { key: SCRIPTS.keep("wire", &script), script, dialled }
    }
}

impl Wire {
    /// A way to a backend that is open.
    pub fn new() -> Self {
        Wire::default()
    }

    /// What the way is like from now on, for connections that there are too.
    pub fn turn(&self, path: Path) {
        *lock(&self.script.path) = path;
    }

    /// Waits for the next attempt to connect. Every attempt is told once, those of the past first.
    ///
    /// # Panics
    /// When none comes.
    pub async fn dialled(&mut self) -> Path {
        within_ceiling(self.dialled.recv()).await.expect("the script holds the other end")
    }

    /// How many connections the exporter has.
    pub fn connections(&self) -> usize {
        Arc::strong_count(&self.script.open) - 1
    }

    /// Every batch that the backend took, twice if it was sent twice.
    pub fn taken(&self) -> Vec<Batch> {
        lock(&self.script.taken).clone()
    }
}

/// The key, as it stands in a configuration.
impl fmt::Display for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)
    }
}

impl Exporter for TestDialer {
    fn new(config: Config) -> Result<Self, Error> {
        let script = SCRIPTS.find(&config.key).ok_or(Error::NoScript(config.key))?;
        let client = Client::over(Dial(script), ClientLimits::default(), Arc::new(()));
        Ok(TestDialer { client })
    }

    async fn export(&self, batch: &Batch, _: &Cx<Self>) -> Result<(), Error> {
        let request = Request::post(Uri::from_static("http://backend:4318/v1/metrics"));
        let request = request.body(Bytes::from(batch.parts().concat())).expect("all of it is constant");
        self.client.send(request).await.map_err(Error::Call)?;
        Ok(())
    }
}

struct Dial(Arc<Script>);

impl Connect for Dial {
    type Io = Line;

    async fn connect(&self, _: Uri) -> io::Result<Line> {
        let path = *lock(&self.0.path);
        // The test may have gone.
        let _ = self.0.dialled.send(path);
        match path {
            Path::Unresolved => return Err(io::Error::other("failed to look up address information")),
            Path::Refused => return Err(io::ErrorKind::ConnectionRefused.into()),
            Path::Lost => pending().await,
            _ => {}
        }
        let (ours, theirs) = tokio::io::duplex(IN_FLIGHT);
        let is_reset = Arc::<AtomicBool>::default();
        let peer = Peer { script: Arc::clone(&self.0), io: theirs, is_reset: Arc::clone(&is_reset) };
        lock(&self.0.peers).spawn(peer.serve());
        Ok(Line { io: ours, is_reset, _open: Arc::clone(&self.0.open) })
    }
}

/// The backend's end of a connection.
struct Peer {
    script: Arc<Script>,
    io: DuplexStream,
    is_reset: Arc<AtomicBool>,
}

impl Peer {
    /// Until the client closes the connection, or this end does.
    async fn serve(mut self) {
        let mut received = Vec::new();
        while self.io.read_buf(&mut received).await.is_ok_and(|read| read > 0) {
            let path = *lock(&self.script.path);
            match path {
                Path::Unresolved | Path::Refused | Path::ResetInRequest => return self.reset(),
                // Whoever is gone reads nothing and closes nothing: the client does, in the end.
                Path::Lost | Path::HalfOpen => pending().await,
                Path::Open | Path::Silent | Path::ResetInAnswer => {}
            }
            let Some(body) = whole(&received) else { continue };
            if path != Path::Silent {
                let batch = Batch::validate(Signal::Metrics, Bytes::copy_from_slice(body)).expect("it was valid");
                lock(&self.script.taken).push(batch);
            }
            received.clear();
            let answer: &[u8] = match path {
                Path::Silent => continue,
                Path::ResetInAnswer => b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf",
                _ => b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            };
            if self.io.write_all(answer).await.is_err() {
                return;
            }
            if path == Path::ResetInAnswer {
                return self.reset();
            }
        }
    }

    fn reset(self) {
        self.is_reset.store(true, Ordering::Release);
    }
}

/// The body of the request that these bytes are, if they are all of one.
fn whole(received: &[u8]) -> Option<&[u8]> {
    let head = received.windows(HEAD_END.len()).position(|window| window == HEAD_END)?;
    let text = str::from_utf8(&received[..head]).expect("the client writes ASCII").to_ascii_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("the client says how long");
    let body = &received[head + HEAD_END.len()..];
    (length.parse() == Ok(body.len())).then_some(body)
}

/// The client's end of a connection: where the other side has reset it, it says so.
struct Line {
    io: DuplexStream,
    is_reset: Arc<AtomicBool>,
    _open: Arc<()>,
}

impl AsyncRead for Line {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        let is_over = buf.filled().len() == before && self.is_reset.load(Ordering::Acquire);
        Poll::Ready(if is_over { Err(io::ErrorKind::ConnectionReset.into()) } else { Ok(()) })
    }
}

impl AsyncWrite for Line {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
