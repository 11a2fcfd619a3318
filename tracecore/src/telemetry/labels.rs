//! The closed sets behind the labels. A value that is not here cannot become a series.

use crate::net::Route;

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
        /// The exporter was given up.
        Stopped = "stopped",
        /// The exporter could not start, and is ignored.
        Ignored = "ignored",
        /// The drain's time ran out, or so much of it that the queue took nothing more.
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
    /// Why a component ended: the `reason` label.
    StopReason {
        /// It was asked to, or had nothing left to do.
        Graceful = "graceful",
        /// It failed or panicked.
        Crashed = "crashed",
        /// It had been idle for as long as it may.
        IdleTimeout = "idle_timeout",
        /// The configuration no longer has it.
        ConfigRemoved = "config_removed",
    }
}

closed_label! {
    /// What a component does now: the `state` label. Every component that has not stopped is in one of them.
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
    /// Where a circuit breaker stands: the `to` label. The gauge shows its place in [`BreakerState::ALL`].
    BreakerState {
        /// Calls go through.
        Closed = "closed",
        /// Calls are refused at once.
        Open = "open",
        /// A few calls go through, to see whether the backend is back.
        HalfOpen = "half_open",
    }
}

closed_label! {
    /// Which end of a pipeline: the `direction` label.
    Direction {
        /// What receivers brought.
        In = "in",
        /// What the exporters' queues took.
        Out = "out",
    }
}

closed_label! {
    /// The class of an HTTP status: the `status_class` label.
    StatusClass {
        /// The request goes on.
        Informational = "1xx",
        /// It succeeded.
        Success = "2xx",
        /// It must go elsewhere.
        Redirection = "3xx",
        /// The client is at fault.
        ClientError = "4xx",
        /// The server is at fault.
        ServerError = "5xx",
        /// Not a status of HTTP.
        Unknown = "unknown",
    }
}

closed_label! {
    /// What of the surface a request asked for: the `route` label. Named as it is mounted by default.
    SurfaceRoute {
        /// The collector's own metrics.
        Metrics = "/metrics",
        /// Whether the process lives.
        Healthz = "/healthz",
        /// Whether the process does its work.
        Readyz = "/readyz",
        /// How its components are.
        Status = "/status",
        /// Anything else.
        Unknown = "unknown",
    }
}

impl SurfaceRoute {
    /// The route that a handler named.
    pub fn of(route: Route) -> Self {
        SurfaceRoute::ALL.into_iter().find(|known| known.as_str() == route.0).unwrap_or(SurfaceRoute::Unknown)
    }

    /// What a handler names.
    pub const fn route(self) -> Route {
        Route(self.as_str())
    }
}

impl StatusClass {
    /// The class of any number: what is not from 100 to 599 is [`StatusClass::Unknown`].
    pub const fn of(status: u16) -> Self {
        match status {
            100..=199 => StatusClass::Informational,
            200..=299 => StatusClass::Success,
            300..=399 => StatusClass::Redirection,
            400..=499 => StatusClass::ClientError,
            500..=599 => StatusClass::ServerError,
            _ => StatusClass::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_class_total_function() {
        for status in 0..=u16::MAX {
            // Three digits, of which the first says the class.
            let digits = status.to_string();
            let wanted = match digits.as_bytes() {
                [first @ b'1'..=b'5', _, _] => format!("{}xx", char::from(*first)),
                _ => "unknown".to_owned(),
            };
            assert_eq!(StatusClass::of(status).as_str(), wanted, "{status}");
        }
        let long_tail = [418, 499, 520, 0, 99, 600, u16::MAX].map(|status| StatusClass::of(status).as_str());
        assert_eq!(long_tail, ["4xx", "4xx", "5xx", "unknown", "unknown", "unknown", "unknown"]);
    }
}
