//! Metrics that had another name in an earlier release: each is shown under both for as long as was announced.
//!
//! The old name is a second stream of the same instrument. So it has the same labels, buckets and values, and goes
//! wherever the new one goes: on `/metrics` and with a push. A series for each says what it is called now, and which
//! release no longer has the old name. `docs/DEPRECATION.md` has the policy, and the table for readers.
//!
//! Deliberately absent: a metric whose type, unit or labels change. That is another metric, with a name of its own.

use super::TelemetryError;
use super::instruments::{Instruments, attributes};
use super::level::Level;
use super::spec::{LabelKey, Spec, Values};
use crate::metrics::Kind;

/// Every metric that is shown under its old name too.
pub(super) const RENAMES: &[Rename] = &[];

/// A metric that has another name now. Both names are those of the instrument, with dots.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rename {
    pub(super) old: &'static str,
    pub(super) new: &'static str,
    /// The first release without the old name.
    pub(super) removal: &'static str,
}

const OLD: LabelKey = LabelKey { key: "old", values: Values::Process };
const NEW: LabelKey = LabelKey { key: "new", values: Values::Process };
const REMOVAL: LabelKey = LabelKey { key: "removal", values: Values::Process };

const DEPRECATED_METRIC: Spec<3> = Spec {
    name: "tracecore.deprecated_metric",
    help: "A metric that is shown under its old name too, until the release that is named; always 1.",
    unit: "1",
    labels: [OLD, NEW, REMOVAL],
    level: Level::Basic,
    since: "0.1.0",
};

/// Says of each what it is called now. Without any there is no such family.
pub(super) fn tell(renames: &[Rename], make: &Instruments) -> Result<(), TelemetryError> {
    if renames.is_empty() {
        return Ok(());
    }
    let Spec { name, help, unit, labels, .. } = DEPRECATED_METRIC;
    let declared = DEPRECATED_METRIC.declared(Kind::Gauge, &[]);
    let gauge = make.instrument(&declared, renames.len(), |meter| {
        meter.f64_gauge(name).with_description(help).with_unit(unit).build()
    })?;
    for Rename { old, new, removal } in renames {
        gauge.record(1.0, &attributes(&labels.map(|label| label.key), &[&exposed(old), &exposed(new), removal]));
    }
    Ok(())
}

/// The name as `/metrics` shows it.
pub(super) fn exposed(name: &str) -> String {
    name.replace('.', "_")
}
