//! The `generator` receiver: telemetry out of nothing, to see a pipeline work and to load it.
//!
//! What it makes looks like that of a service and follows from the seed alone, but for its times, which are now. It keeps
//! to its rate over time: what a slow pipeline held up is caught up for at most a second. Requests that are refused are
//! counted by the runtime and not sent again.

mod telemetry;

use std::num::NonZeroUsize;
use std::time::Duration;

use tracecore::prelude::*;
use tracecore::signal::Decoded;
use tracecore::time::{Instant, unix_nanos};

use telemetry::Telemetry;

/// How often it looks what is due.
const TICK: Period = Period::millis(10);

/// The most that is caught up.
const MOST_BEHIND: Duration = Duration::from_secs(1);

/// Makes spans, data points and log records at a rate.
#[receiver("generator", config = Config)]
struct Generator {
    config: Config,
}

/// Settings of the `generator` receiver.
#[config]
struct Config {
    /// Spans, data points and log records a second, all together. 0: as many as the pipelines take.
    #[default(1000)]
    rate: u64,
    /// How many of them a request has.
    #[default(NonZeroUsize::new(100).expect("100 is not zero"))]
    items_per_request: NonZeroUsize,
    /// How many attributes each of them has.
    #[default(10)]
    attributes: usize,
    /// How long the value of each attribute is, in bytes. Ten of 16 bytes make a span of about 450 bytes.
    #[default(16)]
    value_size: usize,
    /// How many requests of each signal there are in a round.
    #[default]
    mix: Mix,
    /// After how many requests it idles. Without this key: never.
    requests: Option<u64>,
    /// What everything made follows from.
    #[default(1)]
    seed: u64,
}

/// How many requests of each signal there are in a round. A signal that no pipeline carries needs a 0.
#[config]
#[derive(Copy)]
struct Mix {
    /// Requests of spans.
    #[default(1)]
    traces: u32,
    /// Requests of data points.
    #[default(1)]
    metrics: u32,
    /// Requests of log records.
    #[default(1)]
    logs: u32,
}

impl Receiver for Generator {
    fn new(config: Config) -> Result<Self, Never> {
        Ok(Generator { config })
    }

    async fn run(self, mut cx: Cx<Self>) -> Result<(), Never> {
        let Config { rate, items_per_request, attributes, value_size, mix, requests, seed } = self.config;
        let mut telemetry = Telemetry::new(seed, attributes, value_size);
        let mut signals = round(mix).into_iter().cycle();
        let mut left = requests.unwrap_or(u64::MAX);
        let mut pace = Pace::new(rate, Instant::now());
        while left > 0 && cx.tick(TICK).await {
            let items = items_per_request.get();
            while left > 0 && pace.takes(items as u64, Instant::now()) {
                let Some(signal) = signals.next() else { break };
                let request = telemetry.request(signal, items, unix_nanos(cx.now()));
                if !cx.emit(batch(&request)).await.is_accepted() {
                    // A full queue is not emptied by asking again at once.
                    break;
                }
                left -= 1;
                // Nothing above needs to wait: so that others run, and a shutdown is heard.
                if cx.until_shutdown(tokio::task::yield_now()).await.is_none() {
                    return Ok(());
                }
            }
        }
        cx.shutdown_requested().await;
        Ok(())
    }
}

fn batch(request: &Decoded) -> Batch {
    Batch::from_decoded(request).expect("its ids have their lengths, and it is not deep")
}

/// The signals of a round, mixed as evenly as they can be.
fn round(mix: Mix) -> Vec<Signal> {
    let of = [(Signal::Traces, mix.traces), (Signal::Metrics, mix.metrics), (Signal::Logs, mix.logs)];
    // Each request stands at its share of the round.
    let places = of
        .into_iter()
        .flat_map(|(signal, count)| (0..count).map(move |i| ((f64::from(i) + 0.5) / f64::from(count), signal)));
    let mut places: Vec<_> = places.collect();
    places.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    places.into_iter().map(|(_, signal)| signal).collect()
}

/// How many items are due.
struct Pace {
    /// A second; 0 for no limit.
    rate: u64,
    counted: Instant,
    due: f64,
}

impl Pace {
    fn new(rate: u64, now: Instant) -> Self {
        Pace { rate, counted: now, due: 0.0 }
    }

    /// Whether so many items are due now; then they no longer are.
    fn takes(&mut self, items: u64, now: Instant) -> bool {
        if self.rate == 0 {
            return true;
        }
        let passed = now.duration_since(self.counted);
        self.counted = now;
        let most = (self.rate as f64 * MOST_BEHIND.as_secs_f64()).max(items as f64);
        self.due = (self.due + self.rate as f64 * passed.as_secs_f64()).min(most);
        let takes = self.due >= items as f64;
        if takes {
            self.due -= items as f64;
        }
        takes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_has_each_signal_as_often_as_asked_for_and_mixes_them() {
        let names = |traces, metrics, logs| -> Vec<&str> {
            round(Mix { traces, metrics, logs }).into_iter().map(Signal::as_str).collect()
        };
        assert_eq!(names(1, 1, 1), ["traces", "metrics", "logs"]);
        assert_eq!(names(4, 0, 2), ["traces", "logs", "traces", "traces", "logs", "traces"]);
        assert_eq!(names(0, 0, 0), [""; 0]);
    }

    #[test]
    fn keeps_its_rate_and_catches_up_for_a_second_at_most() {
        let start = Instant::now();
        let mut pace = Pace::new(1000, start);
        let mut taken = |millis: u64| {
            let now = start + Duration::from_millis(millis);
            std::iter::from_fn(|| pace.takes(100, now).then_some(())).count()
        };
        assert_eq!([taken(0), taken(99), taken(100), taken(350), taken(400)], [0, 0, 1, 2, 1]);
        assert_eq!(taken(60_400), 10, "a second's worth after a minute of waiting");
        let mut slow = Pace::new(1, start);
        assert!(!slow.takes(100, start + Duration::from_secs(99)));
        assert!(slow.takes(100, start + Duration::from_secs(100)), "a request larger than a second's worth");
    }

    #[test]
    fn what_is_made_follows_from_the_seed_and_has_what_was_asked_for() {
        for signal in Signal::ALL {
            let made = |seed| {
                let mut telemetry = Telemetry::new(seed, 4, 20);
                [telemetry.request(signal, 50, 7), telemetry.request(signal, 50, 8)]
            };
            assert_eq!(made(1), made(1));
            assert_ne!(made(1), made(2));
            let [first, second] = made(1);
            assert_ne!(first, second);
            assert_eq!((batch(&first).items(), batch(&first).signal()), (50, signal));
        }
        let size = |attributes, value_size| {
            batch(&Telemetry::new(1, attributes, value_size).request(Signal::Traces, 100, 7)).size()
        };
        assert!((30_000..60_000).contains(&size(10, 16)), "{}", size(10, 16));
        assert!(size(10, 116) - size(10, 16) >= 10 * 100 * 100, "a hundred bytes more for each value");
    }
}
