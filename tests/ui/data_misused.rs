use tracecore::prelude::*;

/// Measures two things.
#[receiver("clock", data = Data)]
struct Clock;

/// What it measures.
#[derive(MetricSet)]
struct Data {
    /// Ticks.
    #[unit("{tick}")]
    ticks: Counter<Direction>,
}

/// Which way.
#[derive(Clone, Copy, Debug, Label)]
enum Direction {
    In,
    Out,
}

impl Receiver for Clock {
    fn new(_: NoConfig) -> Result<Self, Never> {
        Ok(Clock)
    }

    async fn run(self, mut cx: Cx<Self>) -> Result<(), Never> {
        cx.data.ticks.add(1, "in");
        cx.data.ticks.set(1, Direction::Out);
        Ok(())
    }
}

fn main() {}
