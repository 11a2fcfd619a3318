//! What is written once of each event, and all that follows from it: the types, the names, the fields as others see
//! them, a line of the log, a row of the page of events.

/// The tree of events.
macro_rules! events {
    ($(
        $(#[doc = $group_doc:literal])+
        $branch:ident($group:ident) = $word:literal {
            $(
                $(#[doc = $doc:literal])+
                $variant:ident = $name:literal { $($(#[doc = $field_doc:literal])+ $field:ident: $of:ty,)* }
            )+
        }
    )+) => {
        /// One thing that happened.
        #[derive(Clone, Debug, PartialEq)]
        #[non_exhaustive]
        pub enum Event {
            $($(#[doc = $group_doc])+ $branch($group),)+
        }

        $(
            $(#[doc = $group_doc])+
            #[derive(Clone, Debug, PartialEq)]
            #[non_exhaustive]
            pub enum $group {
                $($(#[doc = $doc])+ $variant { $($(#[doc = $field_doc])+ $field: $of,)* },)+
            }

            impl Group for $group {
                const BIT: u32 = 1 << Branch::$branch as u32;
            }

            impl From<$group> for Event {
                fn from(event: $group) -> Event {
                    Event::$branch(event)
                }
            }
        )+

        /// The groups, counted.
        enum Branch {
            $($branch,)+
        }

        impl Event {
            /// The name of every event, group by group.
            pub const NAMES: &'static [&'static str] = &[$($(concat!($word, ".", $name),)+)+];

            /// Its name: the word of the group, a dot, what happened.
            pub const fn name(&self) -> &'static str {
                match self {
                    $($(Event::$branch($group::$variant { .. }) => concat!($word, ".", $name),)+)+
                }
            }

            /// Shows each of its fields.
            pub fn visit(&self, see: &mut dyn FnMut(&'static str, Value<'_>)) {
                match self {
                    $($(Event::$branch($group::$variant { $($field),* }) => {
                        $(see(stringify!($field), Field::value($field));)*
                    })+)+
                }
                // Events without fields do not use it.
                let _ = see;
            }

            /// Tells the log: the name and each field of the event are fields of one line.
            pub(crate) fn log(&self, meta: &Meta) {
                let component = meta.component.as_ref().map(display);
                let correlation_id = meta.correlation.map(display);
                let duration_us = meta.duration_us();
                match self {
                    $($(Event::$branch($group::$variant { $($field),* }) => tracing::info!(
                        target: LOG_TARGET,
                        event = concat!($word, ".", $name),
                        component,
                        correlation_id,
                        duration_us,
                        $($field = %Field::value($field),)*
                        "an event"
                    ),)+)+
                }
            }

            /// What is declared, for the page that lists it.
            #[cfg(test)]
            pub(super) const DECLARED: &'static [DeclaredGroup] = &[$(DeclaredGroup {
                word: $word,
                doc: &[$($group_doc),+],
                events: &[$(DeclaredEvent {
                    name: concat!($word, ".", $name),
                    doc: &[$($doc),+],
                    fields: &[$(DeclaredField {
                        name: stringify!($field),
                        of: stringify!($of),
                        doc: &[$($field_doc),+],
                    }),*],
                }),+],
            }),+];
        }

        /// The bit of the group that this name is of; 0 if of none.
        pub(super) fn bit_of(name: &str) -> u32 {
            match name.split_once('.').map_or(name, |(word, _)| word) {
                $($word => $group::BIT,)+
                _ => 0,
            }
        }
    };
}
pub(super) use events;

/// A group as it is declared.
#[cfg(test)]
pub(super) struct DeclaredGroup {
    pub(super) word: &'static str,
    pub(super) doc: &'static [&'static str],
    pub(super) events: &'static [DeclaredEvent],
}

/// An event as it is declared.
#[cfg(test)]
pub(super) struct DeclaredEvent {
    pub(super) name: &'static str,
    pub(super) doc: &'static [&'static str],
    pub(super) fields: &'static [DeclaredField],
}

/// A field as it is declared.
#[cfg(test)]
pub(super) struct DeclaredField {
    pub(super) name: &'static str,
    /// Its type.
    pub(super) of: &'static str,
    pub(super) doc: &'static [&'static str],
}
