//! From a request's batch to its verdict, the same for gRPC and HTTP.

use std::error::Error;
use std::time::Duration;
use std::{io, iter};

use http::HeaderMap;
use http::request::Parts;
use tokio::time::timeout_at;
use tracecore::error::Report;
use tracecore::net::NoMemory;
use tracecore::otlp::grpc::Code;
use tracecore::otlp::status::Status;
use tracecore::prelude::*;
use tracecore::signal::Metadata;
use tracecore::time::Instant;

use super::Otlp;
use super::refusals::Refusals;
use super::unpack::Unpacker;

/// How long a client is asked to wait for memory: the bodies that fill it have come, or were given up, by then.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The way into the pipelines, and what goes with a batch.
pub(super) struct Intake {
    pub(super) unpacker: Unpacker,
    pub(super) emitter: Emitter,
    pub(super) include_metadata: bool,
    pub(super) refusals: Refusals,
}

impl Intake {
    pub(super) fn new(cx: &Cx<Otlp>, protocol: &'static str, include_metadata: bool) -> Self {
        let unpacker = Unpacker { offload: cx.offload().clone(), memory: cx.memory().clone() };
        let refusals = Refusals::new(cx.id().clone(), protocol);
        Intake { unpacker, emitter: cx.emitter().clone(), include_metadata, refusals }
    }

    /// Sends a batch into the pipelines, until the client no longer waits.
    ///
    /// # Errors
    ///
    /// When it was refused, or the time is over.
    pub(super) async fn take(&self, batch: Batch, head: &Parts, deadline: Option<Instant>) -> Result<(), Status> {
        let batch = if self.include_metadata { batch.with_metadata(metadata(&head.headers)?) } else { batch };
        let emitted = self.emitter.emit_for(batch, Origin::of(&head.headers, &head.extensions));
        let verdict = match deadline {
            None => emitted.await,
            Some(deadline) if deadline <= Instant::now() => return Err(too_late()),
            Some(deadline) => timeout_at(deadline, emitted).await.map_err(|_elapsed| too_late())?,
        };
        match verdict {
            Verdict::Accepted => Ok(()),
            Verdict::Refused(Refusal::Permanent) => {
                Err(Status::new(Code::InvalidArgument, "refused for good: a processor or a queue does not take it"))
            }
            Verdict::Refused(Refusal::Retryable { after }) => {
                let full = Status::new(Code::Unavailable, "a queue is full, or an exporter is away: try again later");
                Err(Status { retry_after: Some(after), ..full })
            }
        }
    }
}

/// Why a body did not come to its end. What is malformed will never be right; whoever went away may come again.
pub(super) fn broken(error: &(dyn Error + 'static)) -> Status {
    let mut causes = iter::successors(Some(error), |error| (*error).source());
    if error.is::<NoMemory>() {
        return no_memory();
    }
    let malformed = causes.any(|cause| {
        let kind = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        matches!(kind, Some(io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData))
    });
    let code = if malformed { Code::InvalidArgument } else { Code::Cancelled };
    Status::new(code, format!("the body does not come to its end: {}", Report(error)))
}

/// What fills the memory is gone in a moment.
pub(super) fn no_memory() -> Status {
    let full = Status::new(Code::Unavailable, "there is no memory for the request now: try again later");
    Status { retry_after: Some(RETRY_AFTER), ..full }
}

fn too_late() -> Status {
    Status::new(Code::DeadlineExceeded, "the time that the client gave is over")
}

/// What is not text is left out, as a processor could not compare it.
fn metadata(headers: &HeaderMap) -> Result<Metadata, Status> {
    let pairs = headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    Metadata::new(pairs).map_err(|error| Status::new(Code::ResourceExhausted, error.to_string()))
}
