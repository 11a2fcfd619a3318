#[derive(Debug, thiserror::Error, Classify)]
enum ExportError {
    #[error("cannot connect to {endpoint}")]
    #[kind(Connect)]
    Connect { endpoint: String, source: io::Error },
    #[error("the backend asks to wait")]
    #[kind(Io, retry)]
    Throttled { #[retry_after] r#for: Option<Duration> },
    #[error("the backend has a time of day")]
    #[kind(Io, retry)]
    Closed(Date, #[retry_after] Duration),
    #[error("cannot send")]
    #[kind(Io)]
    Send(#[source] io::Error),
    #[error("cannot encode")]
    #[kind(Marshal, permanent)]
    Encode(#[from] EncodeError),
}
const _: () = {
    use ::tracecore::__private as __rt;
    impl __rt::Classify for ExportError {
        const KINDS: &'static [__rt::ErrorKind] = &[
            __rt::ErrorKind::Connect,
            __rt::ErrorKind::Io,
            __rt::ErrorKind::Marshal,
        ];
        fn kind(&self) -> __rt::ErrorKind {
            match self {
                ExportError::Connect { .. } => __rt::ErrorKind::Connect,
                ExportError::Throttled { .. }
                | ExportError::Closed { .. }
                | ExportError::Send { .. } => __rt::ErrorKind::Io,
                ExportError::Encode { .. } => __rt::ErrorKind::Marshal,
            }
        }
        fn retry(&self) -> __rt::Retry {
            match self {
                ExportError::Encode { .. } => __rt::Retry::Permanent,
                _ => __rt::Retry::Yes,
            }
        }
        fn retry_after(&self) -> ::core::option::Option<::core::time::Duration> {
            match self {
                ExportError::Throttled { r#for, .. } => {
                    ::core::convert::Into::into(*r#for)
                }
                ExportError::Closed { 1: delay, .. } => {
                    ::core::convert::Into::into(*delay)
                }
                _ => ::core::option::Option::None,
            }
        }
    }
};
#[derive(Debug, thiserror::Error, Classify)]
#[error("line {line} is not a statistic")]
#[kind(Parse)]
struct Malformed {
    line: usize,
}
const _: () = {
    use ::tracecore::__private as __rt;
    impl __rt::Classify for Malformed {
        const KINDS: &'static [__rt::ErrorKind] = &[__rt::ErrorKind::Parse];
        fn kind(&self) -> __rt::ErrorKind {
            match self {
                Malformed { .. } => __rt::ErrorKind::Parse,
            }
        }
    }
};
