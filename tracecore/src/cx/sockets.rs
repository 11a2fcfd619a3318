//! The sockets that a component listens on.
//!
//! Invariants: a socket survives a restart, so that no client sees the port closed; an incarnation is given each one once,
//! so that two servers at one address are an error, and never share a socket that neither of them can tell from its own.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::net::Bound;

/// The sockets, those of earlier incarnations too.
#[derive(Default)]
pub(crate) struct Sockets(Mutex<Vec<Socket>>);

struct Socket {
    /// As it was asked for.
    address: String,
    bound: Arc<Bound>,
    /// The present incarnation has it.
    is_taken: bool,
}

impl Sockets {
    /// A socket of this address that an earlier incarnation has left.
    pub(super) fn take(&self, address: &str) -> Option<Arc<Bound>> {
        let mut sockets = self.lock();
        let left = sockets.iter_mut().find(|socket| !socket.is_taken && socket.address == address)?;
        left.is_taken = true;
        Some(Arc::clone(&left.bound))
    }

    /// Keeps a new one, which the present incarnation has.
    pub(super) fn keep(&self, address: &str, bound: &Arc<Bound>) {
        self.lock().push(Socket { address: address.to_owned(), bound: Arc::clone(bound), is_taken: true });
    }

    /// Leaves all to the next incarnation.
    pub(super) fn leave(&self) {
        for socket in self.lock().iter_mut() {
            socket.is_taken = false;
        }
    }

    /// Lets go of what listens there; how many there were.
    pub(super) fn forget(&self, address: SocketAddr) -> usize {
        let mut sockets = self.lock();
        let before = sockets.len();
        sockets.retain(|socket| socket.bound.local_addr() != address);
        before - sockets.len()
    }

    /// Lets go of all; how many there were.
    pub(super) fn close(&self) -> usize {
        std::mem::take(&mut *self.lock()).len()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Socket>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
