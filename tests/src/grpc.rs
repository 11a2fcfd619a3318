//! A gRPC server that answers as its test wants, well or badly, and keeps what it was sent.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use h2::server::{Connection, SendResponse};
use h2::{Reason, RecvStream};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tracecore::otlp::Format;
use tracecore::otlp::compression::{Encoding, decompress};
use tracecore::otlp::grpc::{Code, Prefix};
use tracecore::otlp::response::{self, PartialSuccess};
use tracecore::otlp::signal_of_grpc_path;
use tracecore::otlp::status::Status;
use tracecore::signal::Batch;
use tracecore::testing::within_ceiling;

use crate::accept::{Io, accept, listener};

/// The most bytes of a message.
const MAX_MESSAGE: usize = 64 << 20;

/// What is done with a call.
#[derive(Clone, Debug)]
pub enum GrpcAnswer {
    /// It succeeds.
    Ok,
    /// It succeeds for a part.
    Partial(PartialSuccess),
    /// It fails, in trailers that come alone; with the details of the status if it has a delay.
    Fails(Status),
    /// It fails behind a message.
    FailsLate(Code),
    /// It ends without saying how.
    Unsaid,
    /// Something that is not gRPC answers.
    Http(StatusCode),
    /// The call is reset.
    Reset(Reason),
    /// The server goes away, and does not say whether it has looked at this call.
    GoesAway,
    /// It succeeds, and the server winds the connection up: calls that are under way end, and no new one may begin.
    Last,
    /// The connection breaks.
    Breaks,
    /// A body that does not end.
    Endless,
    /// Headers of this many bytes.
    Headers(usize),
    /// Nothing, for ever.
    Never,
}

/// A call that came.
#[derive(Debug)]
pub struct GrpcCall {
    /// Its headers.
    pub headers: HeaderMap,
    /// Its method.
    pub path: String,
    /// The name of the server that it asked for.
    pub authority: String,
    /// Bytes of its message, as it came.
    pub size: usize,
    /// Its message.
    pub batch: Batch,
    /// Which connection it came over, from 0.
    pub connection: usize,
}

type Answers = Box<dyn FnMut(&GrpcCall) -> GrpcAnswer + Send>;

/// The server. It ends when it is dropped, with all its connections.
pub struct GrpcServer {
    address: SocketAddr,
    calls: mpsc::UnboundedReceiver<GrpcCall>,
    tasks: JoinSet<()>,
}

#[derive(Clone)]
struct Behaviour {
    answers: Arc<Mutex<Answers>>,
    calls: mpsc::UnboundedSender<GrpcCall>,
}

impl GrpcServer {
    /// One that takes everything.
    pub async fn start() -> Self {
        GrpcServer::answering(|_| GrpcAnswer::Ok).await
    }

    /// One that answers as `answers` says.
    pub async fn answering(answers: impl FnMut(&GrpcCall) -> GrpcAnswer + Send + 'static) -> Self {
        GrpcServer::serve(listener("127.0.0.1:0").await, None, answers)
    }

    /// One that speaks TLS.
    pub async fn secured(acceptor: TlsAcceptor) -> Self {
        GrpcServer::serve(listener("127.0.0.1:0").await, Some(acceptor), |_| GrpcAnswer::Ok)
    }

    /// One at the address of another that has ended.
    pub async fn again(address: SocketAddr) -> Self {
        GrpcServer::serve(listener(&address.to_string()).await, None, |_| GrpcAnswer::Ok)
    }

    /// One with a listener of its own.
    ///
    /// # Panics
    /// When the listener has none.
    pub fn serve(
        listener: TcpListener,
        tls: Option<TlsAcceptor>,
        answers: impl FnMut(&GrpcCall) -> GrpcAnswer + Send + 'static,
    ) -> Self {
        let address = listener.local_addr().expect("it listens");
        let (sender, calls) = mpsc::unbounded_channel();
        let behaviour = Behaviour { answers: Arc::new(Mutex::new(Box::new(answers))), calls: sender };
        let tasks = accept(listener, tls, move |io, number| {
            let behaviour = behaviour.clone();
            async move {
                // The other side may go away at any time.
                let _ = converse(io, behaviour, number).await;
            }
        });
        GrpcServer { address, calls, tasks }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next call.
    ///
    /// # Panics
    /// When none comes.
    pub async fn call(&mut self) -> GrpcCall {
        within_ceiling(self.calls.recv()).await.expect("the server holds the other end")
    }

    /// Ends it, and waits until its port is free.
    pub async fn end(mut self) {
        self.tasks.shutdown().await;
    }

    /// The calls that came and were not looked at.
    pub fn more(&mut self) -> Vec<GrpcCall> {
        std::iter::from_fn(|| self.calls.try_recv().ok()).collect()
    }
}

async fn converse(io: Box<dyn Io>, behaviour: Behaviour, number: usize) -> Result<(), h2::Error> {
    let mut builder = h2::server::Builder::new();
    builder.initial_window_size(1 << 20).initial_connection_window_size(4 << 20).max_frame_size(1 << 20);
    let mut connection: Connection<_, Bytes> = builder.handshake(io).await?;
    let (mut streams, (ends, mut end)) = (JoinSet::new(), mpsc::unbounded_channel());
    loop {
        let accepted = tokio::select! {
            accepted = connection.accept() => accepted,
            Some(end) = end.recv() => match end {
                End::WindsUp => {
                    connection.graceful_shutdown();
                    continue;
                }
                End::GoesAway => {
                    connection.abrupt_shutdown(Reason::NO_ERROR);
                    continue;
                }
                End::Breaks => return Ok(()),
            },
        };
        let Some((request, respond)) = accepted.transpose()? else { return Ok(()) };
        streams.spawn(answer(request, respond, behaviour.clone(), number, ends.clone()));
    }
}

/// How a connection is ended.
enum End {
    WindsUp,
    GoesAway,
    Breaks,
}

async fn answer(
    request: Request<RecvStream>,
    respond: SendResponse<Bytes>,
    behaviour: Behaviour,
    connection: usize,
    ends: mpsc::UnboundedSender<End>,
) {
    let Ok(call) = read(request, connection).await else { return };
    let answer = (behaviour.answers.lock().unwrap_or_else(PoisonError::into_inner))(&call);
    let signal = signal_of_grpc_path(&call.path).expect("it was looked at before");
    // The test may have gone.
    let _ = behaviour.calls.send(call);
    match answer {
        GrpcAnswer::Breaks => drop(ends.send(End::Breaks)),
        GrpcAnswer::GoesAway => drop(ends.send(End::GoesAway)),
        GrpcAnswer::Never => std::future::pending().await,
        GrpcAnswer::Ok => drop(succeed(respond, &response::encode(signal, Format::Protobuf, None)).await),
        GrpcAnswer::Last => {
            drop(ends.send(End::WindsUp));
            drop(succeed(respond, &response::encode(signal, Format::Protobuf, None)).await);
        }
        GrpcAnswer::Partial(partial) => {
            drop(succeed(respond, &response::encode(signal, Format::Protobuf, Some(&partial))).await);
        }
        other => drop(fail(respond, other).await),
    }
}

async fn read(request: Request<RecvStream>, connection: usize) -> io::Result<GrpcCall> {
    let (head, mut body) = request.into_parts();
    let mut received = BytesMut::new();
    while let Some(data) = body.data().await {
        let data = data.map_err(io::Error::other)?;
        body.flow_control().release_capacity(data.len()).map_err(io::Error::other)?;
        received.extend_from_slice(&data);
    }
    let received = received.freeze();
    let (prefix, message) = received.split_first_chunk().expect("a message has a prefix");
    let prefix = Prefix::parse(*prefix).expect("the prefix is one");
    assert_eq!(prefix.length as usize, message.len(), "one message, and nothing behind it");
    let encoding = match head.headers.get("grpc-encoding").filter(|_| prefix.compressed) {
        None => Encoding::Identity,
        Some(encoding) => Encoding::from_token(encoding.to_str().expect("a token")).expect("a known encoding"),
    };
    let message = received.slice(Prefix::SIZE..);
    let size = message.len();
    let message = decompress(encoding, &message, MAX_MESSAGE).expect("it is whole");
    let path = head.uri.path().to_owned();
    let signal = signal_of_grpc_path(&path).expect("a method of OTLP");
    let batch = Batch::validate(signal, message).expect("it is OTLP");
    let authority = head.uri.authority().map(ToString::to_string).unwrap_or_default();
    Ok(GrpcCall { headers: head.headers, path, authority, size, batch, connection })
}

fn grpc() -> Response<()> {
    let mut response = Response::new(());
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    response
}

fn message(bytes: &[u8]) -> Bytes {
    let mut message = BytesMut::new();
    message.put_slice(&Prefix { compressed: false, length: bytes.len() as u32 }.encode());
    message.put_slice(bytes);
    message.freeze()
}

async fn succeed(mut respond: SendResponse<Bytes>, response: &[u8]) -> Result<(), h2::Error> {
    let mut body = respond.send_response(grpc(), false)?;
    body.send_data(message(response), false)?;
    body.send_trailers(HeaderMap::from_iter([(http::HeaderName::from_static("grpc-status"), 0.into())]))
}

async fn fail(mut respond: SendResponse<Bytes>, answer: GrpcAnswer) -> Result<(), h2::Error> {
    match answer {
        GrpcAnswer::Fails(status) => {
            let mut response = grpc();
            let headers = response.headers_mut();
            headers.insert("grpc-status", HeaderValue::from_static(status.code.as_header()));
            headers.insert("grpc-message", HeaderValue::try_from(&status.message).expect("plain text"));
            if status.retry_after.is_some() {
                use base64::Engine;
                let details = base64::engine::general_purpose::STANDARD.encode(status.encode(Format::Protobuf));
                headers.insert("grpc-status-details-bin", HeaderValue::try_from(details).expect("base64"));
            }
            respond.send_response(response, true)?;
        }
        GrpcAnswer::FailsLate(code) => {
            let mut body = respond.send_response(grpc(), false)?;
            body.send_data(message(&[]), false)?;
            body.send_trailers(HeaderMap::from_iter([(
                http::HeaderName::from_static("grpc-status"),
                HeaderValue::from_static(code.as_header()),
            )]))?;
        }
        GrpcAnswer::Unsaid => drop(respond.send_response(grpc(), true)?),
        GrpcAnswer::Http(status) => {
            let mut response = Response::new(());
            *response.status_mut() = status;
            respond.send_response(response, true)?;
        }
        GrpcAnswer::Reset(reason) => respond.send_reset(reason),
        GrpcAnswer::Headers(bytes) => {
            let mut response = grpc();
            let value = "x".repeat(8 * 1024);
            for number in 0..bytes / value.len() {
                let name = http::HeaderName::try_from(format!("x-{number}")).expect("a name");
                response.headers_mut().insert(name, HeaderValue::try_from(&value).expect("plain text"));
            }
            respond.send_response(response, true)?;
        }
        GrpcAnswer::Endless => {
            let mut body = respond.send_response(grpc(), false)?;
            loop {
                let piece = Bytes::from(vec![0; 64 * 1024]);
                body.reserve_capacity(piece.len());
                let Some(granted) = std::future::poll_fn(|cx| body.poll_capacity(cx)).await else { return Ok(()) };
                body.send_data(piece.slice(..granted?), false)?;
            }
        }
        GrpcAnswer::Ok
        | GrpcAnswer::Last
        | GrpcAnswer::Partial(_)
        | GrpcAnswer::Breaks
        | GrpcAnswer::GoesAway
        | GrpcAnswer::Never => unreachable!("they are dealt with before"),
    }
    Ok(())
}

/// A status with a delay.
pub fn busy(code: Code, after: Option<Duration>) -> GrpcAnswer {
    GrpcAnswer::Fails(Status { code, message: "busy".to_owned(), retry_after: after })
}
