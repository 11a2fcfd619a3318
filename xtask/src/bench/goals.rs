//! What the figures must be, whatever the baseline says.

use std::fmt;

use super::table::{Row, Table};

/// Nanoseconds that the service-level figures of 100 exporters may take.
const SLO_NS: f64 = 4510.0;

/// How many times cheaper the walk must be than decoding and encoding.
const WALK_ADVANTAGE: f64 = 10.0;

/// How many times the walk's own figure for ASCII other text and another order of fields may cost, by the item.
const WALK_PENALTY: f64 = 2.0;

/// Instructions that the events that nobody hears and the self-telemetry at its default level may cost a batch.
const TOLD_INSTRUCTIONS: f64 = 800.0;

/// Millionths of a core that a receiver may take for its own telemetry: 0.05 %.
const TOLD_SHARE: f64 = 500.0;

/// How often the `clock` receiver ticks by default, a second.
const CLOCK_TICKS: f64 = 10.0;

/// Nanoseconds that a collection by all scrapers of `hostmetrics` may take.
const COLLECTION_NS: f64 = 3e6;

/// A goal and how a run stands to it.
#[derive(Debug, PartialEq)]
pub(super) struct Goal {
    what: String,
    is: f64,
    bound: Bound,
    unit: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Goal {
    /// Whether the run meets it.
    pub(super) fn is_met(&self) -> bool {
        match self.bound {
            Bound::AtLeast(bound) => self.is >= bound,
            Bound::AtMost(bound) => self.is <= bound,
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Goal { what, is, unit, .. } = self;
        let met = if self.is_met() { "goal met:" } else { "GOAL MISSED:" };
        let (words, bound) = match self.bound {
            Bound::AtLeast(bound) => ("at least", bound),
            Bound::AtMost(bound) => ("at most", bound),
        };
        write!(f, "{met} {what}: {is:.2} {unit}, {words} {bound} wanted")
    }
}

/// The goals that `table` has the figures for.
pub(super) fn of(table: &Table) -> Vec<Goal> {
    let slo = table.row("telemetry/slo/100_exporters");
    let ns = [("telemetry/slo/100_exporters", SLO_NS), ("pipeline/hostmetrics", COLLECTION_NS)];
    let ns = ns.into_iter().filter_map(|(name, most)| {
        let is = table.row(name)?.ns?;
        Some(Goal { what: name.to_owned(), is, bound: Bound::AtMost(most), unit: "ns" })
    });
    let walks = table.0.iter().filter(|row| row.name.ends_with("/walk"));
    let free = walks.clone().chain(slo).chain(table.row("telemetry/count")).chain(table.row("telemetry/windowed_rate"));
    let allocations = free.filter_map(|row| {
        let (what, is) = (row.name.clone(), row.allocations?);
        Some(Goal { what, is, bound: Bound::AtMost(0.0), unit: "allocations" })
    });
    ns.chain(allocations)
        .chain(told(table))
        .chain(told_receiver(table))
        .chain(walks.filter_map(|walk| walk_goal(table, walk)))
        .collect()
}

/// What it costs a batch to be told of, beside one of which nothing is.
fn told(table: &Table) -> Vec<Goal> {
    let rows = table.row("pipeline/relay").zip(table.row("pipeline/relay_untold"));
    let goal = |(told, untold): (Option<f64>, Option<f64>), bound, unit| {
        let is = told? - untold?;
        Some(Goal { what: "pipeline/relay beside relay_untold".to_owned(), is, bound: Bound::AtMost(bound), unit })
    };
    let goals = rows.map(|(told, untold)| {
        let instructions = goal((told.instructions, untold.instructions), TOLD_INSTRUCTIONS, "instructions a batch");
        let allocations = goal((told.allocations, untold.allocations), 0.0, "allocations a batch");
        [instructions, allocations]
    });
    goals.into_iter().flatten().flatten().collect()
}

/// What a receiver's own telemetry takes of a core, at its default interval: the share of its instructions, of the time that
/// they take here.
fn told_receiver(table: &Table) -> Option<Goal> {
    let (told, untold) = table.row("receiver/clock").zip(table.row("receiver/clock_untold"))?;
    let share = 1.0 - untold.instructions? / told.instructions?;
    let is = share * told.ns? * CLOCK_TICKS / 1000.0;
    let what = "receiver/clock beside clock_untold".to_owned();
    Some(Goal { what, is, bound: Bound::AtMost(TOLD_SHARE), unit: "millionths of a core" })
}

/// The walk over ASCII beside prost, any other walk beside that over ASCII.
fn walk_goal(table: &Table, walk: &Row) -> Option<Goal> {
    let (signal, shape) = walk.name.strip_suffix("/walk")?.rsplit_once('/')?;
    let instructions = |name: String| table.row(&name)?.instructions;
    let (is, other, bound, unit) = if shape == "ascii" {
        let prost = instructions(format!("{signal}/{shape}/prost_decode_encode"))?;
        (prost / walk.instructions?, "prost_decode_encode", Bound::AtLeast(WALK_ADVANTAGE), "times fewer instructions")
    } else {
        let ascii = instructions(format!("{signal}/ascii/walk"))?;
        (walk.instructions? / ascii, "the walk over ASCII", Bound::AtMost(WALK_PENALTY), "times the instructions")
    };
    Some(Goal { what: format!("{} beside {other}", walk.name), is, bound, unit })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn goals(text: &str) -> Vec<(bool, String)> {
        of(&text.parse().unwrap()).iter().map(|goal| (goal.is_met(), goal.to_string())).collect()
    }

    #[test]
    fn the_walk_is_held_against_prost_and_against_itself() {
        let text = "\
wire/logs/ascii/walk                span - - - - - 1000
wire/logs/ascii/prost_decode_encode span - - - - - 9990
wire/logs/cjk/walk                  span - - - - - 2000
";
        let [ascii, cjk] = &goals(text)[..] else { panic!("two goals: {:?}", goals(text)) };
        assert!(!ascii.0, "{ascii:?}");
        assert!(
            ascii.1.starts_with("GOAL MISSED: wire/logs/ascii/walk beside prost_decode_encode: 9.99"),
            "{}",
            ascii.1
        );
        assert!(cjk.0, "{cjk:?}");
    }

    #[test]
    fn the_service_level_figures_are_held_against_their_bound_and_allocate_nothing() {
        let met = "telemetry/slo/100_exporters call 4510 - - - 0 -";
        assert!(goals(met).iter().all(|(met, _)| *met));
        let missed = "telemetry/slo/100_exporters call 4511 - - - 0.01 -";
        assert_eq!(goals(missed).iter().filter(|(met, _)| !met).count(), 2);
    }

    #[test]
    fn a_collection_of_the_host_is_held_against_its_bound() {
        let text = |ns: u64| format!("pipeline/hostmetrics collection {ns} - - - - -");
        assert_eq!(goals(&text(3_000_000)).iter().map(|(met, _)| *met).collect::<Vec<_>>(), [true]);
        assert_eq!(goals(&text(3_000_001)).iter().map(|(met, _)| *met).collect::<Vec<_>>(), [false]);
    }

    #[test]
    fn being_told_of_is_held_against_its_bound_and_allocates_nothing() {
        let text = |told: u64, allocations: u64| {
            format!("pipeline/relay batch - - - - {allocations} {told}\npipeline/relay_untold batch - - - - 7 1000\n")
        };
        assert!(goals(&text(1800, 7)).iter().all(|(met, _)| *met));
        assert_eq!(goals(&text(1801, 8)).iter().filter(|(met, _)| !met).count(), 2);
    }

    #[test]
    fn the_telemetry_of_a_receiver_is_held_against_its_share_of_a_core() {
        // A tenth of its instructions, in 500 µs ten times a second: 50 µs ten times a second.
        let text =
            |ns: u64| format!("receiver/clock tick {ns} - - - - 10000\nreceiver/clock_untold tick 1 - - - - 9000\n");
        assert!(goals(&text(499_000)).iter().all(|(met, _)| *met));
        assert_eq!(goals(&text(501_000)).iter().filter(|(met, _)| !met).count(), 1);
    }

    #[test]
    fn a_figure_that_was_not_measured_is_no_goal() {
        assert_eq!(goals("wire/logs/ascii/walk span 1 - - - - -"), []);
    }
}
