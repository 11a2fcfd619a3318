use tracecore::prelude::*;

mod first {
    use super::*;

    /// Ticks.
    #[exporter("clock", aliases = ["watch"])]
    struct Clock;

    impl Exporter for Clock {
        fn new(_: NoConfig) -> Result<Self, Never> {
            Ok(Clock)
        }

        async fn export(&self, _: &Batch, _: &Cx<Self>) -> Result<(), Never> {
            Ok(())
        }
    }
}

mod second {
    use super::*;

    /// Ticks too.
    #[exporter("watch", aliases = ["clock"])]
    struct Watch;

    impl Exporter for Watch {
        fn new(_: NoConfig) -> Result<Self, Never> {
            Ok(Watch)
        }

        async fn export(&self, _: &Batch, _: &Cx<Self>) -> Result<(), Never> {
            Ok(())
        }
    }
}

fn main() {}
