//! One connection: the HTTP of its listener by hyper, and the clock that ends it.
//!
//! Everything about a connection is polled by its one task: the stream, the handlers, the bodies of answers. So whatever
//! they share is never contended, and cutting the task cuts all of it.

mod answer;
mod frames;
mod http1;
mod http2;
mod large;
mod streams;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use super::handler::HttpService;
use super::{Closed, Limits, Observer};
use crate::time::Instant;

/// For a limit that reaches beyond what the clock can count: as good as never.
const A_YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Serves one connection of `peer` to its end, and says how it ended. A cancelled `stopping` lets the requests in flight finish
/// and closes a connection that has none.
pub(super) async fn run<Io, S>(
    io: Io,
    peer: SocketAddr,
    service: S,
    limits: Limits,
    observer: Arc<dyn Observer>,
    stopping: CancellationToken,
) -> Closed
where
    Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: HttpService,
{
    match limits.http2 {
        None => http1::run(io, peer, service, limits, observer, stopping).await,
        Some(settings) => http2::run(io, peer, service, limits, settings, observer, stopping).await,
    }
}

fn after(since: Instant, limit: Duration) -> Instant {
    since.checked_add(limit).unwrap_or_else(|| since + A_YEAR)
}
