//! An OTLP/HTTP server that answers as its test wants, well or badly, and keeps what it was sent.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tracecore::otlp::compression::{Encoding, decompress};
use tracecore::otlp::{Format, json};
use tracecore::signal::{Batch, Signal};
use tracecore::testing::within_ceiling;

use crate::accept::{Io, accept, listener};

/// The most bytes of a body.
const MAX_BODY: usize = 64 << 20;

/// The end of a head.
const HEAD_END: &[u8] = b"\r\n\r\n";

/// What is done with a request.
#[derive(Clone, Debug)]
pub enum HttpAnswer {
    /// An answer, which can be changed: [`HttpAnswer::header`], [`HttpAnswer::body`], [`HttpAnswer::closing`].
    Whole {
        /// Its status.
        status: StatusCode,
        /// Its headers, beside the length of the body.
        headers: Vec<(&'static str, String)>,
        /// Its body.
        body: Bytes,
        /// Whether the connection is closed behind it, without a word.
        closes: bool,
    },
    /// These bytes, and the end of the connection.
    Raw(Vec<u8>),
    /// A body that does not end.
    Endless,
    /// The end of the connection.
    Breaks,
    /// Nothing, for ever.
    Never,
}

impl HttpAnswer {
    /// It is taken.
    pub fn ok() -> Self {
        HttpAnswer::of(200)
    }

    /// An answer of this status, with nothing else.
    ///
    /// # Panics
    /// When it is no status.
    pub fn of(status: u16) -> Self {
        let status = StatusCode::from_u16(status).expect("a status");
        HttpAnswer::Whole { status, headers: Vec::new(), body: Bytes::new(), closes: false }
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        if let HttpAnswer::Whole { headers, .. } = &mut self {
            headers.push((name, value.into()));
        }
        self
    }

    /// With a body of this type.
    #[must_use]
    pub fn body(mut self, content_type: &'static str, bytes: impl Into<Bytes>) -> Self {
        if let HttpAnswer::Whole { body, .. } = &mut self {
            *body = bytes.into();
        }
        self.header("content-type", content_type)
    }

    /// And the connection is closed behind it, without a word.
    #[must_use]
    pub fn closing(mut self) -> Self {
        if let HttpAnswer::Whole { closes, .. } = &mut self {
            *closes = true;
        }
        self
    }
}

/// A request that came.
#[derive(Debug)]
pub struct HttpCall {
    /// Its method and its target.
    pub line: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Bytes of its body, as it came.
    pub size: usize,
    /// Its body, decompressed.
    pub body: Bytes,
    /// Which connection it came over, from 0.
    pub connection: usize,
}

impl HttpCall {
    /// What it carries.
    ///
    /// # Panics
    /// When it is not OTLP.
    pub fn batch(&self, signal: Signal) -> Batch {
        let format = self.headers.get(CONTENT_TYPE).and_then(|value| Format::from_content_type(value.to_str().ok()?));
        match format.expect("a content type of OTLP") {
            Format::Protobuf => Batch::validate(signal, self.body.clone()).expect("it is OTLP"),
            Format::Json => json::decode(signal, &self.body).expect("it is OTLP"),
        }
    }
}

type Answers = Box<dyn FnMut(&HttpCall) -> HttpAnswer + Send>;

/// The server. It ends when it is dropped, with all its connections.
pub struct HttpServer {
    address: SocketAddr,
    calls: mpsc::UnboundedReceiver<HttpCall>,
    closed: mpsc::UnboundedReceiver<usize>,
    tasks: JoinSet<()>,
}

#[derive(Clone)]
struct Behaviour {
    answers: Arc<Mutex<Answers>>,
    calls: mpsc::UnboundedSender<HttpCall>,
    closed: mpsc::UnboundedSender<usize>,
}

impl HttpServer {
    /// One that takes everything.
    pub async fn start() -> Self {
        HttpServer::answering(|_| HttpAnswer::ok()).await
    }

    /// One that answers as `answers` says.
    pub async fn answering(answers: impl FnMut(&HttpCall) -> HttpAnswer + Send + 'static) -> Self {
        HttpServer::serve(listener("127.0.0.1:0").await, None, answers)
    }

    /// One that speaks TLS.
    pub async fn secured(acceptor: TlsAcceptor) -> Self {
        HttpServer::serve(listener("127.0.0.1:0").await, Some(acceptor), |_| HttpAnswer::ok())
    }

    /// One with a listener of its own.
    ///
    /// # Panics
    /// When the listener has none.
    pub fn serve(
        listener: TcpListener,
        tls: Option<TlsAcceptor>,
        answers: impl FnMut(&HttpCall) -> HttpAnswer + Send + 'static,
    ) -> Self {
        let address = listener.local_addr().expect("it listens");
        let ((calls, received), (closed, ended)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
        let behaviour = Behaviour { answers: Arc::new(Mutex::new(Box::new(answers))), calls, closed };
        let tasks = accept(listener, tls, move |io, number| {
            let behaviour = behaviour.clone();
            async move {
                // The other side may go away at any time.
                let _ = converse(io, &behaviour, number).await;
                let _ = behaviour.closed.send(number);
            }
        });
        HttpServer { address, calls: received, closed: ended, tasks }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next request.
    ///
    /// # Panics
    /// When none comes.
    pub async fn call(&mut self) -> HttpCall {
        within_ceiling(self.calls.recv()).await.expect("the server holds the other end")
    }

    /// The requests that came and were not looked at.
    pub fn more(&mut self) -> Vec<HttpCall> {
        std::iter::from_fn(|| self.calls.try_recv().ok()).collect()
    }

    /// Ends it, and waits until its port is free.
    pub async fn end(mut self) {
        self.tasks.shutdown().await;
    }

    /// The number of the next connection that ended, by whomever.
    ///
    /// # Panics
    /// When none does.
    pub async fn closed(&mut self) -> usize {
        within_ceiling(self.closed.recv()).await.expect("the server holds the other end")
    }
}

async fn converse(mut io: Box<dyn Io>, behaviour: &Behaviour, number: usize) -> io::Result<()> {
    let mut received = Vec::new();
    while let Some(call) = read(&mut io, &mut received, number).await? {
        let answer = (behaviour.answers.lock().unwrap_or_else(PoisonError::into_inner))(&call);
        // The test may have gone.
        let _ = behaviour.calls.send(call);
        match answer {
            HttpAnswer::Whole { status, headers, body, closes } => {
                let mut head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n", body.len());
                headers.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
                io.write_all(&[head.as_bytes(), b"\r\n", &body].concat()).await?;
                io.flush().await?;
                if closes {
                    return Ok(());
                }
            }
            HttpAnswer::Raw(bytes) => {
                io.write_all(&bytes).await?;
                return io.flush().await;
            }
            HttpAnswer::Endless => {
                io.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await?;
                loop {
                    io.write_all(&[b"10000\r\n".as_slice(), &[b'x'; 0x10000], b"\r\n"].concat()).await?;
                }
            }
            HttpAnswer::Breaks => return Ok(()),
            HttpAnswer::Never => std::future::pending().await,
        }
    }
    Ok(())
}

/// The next request of a connection; `None` where it ends.
async fn read(io: &mut Box<dyn Io>, received: &mut Vec<u8>, connection: usize) -> io::Result<Option<HttpCall>> {
    let end = loop {
        if received.first().is_some_and(|first| !first.is_ascii_uppercase()) {
            io.write_all(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n").await?;
            return Ok(None);
        }
        if let Some(end) = received.windows(HEAD_END.len()).position(|window| window == HEAD_END) {
            break end;
        }
        if io.read_buf(received).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8(received.drain(..end + HEAD_END.len()).collect()).expect("the client writes ASCII");
    let (line, rest) = head.split_once("\r\n").expect("a request has a line");
    let headers: HeaderMap = rest.lines().filter_map(|line| line.split_once(": ")).map(header).collect();
    let number = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    let size = number.expect("the client says how long it is");
    while received.len() < size {
        if io.read_buf(received).await? == 0 {
            return Ok(None);
        }
    }
    let body: Bytes = received.drain(..size).collect();
    let encoding = headers.get(CONTENT_ENCODING).map_or(Encoding::Identity, |encoding| {
        Encoding::from_token(encoding.to_str().expect("a token")).expect("a known encoding")
    });
    let body = decompress(encoding, &body, MAX_BODY).expect("it is whole");
    Ok(Some(HttpCall { line: line.to_owned(), headers, size, body, connection }))
}

fn header((name, value): (&str, &str)) -> (HeaderName, HeaderValue) {
    (name.parse().expect("a name"), value.parse().expect("a value"))
}
