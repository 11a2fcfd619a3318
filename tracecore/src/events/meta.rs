//! What every event says besides what happened.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::kinds::{Event, Group};
use crate::config::ComponentId;

/// What follows a batch: from the receiver that emitted it, through its pipelines, to each attempt to export it. It has
/// the form of a W3C trace id and is taken from its sender's `traceparent`, so that one id goes through both.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CorrelationId(pub(crate) u128);

impl CorrelationId {
    /// The id as a W3C trace id; `None` for 0, which is none.
    pub fn from_trace_id(id: u128) -> Option<Self> {
        (id != 0).then_some(CorrelationId(id))
    }

    /// The id as a W3C trace id. Never 0.
    pub fn trace_id(self) -> u128 {
        self.0
    }
}

impl fmt::Display for CorrelationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for CorrelationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// When, where, of whom, of what.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Meta {
    /// When it was told, by the collector's wall clock.
    pub time: SystemTime,
    /// The name of the host.
    pub node: Arc<str>,
    /// The id of the process.
    pub process_id: u32,
    /// The component; `None` for the collector itself.
    pub component: Option<ComponentId>,
    /// The batch.
    pub correlation: Option<CorrelationId>,
    /// How long it took, where that can be said. Sent in microseconds.
    pub duration: Option<Duration>,
}

impl Meta {
    /// How long it took, in microseconds.
    pub fn duration_us(&self) -> Option<u64> {
        self.duration.map(micros)
    }
}

/// A duration as events give it; saturating.
pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// An event with what its emitter knows of it.
#[derive(Debug)]
pub struct Draft<G> {
    pub(super) event: G,
    pub(super) component: Option<ComponentId>,
    pub(super) correlation: Option<CorrelationId>,
    pub(super) duration: Option<Duration>,
}

impl<G: Group> Draft<G> {
    /// An event of the collector itself.
    pub fn new(event: G) -> Self {
        Draft { event, component: None, correlation: None, duration: None }
    }

    /// An event of a component.
    pub fn of(component: &ComponentId, event: G) -> Self {
        Draft { component: Some(component.clone()), ..Draft::new(event) }
    }

    /// Says which batch it is about.
    #[must_use]
    pub fn about(self, correlation: CorrelationId) -> Self {
        Draft { correlation: Some(correlation), ..self }
    }

    /// Says how long it took.
    #[must_use]
    pub fn lasting(self, duration: Duration) -> Self {
        Draft { duration: Some(duration), ..self }
    }
}

/// An event that was told.
#[derive(Clone, Debug, PartialEq)]
pub struct Occurrence {
    /// When, where, of whom, of what.
    pub meta: Meta,
    /// What happened.
    pub event: Event,
}

impl Occurrence {
    /// The event's name.
    pub fn name(&self) -> &'static str {
        self.event.name()
    }

    /// The id of the component that it is about; empty for the collector itself.
    pub fn component(&self) -> &str {
        self.meta.component.as_ref().map_or("", ComponentId::as_str)
    }
}

/// On one line: `service.restarted component=nvml role=receiver kind=panic restart_count=1`.
impl fmt::Display for Occurrence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        if let Some(component) = &self.meta.component {
            write!(f, " component={component}")?;
        }
        let mut outcome = Ok(());
        self.event.visit(&mut |field, value| {
            if outcome.is_ok() {
                outcome = write!(f, " {field}={value}");
            }
        });
        outcome?;
        if let Some(duration) = self.meta.duration_us() {
            write!(f, " duration_us={duration}")?;
        }
        if let Some(correlation) = self.meta.correlation {
            write!(f, " correlation_id={correlation}")?;
        }
        Ok(())
    }
}
