//! The JSON of `/status`. The order of the fields here is the order in the text; `docs/STATUS.md` describes them.

use std::time::SystemTime;

use serde::{Serialize, Serializer};

use crate::component::Role;
use crate::cx::{Base, Totals};
use crate::queue::{Fill, Sizer, Snapshot};
use crate::runtime::Place;
use crate::status::{LastError, State};
use crate::telemetry::ComponentState;
use crate::time::{Duration, Instant, rfc3339};

/// The whole.
#[derive(Serialize)]
pub(super) struct Document<'a> {
    #[serde(serialize_with = "as_text")]
    pub(super) status: State,
    pub(super) node: &'a str,
    pub(super) version: &'a str,
    pub(super) uptime_seconds: f64,
    pub(super) window: Window,
    pub(super) counts: Counts,
    pub(super) pipelines: Pipelines,
    pub(super) components: Vec<Component>,
}

/// What rates are over.
#[derive(Serialize)]
pub(super) struct Window {
    pub(super) asked_seconds: f64,
    pub(super) seconds: f64,
}

/// How many components there are. The last three are all that have not stopped.
#[derive(Serialize)]
pub(super) struct Counts {
    pub(super) components: u64,
    pub(super) active: u64,
    pub(super) busy: u64,
    pub(super) idle: u64,
    pub(super) draining: u64,
}

/// The pipelines by id, in the order of the configuration.
pub(super) struct Pipelines(pub(super) Vec<(String, Pipeline)>);

#[derive(Serialize)]
pub(super) struct Pipeline {
    #[serde(serialize_with = "as_text")]
    status: State,
    components: Vec<Member>,
}

#[derive(Serialize)]
struct Member {
    role: &'static str,
    id: String,
}

#[derive(Serialize)]
pub(super) struct Component {
    id: String,
    role: &'static str,
    /// Of a processor alone: the others may serve several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pipeline: Option<String>,
    #[serde(serialize_with = "as_text")]
    status: State,
    since: String,
    last_error: Option<Failed>,
    restarts: u64,
    activity: Option<&'static str>,
    rates: Rates,
    totals: Done,
    /// Of an exporter alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<Filled>,
    /// Of an exporter alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    breaker: Option<Guard>,
}

#[derive(Serialize)]
struct Failed {
    kind: &'static str,
    message: String,
    at: String,
}

#[derive(Serialize)]
struct Rates {
    items_in_per_second: f64,
    items_out_per_second: f64,
    errors_per_second: f64,
}

#[derive(Serialize)]
struct Done {
    items_in: u64,
    items_out: u64,
    errors: u64,
}

#[derive(Serialize)]
struct Filled {
    unit: Sizer,
    used: u64,
    capacity: u64,
    ratio: f64,
}

#[derive(Serialize)]
struct Guard {
    state: &'static str,
    since: String,
    consecutive_failures: u32,
    /// While it is open alone.
    retry_at: Option<String>,
}

impl Serialize for Pipelines {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(id, pipeline)| (id, pipeline)))
    }
}

impl Pipeline {
    pub(super) fn of(status: State, members: &[Base]) -> Self {
        let member = |base: &Base| Member { role: base.role().as_str(), id: base.id.to_string() };
        Pipeline { status, components: members.iter().map(member).collect() }
    }
}

impl Component {
    /// `before` is what it had done when the window began, `window` ago.
    pub(super) fn of(place: &Place, before: Totals, window: Duration) -> Self {
        let Place { base, queue, breaker, pipeline } = place;
        let status = base.status.get();
        let totals = base.activity.totals();
        Component {
            id: base.id.to_string(),
            role: base.role().as_str(),
            pipeline: pipeline.as_ref().map(ToString::to_string),
            status: status.state,
            since: rfc3339(status.since),
            last_error: status.last_error.as_ref().map(Failed::of),
            restarts: status.restarts,
            activity: place.activity().map(ComponentState::as_str),
            rates: Rates::of(before, totals, window),
            totals: Done { items_in: totals.items_in, items_out: totals.items_out, errors: totals.errors },
            queue: queue.as_ref().map(|queue| Filled::of(queue.fill())),
            breaker: breaker.as_ref().map(|breaker| Guard::of(breaker.snapshot(), base.shared.clock.now())),
        }
    }
}

impl Failed {
    fn of(error: &LastError) -> Self {
        Failed { kind: error.kind.as_str(), message: error.message.as_ref().into(), at: rfc3339(error.at) }
    }
}

impl Rates {
    fn of(before: Totals, now: Totals, window: Duration) -> Self {
        let rate = |before: u64, now: u64| {
            let seconds = window.as_secs_f64();
            // The page of the first moment tells of no time at all.
            if seconds > 0.0 { rounded(now.saturating_sub(before) as f64 / seconds) } else { 0.0 }
        };
        Rates {
            items_in_per_second: rate(before.items_in, now.items_in),
            items_out_per_second: rate(before.items_out, now.items_out),
            errors_per_second: rate(before.errors, now.errors),
        }
    }
}

impl Filled {
    fn of(Fill { unit, used, capacity }: Fill) -> Self {
        let ratio = if capacity == 0 { 0.0 } else { rounded(used as f64 / capacity as f64) };
        Filled { unit, used, capacity, ratio }
    }
}

impl Guard {
    /// The breaker knows the monotonic clock alone; `now` is what the wall clock says meanwhile.
    fn of(Snapshot { state, since, consecutive_failures, retry_at, .. }: Snapshot, now: SystemTime) -> Self {
        Guard {
            state: state.as_str(),
            since: rfc3339(now - since.elapsed()),
            consecutive_failures,
            retry_at: retry_at.map(|at| rfc3339(now + at.saturating_duration_since(Instant::now()))),
        }
    }
}

/// Where a component of this role stands: in the order in which a batch meets them.
pub(super) fn place_of(role: Role) -> usize {
    Role::ALL.iter().position(|one| *one == role).unwrap_or(Role::ALL.len())
}

/// To a millionth: more digits are noise to a reader.
pub(super) fn rounded(number: f64) -> f64 {
    (number * 1e6).round() / 1e6
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn as_text<S: Serializer>(state: &State, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(state.as_str())
}
