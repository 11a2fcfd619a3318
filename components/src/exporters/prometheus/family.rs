//! All series of one name.

use std::collections::HashMap;
use std::time::Duration;

use tracecore::exposition::{self, Encoder, Histogram, Number, PreparedLabels, Sample, Summary};
use tracecore::time::Instant;

use super::value::{Distribution, Point, Quantiles, Value};
use super::{Reason, Temporality};

/// How many ways of writing one series' attributes are remembered on average; beyond, all are forgotten and learned anew.
const SPELLINGS_PER_SERIES: usize = 2;

/// Spellings that are remembered however few series there are.
const MIN_SPELLINGS: usize = 64;

const NANOS_PER_MILLI: u64 = 1_000_000;

/// How long nothing but older points must come until they are believed: the clock of their sender was set back. Batches
/// that overtake each other on the way are apart by less, and what is newer comes between them.
const SET_BACK: Duration = Duration::from_secs(30);

/// The Prometheus type of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
    Summary,
    Info,
    Unknown,
}

impl Kind {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
            Kind::Summary => "summary",
            Kind::Info => "info",
            Kind::Unknown => "unknown",
        }
    }
}

/// Where a series stands in its family, for as long as it is in it.
pub(super) type Slot = usize;

/// All series of one name.
#[derive(Debug)]
pub(super) struct Family {
    pub(super) kind: Kind,
    help: String,
    unit: String,
    /// A conflict with another type was reported.
    pub(super) conflict_reported: bool,
    /// A slot is kept while its series lives, and used again afterwards.
    series: Vec<Option<Series>>,
    free: Vec<Slot>,
    /// By what makes a series one: its labels, or of a target its `job` and `instance`.
    by_identity: HashMap<PreparedLabels, Slot>,
    /// By how a sender writes them, so that a series that is known costs one look-up and no labels are made. A cache.
    by_spelling: HashMap<Box<[u8]>, Slot>,
}

#[derive(Debug)]
struct Series {
    labels: PreparedLabels,
    /// The time of the last point, in nanoseconds since the Unix epoch.
    time: u64,
    updated: Instant,
    /// Since when nothing but older points came, and the time of the last of them.
    behind: Option<(Instant, u64)>,
    /// `None` once its sender has said that it ends: it is kept, so that an older point that comes late does not revive it.
    value: Option<Value>,
}

impl Family {
    pub(super) fn new(kind: Kind, help: &str, unit: &str) -> Self {
        Family {
            kind,
            help: help.to_owned(),
            unit: unit.to_owned(),
            conflict_reported: false,
            series: Vec::new(),
            free: Vec::new(),
            by_identity: HashMap::new(),
            by_spelling: HashMap::new(),
        }
    }

    /// How many series it holds.
    pub(super) fn len(&self) -> usize {
        self.series.len() - self.free.len()
    }

    pub(super) fn find_spelled(&self, spelling: &[u8]) -> Option<Slot> {
        self.by_spelling.get(spelling).copied()
    }

    pub(super) fn find(&self, identity: &PreparedLabels) -> Option<Slot> {
        self.by_identity.get(identity).copied()
    }

    /// Remembers that the series at `slot` is also written so.
    pub(super) fn remember(&mut self, spelling: &[u8], slot: Slot) {
        if self.by_spelling.len() >= (SPELLINGS_PER_SERIES * self.len()).max(MIN_SPELLINGS) {
            self.by_spelling.clear();
        }
        self.by_spelling.insert(spelling.into(), slot);
    }

    /// Adds a series that has no value yet.
    pub(super) fn insert(&mut self, identity: PreparedLabels, labels: PreparedLabels, now: Instant) -> Slot {
        let series = Some(Series { labels, time: 0, updated: now, behind: None, value: None });
        let slot = match self.free.pop() {
            Some(slot) => {
                self.series[slot] = series;
                slot
            }
            None => {
                self.series.push(series);
                self.series.len() - 1
            }
        };
        self.by_identity.insert(identity, slot);
        slot
    }

    /// Whether a series of this family can have these labels.
    pub(super) fn suits(&self, labels: &PreparedLabels) -> bool {
        match self.kind {
            Kind::Histogram => labels.suit_histogram(),
            Kind::Summary => labels.suit_summary(),
            Kind::Counter | Kind::Gauge | Kind::Info | Kind::Unknown => true,
        }
    }

    /// Sets what a series of labels alone says.
    pub(super) fn describe(&mut self, slot: Slot, labels: &PreparedLabels, now: Instant) {
        if let Some(series) = self.series[slot].as_mut() {
            series.labels.clone_from(labels);
            series.value = Some(Value::Info);
            series.updated = now;
        }
    }

    /// Takes a point, by way of `scratch`.
    pub(super) fn update(
        &mut self,
        slot: Slot,
        point: &Point<'_>,
        temporality: Temporality,
        scratch: &mut Value,
        now: Instant,
    ) -> Result<(), Reason> {
        let Some(series) = self.series[slot].as_mut() else { return Ok(()) };
        series.take_turn(point, temporality, now)?;
        if point.is_stale {
            series.value = None;
        } else {
            scratch.read(point).map_err(|_| Reason::Invalid)?;
            match (&mut series.value, temporality) {
                (Some(total), Temporality::Delta) => total.add(scratch),
                (Some(value), Temporality::Cumulative) => std::mem::swap(value, scratch),
                (none, _) => *none = Some(scratch.clone()),
            }
        }
        if point.time != 0 {
            series.time = point.time;
        }
        series.updated = now;
        Ok(())
    }

    /// Forgets the series that ended, and those without an update for as long as `expiration`.
    pub(super) fn sweep(&mut self, now: Instant, expiration: Duration) {
        let before = self.free.len();
        for (slot, place) in self.series.iter_mut().enumerate() {
            let is_over =
                |series: &Series| series.value.is_none() || now.saturating_duration_since(series.updated) >= expiration;
            if place.take_if(|series| is_over(series)).is_some() {
                self.free.push(slot);
            }
        }
        if self.free.len() > before {
            let series = &self.series;
            self.by_identity.retain(|_, slot| series[*slot].is_some());
            self.by_spelling.retain(|_, slot| series[*slot].is_some());
        }
    }

    /// Writes the family as `kind`, which is its own or `Unknown`.
    pub(super) fn encode(&self, name: &str, kind: Kind, timestamps: bool, encoder: &mut Encoder<'_>) {
        let numbers = || self.samples(timestamps, Value::as_number);
        let series = match kind {
            Kind::Counter => exposition::Series::Counter(numbers()),
            Kind::Gauge => exposition::Series::Gauge(numbers()),
            Kind::Unknown => exposition::Series::Unknown(numbers()),
            Kind::Histogram => exposition::Series::Histogram(self.samples(timestamps, Value::as_histogram)),
            Kind::Summary => exposition::Series::Summary(self.samples(timestamps, Value::as_summary)),
            Kind::Info => exposition::Series::Info(self.samples(false, |_| Some(()))),
        };
        let unit = Some(self.unit.as_str()).filter(|unit| !unit.is_empty());
        encoder.family(&exposition::Family { name, help: &self.help, unit, series });
    }

    fn samples<'a, V>(&'a self, timestamps: bool, read: impl Fn(&'a Value) -> Option<V>) -> Vec<Sample<'a, V>> {
        let sample = |series: &'a Series| {
            let value = series.value.as_ref().and_then(&read)?;
            let timestamp_ms = if timestamps { series.timestamp_ms() } else { None };
            Some(Sample { labels: &series.labels, value, timestamp_ms })
        };
        self.series.iter().flatten().filter_map(sample).collect()
    }
}

impl Series {
    /// Refuses a point that comes too late, unless the clock of its sender was set back: then it would be refused until
    /// that clock is where it was, and the series would stand still meanwhile.
    fn take_turn(&mut self, point: &Point<'_>, temporality: Temporality, now: Instant) -> Result<(), Reason> {
        let order = self.check_order(point, temporality);
        if order.is_err() && point.time < self.time {
            let (since, last) = self.behind.unwrap_or((now, point.time));
            if point.time <= last || now.saturating_duration_since(since) < SET_BACK {
                self.behind = Some((since, point.time.max(last)));
                return order;
            }
        } else {
            order?;
        }
        self.behind = None;
        Ok(())
    }

    /// Refuses a point that says what is known already. One without a time is taken as it comes.
    fn check_order(&self, point: &Point<'_>, temporality: Temporality) -> Result<(), Reason> {
        match (point.time, temporality) {
            (0, _) => Ok(()),
            (time, Temporality::Cumulative) if time < self.time => Err(Reason::Superseded),
            // A gap before it is no reason to begin again: what came in it is lost, what came before is not.
            (time, Temporality::Delta) if time <= self.time || (point.start != 0 && point.start < self.time) => {
                Err(Reason::OutOfOrder)
            }
            _ => Ok(()),
        }
    }

    fn timestamp_ms(&self) -> Option<i64> {
        i64::try_from(self.time / NANOS_PER_MILLI).ok().filter(|ms| *ms != 0)
    }
}

impl Value {
    fn as_number(&self) -> Option<Number> {
        if let Value::Number(number) = self { Some(*number) } else { None }
    }

    fn as_histogram(&self) -> Option<Histogram<'_>> {
        let Value::Histogram(Distribution { buckets, sum, count }) = self else { return None };
        Some(Histogram { buckets: buckets.into(), sum: *sum, count: *count })
    }

    fn as_summary(&self) -> Option<Summary<'_>> {
        let Value::Summary(Quantiles { quantiles, sum, count }) = self else { return None };
        Some(Summary { quantiles: quantiles.into(), sum: *sum, count: *count })
    }
}
