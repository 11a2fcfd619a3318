use std::future::ready;
use std::rc::Rc;

use tracecore::prelude::*;

/// Holds what cannot go to another thread.
#[receiver("clock")]
struct Clock;

impl Receiver for Clock {
    fn new(_: NoConfig) -> Result<Self, Never> {
        Ok(Clock)
    }

    async fn run(self, _: Cx<Self>) -> Result<(), Never> {
        let shared = Rc::new(1);
        ready(()).await;
        drop(shared);
        Ok(())
    }
}

fn main() {}
