//! What a test waits for.

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

#[doc(inline)]
pub use crate::__event as event;
