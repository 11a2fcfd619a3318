//! Accepting connections, over TLS or not: what the servers of the tests have in common.

use std::future::Future;
use std::io;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// What a connection is made of.
pub(crate) trait Io: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

/// A listener at this address.
pub(crate) async fn listener(address: &str) -> TcpListener {
    TcpListener::bind(address).await.expect("a port is free")
}

/// What is answered by the number of the call, from 1.
pub fn by_number<Call, Answer>(mut answers: impl FnMut(usize) -> Answer) -> impl FnMut(&Call) -> Answer {
    let mut calls = 0;
    move |_| {
        calls += 1;
        answers(calls)
    }
}

/// Serves each connection in a task, and tells its number, from 0. All of it ends when the set is dropped.
pub(crate) fn accept<F: Future<Output = ()> + Send + 'static>(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    serve: impl Fn(Box<dyn Io>, usize) -> F + Clone + Send + 'static,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        // Dropped with the task that accepts.
        let mut connections = JoinSet::new();
        for number in 0.. {
            let Ok((stream, _)) = listener.accept().await else { return };
            let (tls, serve) = (tls.clone(), serve.clone());
            connections.spawn(async move {
                let secured: io::Result<Box<dyn Io>> = match tls {
                    None => Ok(Box::new(stream)),
                    Some(tls) => tls.accept(stream).await.map(|stream| Box::new(stream) as _),
                };
                // The other side may not like us, or we not it.
                if let Ok(io) = secured {
                    serve(io, number).await;
                }
            });
        }
    });
    tasks
}
