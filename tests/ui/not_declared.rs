use tracecore::prelude::*;

struct Clock;

impl Receiver for Clock {
    fn new(_: NoConfig) -> Result<Self, Never> {
        Ok(Clock)
    }

    async fn run(self, _: Cx<Self>) -> Result<(), Never> {
        Ok(())
    }
}

fn main() {}
