//! The body of an answer: the same over HTTP/1 and HTTP/2, but for what tells that the request has ended.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use hyper::body::{Body, Frame, SizeHint};

use crate::net::handler::{AnswerBody, BodyError};

/// What follows an answer out.
pub(super) trait Follow: Unpin {
    /// Its bytes, as hyper gets them.
    type Data: Buf;

    /// Hyper takes a piece; nothing comes behind the last one.
    fn piece(&mut self, bytes: Bytes, is_last: bool) -> Self::Data;

    /// Hyper has heard that nothing more comes.
    fn ended(&mut self) {}
}

/// The body of an answer. Hyper drops it once it has the last of it, or does not want it any more.
pub(super) struct Answer<B, F> {
    body: AnswerBody<B>,
    follow: F,
}

impl<B, F> Answer<B, F>
where
    B: Body<Data = Bytes, Error: Into<BodyError>> + Unpin,
    F: Follow,
{
    pub(super) fn new(body: AnswerBody<B>, mut follow: F) -> Self {
        if body.is_end_stream() {
            // Nobody asks such a body for anything.
            follow.ended();
        }
        Answer { body, follow }
    }
}

impl<B, F> Body for Answer<B, F>
where
    B: Body<Data = Bytes, Error: Into<BodyError>> + Unpin,
    F: Follow,
{
    type Data = F::Data;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<F::Data>, BodyError>>> {
        let Answer { body, follow } = &mut *self;
        let polled = Pin::new(&mut *body).poll_frame(cx);
        polled.map(|frame| match frame {
            Some(Ok(frame)) => {
                if frame.is_trailers() {
                    follow.ended();
                }
                let is_last = body.is_end_stream();
                Some(Ok(frame.map_data(|bytes| follow.piece(bytes, is_last))))
            }
            Some(Err(error)) => Some(Err(error)),
            None => {
                follow.ended();
                None
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
