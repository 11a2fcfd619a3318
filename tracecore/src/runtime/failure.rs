//! A component's error once its type is erased, and the boundary that contains its panics.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;

use crate::error::{Classify, ErrorKind, Report, Retry};

/// What went wrong in a component.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Failure {
    pub(crate) kind: ErrorKind,
    pub(crate) message: String,
    pub(crate) retry: Retry,
    pub(crate) retry_after: Option<Duration>,
}

impl Failure {
    /// The failure of the runtime's own making, that trying again can mend.
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Failure { kind, message: message.into(), retry: Retry::Yes, retry_after: None }
    }

    pub(crate) fn panic(payload: &(dyn Any + Send)) -> Self {
        let text = payload
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("no message");
        Failure::new(ErrorKind::Panic, format!("panicked: {text}"))
    }
}

impl<E: Classify> From<E> for Failure {
    fn from(error: E) -> Self {
        Failure {
            kind: error.kind(),
            message: Report(&error).to_string(),
            retry: error.retry(),
            retry_after: error.retry_after(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Runs a component's future and turns its panic into a failure. What the future touched is thrown away or replaced by
/// the caller, so nothing half changed is seen again.
pub(crate) async fn contain<T>(future: impl Future<Output = T>) -> Result<T, Failure> {
    AssertUnwindSafe(future).catch_unwind().await.map_err(|payload| Failure::panic(&*payload))
}

/// As [`contain`], for what can fail: what its error says of itself is the component's code too.
pub(crate) async fn contain_fallible<T, E: Classify>(future: impl Future<Output = Result<T, E>>) -> Result<T, Failure> {
    contain(async { future.await.map_err(Failure::from) }).await?
}

/// As [`contain`], for a call.
pub(crate) fn contain_call<T>(call: impl FnOnce() -> T) -> Result<T, Failure> {
    std::panic::catch_unwind(AssertUnwindSafe(call)).map_err(|payload| Failure::panic(&*payload))
}
