//! Addresses of this machine that no other test has.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU8, Ordering};

/// An address of this machine on which no other test listens: with it, a port is free that must be known beforehand or
/// taken again. All of 127.0.0.0/8 is this machine; which address is a matter of the process, and then of the order.
///
/// # Panics
/// When a process wants more than 250.
pub fn loopback() -> Ipv4Addr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let last = NEXT.fetch_add(1, Ordering::Relaxed);
    assert!(last < 251, "too many addresses for one process");
    let [.., high, low] = std::process::id().to_be_bytes();
    // 127.0.x.y is everybody's.
    Ipv4Addr::new(127, high | 1, low, last)
}
