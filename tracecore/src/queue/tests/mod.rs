//! What a queue promises, on the whole queue with its waiting.

mod interleaving;
mod line;
mod merging;
mod model;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::future::BoxFuture;
use opentelemetry_proto::tonic::common::v1::{AnyValue, any_value::Value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, LogsData, ResourceLogs, ScopeLogs};

use super::{SendingQueue, Sizer};
use crate::config::ByteSize;
use crate::signal::{Batch, Decoded};

/// A queue's settings: so much by the sizer, and a mebibyte.
fn settings(size: u64, sizer: Sizer) -> SendingQueue {
    let queue_size = size.try_into().expect("a queue has room for something");
    SendingQueue { queue_size, sizer, max_bytes: ByteSize::mib(1), ..SendingQueue::default() }
}

/// A batch of so many log records, each with a body of so many bytes.
fn batch(items: usize, body: usize) -> Batch {
    let value = Some(Value::StringValue("x".repeat(body)));
    let record = LogRecord { body: Some(AnyValue { value }), ..LogRecord::default() };
    let scope_logs = vec![ScopeLogs { log_records: vec![record; items], ..ScopeLogs::default() }];
    let logs = LogsData { resource_logs: vec![ResourceLogs { scope_logs, ..ResourceLogs::default() }] };
    Batch::from_decoded(&Decoded::Logs(logs)).expect("a log record without ids is valid")
}

/// A future that is polled by hand, and remembers whether it was woken since.
struct Task<T> {
    future: Mutex<BoxFuture<'static, T>>,
    woken: Arc<Flag>,
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl<T> Task<T> {
    /// A task that has not run yet.
    fn new(future: impl Future<Output = T> + Send + 'static) -> Self {
        Task { future: Mutex::new(Box::pin(future)), woken: Arc::new(Flag(true.into())) }
    }

    fn is_woken(&self) -> bool {
        self.woken.0.load(Ordering::Relaxed)
    }

    /// Polls it once.
    fn run(&self) -> Poll<T> {
        self.woken.0.store(false, Ordering::Relaxed);
        let waker = Waker::from(Arc::clone(&self.woken));
        self.future.lock().expect("no poll panics").as_mut().poll(&mut Context::from_waker(&waker))
    }
}
