use std::time::Duration;

use tracecore::prelude::*;

#[derive(Debug, thiserror::Error, Classify)]
#[kind(Io)]
enum Error {
    #[error("no kind")]
    Missing,
    #[error("a kind mistyped")]
    #[kind(Raed)]
    Mistyped,
    #[error("a kind of nobody's")]
    #[kind(Weather)]
    Unknown,
    #[error("the runtime's kind")]
    #[kind(Panic)]
    Panic,
    #[error("a word mistyped")]
    #[kind(Io, permanant)]
    Word,
    #[error("a word too many")]
    #[kind(Io, retry, permanent)]
    More,
    #[error("no word")]
    #[kind]
    Bare,
    #[error("two kinds")]
    #[kind(Io)]
    #[kind(Read)]
    Twice,
    #[error("a delay for nothing")]
    #[kind(Io, permanent)]
    Delayed {
        #[retry_after]
        delay: Duration,
    },
    #[error("two delays")]
    #[kind(Io)]
    Delays(#[retry_after] Duration, #[retry_after] Duration),
}

#[derive(Debug, thiserror::Error, Classify)]
#[error("a struct without a kind")]
struct Plain;

#[derive(Debug, thiserror::Error, Classify)]
#[error("a delay of another type")]
#[kind(Io)]
struct Number {
    #[retry_after]
    seconds: u64,
}

fn main() {}
