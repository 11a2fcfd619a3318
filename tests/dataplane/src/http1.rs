//! OTLP over HTTP/1.1, for the rows that measure it: a client for the load and a server for the sink.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use crate::encoding::Encoding;
use crate::failure::Failure;
use crate::spawn;

/// Opens a connection; it lives as long as the handle.
pub(crate) async fn connect(address: SocketAddr) -> Result<SendRequest<Full<Bytes>>, Failure> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (send, connection) = handshake(TokioIo::new(stream)).await?;
    spawn(async move {
        // Its requests hear of what went wrong.
        let _ = connection.await;
    });
    Ok(send)
}

/// The head of a request, to be cloned.
pub(crate) fn head(authority: SocketAddr, path: &str, encoding: Option<Encoding>) -> Request<()> {
    let mut request = Request::post(path)
        .header(http::header::HOST, authority.to_string())
        .header(http::header::CONTENT_TYPE, "application/x-protobuf");
    if let Some(encoding) = encoding {
        request = request.header(http::header::CONTENT_ENCODING, encoding.as_str());
    }
    request.body(()).expect("a path makes a URL")
}

/// A request that is done when its answer is in.
pub(crate) async fn call(
    connection: &mut SendRequest<Full<Bytes>>,
    head: Request<()>,
    body: Bytes,
) -> Result<(), Failure> {
    connection.ready().await?;
    let answer = connection.send_request(head.map(|()| Full::new(body))).await?;
    let status = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    if status.is_success() { Ok(()) } else { Err(Failure::Refused(format!("{status} {body:?}"))) }
}

/// Serves every connection that comes; `take` says whether a request is accepted.
pub(crate) async fn serve<F>(listener: TcpListener, take: impl Fn(Request<Incoming>) -> F + Clone + Send + 'static)
where
    F: Future<Output = bool> + Send + 'static,
{
    while let Ok((stream, _)) = listener.accept().await {
        let take = take.clone();
        spawn(async move {
            let service = service_fn(move |request| {
                let accepted = take(request);
                async move { Ok::<_, Infallible>(answer(accepted.await)) }
            });
            // Whoever closes a connection is done with it.
            let _ = stream.set_nodelay(true);
            let _ = Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

fn answer(accepted: bool) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::default());
    if !accepted {
        *answer.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
    }
    let protobuf = HeaderValue::from_static("application/x-protobuf");
    answer.headers_mut().insert(http::header::CONTENT_TYPE, protobuf);
    answer
}
