//! What tests of servers share: a recording observer, a client that speaks raw bytes, and a listener made of memory.

use std::collections::{HashSet, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};

use super::{Accept, Closed, Exit, Finished, Method, Observer};
use crate::surface;

/// What an observer was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Opened,
    Closed(Closed),
    Full,
    AcceptFailed,
    HandlerPanicked,
    /// A request ended: its method, its route, and the status that the client got.
    Request(Method, &'static str, Option<u16>),
    Exited(Exit),
    ScrapePanicked,
    ScrapeLimited,
}

/// Keeps every event, in order, for tests to wait for.
pub(crate) struct Recorder(watch::Sender<Vec<Event>>);

impl Recorder {
    pub(crate) fn new() -> Self {
        Recorder(watch::Sender::new(Vec::new()))
    }

    pub(crate) fn count(&self, event: Event) -> usize {
        self.0.borrow().iter().filter(|e| **e == event).count()
    }

    /// The requests that have ended, in order.
    pub(crate) fn requests(&self) -> Vec<Event> {
        self.0.borrow().iter().filter(|event| matches!(event, Event::Request(..))).copied().collect()
    }

    /// Waits until `event` has happened `times` times.
    pub(crate) async fn wait_for(&self, event: Event, times: usize) {
        let enough = |events: &Vec<Event>| events.iter().filter(|e| **e == event).count() >= times;
        self.0.subscribe().wait_for(enough).await.expect("the recorder lives");
    }

    fn record(&self, event: Event) {
        self.0.send_modify(|events| events.push(event));
    }
}

impl Observer for Recorder {
    fn connection_opened(&self) {
        self.record(Event::Opened);
    }

    fn connection_closed(&self, how: Closed) {
        self.record(Event::Closed(how));
    }

    fn connections_full(&self) {
        self.record(Event::Full);
    }

    fn accept_failed(&self) {
        self.record(Event::AcceptFailed);
    }

    fn handler_panicked(&self) {
        self.record(Event::HandlerPanicked);
    }

    fn request_finished(&self, request: &Finished) {
        let status = request.status.map(|status| status.as_u16());
        self.record(Event::Request(request.method, request.route.0, status));
    }

    fn exited(&self, why: Exit) {
        self.record(Event::Exited(why));
    }
}

impl surface::Observer for Recorder {
    fn scrape_panicked(&self) {
        self.record(Event::ScrapePanicked);
    }

    fn scrape_limited(&self) {
        self.record(Event::ScrapeLimited);
    }
}

/// A client that sends what it is told to.
pub(crate) struct Client {
    stream: TcpStream,
    received: Vec<u8>,
}

/// An answer, taken apart.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Answer {
    /// The value of a header; names are in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let line = self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.map(str::trim)
    }
}

impl Client {
    pub(crate) async fn connect(addr: SocketAddr) -> Self {
        Client { stream: TcpStream::connect(addr).await.unwrap(), received: Vec::new() }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Sends a request without a body, and reads its answer.
    pub(crate) async fn request(&mut self, method: &str, path: &str, headers: &str) -> Answer {
        self.send(format!("{method} {path} HTTP/1.1\r\nhost: x\r\n{headers}\r\n")).await;
        self.answer(method != "HEAD").await
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.request("GET", path, "").await
    }

    /// Reads one answer, with as much of a body as it announces where it has one.
    pub(crate) async fn answer(&mut self, has_body: bool) -> Answer {
        loop {
            let text = String::from_utf8_lossy(&self.received).into_owned();
            if let Some((head, rest)) = text.split_once("\r\n\r\n") {
                let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("a status line");
                let mut answer = Answer { status, head: head.to_owned(), body: String::new() };
                let announced = answer.header("content-length").map_or(0, |n| n.parse().unwrap());
                let length = if has_body { announced } else { 0 };
                if rest.len() >= length {
                    answer.body = rest[..length].to_owned();
                    self.received.drain(..head.len() + 4 + length);
                    return answer;
                }
            }
            assert_ne!(self.read_more().await, 0, "the server closed in the middle of an answer: {text:?}");
        }
    }

    /// Reads until the server closes, and gives back what came.
    pub(crate) async fn until_closed(&mut self) -> Vec<u8> {
        while self.read_more().await > 0 {}
        std::mem::take(&mut self.received)
    }

    /// What came and was not taken as an answer.
    pub(crate) fn received(&self) -> &[u8] {
        &self.received
    }

    /// Whether anything comes within `time`.
    pub(crate) async fn hears(&mut self, time: Duration) -> bool {
        tokio::time::timeout(time, self.read_more()).await.is_ok_and(|read| read > 0)
    }

    /// Waits for `time` and asserts that the server neither sends nor closes.
    pub(crate) async fn hears_nothing_for(&mut self, time: Duration) {
        let read = tokio::time::timeout(time, self.read_more()).await;
        assert!(read.is_err(), "{read:?} bytes came: {:?}", self.received);
    }

    pub(crate) async fn read_more(&mut self) -> usize {
        match self.stream.read_buf(&mut self.received).await {
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => 0,
            read => read.unwrap(),
        }
    }
}

/// A listener whose every accept is scripted.
pub(crate) struct Scripted(Mutex<VecDeque<io::Error>>, tokio::sync::Mutex<mpsc::UnboundedReceiver<DuplexStream>>);

impl Scripted {
    /// Fails with each of `errors`, then accepts what the sender gives.
    pub(crate) fn new(errors: impl IntoIterator<Item = io::Error>) -> (Self, mpsc::UnboundedSender<DuplexStream>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Scripted(Mutex::new(errors.into_iter().collect()), tokio::sync::Mutex::new(receiver)), sender)
    }
}

impl Accept for Scripted {
    type Io = DuplexStream;

    async fn accept(&self) -> io::Result<(DuplexStream, SocketAddr)> {
        let error = self.0.lock().unwrap().pop_front();
        match error {
            Some(error) => Err(error),
            None => match self.1.lock().await.recv().await {
                Some(io) => Ok((io, self.local_addr())),
                None => std::future::pending().await,
            },
        }
    }

    fn local_addr(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 1))
    }
}

/// The sockets of this process, as the kernel names them.
pub(crate) fn open_sockets() -> HashSet<String> {
    let fds = std::fs::read_dir("/proc/self/fd").unwrap();
    let links = fds.filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok()?.into_os_string().into_string().ok());
    links.filter(|link| link.starts_with("socket:")).collect()
}

/// Those of them that have `port` at either end.
pub(crate) fn sockets_of(port: u16) -> HashSet<String> {
    let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
    let port = format!(":{port:04X}");
    let rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let ours = rows.filter(|row| row[1].ends_with(&port) || row[2].ends_with(&port));
    let names: HashSet<String> = ours.map(|row| format!("socket:[{}]", row[9])).collect();
    names.intersection(&open_sockets()).cloned().collect()
}

/// Collects what is logged by this thread while the guard lives.
#[derive(Clone, Default)]
pub(crate) struct Logs(Arc<Mutex<Vec<u8>>>);

impl Logs {
    pub(crate) fn capture() -> (Self, tracing::subscriber::DefaultGuard) {
        // With one dispatcher in the process, whether a line is ever of interest is decided by the thread that comes by it
        // first, which may be another test's. With two, every dispatcher is asked.
        static OTHER: LazyLock<tracing::Dispatch> =
            LazyLock::new(|| tracing::Dispatch::new(tracing_subscriber::registry()));
        LazyLock::force(&OTHER);
        let logs = Logs::default();
        let writer = logs.clone();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        (logs, tracing::subscriber::set_default(subscriber))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Logs {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What tests that speak raw HTTP/2 say and hear: frames (RFC 9113, section 4.1), their types and their flags.
pub(crate) mod frames {
    pub(crate) const DATA: u8 = 0;
    pub(crate) const HEADERS: u8 = 1;
    pub(crate) const RST_STREAM: u8 = 3;
    pub(crate) const SETTINGS: u8 = 4;
    pub(crate) const PING: u8 = 6;
    pub(crate) const GOAWAY: u8 = 7;
    pub(crate) const CONTINUATION: u8 = 9;

    pub(crate) const ACK: u8 = 1;
    pub(crate) const END_STREAM: u8 = 1;
    pub(crate) const END_HEADERS: u8 = 4;

    pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
    }
}
