//! gRPC over HTTP/2 with nothing in between: what the relays, the load and the sink share, so that all have the same
//! windows, frames and streams.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use h2::client::{self, SendRequest};
use h2::server::{self, SendResponse};
use h2::{RecvStream, SendStream};
use http::{HeaderMap, HeaderValue, Request, Response};
use tokio::net::{TcpListener, TcpStream};

use crate::encoding::Encoding;
use crate::failure::Failure;
use crate::spawn;

/// The largest frame, in bytes: a request of 1,000 items comes as one.
const FRAME: u32 = 1 << 20;
/// What a stream may send unasked, in bytes: two such requests, so that none waits for leave.
const STREAM_WINDOW: u32 = 4 << 20;
/// What a connection may send unasked, in bytes: the requests of all streams of the usual shape.
const CONNECTION_WINDOW: u32 = 32 << 20;
/// Streams that may be open at once.
const STREAMS: u32 = 128;

/// The media type of a call.
pub(crate) const GRPC: &str = "application/grpc";
/// How a message is compressed.
pub(crate) const GRPC_ENCODING: &str = "grpc-encoding";
/// How a call ended.
const GRPC_STATUS: &str = "grpc-status";
/// The length of what stands before a message: a flag and the message's length.
pub(crate) const PREFIX: usize = 5;

/// Serves every connection that comes, each request as a task.
pub(crate) async fn serve<F>(
    listener: TcpListener,
    handler: impl Fn(Request<RecvStream>, SendResponse<Bytes>) -> F + Send + Sync + 'static,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let handler = Arc::new(handler);
    while let Ok((stream, _)) = listener.accept().await {
        let handler = Arc::clone(&handler);
        spawn(async move {
            // Whoever closes a connection is done with it.
            let _ = connection(stream, &*handler).await;
        });
    }
}

async fn connection<F>(
    stream: TcpStream,
    handler: &impl Fn(Request<RecvStream>, SendResponse<Bytes>) -> F,
) -> Result<(), Failure>
where
    F: Future<Output = ()> + Send + 'static,
{
    stream.set_nodelay(true)?;
    let mut connection = server::Builder::new()
        .max_frame_size(FRAME)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(STREAMS)
        .handshake(stream)
        .await?;
    while let Some(request) = connection.accept().await {
        let (request, answer) = request?;
        spawn(handler(request, answer));
    }
    Ok(())
}

/// Opens a connection; it lives as long as the handle.
pub(crate) async fn connect(address: SocketAddr) -> Result<SendRequest<Bytes>, Failure> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (send, connection) = client::Builder::new()
        .max_frame_size(FRAME)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .enable_push(false)
        .handshake(stream)
        .await?;
    spawn(async move {
        // Its streams hear of what went wrong.
        let _ = connection.await;
    });
    Ok(send)
}

/// The whole body, in the parts in which it came. Nothing is copied.
pub(crate) async fn gather(body: &mut RecvStream) -> Result<Vec<Bytes>, h2::Error> {
    let mut parts = Vec::new();
    while let Some(part) = body.data().await {
        let part = part?;
        body.flow_control().release_capacity(part.len())?;
        parts.push(part);
    }
    Ok(parts)
}

/// The head of a call, to be cloned.
pub(crate) fn head(authority: SocketAddr, path: &str, encoding: Option<&HeaderValue>) -> Request<()> {
    let mut request = Request::post(format!("http://{authority}{path}"))
        .header(http::header::CONTENT_TYPE, GRPC)
        .header(http::header::TE, "trailers");
    if let Some(encoding) = encoding {
        request = request.header(GRPC_ENCODING, encoding);
    }
    request.body(()).expect("an address and a path make a URL")
}

/// A message with what stands before it.
pub(crate) fn framed(message: &[u8], encoding: Option<Encoding>) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("a request is smaller than 4 GiB");
    let mut framed = Vec::with_capacity(PREFIX + message.len());
    framed.push(u8::from(encoding.is_some()));
    framed.extend_from_slice(&length.to_be_bytes());
    framed.extend_from_slice(message);
    framed
}

/// A call with the parts of a body that is framed already; it is done when its answer is in.
pub(crate) async fn call(
    connection: &SendRequest<Bytes>,
    request: Request<()>,
    parts: impl IntoIterator<Item = Bytes>,
) -> Result<(), Failure> {
    let (answer, mut body) = connection.clone().ready().await?.send_request(request, false)?;
    send(&mut body, parts)?;
    let (head, mut body) = answer.await?.into_parts();
    if let Some(refused) = refusal(&head.headers) {
        return Err(refused);
    }
    gather(&mut body).await?;
    match body.trailers().await? {
        Some(trailers) if trailers.contains_key(GRPC_STATUS) => refusal(&trailers).map_or(Ok(()), Err),
        _ if head.headers.contains_key(GRPC_STATUS) => Ok(()),
        _ => Err(Failure::Refused("no gRPC status".to_owned())),
    }
}

fn refusal(headers: &HeaderMap) -> Option<Failure> {
    let status = headers.get(GRPC_STATUS)?;
    let message = headers.get("grpc-message").map(|message| String::from_utf8_lossy(message.as_bytes()));
    let text = || format!("gRPC status {} {}", String::from_utf8_lossy(status.as_bytes()), message.unwrap_or_default());
    (status != "0").then(|| Failure::Refused(text()))
}

/// Sends the parts and closes the stream. What the windows do not let through waits in `h2`, by reference.
fn send(stream: &mut SendStream<Bytes>, parts: impl IntoIterator<Item = Bytes>) -> Result<(), h2::Error> {
    let mut parts = parts.into_iter().peekable();
    while let Some(part) = parts.next() {
        stream.send_data(part, parts.peek().is_none())?;
    }
    Ok(())
}

/// Answers a call with an empty message, or with the status that asks to try again.
pub(crate) fn answer(mut answer: SendResponse<Bytes>, accepted: bool) -> Result<(), h2::Error> {
    let mut head = Response::new(());
    head.headers_mut().insert(http::header::CONTENT_TYPE, HeaderValue::from_static(GRPC));
    if !accepted {
        head.headers_mut().insert(GRPC_STATUS, HeaderValue::from_static("14"));
        answer.send_response(head, true)?;
        return Ok(());
    }
    let mut body = answer.send_response(head, false)?;
    body.send_data(Bytes::from_static(&[0; PREFIX]), false)?;
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert(GRPC_STATUS, HeaderValue::from_static("0"));
    body.send_trailers(trailers)
}
