//! The instrument that shows quantiles, and the sketch that they come from.
//!
//! A cell holds a count and a sum since the start, and a sketch of what was observed since the last collection; to collect
//! is to begin an empty sketch, so a cell's memory is bounded however much is observed. Deliberately absent: quantiles over
//! several series, several collections or several nodes. They cannot be computed from quantiles; the buckets of a
//! histogram can be summed.

use std::fmt;

use sketches_ddsketch::{Config, DDSketch};

use super::data::{Cells, Data, Maker};
use super::encode::Encoder;
use super::{Instrument, Kind, Label, Metric};

/// What a summary shows unless `#[quantiles(…)]` says otherwise: the typical value, and how bad the bad ones are.
pub(super) const DEFAULT_QUANTILES: [f64; 4] = [0.5, 0.9, 0.95, 0.99];

/// How far a quantile may be from the value that was observed, as a share of that value.
const RELATIVE_ERROR: f64 = 0.01;

/// The most bins of 8 bytes that a sketch has for the values of one sign. A bin spans 2 %, so these span 17 decades.
const MAX_BINS: u32 = 2048;

/// What is no farther from zero than this is zero to a sketch: smaller numbers have not the digits for the error above.
const SMALLEST: f64 = f64::MIN_POSITIVE;

/// A distribution of observed values, as its quantiles: 0.5, 0.9, 0.95 and 0.99, or those of `#[quantiles(…)]`.
///
/// The quantiles are of what was observed **since the last collection**, which is the last
/// [`emit_data`](crate::cx::Cx::emit_data), delivered or not; count and sum are **since the start** of the component. So the
/// quantiles show what is slow now, and rates can be taken of the rest. A series that observed nothing since the last
/// collection has no quantiles, and is sent with its count and sum alone.
///
/// The quantile `q` of `n` values is the one at rank `⌊q · (n − 1)⌋` of them in order, counted from 0, to within 1 %. The
/// quantiles 0 and 1 are the smallest and the largest value exactly. Of the values of one sign, those more than 17 decades
/// nearer to zero than the farthest are taken for values at that distance.
///
/// The memory of a series grows with the range of its values and not with their number: by 1 KiB for each factor of 13
/// between the smallest and the largest, to at most 32 KiB in use if values of both signs span 17 decades each, and at most
/// twice that with what a vector keeps in reserve. A collection frees it.
///
/// A value that is not finite is counted and summed, as in a [`Histogram`](super::data::Histogram), so the sum shows it from
/// then on; it has no part in the quantiles. Negative values are shown as they are, though OTLP and OpenMetrics have summaries
/// for values that cannot be negative, and their readers may take a falling sum for a restart.
#[derive(Debug)]
pub struct Summary<L: Label = ()> {
    cells: Cells<L, Observed>,
    start: u64,
}

impl<L: Label> Summary<L> {
    /// Observes one value, in the metric's unit.
    pub fn observe(&mut self, value: f64, label: L) {
        self.cells.change(label, Observed::nothing, |observed| observed.add(value));
    }

    /// Forgets the series of `label`.
    pub fn remove(&mut self, label: &L) {
        self.cells.remove(label);
    }
}

impl<L: Label> Instrument for Summary<L> {
    type End = Data;
    const KIND: Kind = Kind::Summary;
    const SERIES: usize = L::CAPACITY;
    const KEYS: &'static [&'static [&'static str]] = L::KEYS;

    fn make(_: &'static Metric, maker: &Maker) -> Self {
        Summary { cells: Cells::new(), start: maker.start }
    }

    fn visit(&mut self, metric: &'static Metric, encoder: &mut Encoder) {
        encoder.summary(metric, &mut self.cells, self.start);
        self.cells.contents_mut().for_each(Observed::collected);
    }

    fn sweep(&mut self) {
        self.cells.sweep();
    }
}

/// The values seen by one series of a summary.
pub(super) struct Observed {
    /// How many since the start.
    pub(super) count: u64,
    /// Their sum since the start.
    pub(super) sum: f64,
    /// The finite ones since the last collection.
    window: DDSketch,
}

impl Observed {
    fn nothing() -> Self {
        Observed { count: 0, sum: 0.0, window: empty() }
    }

    fn add(&mut self, value: f64) {
        self.count += 1;
        self.sum += value;
        // A sketch would take infinity for a bin, and NaN for zero.
        if value.is_finite() {
            self.window.add(value);
        }
    }

    /// Each of these quantiles with its value, or none if nothing finite was observed since the last collection.
    pub(super) fn quantiles(&self, quantiles: &'static [f64]) -> impl Iterator<Item = (f64, f64)> {
        quantiles.iter().filter_map(|quantile| {
            let estimate = self.window.quantile(*quantile).ok().flatten()?;
            // The middle of a bin may lie beyond what was observed in it.
            Some((*quantile, estimate.clamp(self.window.min()?, self.window.max()?)))
        })
    }

    /// Begins a new window.
    fn collected(&mut self) {
        self.window = empty();
    }
}

impl fmt::Debug for Observed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Observed { count, sum, window } = self;
        f.debug_struct("Observed")
            .field("count", count)
            .field("sum", sum)
            .field("in_window", &window.count())
            .finish_non_exhaustive()
    }
}

/// A sketch of nothing. It allocates when a value comes. ([DDSketch](https://arxiv.org/abs/1908.10693), section 2.)
fn empty() -> DDSketch {
    DDSketch::new(Config::new(RELATIVE_ERROR, MAX_BINS, SMALLEST))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const QUANTILES: [f64; 10] = [0.0, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1.0];

    /// The error that is promised, and what the arithmetic of floats adds to it.
    const TOLERANCE: f64 = RELATIVE_ERROR * (1.0 + 1e-9);

    fn observed(values: &[f64]) -> Observed {
        let mut observed = Observed::nothing();
        values.iter().for_each(|value| observed.add(*value));
        observed
    }

    /// The value at each quantile, and the one that the sketch gives for it.
    fn exact_and_estimated(values: &[f64]) -> Vec<(f64, f64, f64)> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let exact = |quantile: f64| sorted[(quantile * (sorted.len() - 1) as f64) as usize];
        let estimates: Vec<_> = observed(values).quantiles(&QUANTILES).collect();
        assert_eq!(estimates.len(), QUANTILES.len());
        estimates.into_iter().map(|(quantile, estimate)| (quantile, exact(quantile), estimate)).collect()
    }

    fn is_within_1pct(exact: f64, estimate: f64) -> bool {
        (estimate - exact).abs() <= TOLERANCE * exact.abs()
    }

    /// As many values as `COUNT`, at even steps of the distribution's cumulative share, in an order that is not theirs.
    fn drawn(value_at_share: impl Fn(f64) -> f64) -> Vec<f64> {
        const COUNT: usize = 10_007;
        const STRIDE: usize = 3_571;
        (0..COUNT).map(|step| value_at_share(((step * STRIDE % COUNT) as f64 + 0.5) / COUNT as f64)).collect()
    }

    #[test]
    fn summary_quantiles_within_1pct() {
        let distributions = [
            ("uniform", drawn(|share| 2.0 + 98.0 * share)),
            ("exponential", drawn(|share| -0.03 * (1.0 - share).ln())),
            ("bimodal", drawn(|share| if share < 0.7 { 0.001 + 0.001 * share } else { 30.0 + 10.0 * share })),
            ("heavy-tailed", drawn(|share| (1.0 - share).powf(-3.0))),
            ("around zero", drawn(|share| (100.0 * (share - 0.5)).round())),
            ("negative", drawn(|share| -1e6 * share)),
            ("all the same", drawn(|_| 0.25)),
            ("zero", drawn(|_| 0.0)),
            ("one value", vec![-7.5]),
            ("two values 16 decades apart", vec![1e-8, 1e8]),
        ];
        for (name, values) in distributions {
            for (quantile, exact, estimate) in exact_and_estimated(&values) {
                assert!(is_within_1pct(exact, estimate), "{name}: {quantile} is {exact}, not {estimate}");
            }
        }
    }

    #[test]
    fn a_value_that_is_not_finite_counts_and_has_no_quantile() {
        let only = observed(&[f64::INFINITY]);
        assert_eq!((only.count, only.sum, only.quantiles(&QUANTILES).count()), (1, f64::INFINITY, 0));
        let mixed = observed(&[f64::NEG_INFINITY, 4.0, f64::NAN]);
        assert!(mixed.quantiles(&QUANTILES).all(|(_, value)| value == 4.0));
        assert!(mixed.count == 3 && mixed.sum.is_nan());
    }

    #[test]
    fn a_collection_begins_the_quantiles_anew_and_goes_on_counting() {
        let mut seen = observed(&[1.0; 100]);
        seen.collected();
        assert_eq!((seen.count, seen.sum, seen.quantiles(&QUANTILES).count()), (100, 100.0, 0));
        seen.add(9.0);
        assert!(seen.quantiles(&QUANTILES).all(|(_, value)| value == 9.0));
        assert_eq!((seen.count, seen.sum), (101, 109.0));
    }

    #[test]
    fn a_sketch_has_a_bound_whatever_it_sees() {
        let mut seen = Observed::nothing();
        for exponent in -1074..=1023 {
            for mantissa in [1.0, 1.25, 1.5, 1.75] {
                let value = mantissa * f64::from(exponent).exp2();
                seen.add(value);
                seen.add(-value);
            }
        }
        assert_eq!(seen.window.length(), 2 * MAX_BINS as usize);
    }

    proptest! {
        #[test]
        fn any_finite_values_have_quantiles_near_theirs(values in prop::collection::vec(prop_oneof![any::<f64>(), -1e3..1e3], 1..200)) {
            let values: Vec<_> = values.into_iter().filter(|value| value.is_finite()).collect();
            prop_assume!(!values.is_empty());
            // Of what lies farther from the largest of its sign than the bins reach, only the side of zero is known.
            let largest = |sign: f64| values.iter().map(|value| value * sign).fold(0.0, f64::max);
            for (quantile, exact, estimate) in exact_and_estimated(&values) {
                let unresolved = (largest(exact.signum()) * 1e-17).max(SMALLEST);
                let is_unresolved = exact.abs().max(estimate.abs()) <= unresolved;
                prop_assert!(
                    is_within_1pct(exact, estimate) || is_unresolved,
                    "{quantile} is {exact:e}, not {estimate:e}"
                );
            }
        }
    }
}
