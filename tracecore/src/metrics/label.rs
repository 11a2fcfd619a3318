//! Labels of bounded cardinality.
//!
//! A label is an enum (its values are its variants) or a struct of [`Name`]s known only at run time, with a cap on how
//! many distinct ones live at once. An instrument keeps one cell per combination, in a plain vector: a label finds its
//! cell by its slot, and the number of slots is a constant that the compiler adds up. Deliberately absent: labels that
//! are any string, and any way to grow past the cap.

use std::fmt;
use std::sync::Arc;

/// The most series that one metric may have: the product of the capacities of its labels.
pub const MAX_SERIES: usize = 256;

/// A value of a run-time label: a device, a mount point, an interface. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Name(Arc<str>);

impl Name {
    /// The name with this text.
    pub fn new(text: &str) -> Self {
        Name(Arc::from(text))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Self {
        Name::new(text)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// What may label a metric: `()`, an enum or capped struct with `#[derive(Label)]`, or a tuple of up to four of them.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot label a metric: its values have no bound",
    label = "unbounded label",
    note = "use an enum with `#[derive(Label)]`, or a struct of `Name`s with `#[derive(Label)]` and `#[max(64)]`"
)]
pub trait Label: Send + Sync + 'static {
    /// How many distinct values can live at once.
    const CAPACITY: usize;
    /// The attribute keys, in order.
    const KEYS: &'static [&'static [&'static str]];
    /// How values find their slots.
    type Slots: Slots<Self>;
}

/// Where the values of a label live: each has a slot below [`Label::CAPACITY`].
pub trait Slots<L: ?Sized>: fmt::Debug + Default + Send + Sync + 'static {
    /// The slot of this value, taking a free one for a new value; `None` when all are taken.
    fn take(&mut self, label: L) -> Option<usize>
    where
        L: Sized;
    /// The slot of this value, if it has one.
    fn find(&self, label: &L) -> Option<usize>;
    /// Gives back the slots for which `used` is false.
    fn retain(&mut self, used: &dyn Fn(usize) -> bool);
    /// Calls `attribute` with each key and value of the slot.
    fn attributes(&self, slot: usize, attribute: &mut dyn FnMut(&'static str, &str));
}

/// A label whose values are known at compile time. `#[derive(Label)]` on an enum makes one.
pub trait ClosedLabel: Label + Copy {
    /// The attribute key.
    const KEY: &'static str;
    /// The values, by [`ClosedLabel::index`].
    const VALUES: &'static [&'static str];
    /// The position of this value in [`ClosedLabel::VALUES`].
    fn index(self) -> usize;
}

/// Labels all of whose values are known at compile time: `()`, an enum, or a tuple of enums.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot label a metric of a component's own health: only enums can",
    note = "a series on `/metrics` stays until the process ends, so its label must be closed"
)]
pub trait ClosedSet: Label {
    /// The slot of this value.
    fn slot(self) -> usize;
    /// Calls `value` with the value of each label at `slot`.
    fn values(slot: usize, value: &mut dyn FnMut(&'static str));
}

impl ClosedSet for () {
    fn slot(self) -> usize {
        0
    }

    fn values(_: usize, _: &mut dyn FnMut(&'static str)) {}
}

impl<L: ClosedLabel> ClosedSet for L {
    fn slot(self) -> usize {
        self.index()
    }

    fn values(slot: usize, value: &mut dyn FnMut(&'static str)) {
        value(L::VALUES[slot]);
    }
}

/// A label of run-time names. `#[derive(Label)]` with `#[max(…)]` on a struct makes one.
pub trait NamedLabel: Label + PartialEq + fmt::Debug {
    /// Calls `attribute` with each key and name.
    fn attributes(&self, attribute: &mut dyn FnMut(&'static str, &str));
}

/// The slots of an enum: the position of the variant.
#[derive(Debug, Default)]
pub struct Closed;

impl<L: ClosedLabel> Slots<L> for Closed {
    fn take(&mut self, label: L) -> Option<usize> {
        Some(label.index())
    }

    fn find(&self, label: &L) -> Option<usize> {
        Some(label.index())
    }

    fn retain(&mut self, _: &dyn Fn(usize) -> bool) {}

    fn attributes(&self, slot: usize, attribute: &mut dyn FnMut(&'static str, &str)) {
        attribute(L::KEY, L::VALUES[slot]);
    }
}

/// The slots of run-time names, in order of arrival. At most [`Label::CAPACITY`], so a scan finds one.
#[derive(Debug)]
pub struct Named<L>(Vec<Option<L>>);

impl<L> Default for Named<L> {
    fn default() -> Self {
        Named(Vec::new())
    }
}

impl<L: NamedLabel> Slots<L> for Named<L> {
    fn take(&mut self, label: L) -> Option<usize> {
        if let Some(slot) = self.find(&label) {
            return Some(slot);
        }
        if let Some(free) = self.0.iter().position(Option::is_none) {
            self.0[free] = Some(label);
            return Some(free);
        }
        (self.0.len() < L::CAPACITY).then(|| {
            self.0.push(Some(label));
            self.0.len() - 1
        })
    }

    fn find(&self, label: &L) -> Option<usize> {
        self.0.iter().position(|taken| taken.as_ref() == Some(label))
    }

    fn retain(&mut self, used: &dyn Fn(usize) -> bool) {
        for (slot, taken) in self.0.iter_mut().enumerate() {
            if !used(slot) {
                *taken = None;
            }
        }
    }

    fn attributes(&self, slot: usize, attribute: &mut dyn FnMut(&'static str, &str)) {
        if let Some(Some(label)) = self.0.get(slot) {
            label.attributes(attribute);
        }
    }
}

impl Label for () {
    const CAPACITY: usize = 1;
    const KEYS: &'static [&'static [&'static str]] = &[];
    type Slots = ();
}

impl Slots<()> for () {
    fn take(&mut self, (): ()) -> Option<usize> {
        Some(0)
    }

    fn find(&self, (): &()) -> Option<usize> {
        Some(0)
    }

    fn retain(&mut self, _: &dyn Fn(usize) -> bool) {}

    fn attributes(&self, _: usize, _: &mut dyn FnMut(&'static str, &str)) {}
}

/// A tuple is a number whose digits are the slots of its parts, the last one the lowest.
macro_rules! tuple {
    ($($label:ident $index:tt),+) => {
        impl<$($label: Label),+> Label for ($($label,)+) {
            const CAPACITY: usize = 1 $(* $label::CAPACITY)+;
            const KEYS: &'static [&'static [&'static str]] = &[$(first_keys::<$label>()),+];
            type Slots = ($($label::Slots,)+);
        }

        impl<$($label: Label),+> Slots<($($label,)+)> for ($($label::Slots,)+) {
            fn take(&mut self, label: ($($label,)+)) -> Option<usize> {
                let mut slot = 0;
                $(slot = slot * $label::CAPACITY + self.$index.take(label.$index)?;)+
                Some(slot)
            }

            fn find(&self, label: &($($label,)+)) -> Option<usize> {
                let mut slot = 0;
                $(slot = slot * $label::CAPACITY + self.$index.find(&label.$index)?;)+
                Some(slot)
            }

            fn retain(&mut self, used: &dyn Fn(usize) -> bool) {
                let capacities = [$($label::CAPACITY),+];
                let all: usize = capacities.iter().product();
                $(
                    let weight: usize = capacities[$index + 1..].iter().product();
                    let digit = |slot: usize| slot / weight % $label::CAPACITY;
                    self.$index.retain(&|part| (0..all).any(|slot| digit(slot) == part && used(slot)));
                )+
            }

            fn attributes(&self, slot: usize, attribute: &mut dyn FnMut(&'static str, &str)) {
                let capacities = [$($label::CAPACITY),+];
                $(
                    let weight: usize = capacities[$index + 1..].iter().product();
                    self.$index.attributes(slot / weight % $label::CAPACITY, attribute);
                )+
            }
        }
    };
}

/// The same for tuples of enums.
macro_rules! closed_tuple {
    ($($label:ident $index:tt),+) => {
        impl<$($label: ClosedLabel),+> ClosedSet for ($($label,)+) {
            fn slot(self) -> usize {
                let mut slot = 0;
                $(slot = slot * $label::CAPACITY + self.$index.index();)+
                slot
            }

            fn values(slot: usize, value: &mut dyn FnMut(&'static str)) {
                let capacities = [$($label::CAPACITY),+];
                $(
                    let weight: usize = capacities[$index + 1..].iter().product();
                    value($label::VALUES[slot / weight % $label::CAPACITY]);
                )+
            }
        }
    };
}

closed_tuple!(A 0, B 1);
closed_tuple!(A 0, B 1, C 2);
closed_tuple!(A 0, B 1, C 2, D 3);

/// The keys of a label that is not a tuple.
const fn first_keys<L: Label>() -> &'static [&'static str] {
    match L::KEYS {
        [keys] => keys,
        _ => &[],
    }
}

tuple!(A 0, B 1);
tuple!(A 0, B 1, C 2);
tuple!(A 0, B 1, C 2, D 3);
