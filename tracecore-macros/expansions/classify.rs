#[derive(Debug, thiserror::Error, Classify)]
enum ExportError {
    #[error("cannot connect to {endpoint}")]
    #[kind(Connect)]
    Connect { endpoint: String, source: io::Error },
    #[error("the backend asks to wait")]
    #[kind(Io, retry)]
    Throttled {
        #[retry_after]
        r#for: Option<Duration>,
    },
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

#[derive(Debug, thiserror::Error, Classify)]
#[error("line {line} is not a statistic")]
#[kind(Parse)]
struct Malformed {
    line: usize,
}
