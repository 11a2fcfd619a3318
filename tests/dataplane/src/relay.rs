//! What tracecore is held against: a relay that does nothing but pass requests on, and one that decodes and encodes them.
//!
//! Both have the server, the client, the windows and the buffers of [`http2`](crate::http2). They keep no queue, check
//! nothing and acknowledge a request once its receiver has.

use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use h2::client::SendRequest;
use http::Request;
use opentelemetry_proto::tonic::logs::v1::LogsData;
use opentelemetry_proto::tonic::metrics::v1::MetricsData;
use opentelemetry_proto::tonic::trace::v1::TracesData;
use prost::Message;
use tokio::net::TcpListener;

use crate::failure::Failure;
use crate::http2::{self, GRPC_ENCODING, PREFIX};
use crate::signal::Signal;

/// What a relay does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// Pass it on as it came.
    Bare,
    /// Decode it and encode it again, as a collector does that works on decoded data.
    Prost,
}

/// How large a piece of memory [`keep_heap`] asks for, in bytes.
const KEPT: usize = 4 << 20;

/// Makes the C library keep memory that was freed, as the collector does: glibc gives pieces of 128 KiB and more back to
/// the system each time, until one of another size was freed once.
pub(crate) fn keep_heap() {
    drop(std::hint::black_box(Vec::<u8>::with_capacity(KEPT)));
}

/// Relays until it is killed.
pub(crate) async fn run(kind: Kind, listen: SocketAddr, to: SocketAddr) -> Result<(), Failure> {
    let upstream = http2::connect(to).await?;
    let listener = TcpListener::bind(listen).await?;
    http2::serve(listener, move |mut request, answer| {
        let upstream = upstream.clone();
        async move {
            let passed = pass(kind, &mut request, &upstream, to).await.is_ok();
            // A client that has gone needs no answer.
            let _ = http2::answer(answer, passed);
        }
    })
    .await;
    Ok(())
}

async fn pass(
    kind: Kind,
    request: &mut Request<h2::RecvStream>,
    upstream: &SendRequest<Bytes>,
    to: SocketAddr,
) -> Result<(), Failure> {
    let path = request.uri().path();
    let head = http2::head(to, path, request.headers().get(GRPC_ENCODING));
    let signal = Signal::of_path(path);
    let parts = http2::gather(request.body_mut()).await?;
    match kind {
        Kind::Bare => http2::call(upstream, head, parts).await,
        Kind::Prost => {
            let signal = signal.ok_or_else(|| Failure::Refused("an unknown path".to_owned()))?;
            let part = through_prost(signal, parts).map_err(|error| Failure::Refused(error.to_string()))?;
            http2::call(upstream, head, [part]).await
        }
    }
}

fn through_prost(signal: Signal, parts: Vec<Bytes>) -> Result<Bytes, prost::DecodeError> {
    let whole = match <[Bytes; 1]>::try_from(parts) {
        Ok([one]) => one,
        Err(parts) => parts.concat().into(),
    };
    // Two or more bytes too few are no message either.
    let message = whole.slice(PREFIX.min(whole.len())..);
    match signal {
        Signal::Traces => TracesData::decode(message).map(|data| framed(&data)),
        Signal::Metrics => MetricsData::decode(message).map(|data| framed(&data)),
        Signal::Logs => LogsData::decode(message).map(|data| framed(&data)),
    }
}

/// Encodes straight behind the prefix: nothing is copied.
fn framed(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut framed = BytesMut::with_capacity(PREFIX + length);
    framed.extend_from_slice(&[0]);
    framed.extend_from_slice(&u32::try_from(length).expect("a request is smaller than 4 GiB").to_be_bytes());
    message.encode(&mut framed).expect("there is room");
    framed.freeze()
}
