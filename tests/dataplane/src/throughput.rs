//! What a second of processor time is enough for, beside the relays in the same run.

use std::path::Path;

use tokio::time::Duration;

use crate::Scope;
use crate::encoding::Encoding;
use crate::load::{Pace, Shape, Transport};
use crate::relay;
use crate::report::{Report, mib, thousands};
use crate::requests;
use crate::signal::Signal;
use crate::subject::{Setup, Subject};
use crate::trial::{Outcome, Trial};

/// Requests under way at once, on one connection.
const STREAMS: usize = 16;
/// Items of a request.
const SIZES: [usize; 2] = [100, 1000];
/// What a span, a point and a record cost the bare relay at most on a quiet machine, at 1,000 a request: below this many a
/// second the relay is not what it should be, and ratios to it say nothing.
const RELAY: [f64; 3] = [1.3e6, 1.7e6, 2.1e6];
/// What the fastest of the others does with gzip out, in items a second.
const GZIP_OF_OTHERS: [f64; 3] = [100e3, 160e3, 150e3];
/// How much faster gzip and zstd must be than that.
const GZIP_ADVANTAGE: f64 = 3.0;
const ZSTD_ADVANTAGE: f64 = 5.0;
/// How much larger than what `gzip -6` makes a body may be.
const GZIP_SIZE: f64 = 1.3;
const ZSTD_SIZE: f64 = 1.15;
/// What three processors may add to the cost of passing on.
const PROCESSORS: f64 = 1.25;

/// How long and how often is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    pub(crate) rounds: usize,
    pub(crate) warm_up: Duration,
    pub(crate) time: Duration,
}

/// A column of a table: what is measured.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Variant {
    name: &'static str,
    subject: Subject,
    encoding: Option<Encoding>,
}

/// What came of each variant, if it was measured.
type Round = Vec<Option<Outcome>>;

const BARE: usize = 0;
const PROST: usize = 1;
const TRIMMED: usize = 2;
const PASS: usize = 3;

const VARIANTS: [Variant; 8] = {
    const fn relay(name: &'static str, kind: relay::Kind, keep_heap: bool) -> Variant {
        Variant { name, subject: Subject::Relay { kind, keep_heap }, encoding: None }
    }
    const fn tracecore(name: &'static str, setup: Setup) -> Variant {
        Variant { name, subject: Subject::Tracecore(setup), encoding: setup.encoding }
    }
    let pass = Setup::PASS_THROUGH;
    [
        relay("bare relay", relay::Kind::Bare, true),
        relay("prost relay", relay::Kind::Prost, true),
        relay("bare, trimmed", relay::Kind::Bare, false),
        tracecore("pass-through", pass),
        tracecore("batch", Setup { batch: true, ..pass }),
        tracecore("processors", Setup { processors: true, ..pass }),
        tracecore("gzip", Setup { encoding: Some(Encoding::Gzip), ..pass }),
        tracecore("zstd", Setup { encoding: Some(Encoding::Zstd), ..pass }),
    ]
};

/// Measures what is asked for, and prints a table of each signal and size.
pub(crate) async fn run(program: Option<&Path>, scope: &Scope, effort: Effort, report: &mut Report) {
    let sizes = scope.items.map_or(SIZES.to_vec(), |items| vec![items]);
    for signal in Signal::ALL.into_iter().filter(|signal| scope.signal.is_none_or(|only| only == *signal)) {
        for size in sizes.iter().copied() {
            let rounds = measure(program, (signal, size), scope, effort, report).await;
            show(signal, size, &rounds, report);
        }
    }
}

/// All variants one after another, as many times as there are rounds: a slow second costs each one round.
async fn measure(
    program: Option<&Path>,
    (signal, items): (Signal, usize),
    scope: &Scope,
    Effort { rounds, warm_up, time }: Effort,
    report: &mut Report,
) -> Vec<Round> {
    let mut measured = Vec::new();
    for _ in 0..rounds {
        let mut round = Round::new();
        for Variant { name, subject, encoding } in VARIANTS {
            let asked = scope.rows.is_empty() || scope.rows.iter().any(|row| row == name);
            let program = match (subject, program) {
                (Subject::Tracecore(_), program) => program,
                (Subject::Relay { .. }, _) => Some(Path::new("")),
            };
            let outcome = match program.filter(|_| asked) {
                Some(program) => {
                    let shape = Shape { signal, items, transport: Transport::Grpc, encoding, streams: STREAMS };
                    let trial = Trial { subject, shape, pace: Pace::Saturation, warm_up, time, refuse_one_of: 0 };
                    report.tried(name, trial.run(program).await)
                }
                None => None,
            };
            round.push(outcome);
        }
        measured.push(round);
    }
    measured
}

fn show(signal: Signal, size: usize, rounds: &[Round], report: &mut Report) {
    report.heading(&format!("{} at {size} a request", signal.items()));
    report.line(format_args!(
        "{:14} {:>12} {:>7} {:>8} {:>7} {:>9} {:>6} {:>9} {:>9} {:>8} {:>9} {:>8}",
        "",
        "k/CPU-s",
        "/bare",
        "/trimmed",
        "/prost",
        "RSS MiB",
        "core",
        "p50 ms",
        "p99 ms",
        "B/item",
        "/gzip -6",
        "lost"
    ));
    let gzip = gzip_size(signal, size);
    let place = Signal::ALL.iter().position(|other| *other == signal).unwrap_or_default();
    for (column, variant) in VARIANTS.iter().enumerate() {
        let outcomes: Vec<&Outcome> = rounds.iter().filter_map(|round| round[column].as_ref()).collect();
        if outcomes.is_empty() {
            continue;
        }
        let of = |figure: fn(&Outcome) -> f64| median(outcomes.iter().map(|outcome| figure(outcome)).collect());
        let speed = of(Outcome::items_per_cpu_second);
        let [bare, trimmed, prost] = [BARE, TRIMMED, PROST].map(|other| ratio(rounds, column, other));
        let wrong = outcomes.iter().find_map(|outcome| outcome.problem());
        report.line(format_args!(
            "{:14} {:>12} {bare:>7.2} {trimmed:>8.2} {prost:>7.2} {:>9} {:>6.2} {:>9.2} {:>9.2} {:>8.1} {:>9.2} {:>8}",
            variant.name,
            thousands(speed),
            mib(of(|outcome| outcome.memory.peak as f64)),
            of(Outcome::cores),
            of(|outcome| outcome.p50.as_secs_f64() * 1e3),
            of(|outcome| outcome.p99.as_secs_f64() * 1e3),
            of(|outcome| outcome.bytes_out),
            of(|outcome| outcome.bytes_out) / gzip,
            wrong.as_deref().unwrap_or("0"),
        ));
        let name = format!("{} {} at {size}", signal.items(), variant.name);
        outcomes.iter().for_each(|outcome| report.wrong(&name, outcome));
        match variant.name {
            "bare relay" if size == 1000 => {
                report.void_below(&format!("the bare relay, {}", signal.items()), speed, RELAY[place]);
            }
            "batch" => {
                let (share, advantage) = if size == 1000 { (0.8, 4.0) } else { (0.65, 3.0) };
                report.at_least(&format!("{name}, beside the bare relay"), bare, share);
                report.at_least(&format!("{name}, beside the prost relay"), prost, advantage);
            }
            "processors" => {
                report.at_most(
                    &format!("{name}, cost beside pass-through"),
                    1.0 / ratio(rounds, column, PASS),
                    PROCESSORS,
                );
                report.at_most(&format!("{name}, items that came"), of(|outcome| outcome.kept), 0.9901);
                report.at_least(&format!("{name}, items that came"), of(|outcome| outcome.kept), 0.9899);
            }
            "gzip" | "zstd" => {
                let (advantage, largest) =
                    if variant.name == "gzip" { (GZIP_ADVANTAGE, GZIP_SIZE) } else { (ZSTD_ADVANTAGE, ZSTD_SIZE) };
                if size == 1000 {
                    report.at_least(&format!("{name}, k/CPU-s"), speed / 1e3, advantage * GZIP_OF_OTHERS[place] / 1e3);
                }
                report.at_most(
                    &format!("{name}, bytes beside gzip -6"),
                    of(|outcome| outcome.bytes_out) / gzip,
                    largest,
                );
            }
            _ => {}
        }
    }
}

/// What `gzip -6` makes of the requests, in bytes an item.
fn gzip_size(signal: Signal, size: usize) -> f64 {
    let requests = requests::prepare(signal, size, STREAMS);
    let bytes: usize = requests.iter().map(|request| Encoding::Gzip.compress(&request.bytes).len()).sum();
    bytes as f64 / (size * STREAMS) as f64
}

/// The median of how much more items one variant passed on than another, round by round.
fn ratio(rounds: &[Round], of: usize, beside: usize) -> f64 {
    let speed = |round: &[Option<Outcome>], column: usize| round[column].as_ref().map(Outcome::items_per_cpu_second);
    median(rounds.iter().filter_map(|round| Some(speed(round, of)? / speed(round, beside)?)).collect())
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    match figures.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => figures[count / 2],
        count => f64::midpoint(figures[count / 2 - 1], figures[count / 2]),
    }
}
