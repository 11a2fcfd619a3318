//! Whether the services of this run tell events at all.
//!
//! Nothing of tracecore may depend on who listens to its events. So the suite runs once more without any: a test that
//! waits for states, verdicts and deliveries passes then too, and one that is about events says that it does not apply.

use std::sync::OnceLock;

/// The environment variable that switches the events of every service under test `off`.
pub const EVENTS: &str = "TRACECORE_TEST_EVENTS";

/// Whether services under test tell events: yes, unless [`EVENTS`] is `off`.
///
/// # Panics
/// When the variable is set to anything but `on` or `off`.
pub fn events_enabled() -> bool {
    static ENABLED: OnceLock<bool> = OnceLock::new();
    *ENABLED.get_or_init(|| {
        let given = std::env::var_os(EVENTS);
        enabled(given.as_ref().map(|given| given.to_string_lossy()).as_deref())
            .unwrap_or_else(|error| panic!("{error}"))
    })
}

fn enabled(given: Option<&str>) -> Result<bool, String> {
    match given {
        None | Some("on") => Ok(true),
        Some("off") => Ok(false),
        Some(other) => Err(format!("{EVENTS} is `{other}`: it must be `on` or `off`")),
    }
}

/// Whether there is nothing to test, because it is about events; says so.
#[doc(hidden)]
#[expect(clippy::print_stdout, reason = "it is captured with what the test prints")]
pub fn does_not_apply() -> bool {
    if !events_enabled() {
        println!("does not apply: events are switched off by {EVENTS}");
    }
    !events_enabled()
}

/// Begins a test that is about events: without them it does not apply, and returns at once.
///
/// ```
/// use tracecore::testing::{ScriptedReceiver, RecordingExporter, TestService, assert_event, needs_events, pipeline};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// needs_events!();
/// let yaml = pipeline(ScriptedReceiver::new(), RecordingExporter::new(), "");
/// let mut service = TestService::start(&yaml).await;
/// assert_event!(service, "service.ready");
/// # }
/// ```
#[macro_export]
#[doc(hidden)]
macro_rules! __needs_events {
    () => {
        if $crate::testing::does_not_apply() {
            return;
        }
    };
}

#[doc(inline)]
pub use crate::__needs_events as needs_events;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_on_unless_they_are_switched_off() {
        assert_eq!(enabled(None), Ok(true));
        assert_eq!(enabled(Some("on")), Ok(true));
        assert_eq!(enabled(Some("off")), Ok(false));
        let error = enabled(Some("no")).expect_err("it is neither");
        assert_eq!(error, "TRACECORE_TEST_EVENTS is `no`: it must be `on` or `off`");
    }
}
