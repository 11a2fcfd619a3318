//! What can go wrong between programs.

use std::io;

/// Why a call, a connection or a program failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The connection, or a file.
    #[error("input or output failed: {0}")]
    Io(#[from] io::Error),
    /// The protocol of gRPC.
    #[error("HTTP/2 failed: {0}")]
    Http2(#[from] h2::Error),
    /// The protocol of the rest.
    #[error("HTTP/1.1 failed: {0}")]
    Http1(#[from] hyper::Error),
    /// The other end refused.
    #[error("refused: {0}")]
    Refused(String),
    /// The program under test is not what it should be.
    #[error("{what}; it said:\n{log}")]
    Subject {
        /// What it did.
        what: &'static str,
        /// The end of its log.
        log: String,
    },
}
