//! The closed sets behind the labels. A value that is not here cannot become a series.

use http::StatusCode;

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

closed_label! {
    /// How a request was answered, as a class: the `status_class` label.
    StatusClass {
        /// Informational.
        Informational = "1xx",
        /// Success.
        Success = "2xx",
        /// Redirection.
        Redirection = "3xx",
        /// An error of the client.
        ClientError = "4xx",
        /// An error of the server.
        ServerError = "5xx",
        /// A number that is in no class.
        Unknown = "unknown",
    }
}

impl StatusClass {
    /// The class of a status.
    pub fn of(status: StatusCode) -> Self {
        match status.as_u16() {
            100..=199 => StatusClass::Informational,
            200..=299 => StatusClass::Success,
            300..=399 => StatusClass::Redirection,
            400..=499 => StatusClass::ClientError,
            500..=599 => StatusClass::ServerError,
            _ => StatusClass::Unknown,
        }
    }
}
