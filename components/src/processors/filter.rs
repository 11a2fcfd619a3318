//! The `filter` processor: which spans, metrics, data points and log records go on.
//!
//! The settings are those of the Collector's filter before it had conditions in its transformation language (OTTL), with
//! data points beside metrics. Absent: OTTL, which is refused with a word, and `match_type: expr`.

use tracecore::prelude::*;
use tracecore::signal::Metadata;
use tracecore::signal::edit::{Act, AttributesMut, Edit, ItemMut, ScopeMut, Touches};
use tracecore::signal::view::MetricRef;

use crate::shaping::conditions::{Asking, ConditionError, Conditions, Shown};
use crate::shaping::matching::{AttributeMatch, LibraryMatch, MatchType, Properties, SeverityMatch};

/// Drops spans, data points and log records.
#[processor(
    "filter",
    aliases = ["filterprocessor"],
    config = Config,
    error = Error,
    example = "spans: {exclude: {match_type: strict, span_names: [GET /healthz]}}",
)]
struct Filter {
    spans: Option<Kept>,
    metrics: Option<Kept>,
    logs: Option<Kept>,
}

/// Settings of the `filter` processor.
#[config]
struct Config {
    /// Which spans go on.
    spans: Option<SpanFilter>,
    /// Which metrics and data points go on.
    metrics: Option<MetricFilter>,
    /// Which log records go on.
    logs: Option<LogFilter>,
    /// Not understood yet: conditions in OTTL.
    traces: Option<TraceConditions>,
    /// Not understood yet: conditions in OTTL.
    #[default]
    trace_conditions: Vec<String>,
    /// Not understood yet: conditions in OTTL.
    #[default]
    metric_conditions: Vec<String>,
    /// Not understood yet: conditions in OTTL.
    #[default]
    log_conditions: Vec<String>,
    /// Not understood yet: it is about conditions in OTTL.
    error_mode: Option<String>,
}

/// Which spans go on: those that `include` matches, without those that `exclude` matches.
#[config]
struct SpanFilter {
    /// What spans must be like to go on.
    include: Option<Properties>,
    /// What spans are like that are dropped.
    exclude: Option<Properties>,
}

/// Which metrics and data points go on: those that `include` matches, without those that `exclude` matches.
#[config]
struct MetricFilter {
    /// What data points must be like to go on.
    include: Option<MetricMatch>,
    /// What data points are like that are dropped.
    exclude: Option<MetricMatch>,
    /// Not understood yet: conditions in OTTL.
    #[default]
    resource: Vec<String>,
    /// Not understood yet: conditions in OTTL.
    #[default]
    metric: Vec<String>,
    /// Not understood yet: conditions in OTTL.
    #[default]
    datapoint: Vec<String>,
}

/// What a data point is like: all that is named must hold. A metric of which no point goes on is dropped.
#[config]
struct MetricMatch {
    /// How names and values are compared.
    match_type: MatchType,
    /// One of these is the metric's name.
    #[default]
    metric_names: Vec<String>,
    /// Attributes that the resource has, all of them.
    #[default]
    resource_attributes: Vec<AttributeMatch>,
    /// One of these is the scope.
    #[default]
    libraries: Vec<LibraryMatch>,
    /// Attributes that the data point has, all of them.
    #[default]
    attributes: Vec<AttributeMatch>,
}

/// Which log records go on: those that `include` matches, without those that `exclude` matches.
#[config]
struct LogFilter {
    /// What records must be like to go on.
    include: Option<LogMatch>,
    /// What records are like that are dropped.
    exclude: Option<LogMatch>,
    /// Not understood yet: conditions in OTTL.
    #[default]
    resource: Vec<String>,
    /// Not understood yet: conditions in OTTL.
    #[default]
    log_record: Vec<String>,
}

/// What a log record is like: all that is named must hold.
#[config]
struct LogMatch {
    /// How names and values are compared.
    match_type: MatchType,
    /// Attributes that the resource has, all of them.
    #[default]
    resource_attributes: Vec<AttributeMatch>,
    /// One of these is the scope.
    #[default]
    libraries: Vec<LibraryMatch>,
    /// Attributes that the record has, all of them.
    #[default]
    record_attributes: Vec<AttributeMatch>,
    /// One of these is the severity as the source words it.
    #[default]
    severity_texts: Vec<String>,
    /// How severe the record is.
    severity_number: Option<SeverityMatch>,
    /// One of these is the body, which is a text.
    #[default]
    bodies: Vec<String>,
}

/// Conditions in OTTL for traces.
#[config]
struct TraceConditions {
    /// Not understood yet: conditions in OTTL.
    #[default]
    resource: Vec<String>,
    /// Not understood yet: conditions in OTTL.
    #[default]
    span: Vec<String>,
    /// Not understood yet: conditions in OTTL.
    #[default]
    spanevent: Vec<String>,
}

/// Why its settings make no sense.
#[derive(Debug, thiserror::Error, Classify)]
enum Error {
    /// Conditions in OTTL.
    #[error(
        "`{0}` is about conditions in OTTL, which are not understood yet: write `include` or `exclude` below `spans`, `metrics` or `logs`"
    )]
    #[kind(Init)]
    Ottl(&'static str),
    /// Nothing is filtered.
    #[error("nothing is filtered: write `include` or `exclude` below `spans`, `metrics` or `logs`")]
    #[kind(Init)]
    Nothing,
    /// A condition.
    #[error(transparent)]
    #[kind(Init)]
    Condition(#[from] ConditionError),
}

impl Processor for Filter {
    const EDITS: bool = true;

    fn new(config: Config) -> Result<Self, Error> {
        if let Some(setting) = config.ottl() {
            return Err(Error::Ottl(setting));
        }
        let Config { spans, metrics, logs, .. } = config;
        let filter = Filter {
            spans: spans.map(Kept::of_spans).transpose()?.flatten(),
            metrics: metrics.map(|of| Kept::new("metrics", of.include, of.exclude)).transpose()?.flatten(),
            logs: logs.map(|logs| Kept::new("logs", logs.include, logs.exclude)).transpose()?.flatten(),
        };
        let all = [&filter.spans, &filter.metrics, &filter.logs];
        if all.iter().all(|kept| kept.is_none()) { Err(Error::Nothing) } else { Ok(filter) }
    }

    fn edit<'a>(&'a self, signal: Signal, _: Option<&'a Metadata>) -> Box<dyn Edit + 'a> {
        let kept = match signal {
            Signal::Traces => &self.spans,
            Signal::Metrics => &self.metrics,
            Signal::Logs => &self.logs,
        };
        let asking = |which: fn(&Kept) -> &Option<Conditions>| {
            kept.as_ref().and_then(|kept| which(kept).as_ref()).map(Asking::new)
        };
        Box::new(Keeping { include: asking(|kept| &kept.include), exclude: asking(|kept| &kept.exclude) })
    }
}

impl Config {
    /// A setting about OTTL, if there is one.
    fn ottl(&self) -> Option<&'static str> {
        let metrics =
            |get: fn(&MetricFilter) -> &Vec<String>| self.metrics.as_ref().is_some_and(|of| !get(of).is_empty());
        let logs = |get: fn(&LogFilter) -> &Vec<String>| self.logs.as_ref().is_some_and(|logs| !get(logs).is_empty());
        let traces =
            |get: fn(&TraceConditions) -> &Vec<String>| self.traces.as_ref().is_some_and(|of| !get(of).is_empty());
        let written = [
            ("traces.resource", traces(|of| &of.resource)),
            ("traces.span", traces(|of| &of.span)),
            ("traces.spanevent", traces(|of| &of.spanevent)),
            ("traces", self.traces.is_some()),
            ("metrics.resource", metrics(|of| &of.resource)),
            ("metrics.metric", metrics(|of| &of.metric)),
            ("metrics.datapoint", metrics(|of| &of.datapoint)),
            ("logs.resource", logs(|of| &of.resource)),
            ("logs.log_record", logs(|of| &of.log_record)),
            ("trace_conditions", !self.trace_conditions.is_empty()),
            ("metric_conditions", !self.metric_conditions.is_empty()),
            ("log_conditions", !self.log_conditions.is_empty()),
            ("error_mode", self.error_mode.is_some()),
        ];
        written.iter().find(|(_, written)| *written).map(|(setting, _)| *setting)
    }
}

/// Which items of a signal go on.
struct Kept {
    include: Option<Conditions>,
    exclude: Option<Conditions>,
}

impl Kept {
    fn of_spans(SpanFilter { include, exclude }: SpanFilter) -> Result<Option<Kept>, Error> {
        for (at, wanted) in [("spans.include", &include), ("spans.exclude", &exclude)] {
            if let Some(setting) = wanted.as_ref().and_then(Properties::beside_spans) {
                return Err(ConditionError::NotOfSpans { at: at.to_owned(), setting }.into());
            }
        }
        Kept::new("spans", include, exclude)
    }

    fn new<M: Into<Properties>>(of: &str, include: Option<M>, exclude: Option<M>) -> Result<Option<Kept>, Error> {
        let conditions = |which: &str, wanted: Option<M>| {
            wanted.map(|wanted| Conditions::new(&format!("{of}.{which}"), wanted.into())).transpose()
        };
        let (include, exclude) = (conditions("include", include)?, conditions("exclude", exclude)?);
        Ok((include.is_some() || exclude.is_some()).then_some(Kept { include, exclude }))
    }
}

impl From<MetricMatch> for Properties {
    fn from(wanted: MetricMatch) -> Self {
        Properties {
            resources: wanted.resource_attributes,
            libraries: wanted.libraries,
            metric_names: wanted.metric_names,
            attributes: wanted.attributes,
            ..Properties::new(wanted.match_type)
        }
    }
}

impl From<LogMatch> for Properties {
    fn from(wanted: LogMatch) -> Self {
        Properties {
            resources: wanted.resource_attributes,
            libraries: wanted.libraries,
            log_bodies: wanted.bodies,
            log_severity_texts: wanted.severity_texts,
            log_severity_number: wanted.severity_number,
            attributes: wanted.record_attributes,
            ..Properties::new(wanted.match_type)
        }
    }
}

/// Drops as early as it is certain: a whole resource rather than each of its items.
struct Keeping<'a> {
    include: Option<Asking<'a>>,
    exclude: Option<Asking<'a>>,
}

impl<'a> Keeping<'a> {
    fn show(&mut self, shown: Shown, mut show: impl FnMut(&mut Asking<'a>)) -> Act {
        self.include.iter_mut().chain(&mut self.exclude).for_each(&mut show);
        let is_out = self.include.as_ref().is_some_and(|include| include.so_far(shown) == Some(false))
            || self.exclude.as_ref().is_some_and(|exclude| exclude.so_far(shown) == Some(true));
        if is_out { Act::Drop } else { Act::Keep }
    }
}

impl Edit for Keeping<'_> {
    fn touches(&self) -> Touches {
        self.include.iter().chain(&self.exclude).map(Asking::touches).fold(Touches::NOTHING, Touches::and)
    }

    fn resource(&mut self, attributes: &mut AttributesMut<'_>) -> Act {
        self.show(Shown::Resource, |asking| asking.resource(attributes))
    }

    fn scope(&mut self, scope: &mut ScopeMut<'_>) -> Act {
        self.show(Shown::Scope, |asking| asking.scope(scope))
    }

    fn metric(&mut self, metric: &MetricRef<'_>) -> Act {
        self.show(Shown::Metric, |asking| asking.metric(metric))
    }

    fn item(&mut self, item: &mut ItemMut<'_>) -> Act {
        let included = self.include.as_mut().is_none_or(|include| include.item(item));
        let goes_on = included && !self.exclude.as_mut().is_some_and(|exclude| exclude.item(item));
        if goes_on { Act::Keep } else { Act::Drop }
    }
}
