//! The closed sets behind the labels. A value that is not here cannot become a series.

macro_rules! closed_label {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $value:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $name {
            /// Every value, in the order of the documentation.
            pub const ALL: [$name; [$($value),+].len()] = [$($name::$variant),+];

            /// The value of the label.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $($name::$variant => $value,)+
                }
            }
        }
    };
}

closed_label! {
    /// Why an exporter or its queue gave items up: the `reason` label.
    DropReason {
        /// The queue had no place, and its policy is to drop.
        QueueFull = "queue_full",
        /// The batch is larger than the queue, or than the backend takes.
        TooLarge = "too_large",
        /// The backend refused for good.
        Permanent = "permanent",
        /// The backend took the batch without them.
        Rejected = "rejected",
        /// The time for trying again ran out.
        RetryExhausted = "retry_exhausted",
        /// The exporter panicked on it twice.
        Panic = "panic",
        /// The exporter was given up, or had stopped.
        Stopped = "stopped",
        /// The drain's time ran out.
        Shutdown = "shutdown",
    }
}

closed_label! {
    /// Why a processor let items go: the `reason` label.
    ProcessorDropReason {
        /// It was told to.
        Filtered = "filtered",
        /// It failed on the batch.
        Error = "error",
        /// It panicked on the batch.
        Panic = "panic",
    }
}

closed_label! {
    /// What a component does: the `state` label. Each that has not stopped is in one, so that the sum is their number.
    ComponentState {
        /// It works.
        Busy = "busy",
        /// It waits for work, or cannot work.
        Idle = "idle",
        /// It finishes what it has and takes no more.
        Draining = "draining",
    }
}

closed_label! {
    /// Why a component runs without its own metrics: the `reason` label.
    InitErrorReason {
        /// There was no provider to make them with.
        NilProvider = "nil_provider",
        /// The provider refused an instrument.
        InstrumentRegister = "instrument_register",
        /// The provider is one that we cannot use.
        UnsupportedSdk = "unsupported_sdk",
    }
}
