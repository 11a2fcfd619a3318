//! How bad an event is, for those who sort logs by it.

use super::kinds::{
    BatchEvent, BreakerEvent, ConnectionEvent, Event, ExportEvent, ResourceEvent, RetryEvent, ServiceEvent, TaskEvent,
};
use crate::status::State;
use crate::telemetry::{BreakerState, StopReason};

/// The severities that events have, as OTLP numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// What happens when all is well.
    Info = 9,
    /// A failure that the collector deals with by itself.
    Warn = 13,
    /// Something is lost, or given up.
    Error = 17,
}

impl Severity {
    /// Its name in OTLP.
    pub const fn as_str(self) -> &'static str {
        match self {
            Severity::Info => "INFO",
            Severity::Warn => "WARN",
            Severity::Error => "ERROR",
        }
    }
}

impl Event {
    /// How bad it is.
    pub fn severity(&self) -> Severity {
        match self {
            Event::Service(event) => of_service(event),
            Event::Batch(BatchEvent::Refused { .. })
            | Event::Export(ExportEvent::Failed { .. })
            | Event::Retry(RetryEvent::Backoff { .. })
            | Event::Breaker(
                BreakerEvent::Rejected { .. }
                | BreakerEvent::StateChanged { to: BreakerState::Open, .. }
                | BreakerEvent::HealthCheck { passed: false, .. },
            )
            | Event::Connection(ConnectionEvent::Failed { .. })
            | Event::Resource(ResourceEvent::Exhausted { .. }) => Severity::Warn,
            Event::Batch(BatchEvent::Dropped { .. })
            | Event::Retry(RetryEvent::Exhausted { .. })
            | Event::Task(TaskEvent::Failed { .. }) => Severity::Error,
            _ => Severity::Info,
        }
    }
}

fn of_service(event: &ServiceEvent) -> Severity {
    match event {
        ServiceEvent::StartFailed { .. } => Severity::Error,
        ServiceEvent::StatusChanged { to: State::PermanentError | State::FatalError, .. } => Severity::Error,
        ServiceEvent::Restarted { .. }
        | ServiceEvent::StatusChanged { to: State::RecoverableError, .. }
        | ServiceEvent::HealthCheck { passed: false, .. }
        | ServiceEvent::Stopped { reason: StopReason::Crashed, .. } => Severity::Warn,
        _ => Severity::Info,
    }
}
