//! The task of a connection over HTTP/2, and how it finds out that the other side is gone.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use h2::client::Connection;
use h2::{Ping, PingPong};
use tokio::time::{Sleep, sleep};

use super::{Keepalive, Slot};
use crate::net::client::Payload;
use crate::net::client::connect::{Counted, Noticed};
use crate::net::client::pool::Open;
use crate::time::Instant;

/// The task of a connection. It ends when the connection does: with the last of its requests once nobody keeps it, when
/// the other side closes it, or when it does not answer a ping.
pub(super) struct Driver {
    pub(super) connection: Connection<Counted, Payload>,
    pub(super) pings: PingPong,
    pub(super) watch: Watch,
    pub(super) noticed: Arc<Noticed>,
    pub(super) streams: Arc<AtomicUsize>,
    pub(super) slot: Weak<Slot>,
    // The last field: a connection has closed when it is gone.
    #[expect(dead_code, reason = "it is held")]
    pub(super) open: Open,
}

impl Future for Driver {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let driver = self.get_mut();
        if Pin::new(&mut driver.connection).poll(cx).is_ready() {
            driver.let_go();
            return Poll::Ready(());
        }
        loop {
            if driver.watch.pinged && driver.pings.poll_pong(cx).is_ready() {
                driver.watch.pinged = false;
            }
            ready!(driver.watch.timer.as_mut().poll(cx));
            let heard = driver.noticed.take_heard();
            let used = driver.streams.load(Ordering::Relaxed) > 0;
            let next = match driver.watch.look(heard, used) {
                Look::Wait(time) => time,
                Look::Ping(time) => match driver.pings.send_ping(Ping::opaque()) {
                    Ok(()) => {
                        driver.watch.pinged = true;
                        time
                    }
                    // One is under way.
                    Err(_) => time,
                },
                // It ends by itself: nobody has it any more.
                Look::Unused(time) => {
                    driver.let_go();
                    time
                }
                Look::Dead => {
                    driver.let_go();
                    return Poll::Ready(());
                }
            };
            driver.watch.timer.as_mut().reset(Instant::now() + next);
        }
    }
}

impl Driver {
    fn let_go(&self) {
        if let Some(slot) = self.slot.upgrade() {
            slot.forget(&self.streams);
        }
    }
}

/// Looks after a connection from time to time.
pub(super) struct Watch {
    keepalive: Option<Keepalive>,
    idle: Duration,
    timer: Pin<Box<Sleep>>,
    /// A ping has not been answered yet.
    pinged: bool,
    unused_since: Option<Instant>,
}

/// What is to be done about a connection, and when to look again.
enum Look {
    Wait(Duration),
    Ping(Duration),
    Unused(Duration),
    Dead,
}

impl Watch {
    pub(super) fn new(keepalive: Option<Keepalive>, idle: Duration) -> Self {
        let first = keepalive.map_or(idle, |keepalive| keepalive.time.min(idle));
        Watch { keepalive, idle, timer: Box::pin(sleep(first)), pinged: false, unused_since: None }
    }

    /// `heard`: something came since the last look; `used`: a request is under way.
    fn look(&mut self, heard: bool, used: bool) -> Look {
        if self.pinged && !heard {
            return Look::Dead;
        }
        if used || heard {
            self.unused_since = None;
        }
        let unused_since = *self.unused_since.get_or_insert_with(Instant::now);
        if !used && unused_since.elapsed() >= self.idle {
            return Look::Unused(self.idle);
        }
        let Some(keepalive) = self.keepalive else { return Look::Wait(self.idle) };
        match !heard && (used || keepalive.permit_without_stream) {
            true => Look::Ping(keepalive.timeout),
            false => Look::Wait(keepalive.time.min(self.idle)),
        }
    }
}
