//! How long a test waits before it says that what it waits for does not come.
//!
//! A ceiling is no expectation: it is far above what anything takes, and only a failure reaches it. A machine that is
//! slower than that by far sets [`CEILING_FACTOR`], which scales every ceiling. Deliberately absent: a ceiling that is
//! reached without a failure.

use std::panic::Location;
use std::sync::OnceLock;
use std::time::Duration;

/// The environment variable that scales every ceiling: a number from 1 to [`MAX_FACTOR`].
pub const CEILING_FACTOR: &str = "TRACECORE_TEST_CEILING_FACTOR";

/// The largest factor: it makes hours of minutes, and more would only hide what hangs.
pub const MAX_FACTOR: f64 = 1000.0;

/// How long an event may take. With time paused it costs none, and lies above the longest back-off.
pub const CEILING: Duration = Duration::from_secs(60);

/// A ceiling, scaled by [`CEILING_FACTOR`].
///
/// # Panics
/// When the variable is set to anything but a number from 1 to [`MAX_FACTOR`].
///
/// ```
/// use std::time::Duration;
///
/// use tracecore::testing::ceiling;
///
/// assert!(ceiling(Duration::from_secs(5)) >= Duration::from_secs(5));
/// ```
pub fn ceiling(unscaled: Duration) -> Duration {
    static FACTOR: OnceLock<f64> = OnceLock::new();
    let factor = FACTOR.get_or_init(|| {
        let given = std::env::var_os(CEILING_FACTOR);
        factor(given.as_ref().map(|given| given.to_string_lossy()).as_deref()).unwrap_or_else(|error| panic!("{error}"))
    });
    unscaled.mul_f64(*factor)
}

/// Waits for what a test expects, and gives its output.
///
/// # Panics
/// When it has not come at the ceiling: [`CEILING`], scaled. The message names the line that waits.
///
/// ```
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
/// # runtime.block_on(async {
/// let (sender, receiver) = tokio::sync::oneshot::channel();
/// sender.send(7).expect("the receiver is there");
/// assert_eq!(tracecore::testing::within_ceiling(receiver).await, Ok(7));
/// # });
/// ```
#[track_caller]
pub fn within_ceiling<F: Future>(expected: F) -> impl Future<Output = F::Output> {
    let place = Location::caller();
    async move {
        let ceiling = ceiling(CEILING);
        match tokio::time::timeout(ceiling, expected).await {
            Ok(output) => output,
            Err(_) => panic!("{place}: nothing came within {ceiling:?}"),
        }
    }
}

fn factor(given: Option<&str>) -> Result<f64, String> {
    let Some(given) = given else { return Ok(1.0) };
    match given.parse() {
        Ok(factor) if (1.0..=MAX_FACTOR).contains(&factor) => Ok(factor),
        _ => Err(format!("{CEILING_FACTOR} is `{given}`: it must be a number from 1 to {MAX_FACTOR}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_factor_is_a_number_from_one_on() {
        assert_eq!(factor(None), Ok(1.0));
        assert_eq!(factor(Some("2.5")), Ok(2.5));
        for wrong in ["", "0.9", "-1", "inf", "NaN", "1e9", "twice"] {
            let error = factor(Some(wrong)).expect_err(wrong);
            assert_eq!(
                error,
                format!("TRACECORE_TEST_CEILING_FACTOR is `{wrong}`: it must be a number from 1 to 1000")
            );
        }
    }

    #[tokio::test(start_paused = true)]
    #[should_panic(expected = "testing/ceiling.rs")]
    async fn a_wait_that_ends_at_the_ceiling_names_its_line() {
        within_ceiling(std::future::pending::<()>()).await;
    }
}
