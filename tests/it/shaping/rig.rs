//! A service with processors, for batches of every signal.

use std::cell::RefCell;

use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestCaseResult, TestRng, TestRunner};
use proptest::{prop_assert, prop_assert_eq};
use tokio::runtime::Runtime;
use tracecore::signal::{Batch, Signal};
use tracecore::testing::{RecordingExporter, ScriptedReceiver, TestService};

use super::data::{encoded, generated};

/// Requests of each signal for each configuration.
const CASES: u32 = 24;

pub(super) struct Rig {
    runtime: Runtime,
    source: ScriptedReceiver,
    sink: RefCell<RecordingExporter>,
    pub(super) service: TestService,
}

/// The YAML of a pipeline for each signal, with these processors in this order.
pub(super) fn yaml(source: &ScriptedReceiver, sink: &RecordingExporter, processors: &[(&str, &str)]) -> String {
    let settings: String = processors.iter().map(|(id, settings)| format!("  {id}: {settings}\n")).collect();
    let ids = processors.iter().map(|(id, _)| *id).collect::<Vec<_>>().join(", ");
    let pipelines: String = Signal::ALL
        .iter()
        .map(|signal| {
            format!("    {signal}: {{receivers: [test_source], processors: [{ids}], exporters: [test_sink]}}\n")
        })
        .collect();
    format!(
        "receivers: {{test_source: {{key: {source}}}}}\nprocessors:\n{settings}exporters: {{test_sink: {{key: {sink}}}}}\nservice:\n  pipelines:\n{pipelines}"
    )
}

impl Rig {
    pub(super) fn start(processors: &[(&str, &str)]) -> Self {
        let (source, sink) = (ScriptedReceiver::new(), RecordingExporter::new());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
        let service = runtime.block_on(TestService::start(&yaml(&source, &sink, processors)));
        Rig { runtime, source, sink: RefCell::new(sink), service }
    }

    /// What comes out.
    pub(super) fn through(&self, batch: Batch) -> Batch {
        assert!(self.emit(batch).is_accepted());
        self.runtime.block_on(self.sink.borrow_mut().called())
    }

    /// Emits a batch.
    pub(super) fn emit(&self, batch: Batch) -> tracecore::emit::Verdict {
        self.runtime.block_on(self.source.emit(batch))
    }

    /// Holds what comes out against `model`, which does the same to the decoded form, for generated requests. With what
    /// was put through in all: the items that came, and those that went on.
    pub(super) fn check(&self, model: impl Fn(&mut tracecore::signal::Decoded)) -> (u64, u64) {
        let totals = RefCell::new((0, 0));
        let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
        // The same each time: how many items a filter drops is asserted too.
        let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
        let case = |seed: u64| -> TestCaseResult {
            for signal in Signal::ALL {
                let mut decoded = generated(signal, seed);
                let batch = Batch::from_decoded(&decoded).expect("it is valid");
                let came = batch.items();
                if came == 0 {
                    continue;
                }
                model(&mut decoded);
                let expected = Batch::from_decoded(&decoded).expect("it is valid");
                let mut totals = totals.borrow_mut();
                *totals = (totals.0 + came, totals.1 + expected.items());
                if expected.is_empty() {
                    // Would anything come out, it would come in the place of the next.
                    assert!(self.emit(batch).is_accepted());
                    continue;
                }
                let edited = self.through(batch);
                let again = Batch::validate(signal, edited.parts().concat().into());
                let again = again.map_err(|error| TestCaseError::fail(error.to_string()))?;
                prop_assert_eq!((edited.items(), edited.size()), (again.items(), again.size()));
                let edited = edited.decode();
                prop_assert!(encoded(&edited) == encoded(&decoded), "{edited:#?}\n{decoded:#?}");
            }
            Ok(())
        };
        runner.run(&proptest::prelude::any::<u64>(), case).unwrap_or_else(|failure| panic!("{failure}"));
        totals.into_inner()
    }

    pub(super) fn sample(&self, family: &str, labels: &[(&str, &str)]) -> f64 {
        self.service.sample(family, labels)
    }

    pub(super) fn stop(self) {
        let Rig { runtime, service, .. } = self;
        runtime.block_on(service.stop());
    }
}
