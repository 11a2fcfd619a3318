//! What is shown to scrapers: the last value of every series, until it expires.
//!
//! Invariants: never more than `max_series` series, targets included; one type for each name, that of the first who
//! used it; a series is its name and its labels, whoever sends it and in whatever order its attributes come.
//! Deliberately absent: locks (the owner has one) and a clock (who calls says what time it is).

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tracecore::exposition::{Encoder, Format};
use tracecore::signal::view::MetricRef;
use tracecore::time::{Duration, Instant};

use super::family::{Family, Kind, Slot};
use super::labels::{Labelling, Origin, Source};
use super::name::{Naming, Suffix};
use super::spelling::{spell, spell_bytes};
use super::value::{Point, Value};
use super::{Reason, Temporality};

/// The family of what is known about targets.
const TARGET_INFO: &str = "target_info";

/// Its help text.
const TARGET_HELP: &str = "The resource that the metrics of a job and an instance are about.";

/// Sources that are remembered: a gateway for thousands of nodes has fewer. Beyond, all are forgotten and learned anew.
const MAX_SOURCES: usize = 65_536;

/// The least time between two looks for expired series in a full store, so that a flood of new series does not make each
/// batch look at all of them.
const FULL_SWEEP_PAUSE: Duration = Duration::from_secs(1);

/// What the configuration says.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) naming: Naming,
    pub(super) labelling: Labelling,
    pub(super) max_series: usize,
    pub(super) expiration: Duration,
    pub(super) timestamps: bool,
}

/// The series.
#[derive(Debug)]
pub(super) struct Store {
    settings: Settings,
    families: BTreeMap<String, Family>,
    targets: Family,
    /// By how a resource and a scope are written. A cache.
    sources: HashMap<Box<[u8]>, Arc<Source>>,
    next_source: u64,
    held: Arc<AtomicUsize>,
    swept: Option<Instant>,
    /// Buffers, so that a point that is known costs no allocation.
    spelling: Vec<u8>,
    scratch: Value,
}

/// The points of one metric that could not be taken.
#[derive(Debug, Default)]
pub(super) struct Refused {
    points: [u64; Reason::ALL.len()],
    /// A conflict that was not reported yet.
    pub(super) conflict: Option<Conflict>,
}

/// One name, two types.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Conflict {
    pub(super) name: String,
    pub(super) kept: &'static str,
    pub(super) refused: &'static str,
}

impl Refused {
    /// All of `points`, for one reason.
    pub(super) fn all<T>(points: impl Iterator<Item = T>, reason: Reason) -> Self {
        let mut refused = Refused::default();
        refused.add(reason, points.fold(0, |count, _| count + 1));
        refused
    }

    pub(super) fn add(&mut self, reason: Reason, points: u64) {
        self.points[reason as usize] += points;
    }

    /// Each reason with the number of points.
    pub(super) fn by_reason(&self) -> impl Iterator<Item = (Reason, u64)> {
        Reason::ALL.into_iter().zip(self.points).filter(|(_, points)| *points > 0)
    }
}

impl Store {
    pub(super) fn new(settings: Settings) -> Self {
        Store {
            settings,
            families: BTreeMap::new(),
            targets: Family::new(Kind::Info, TARGET_HELP, ""),
            sources: HashMap::new(),
            next_source: 0,
            held: Arc::default(),
            swept: None,
            spelling: Vec::new(),
            scratch: Value::Info,
        }
    }

    /// How many series are held, readable without the store.
    pub(super) fn held(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.held)
    }

    /// Makes room if the store is full of what has expired.
    pub(super) fn make_room(&mut self, now: Instant) {
        let is_due = self.swept.is_none_or(|swept| now.saturating_duration_since(swept) >= FULL_SWEEP_PAUSE);
        if self.free() == 0 && is_due {
            self.sweep(now);
        }
    }

    /// Forgets what has ended or expired.
    pub(super) fn sweep(&mut self, now: Instant) {
        let expiration = self.settings.expiration;
        for family in self.families.values_mut() {
            family.sweep(now, expiration);
        }
        self.families.retain(|_, family| family.len() > 0);
        self.targets.sweep(now, expiration);
        let held = self.families.values().map(Family::len).sum::<usize>() + self.targets.len();
        self.held.store(held, Ordering::Relaxed);
        self.swept = Some(now);
    }

    fn free(&self) -> usize {
        self.settings.max_series.saturating_sub(self.held.load(Ordering::Relaxed))
    }

    /// Where metrics come from. Its target is shown from now on.
    pub(super) fn source(&mut self, origin: &Origin<'_>, now: Instant) -> Arc<Source> {
        self.spelling.clear();
        spell(&mut self.spelling, origin.resource.attributes());
        for text in [origin.scope.name, origin.scope.version, origin.schema_url] {
            spell_bytes(&mut self.spelling, text.as_bytes());
        }
        spell(&mut self.spelling, origin.scope.attributes());

        let source = match self.sources.get(self.spelling.as_slice()) {
            Some(known) => Arc::clone(known),
            None => {
                if self.sources.len() >= MAX_SOURCES {
                    self.sources.clear();
                }
                let source = Arc::new(self.settings.labelling.source(self.next_source, origin));
                self.next_source += 1;
                self.sources.insert(self.spelling.as_slice().into(), Arc::clone(&source));
                source
            }
        };
        self.show_target(&source, now);
        source
    }

    /// Shows the target of a source. The newest description of a target is the one that counts.
    fn show_target(&mut self, source: &Source, now: Instant) {
        let Some(target) = &source.target else { return };
        let slot = match self.targets.find(&target.identity) {
            Some(slot) => slot,
            None if self.free() == 0 => return,
            None => {
                self.held.fetch_add(1, Ordering::Relaxed);
                self.targets.insert(target.identity.clone(), target.labels.clone(), now)
            }
        };
        self.targets.describe(slot, &target.labels, now);
    }

    /// Takes the points of a metric.
    pub(super) fn take<'a>(
        &mut self,
        metric: &MetricRef<'_>,
        (kind, suffix): (Kind, Suffix),
        temporality: Temporality,
        source: &Source,
        points: impl Iterator<Item = Point<'a>>,
        now: Instant,
    ) -> Refused {
        let Some(named) = self.settings.naming.metric(metric.name, metric.unit, suffix) else {
            return Refused::all(points, Reason::Invalid);
        };
        if named.name == TARGET_INFO {
            return conflict(&mut self.targets, named.name, kind, points);
        }
        let family = self.families.entry(named.name.clone());
        let family = family.or_insert_with(|| Family::new(kind, metric.description, &named.unit));
        if family.kind != kind {
            return conflict(family, named.name, kind, points);
        }
        let mut refused = Refused::default();
        let mut taking = Taking {
            family,
            source,
            labelling: &self.settings.labelling,
            max_series: self.settings.max_series,
            held: &self.held,
            spelling: &mut self.spelling,
            now,
        };
        for point in points {
            let taken = match taking.place(&point) {
                Ok(Some(slot)) => taking.family.update(slot, &point, temporality, &mut self.scratch, now),
                Ok(None) => Ok(()),
                Err(reason) => Err(reason),
            };
            if let Err(reason) = taken {
                refused.add(reason, 1);
            }
        }
        if taking.family.len() == 0 {
            self.families.remove(&named.name);
        }
        refused
    }

    /// Writes what is known about targets.
    pub(super) fn encode_targets(&self, encoder: &mut Encoder<'_>) {
        if self.targets.len() > 0 {
            self.targets.encode(TARGET_INFO, Kind::Info, false, encoder);
        }
    }

    /// Writes the first family behind `previous` in the order of names, and says its name; `None` behind the last.
    pub(super) fn encode_next(
        &self,
        previous: Option<&str>,
        format: Format,
        encoder: &mut Encoder<'_>,
    ) -> Option<String> {
        let from = previous.map_or(Bound::Unbounded, Bound::Excluded);
        let (name, family) = self.families.range::<str, _>((from, Bound::Unbounded)).next()?;
        let kind = if format == Format::OpenMetrics { self.open_metrics_kind(name, family) } else { family.kind };
        family.encode(name, kind, self.settings.timestamps, encoder);
        Some(name.clone())
    }

    /// OpenMetrics calls the family of `x_total` just `x`. Where there is an `x` too, as there often is in what was
    /// scraped elsewhere, the counter keeps its name and its values and loses its type.
    fn open_metrics_kind(&self, name: &str, family: &Family) -> Kind {
        let base = name.strip_suffix("_total").filter(|_| family.kind == Kind::Counter);
        if base.is_some_and(|base| self.families.contains_key(base)) { Kind::Unknown } else { family.kind }
    }
}

/// Refuses the points of a metric whose name is that of `family`, which is of another type.
fn conflict<T>(family: &mut Family, name: String, kind: Kind, points: impl Iterator<Item = T>) -> Refused {
    let mut refused = Refused::all(points, Reason::TypeConflict);
    if !std::mem::replace(&mut family.conflict_reported, true) {
        refused.conflict = Some(Conflict { name, kept: family.kind.as_str(), refused: kind.as_str() });
    }
    refused
}

/// Where the points of one metric go.
struct Taking<'s> {
    family: &'s mut Family,
    source: &'s Source,
    labelling: &'s Labelling,
    max_series: usize,
    held: &'s AtomicUsize,
    spelling: &'s mut Vec<u8>,
    now: Instant,
}

impl Taking<'_> {
    /// The place of the point's series, made if need be; none for the end of a series that is not there.
    fn place(&mut self, point: &Point<'_>) -> Result<Option<Slot>, Reason> {
        self.spelling.clear();
        self.spelling.extend_from_slice(&self.source.id.to_le_bytes());
        spell(self.spelling, point.attributes);
        if let Some(slot) = self.family.find_spelled(self.spelling) {
            return Ok(Some(slot));
        }
        let labels = self.labelling.series(self.source, point.attributes);
        let slot = match self.family.find(&labels) {
            Some(slot) => slot,
            None if point.is_stale => return Ok(None),
            None if !self.family.suits(&labels) => return Err(Reason::Invalid),
            None if self.held.load(Ordering::Relaxed) >= self.max_series => return Err(Reason::Overflow),
            None => {
                self.held.fetch_add(1, Ordering::Relaxed);
                self.family.insert(labels.clone(), labels, self.now)
            }
        };
        self.family.remember(self.spelling, slot);
        Ok(Some(slot))
    }
}
