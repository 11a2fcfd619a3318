//! How a request nests: what is between it and its items.

use super::Signal;
use super::otlp::DATA_CHOICES;
use super::view::wire::{Fields, Value};

/// For each message from the request down to the one that holds items, the bits of those fields of it that hold the next.
pub(super) type Levels = &'static [u32];

/// The levels of a request of `signal`: resources, scopes and spans or records; or resources, scopes, metrics, their data
/// and points.
pub(super) const fn levels(signal: Signal) -> Levels {
    match signal {
        Signal::Traces | Signal::Logs => &[1 << 1, 1 << 2, 1 << 2],
        Signal::Metrics => &[1 << 1, 1 << 2, 1 << 2, DATA_CHOICES, 1 << 1],
    }
}

/// Whether field `number` is one of `choices`.
pub(super) fn is_one_of(number: u32, choices: u32) -> bool {
    number < u32::BITS && choices >> number & 1 == 1
}

/// The items in a message with this body, of which the first of `levels` tells the fields. Of a canonical message: where
/// one kind of metric takes the place of another, both are counted.
pub(super) fn count_items(body: &[u8], levels: Levels) -> u64 {
    let Some((&choices, below)) = levels.split_first() else { return 1 };
    let mut items = 0;
    for (number, value) in Fields::of(body) {
        if is_one_of(number, choices)
            && let Value::Bytes(inner) = value
        {
            items += count_items(inner, below);
        }
    }
    items
}
