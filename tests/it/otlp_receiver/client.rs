//! Clients that send what they are told to, well or badly.

use std::net::SocketAddr;

use bytes::{BufMut, Bytes, BytesMut};
use h2::PingPong;
use h2::client::{Builder, ResponseFuture, SendRequest};
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tracecore::otlp::compression::{Compressor, Encoding};
use tracecore::otlp::grpc::{Code, Prefix, percent_decode};
use tracecore::otlp::status::Status;
use tracecore::otlp::{Format, grpc_path};
use tracecore::signal::{Batch, Signal};
use tracecore::testing::within_ceiling;

/// What came back.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// The headers, and the trailers behind them.
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(super) fn grpc_status(&self) -> Option<i32> {
        self.header("grpc-status").map(|status| status.parse().unwrap())
    }

    /// Why a gRPC call failed; the details, where there are any, say the same.
    pub(super) fn failure(&self) -> Status {
        use base64::Engine;
        let code = Code::from_number(self.grpc_status().expect("a status"));
        let status = Status::new(code, percent_decode(self.headers["grpc-message"].as_bytes()));
        let Some(details) = self.header("grpc-status-details-bin") else { return status };
        let details = base64::engine::general_purpose::STANDARD_NO_PAD.decode(details).expect("base64");
        let details = Status::decode(Format::Protobuf, &details).expect("a status");
        assert_eq!((details.code, &details.message), (status.code, &status.message));
        details
    }

    /// The code of a failed gRPC call that is not to be sent again in any case.
    pub(super) fn permanent(&self) -> Code {
        let failure = self.failure();
        assert!(!failure.is_retryable() && failure.retry_after.is_none(), "{failure:?}");
        failure.code
    }

    /// What the body of a failed request over HTTP says, in this format.
    pub(super) fn body_status(&self, format: Format) -> Status {
        assert_eq!(self.header("content-type"), Some(format.content_type()));
        Status::decode(format, &self.body).expect("a status")
    }
}

/// The request that a batch is.
pub(super) fn body_of(batch: &Batch) -> Bytes {
    batch.parts().concat().into()
}

/// The bytes, compressed.
pub(super) fn compressed(encoding: Encoding, bytes: &[u8]) -> Bytes {
    let compressor = Compressor::new(encoding, None).unwrap();
    compressor.compress(&[Bytes::copy_from_slice(bytes)]).unwrap()
}

/// A message of gRPC with this flag before it.
pub(super) fn flagged(flag: u8, bytes: &[u8]) -> Bytes {
    let mut message = BytesMut::new();
    message.put_slice(&Prefix { compressed: false, length: bytes.len() as u32 }.encode());
    message.put_slice(bytes);
    message[0] = flag;
    message.freeze()
}

pub(super) fn message(bytes: &[u8]) -> Bytes {
    flagged(0, bytes)
}

/// A gRPC call of the method that takes this signal.
pub(super) fn call(signal: Signal) -> Request<()> {
    let url = format!("http://localhost{}", grpc_path(signal));
    let request = Request::post(url).header("content-type", "application/grpc").header("te", "trailers");
    request.body(()).unwrap()
}

/// The same with a header more, or another one.
pub(super) fn with(mut request: Request<()>, name: &str, value: &str) -> Request<()> {
    request.headers_mut().insert(HeaderName::try_from(name).unwrap(), HeaderValue::try_from(value).unwrap());
    request
}

/// A client of HTTP/2.
pub(super) struct Grpc {
    pub(super) client: SendRequest<Bytes>,
    connection: JoinSet<Result<(), h2::Error>>,
}

impl Grpc {
    pub(super) async fn connect(address: SocketAddr) -> Self {
        Grpc::pinging(address).await.0
    }

    /// One that can ask whether the server is there.
    pub(super) async fn pinging(address: SocketAddr) -> (Self, PingPong) {
        let socket = connect(address).await;
        let (client, mut connection) = Builder::new().max_frame_size(1 << 20).handshake(socket).await.unwrap();
        let pings = connection.ping_pong().expect("nobody has taken it before");
        let mut connections = JoinSet::new();
        connections.spawn(connection);
        (Grpc { client, connection: connections }, pings)
    }

    /// Sends the head of a request, and this much of its body.
    pub(super) fn begin(
        &mut self,
        request: Request<()>,
        body: Bytes,
        is_all: bool,
    ) -> (ResponseFuture, h2::SendStream<Bytes>) {
        let (answer, mut stream) = self.client.send_request(request, false).unwrap();
        stream.send_data(body, is_all).unwrap();
        (answer, stream)
    }

    pub(super) async fn send(&mut self, request: Request<()>, body: Bytes) -> Answer {
        let (answer, _) = self.begin(request, body, true);
        received(answer).await.unwrap()
    }

    /// Waits until the server has closed, and gives what it said of that.
    pub(super) async fn closed(&mut self) -> Result<(), h2::Error> {
        within_ceiling(self.connection.join_next()).await.expect("there is one").unwrap()
    }
}

/// The whole answer to a request over HTTP/2.
pub(super) async fn received(answer: ResponseFuture) -> Result<Answer, h2::Error> {
    within_ceiling(async {
        let (head, mut stream) = answer.await?.into_parts();
        let mut body = BytesMut::new();
        while let Some(piece) = stream.data().await {
            body.put(piece?);
        }
        let mut headers = head.headers;
        headers.extend(stream.trailers().await?.unwrap_or_default());
        Ok(Answer { status: head.status.as_u16(), headers, body: body.freeze() })
    })
    .await
}

/// A request over HTTP/1 with these headers, a line each.
pub(super) fn post(path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n{headers}\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// A client of HTTP/1, or of anything else that stands in bytes.
pub(super) struct Http {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Http {
    pub(super) async fn connect(address: SocketAddr) -> Self {
        Http { stream: connect(address).await, received: Vec::new() }
    }

    pub(super) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Sends as much as the server wants to have.
    pub(super) async fn send_what_is_taken(&mut self, bytes: impl AsRef<[u8]>) {
        // It may close at any time.
        let _ = within_ceiling(self.stream.write_all(bytes.as_ref())).await;
    }

    pub(super) async fn ask(&mut self, request: impl AsRef<[u8]>) -> Answer {
        self.send(request).await;
        self.answer().await
    }

    /// The next answer, whose length is in its head.
    pub(super) async fn answer(&mut self) -> Answer {
        loop {
            if let Some((answer, length)) = parse(&self.received) {
                self.received.drain(..length);
                return answer;
            }
            let read = self.read_more().await;
            assert!(read > 0, "closed after {:?}", String::from_utf8_lossy(&self.received));
        }
    }

    /// Waits until the server closes, and gives what came before.
    pub(super) async fn closed(&mut self) -> Vec<u8> {
        while self.read_more().await > 0 {}
        std::mem::take(&mut self.received)
    }

    pub(super) async fn read_more(&mut self) -> usize {
        match within_ceiling(self.stream.read_buf(&mut self.received)).await {
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => 0,
            read => read.unwrap(),
        }
    }

    /// What has come and was not taken as an answer.
    pub(super) fn received(&self) -> &[u8] {
        &self.received
    }
}

async fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).await.unwrap();
    // What is written second would wait for an acknowledgement of the first.
    stream.set_nodelay(true).unwrap();
    stream
}

/// The answer at the start of `bytes` and its length, if it is whole.
fn parse(bytes: &[u8]) -> Option<(Answer, usize)> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = str::from_utf8(&bytes[..end]).expect("heads are ASCII");
    let mut lines = head.lines();
    let status = lines.next()?.split(' ').nth(1)?.parse().expect("a status");
    let mut headers = HeaderMap::new();
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        headers.append(HeaderName::try_from(name).unwrap(), HeaderValue::try_from(value).unwrap());
    }
    let length = headers.get("content-length").map_or(0, |length| length.to_str().unwrap().parse().unwrap());
    let body = Bytes::copy_from_slice(bytes.get(end..end + length)?);
    Some((Answer { status, headers, body }, end + length))
}
