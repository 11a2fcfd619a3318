//! `tracecore collect`: run until told to stop.

use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::thread::available_parallelism;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;
use tracecore::events::{Draft, Events, SignalEvent};
use tracecore::runtime::RunError;
use tracecore::telemetry::Log;

use crate::args::ConfigArgs;
use crate::{Built, Failure, build};

/// The most worker threads that are started unasked: an agent on a 224-core node is not entitled to it.
const MAX_WORKERS: usize = 4;

/// How large a piece of memory [`keep_heap`] asks for, in bytes: the largest message that the `otlp` receiver takes by
/// default.
const KEPT_PIECE: usize = 4 << 20;

/// The signals that end a collector: the first asks for a stop, the second ends the process. For tests; the program
/// has its own.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    /// Takes the signals from now on, for the rest of the process.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn install() -> std::io::Result<Self> {
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// The next signal that asks for an end, by the exit code that a shell would show for it. A SIGHUP asks for none: it
    /// is told of, and the configuration stays as it is.
    pub async fn next(&mut self, events: &Events) -> u8 {
        loop {
            let (kind, name) = tokio::select! {
                _ = self.interrupt.recv() => (SignalKind::interrupt(), "SIGINT"),
                _ = self.terminate.recv() => (SignalKind::terminate(), "SIGTERM"),
                _ = self.hangup.recv() => (SignalKind::hangup(), "SIGHUP"),
            };
            events.emit(|| Draft::new(SignalEvent::Handled { signal: name }));
            if kind == SignalKind::hangup() {
                tracing::warn!(
                    signal = name,
                    "signal received: the configuration cannot be reloaded, restart the collector for another"
                );
                continue;
            }
            tracing::info!(signal = name, "signal received");
            return 128 + u8::try_from(kind.as_raw_value()).unwrap_or_default();
        }
    }
}

pub(crate) fn collect(args: &ConfigArgs, log: Option<&Log>) -> Result<ExitCode, Failure> {
    // Signals have a runtime of their own on the main thread, and handlers before anything else is done: one that comes
    // while the configuration is still read is a request like any other.
    let front = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let front = front.map_err(|error| Failure::failed(&error))?;
    let mut signals = front.block_on(async { Signals::install() }).map_err(|error| Failure::failed(&error))?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), revision = env!("TRACECORE_REVISION"), "starting");

    raise_file_limit();
    keep_heap();
    let Built { service, .. } = build(args, false)?;
    if let (Some(log), Some(level)) = (log, service.log_level()) {
        log.set_level(level);
    }
    for warning in service.warnings() {
        tracing::warn!(%warning, "configuration");
    }
    let workers = service.workers().map_or_else(default_workers, NonZeroUsize::get);
    let mut back = tokio::runtime::Builder::new_multi_thread();
    let back = back.worker_threads(workers).thread_name("tracecore").enable_all().build();
    let back = back.map_err(|error| Failure::failed(&error))?;
    // With `--set` the addresses may be others; each listener logs its own.
    if args.config.is_empty() && args.set.is_empty() {
        show_where_to_look();
    }
    let stop = CancellationToken::new();
    let (asked, events) = (stop.clone(), service.events().clone());
    let service = back.spawn(async move { service.run(asked.cancelled()).await });
    let code = front.block_on(async {
        tokio::select! {
            outcome = service => ended(outcome),
            code = async {
                signals.next(&events).await;
                stop.cancel();
                signals.next(&events).await
            } => {
                tracing::warn!("second signal: leaving at once");
                Ok(ExitCode::from(code))
            }
        }
    });
    // What still blocks a thread must not hold up the exit: everything that counts has been drained.
    back.shutdown_background();
    code
}

/// As many files and connections as the system allows the process, not as many as it gives a shell: 1,024 of them are few
/// for a gateway. What fails here is found out by whoever runs out of them.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })
    {
        tracing::warn!(%error, limit = limit.current, "cannot raise the limit on open files");
    }
}

/// Makes the C library keep what is freed for what is allocated next.
///
/// glibc maps each piece of 128 KiB or more, and gives it back to the system when it is freed; the next request then takes
/// a hundred page faults for the same memory. Once it has seen a larger piece freed it allocates up to that size from the
/// heap, and keeps up to twice that size at the heap's end. Nothing is written to the piece, so it takes no memory.
/// Another C library takes no notice.
fn keep_heap() {
    drop(std::hint::black_box(Vec::<u8>::with_capacity(KEPT_PIECE)));
}

/// The addresses of `default.yaml`.
fn show_where_to_look() {
    tracing::info!("no --config given: collecting this host");
    tracing::info!("host metrics are on http://localhost:8889/metrics");
    tracing::info!("the collector's own metrics are on http://localhost:8888/metrics");
}

fn ended(outcome: Result<Result<(), RunError>, JoinError>) -> Result<ExitCode, Failure> {
    match outcome {
        Ok(Ok(())) => Ok(ExitCode::SUCCESS),
        Ok(Err(error)) => Err(Failure::failed(&error)),
        Err(error) => Err(Failure::failed(&error)),
    }
}

fn default_workers() -> usize {
    available_parallelism().map_or(1, NonZeroUsize::get).min(MAX_WORKERS)
}
