//! Requests over HTTP/1.1: hyper's pool, one request at a time on each connection.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;

use http::Request;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::capture_connection;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::connect::Connector;
use super::pool::{Checkout, Pool};
use super::{Answer, ClientError, ClientLimits, MAX_ANSWER_HEADER_BYTES, Payload};
use crate::time::Instant;

/// The connections of a client that speaks HTTP/1.1.
#[derive(Clone)]
pub(super) struct Http1 {
    http: legacy::Client<Connector, Payload>,
    pool: Arc<Pool>,
    body_bytes: usize,
}

impl Http1 {
    pub(super) fn new(connector: Connector, limits: &ClientLimits, pool: Arc<Pool>) -> Self {
        let http = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(limits.idle)
            .pool_max_idle_per_host(limits.max_idle)
            .http1_max_buf_size(MAX_ANSWER_HEADER_BYTES)
            .build(connector);
        Http1 { http, pool, body_bytes: limits.body_bytes }
    }

    pub(super) async fn exchange(&self, mut request: Request<Payload>) -> Result<Answer, ClientError> {
        let connection = capture_connection(&mut request);
        let began = Instant::now();
        // Given back when this function ends, however it does.
        let mut checkout = None;
        let mut sending = pin!(self.http.request(request));
        let response = poll_fn(|cx| {
            let polled = sending.as_mut().poll(cx);
            if checkout.is_none() && connection.connection_metadata().is_some() {
                checkout = Some(Checkout::new(Arc::clone(&self.pool), began.elapsed()));
            }
            polled
        });
        let (head, body) = response.await.map_err(ClientError::of_http1)?.into_parts();
        let (body, trailers) = self.whole(body).await?;
        Ok(Answer { status: head.status, headers: head.headers, body, trailers })
    }

    async fn whole(&self, body: Incoming) -> Result<(bytes::Bytes, Option<http::HeaderMap>), ClientError> {
        let limit = self.body_bytes;
        if body.size_hint().lower() > u64::try_from(limit).unwrap_or(u64::MAX) {
            return Err(ClientError::TooLarge(limit));
        }
        match Limited::new(body, limit).collect().await {
            Ok(whole) => {
                let trailers = whole.trailers().cloned();
                Ok((whole.to_bytes(), trailers))
            }
            Err(error) if error.is::<LengthLimitError>() => Err(ClientError::TooLarge(limit)),
            Err(error) => Err(ClientError::of_connection(error)),
        }
    }
}
