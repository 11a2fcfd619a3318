//! The test kit: components that do as a test tells them, and a service around them.
//!
//! For tests of a component, in this project and in any other. It stands behind the feature `testing`, which belongs
//! into dev-dependencies only:
//!
//! ```toml
//! [dev-dependencies]
//! tokio = { version = "1", features = ["macros", "rt", "test-util"] }
//! tracecore = { path = "…", features = ["testing"] }
//! ```
//!
//! [`TestService`] runs a configuration with the components that are linked into the test and with the three of the kit.
//! Each of these has a far end that the test holds, and whose key the test writes into its YAML:
//!
//! | In the YAML | The test holds | It |
//! | --- | --- | --- |
//! | receiver `test_source` | [`ScriptedReceiver`] | emits, fails or panics when told to, and hears the verdict |
//! | processor `test_processor` | [`ScriptedProcessor`] | does with each batch what a closure does |
//! | exporter `test_sink` | [`RecordingExporter`] | keeps what it takes; takes it late, or not at all, when told to |
//!
//! A receiver of one's own before the recording exporter:
//!
//! ```
//! use tracecore::prelude::*;
//! use tracecore::testing::{RecordingExporter, TestService, logs};
//!
//! /// Says hello once.
//! #[receiver("greeter", signals = [Logs])]
//! struct Greeter;
//!
//! impl Receiver for Greeter {
//!     fn new(_: NoConfig) -> Result<Self, Never> {
//!         Ok(Greeter)
//!     }
//!
//!     async fn run(self, mut cx: Cx<Self>) -> Result<(), Never> {
//!         cx.emit(logs("hello", 1)).await;
//!         cx.shutdown_requested().await;
//!         Ok(())
//!     }
//! }
//!
//! // In a test: #[tokio::test(start_paused = true)]
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() {
//!     let mut exporter = RecordingExporter::new();
//!     let service = TestService::start(&format!(
//!         "
//! receivers:
//!   greeter:
//! exporters:
//!   test_sink:
//!     key: {exporter}
//! service:
//!   pipelines:
//!     logs:
//!       receivers: [greeter]
//!       exporters: [test_sink]
//! "
//!     ))
//!     .await;
//!     assert_eq!(exporter.called().await.items(), 1);
//!     service.stop().await;
//!     assert_eq!(exporter.items(), 1);
//! }
//! ```
//!
//! # What every component owes
//!
//! [`Conformance`] runs a component of the registry through the promises that all of them make: that its example is valid,
//! that it starts and shows its series, measures what it declares, takes empty batches, stops in time and runs again after
//! a panic. One loop over the registry checks each component by its being declared.
//!
//! # Waiting
//!
//! What happens is told as events, and how things are is shown as a state; a test waits for either, and for nothing else.
//!
//! | A test wants | It writes |
//! | --- | --- |
//! | an event, and what follows it | [`assert_event!`], [`assert_sequence!`], [`assert_any!`] |
//! | that an event does not come | [`refute_event!`], which says how far it looks |
//! | a component in a state, restarted, or the service ready | [`TestService::wait_status`], [`wait_healthy`](TestService::wait_healthy), [`wait_improved`](TestService::wait_improved), [`wait_restart`](TestService::wait_restart), [`wait_ready`](TestService::wait_ready) |
//! | listeners and threads given back, a pool with a connection | [`TestService::wait_cleanup`], [`wait_pool_ready`](TestService::wait_pool_ready) |
//! | a metric past a threshold | [`TestService::wait_metric`] |
//! | what a batch came to, or the next attempt | [`ScriptedReceiver::emit`], [`RecordingExporter::called`] |
//! | what nobody tells of | [`wait_until`], the one poll |
//!
//! A failure says what was expected, where, and what came or is instead. Where an event is only a way to wait, wait for
//! the state: with [`EVENTS`] set to `off` in the environment, services under test tell nobody anything, and all must
//! hold. A test that is about events begins with [`needs_events!`].
//!
//! # Time
//!
//! A test waits for events and never for time to pass. What takes time by its nature (a back-off, an interval, a slow
//! backend) is tested on a paused clock: under `#[tokio::test(start_paused = true)]` the clock stands still while any
//! task has work, jumps to the next timer when all of them wait, and moves by hand with `tokio::time::advance`. A retry
//! after an hour takes no time, and its delay can be asserted to the millisecond.
//!
//! To a paused clock, waiting for a socket is having nothing to do: it jumps, and a time limit on an exchange with
//! another process or thread is over at once. A test with a real socket therefore pauses nothing, or has both ends in
//! its own runtime and no time limit between them. Its own waits have a [`ceiling`], which the environment variable
//! [`CEILING_FACTOR`] scales on a slow machine.
//!
//! # What it adds to a program
//!
//! Nothing, without the feature. The components of the kit are rows that are handed to the registry by value
//! ([`COMPONENTS`], [`registry()`]): linking the kit registers nothing.

mod ceiling;
mod conformance;
mod events;
mod exporter;
mod heard;
mod mode;
mod payload;
mod processor;
mod receiver;
mod script;
mod service;
mod telemetry;
mod wait;

pub use self::ceiling::{CEILING, CEILING_FACTOR, MAX_FACTOR, ceiling, within_ceiling};
pub use self::conformance::{Breach, Conformance, Rule};
pub use self::events::{assert_any, assert_event, assert_sequence, event, refute_event};
pub use self::exporter::{Answer, ExportFailure, RecordingExporter};
pub use self::heard::{Listener, Listening};
#[doc(hidden)]
pub use self::mode::does_not_apply;
pub use self::mode::{EVENTS, events_enabled, needs_events};
pub use self::payload::{Points, logs, metrics, name_of, points, spans};
pub use self::processor::{Background, ProcessFailure, ScriptedProcessor};
pub use self::receiver::{Command, ReceiveFailure, ScriptedReceiver};
pub use self::script::{Scripts, Start};
pub use self::service::{TestService, build, build_error, build_with, config, pipeline};
pub use self::telemetry::{TelemetrySnapshot, sample, scrape};
pub use self::wait::wait_until;

use crate::registry::{Entry, Registry};

/// The components of the kit: a receiver, a processor and an exporter.
pub static COMPONENTS: [Entry; 3] = [receiver::ENTRY, processor::ENTRY, exporter::ENTRY];

/// The components that are linked into this test, and those of the kit.
///
/// # Panics
/// When a name stands twice.
///
/// ```
/// use tracecore::component::Role;
/// use tracecore::testing::registry;
///
/// assert!(registry().find(Role::Exporter, "test_sink").is_some());
/// ```
pub fn registry() -> Registry {
    Registry::linked_with(&COMPONENTS).unwrap_or_else(|error| panic!("{error}"))
}

/// What `#[receiver]` and its siblings write for a component, without the row that registers it by linking: the crate
/// that declares the slice of rows forbids the code that such a row needs.
macro_rules! component {
    ($(#[doc = $summary:literal])+ $constructor:ident $role:ident $name:literal $component:ident, $error:ident) => {
        impl $crate::component::Component for $component {
            const ROLE: $crate::component::Role = $crate::component::Role::$role;
            const NAME: &'static str = $name;
            const ALIASES: &'static [&'static str] = &[];
            const SIGNALS: &'static [$crate::signal::Signal] = &$crate::signal::Signal::ALL;
            const SUMMARY: &'static str = concat!($($summary),+).trim_ascii();
            const STABILITY: $crate::component::Stability = $crate::component::Stability::Development;
            const SINCE: &'static str = "0.1.0";
            const EXAMPLE: &'static str = "key: of-a-script";

            type Config = $crate::testing::script::Settings;
            type Data = $crate::metrics::data::NoData;
            type Telemetry = $crate::metrics::health::NoTelemetry;
            type Error = $error;
        }

        /// Its row of the registry.
        pub(super) const ENTRY: $crate::registry::Entry =
            $crate::registry::Entry::$constructor::<$component>(concat!(file!(), ":", line!()));
    };
}
use component;
