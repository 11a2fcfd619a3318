//! What a series holds, and how a data point becomes it.
//!
//! Points are read into a value that is there already, so that a series that is known costs no allocation. Exponential
//! histograms become classic ones whose buckets end at powers of two: neither text format has native histograms. That
//! loses resolution and nothing else, since every bucket of OpenTelemetry's scales lies within one power of two, or ends
//! at one; and it keeps the bounds in place when the sender changes its scale, which it does at will.

use tracecore::exposition::{Bucket, Number};
use tracecore::signal::view::{
    self, Attributes, BucketsRef, ExponentialHistogramDataPointRef, HistogramDataPointRef, NumberDataPointRef,
    SummaryDataPointRef,
};

/// The exponents of two that a finite, normal float can have.
const EXPONENTS: std::ops::RangeInclusive<i64> = -1022..=1023;

/// A data point, whatever its kind.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point<'a> {
    /// Nanoseconds since the Unix epoch; 0 if unknown.
    pub(super) start: u64,
    /// Nanoseconds since the Unix epoch; 0 if unknown.
    pub(super) time: u64,
    /// The series ends here.
    pub(super) is_stale: bool,
    pub(super) attributes: Attributes<'a>,
    reading: Reading<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Reading<'a> {
    Number(Option<view::Number>),
    Histogram(HistogramDataPointRef<'a>),
    Exponential(ExponentialHistogramDataPointRef<'a>),
    Summary(SummaryDataPointRef<'a>),
}

macro_rules! point_from {
    ($point:ident, |$of:ident| $reading:expr) => {
        impl<'a> From<$point<'a>> for Point<'a> {
            fn from($of: $point<'a>) -> Self {
                Point {
                    start: $of.start_time_unix_nano,
                    time: $of.time_unix_nano,
                    is_stale: $of.no_recorded_value(),
                    attributes: $of.attributes(),
                    reading: $reading,
                }
            }
        }
    };
}

point_from!(NumberDataPointRef, |point| Reading::Number(point.value));
point_from!(HistogramDataPointRef, |point| Reading::Histogram(point));
point_from!(ExponentialHistogramDataPointRef, |point| Reading::Exponential(point));
point_from!(SummaryDataPointRef, |point| Reading::Summary(point));

/// What a series holds.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// Nothing but its labels.
    Info,
    Number(Number),
    Histogram(Distribution),
    Summary(Quantiles),
}

/// Cumulative buckets.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Distribution {
    /// Ascending and finite.
    pub(super) buckets: Vec<Bucket>,
    pub(super) sum: Option<f64>,
    pub(super) count: u64,
}

/// Quantiles that the sender computed.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Quantiles {
    /// Ascending, from 0 to 1.
    pub(super) quantiles: Vec<(f64, f64)>,
    pub(super) sum: f64,
    pub(super) count: u64,
}

/// The point contradicts itself, or says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Invalid;

impl Value {
    /// Reads a point. After an error the value is of no use.
    pub(super) fn read(&mut self, point: &Point<'_>) -> Result<(), Invalid> {
        match &point.reading {
            Reading::Number(value) => {
                *self = Value::Number(match value.ok_or(Invalid)? {
                    view::Number::Int(value) => Number::Integer(value),
                    view::Number::Double(value) => Number::Float(value),
                });
                Ok(())
            }
            Reading::Histogram(point) => self.distribution().read(point),
            Reading::Exponential(point) => self.distribution().read_exponential(point),
            Reading::Summary(point) => self.quantiles().read(point),
        }
    }

    /// Adds what happened since.
    pub(super) fn add(&mut self, delta: &Value) {
        match (&mut *self, delta) {
            (Value::Number(total), Value::Number(delta)) => *total = sum(*total, *delta),
            (Value::Histogram(total), Value::Histogram(delta)) if total.has_bounds_of(delta) => total.add(delta),
            // Other bounds, so another history: it begins again, as after a restart of the sender.
            (total, delta) => total.clone_from(delta),
        }
    }

    fn distribution(&mut self) -> &mut Distribution {
        if !matches!(self, Value::Histogram(_)) {
            *self = Value::Histogram(Distribution::default());
        }
        let Value::Histogram(distribution) = self else { unreachable!("it was just made one") };
        distribution
    }

    fn quantiles(&mut self) -> &mut Quantiles {
        if !matches!(self, Value::Summary(_)) {
            *self = Value::Summary(Quantiles::default());
        }
        let Value::Summary(quantiles) = self else { unreachable!("it was just made one") };
        quantiles
    }
}

/// Integers stay integers for as long as they can.
fn sum(total: Number, delta: Number) -> Number {
    if let (Number::Integer(total), Number::Integer(delta)) = (total, delta)
        && let Some(sum) = total.checked_add(delta)
    {
        return Number::Integer(sum);
    }
    Number::Float(float(total) + float(delta))
}

fn float(number: Number) -> f64 {
    match number {
        Number::Integer(value) => value as f64,
        Number::Float(value) => value,
    }
}

impl Distribution {
    fn read(&mut self, point: &HistogramDataPointRef<'_>) -> Result<(), Invalid> {
        self.buckets.clear();
        (self.sum, self.count) = (point.sum, point.count);
        let mut counts = point.bucket_counts();
        let mut cumulative_count = 0_u64;
        for upper_bound in point.explicit_bounds() {
            let count = counts.next().ok_or(Invalid)?;
            cumulative_count = cumulative_count.checked_add(count).ok_or(Invalid)?;
            self.push(upper_bound, cumulative_count)?;
        }
        let beyond = match counts.next() {
            Some(count) => count,
            // Without any bucket, count and sum are all there is.
            None if self.buckets.is_empty() => 0,
            None => return Err(Invalid),
        };
        let all = cumulative_count.checked_add(beyond).ok_or(Invalid)?;
        if counts.next().is_some() || all > self.count { Err(Invalid) } else { Ok(()) }
    }

    fn read_exponential(&mut self, point: &ExponentialHistogramDataPointRef<'_>) -> Result<(), Invalid> {
        self.buckets.clear();
        (self.sum, self.count) = (point.sum, point.count);
        let positive = point.positive.unwrap_or_default();
        let counts = || positive.bucket_counts();
        let above_zero = counts().try_fold(0, u64::checked_add).ok_or(Invalid)?;
        // What is zero or below lies below every bound.
        let mut cumulative_count = self.count.checked_sub(above_zero).ok_or(Invalid)?;
        let mut left = above_zero;
        for (index, count) in (0_i64..).zip(counts()) {
            cumulative_count += count;
            let is_before_the_first = left == above_zero && count == 0;
            left -= count;
            if is_before_the_first {
                continue;
            }
            match upper_exponent(positive, index, point.scale) {
                exponent if exponent > *EXPONENTS.end() => break,
                exponent => self.push_or_raise(power_of_two(exponent), cumulative_count)?,
            }
            if left == 0 {
                break;
            }
        }
        Ok(())
    }

    fn push(&mut self, upper_bound: f64, cumulative_count: u64) -> Result<(), Invalid> {
        let rises = self.buckets.last().is_none_or(|last| last.upper_bound < upper_bound);
        if !rises || !upper_bound.is_finite() {
            return Err(Invalid);
        }
        self.buckets.push(Bucket { upper_bound, cumulative_count });
        Ok(())
    }

    /// Adds a bucket, or widens the last one if it ends there.
    fn push_or_raise(&mut self, upper_bound: f64, cumulative_count: u64) -> Result<(), Invalid> {
        match self.buckets.last_mut() {
            Some(last) if last.upper_bound == upper_bound => {
                last.cumulative_count = cumulative_count;
                Ok(())
            }
            _ => self.push(upper_bound, cumulative_count),
        }
    }

    fn has_bounds_of(&self, other: &Distribution) -> bool {
        let pairs = || self.buckets.iter().zip(&other.buckets);
        self.buckets.len() == other.buckets.len() && pairs().all(|(a, b)| a.upper_bound == b.upper_bound)
    }

    fn add(&mut self, delta: &Distribution) {
        for (total, delta) in self.buckets.iter_mut().zip(&delta.buckets) {
            total.cumulative_count = total.cumulative_count.saturating_add(delta.cumulative_count);
        }
        self.sum = self.sum.zip(delta.sum).map(|(total, delta)| total + delta);
        self.count = self.count.saturating_add(delta.count);
    }
}

/// The exponent of the least power of two that is not below the bucket: bucket `i` of scale `s` ends at
/// 2^((i + 1) · 2^-s), see <https://opentelemetry.io/docs/specs/otel/metrics/data-model/#exponential-scale>.
fn upper_exponent(buckets: BucketsRef<'_>, index: i64, scale: i32) -> i64 {
    let index = i64::from(buckets.offset).saturating_add(index);
    let exponent = if scale >= 0 {
        // Rounds down, so that what is one above is not below the bucket.
        (index >> scale.min(63)) + 1
    } else {
        let width = 1_i64.checked_shl(scale.unsigned_abs()).filter(|width| *width > 0).unwrap_or(i64::MAX);
        index.saturating_add(1).saturating_mul(width)
    };
    exponent.max(*EXPONENTS.start())
}

fn power_of_two(exponent: i64) -> f64 {
    // Exact: `exp2` of a whole number in the range of normal floats has one bit.
    (exponent as f64).exp2()
}

impl Quantiles {
    fn read(&mut self, point: &SummaryDataPointRef<'_>) -> Result<(), Invalid> {
        self.quantiles.clear();
        self.quantiles.extend(point.quantile_values().map(|at| (at.quantile, at.value)));
        (self.sum, self.count) = (point.sum, point.count);
        self.quantiles.sort_by(|a, b| a.0.total_cmp(&b.0));
        let is_twice = self.quantiles.windows(2).any(|pair| pair[0].0 == pair[1].0);
        let is_outside = self.quantiles.iter().any(|(quantile, _)| !(0.0..=1.0).contains(quantile));
        if is_twice || is_outside { Err(Invalid) } else { Ok(()) }
    }
}
