//! Telling an event: to nobody, to somebody else, to one subscriber, and past a filter.

use std::hint::black_box;
use std::num::NonZeroUsize;
use std::time::Duration;

use tracecore::config::ComponentId;
use tracecore::events::{Draft, Events, ExportEvent, Filter, Subscription};

use crate::harness::{Benchmark, Calls};

/// As many as the mirrors of `telemetry.events` keep.
const CAPACITY: NonZeroUsize = NonZeroUsize::new(1024).expect("it is not zero");

/// Every benchmark here.
pub(crate) fn benchmarks() -> Vec<Benchmark> {
    vec![
        Benchmark::new("events/no_subscriber", || emit(|_| None)),
        Benchmark::new("events/another_group", || emit(|events| subscribe(events, named("breaker.*")))),
        Benchmark::new("events/one_subscriber", || emit(|events| subscribe(events, named("export.*")))),
        Benchmark::new("events/field_filter", || {
            emit(|events| subscribe(events, named("export.*").with("component", "otlp/other").with("attempt", 2)))
        }),
    ]
}

fn named(pattern: &str) -> Filter {
    Filter::named(pattern).expect("there are such events")
}

fn subscribe(events: &Events, filter: Filter) -> Option<Subscription> {
    Some(events.subscribe_bounded(filter, CAPACITY))
}

/// What each export tells at its end; the subscriber reads nothing, so the oldest event gives way.
fn emit(subscribe: impl Fn(&Events) -> Option<Subscription>) -> Calls {
    let events = Events::default();
    let subscription = subscribe(&events);
    let component: ComponentId = "otlp/gateway".parse().expect("it is an id");
    Box::new(move |calls| {
        black_box(&subscription);
        for _ in 0..calls {
            let told = || Draft::of(&component, ExportEvent::Succeeded { items: 100, attempt: 1 });
            black_box(&events).emit(|| told().lasting(Duration::from_millis(3)));
        }
    })
}
