//! What a test waits for, and what it makes sure of.

/// The filter of the events of this name that have these fields.
///
/// ```
/// use tracecore::testing::event;
///
/// let dropped = event!("batch.dropped", items = 5, reason = "queue_full");
/// assert_eq!(dropped.to_string(), "batch.dropped items=5 reason=queue_full");
/// ```
///
/// # Panics
/// When there is no such event: a test that waits for it would wait for ever.
#[macro_export]
#[doc(hidden)]
macro_rules! __event {
    ($name:expr $(, $field:ident = $value:expr)* $(,)?) => {
        $crate::events::Filter::named($name).unwrap_or_else(|error| panic!("{error}"))
            $(.with(stringify!($field), $value))*
    };
}

/// One event in a list of them: a name, or a name with fields in parentheses.
#[macro_export]
#[doc(hidden)]
macro_rules! __listed_event {
    (($name:expr $(, $field:ident = $value:expr)* $(,)?)) => {
        $crate::__event!($name $(, $field = $value)*)
    };
    ($name:expr) => {
        $crate::__event!($name)
    };
}

/// What was asked of a listener, or the end of the test with the reason.
#[macro_export]
#[doc(hidden)]
macro_rules! __heard {
    ($heard:expr, $method:ident($($argument:expr),*)) => {{
        use $crate::testing::Listening as _;
        match $heard.listening().$method($($argument),*).await {
            Ok(found) => found,
            Err(unmet) => panic!("{unmet}"),
        }
    }};
}

/// Waits for an event of this name with these fields, and gives it. For async tests.
///
/// It listens on a [`TestService`](super::TestService) or any [`Subscription`](crate::events::Subscription), which keep
/// their place: what came before the event is passed, what comes after is the next one's. Followed by `=>` and a block,
/// what came before the block does not count either.
///
/// ```
/// use tracecore::testing::{Command, RecordingExporter, ScriptedReceiver, TestService, assert_event, pipeline};
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
/// # runtime.expect("a runtime").block_on(async {
/// let (receiver, exporter) = (ScriptedReceiver::new(), RecordingExporter::new());
/// let mut service = TestService::start(&pipeline(&receiver, &exporter, "")).await;
/// assert_event!(service, "service.started", role = "receiver");
///
/// let restarted = assert_event!(service, "service.restarted", kind = "panic" => {
///     receiver.tell(Command::Panic);
/// });
/// assert_eq!(restarted.component(), "test_source");
/// # });
/// ```
///
/// # Panics
/// When it does not come, with what was expected and the last hundred events that did come.
#[macro_export]
#[doc(hidden)]
macro_rules! __assert_event {
    ($heard:expr, $name:expr $(, $field:ident = $value:expr)* => $block:block) => {{
        {
            use $crate::testing::Listening as _;
            $heard.listening().pass();
        }
        $block;
        $crate::__assert_event!($heard, $name $(, $field = $value)*)
    }};
    ($heard:expr, $name:expr $(, $field:ident = $value:expr)* $(,)?) => {
        $crate::__heard!($heard, one($crate::__event!($name $(, $field = $value)*)))
    };
}

/// Waits for the first of several events, and gives the index of the one that it was, and the event. For async tests.
///
/// ```
/// use tracecore::testing::{RecordingExporter, ScriptedReceiver, TestService, assert_any, metrics, pipeline};
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
/// # runtime.expect("a runtime").block_on(async {
/// let (receiver, exporter) = (ScriptedReceiver::new(), RecordingExporter::new());
/// let mut service = TestService::start(&pipeline(&receiver, &exporter, "")).await;
/// receiver.emit(metrics("cpu.time", 3)).await;
/// let (which, event) = assert_any!(service, ["batch.dropped", ("export.succeeded", items = 3)]);
/// assert_eq!((which, event.name()), (1, "export.succeeded"));
/// # });
/// ```
///
/// # Panics
/// When none comes, with what was expected and the last hundred events that did come.
#[macro_export]
#[doc(hidden)]
macro_rules! __assert_any {
    ($heard:expr, [$($event:tt),+ $(,)?] $(,)?) => {
        $crate::__heard!($heard, any([$($crate::__listed_event!($event)),+]))
    };
}

/// Waits for several events, one after the other, and gives them; others may come between. For async tests.
///
/// ```
/// use tracecore::testing::{
///     ExportFailure, RecordingExporter, ScriptedReceiver, TestService, assert_sequence, metrics, pipeline,
/// };
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
/// # runtime.expect("a runtime").block_on(async {
/// let (receiver, exporter) = (ScriptedReceiver::new(), RecordingExporter::failing_times(1, ExportFailure::Away));
/// let mut service = TestService::start(&pipeline(&receiver, &exporter, "")).await;
/// receiver.emit(metrics("cpu.time", 3)).await;
/// let [failed, _, succeeded] =
///     assert_sequence!(service, ["export.failed", ("retry.backoff", attempt = 1), "export.succeeded"]);
/// assert_eq!(failed.meta.correlation, succeeded.meta.correlation);
/// # });
/// ```
///
/// # Panics
/// When one does not come after those before it, with which that is and the last hundred events that did come.
#[macro_export]
#[doc(hidden)]
macro_rules! __assert_sequence {
    ($heard:expr, [$($event:tt),+ $(,)?] $(,)?) => {
        $crate::__heard!($heard, sequence([$($crate::__listed_event!($event)),+]))
    };
}

/// Makes sure that an event of this name with these fields does not come. For async tests.
///
/// How far it looks is part of it: nothing follows from an event that has not come yet.
///
/// - `; for duration` lets a **paused** clock go on for so long, past every timer on the way. It fails when the clock is
///   not paused: real time tells nothing.
/// - `=> { … }` runs a block, then everything that follows from it until only timers are waited for: a **paused** clock
///   again. What came before the block does not count.
/// - `; until "…"` reads up to another event, on any clock, and fails if that does not come. Fields follow in parentheses:
///   `; until ("export.succeeded", items = 3)`.
///
/// ```
/// use std::time::Duration;
///
/// use tracecore::testing::{RecordingExporter, ScriptedReceiver, TestService, metrics, pipeline, refute_event};
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
/// # runtime.expect("a runtime").block_on(async {
/// let (receiver, exporter) = (ScriptedReceiver::new(), RecordingExporter::new());
/// let mut service = TestService::start(&pipeline(&receiver, &exporter, "")).await;
/// refute_event!(service, "export.failed" => {
///     receiver.emit(metrics("cpu.time", 3)).await;
/// });
/// receiver.emit(metrics("cpu.time", 4)).await;
/// refute_event!(service, "batch.dropped", reason = "queue_full"; until ("export.succeeded", items = 4));
/// refute_event!(service, "service.restarted"; for Duration::from_secs(3600));
/// # });
/// ```
///
/// # Panics
/// When it comes, or when that cannot be said, with the last hundred events that did come.
#[macro_export]
#[doc(hidden)]
macro_rules! __refute_event {
    ($heard:expr, $name:expr $(, $field:ident = $value:expr)* => $block:block) => {{
        {
            use $crate::testing::Listening as _;
            $heard.listening().pass();
        }
        $block;
        $crate::__heard!($heard, none_now($crate::__event!($name $(, $field = $value)*)))
    }};
    ($heard:expr, $name:expr $(, $field:ident = $value:expr)*; for $time:expr) => {
        $crate::__heard!($heard, none_for($crate::__event!($name $(, $field = $value)*), $time))
    };
    ($heard:expr, $name:expr $(, $field:ident = $value:expr)*; until $end:tt) => {
        $crate::__heard!(
            $heard,
            none_until($crate::__event!($name $(, $field = $value)*), $crate::__listed_event!($end))
        )
    };
}

#[doc(inline)]
pub use crate::{
    __assert_any as assert_any, __assert_event as assert_event, __assert_sequence as assert_sequence, __event as event,
    __refute_event as refute_event,
};
