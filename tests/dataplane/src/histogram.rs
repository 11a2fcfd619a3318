//! Times, kept in buckets whose width is a thirty-second of the value or less.

use std::time::Duration;

/// Buckets of one power of two.
const STEPS: usize = 32;

/// How often which time was seen.
#[derive(Clone, Debug)]
pub(crate) struct Histogram {
    buckets: Vec<u64>,
    count: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram { buckets: vec![0; 64 * STEPS], count: 0, max: 0 }
    }
}

impl Histogram {
    /// Adds a time.
    pub(crate) fn add(&mut self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.buckets[bucket(nanos)] += 1;
        self.count += 1;
        self.max = self.max.max(nanos);
    }

    /// The time that this share of all does not exceed; zero if there are none.
    pub(crate) fn quantile(&self, share: f64) -> Duration {
        let wanted = (share * self.count as f64).ceil() as u64;
        let mut seen = 0;
        for (index, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= wanted && *count > 0 {
                return Duration::from_nanos(upper(index).min(self.max));
            }
        }
        Duration::ZERO
    }
}

fn bucket(nanos: u64) -> usize {
    let power = nanos.max(1).ilog2() as usize;
    if power < 5 {
        return nanos as usize;
    }
    power * STEPS + ((nanos >> (power - 5)) as usize & (STEPS - 1))
}

/// The largest time of a bucket.
fn upper(bucket: usize) -> u64 {
    let (power, step) = (bucket / STEPS, (bucket % STEPS) as u64);
    if power == 0 {
        return step;
    }
    let width = 1 << (power - 5);
    (1 << power) + step * width + (width - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_off_by_a_thirty_second_at_most() {
        let mut histogram = Histogram::default();
        (1..=10_000).for_each(|micros| histogram.add(Duration::from_micros(micros)));
        for share in [0.01, 0.5, 0.99, 1.0] {
            let (is, exact) = (histogram.quantile(share).as_nanos() as f64, share * 1e7);
            assert!(is >= exact && is <= exact * (1.0 + 1.0 / 32.0), "{share}: {is} instead of {exact}");
        }
        assert_eq!(Histogram::default().quantile(0.99), Duration::ZERO);
    }

    #[test]
    fn small_times_have_a_bucket_each() {
        let mut histogram = Histogram::default();
        histogram.add(Duration::from_nanos(3));
        assert_eq!(histogram.quantile(1.0), Duration::from_nanos(3));
    }
}
