//! The clients: as many requests at once as there are streams, or requests at a steady rate, with the time that each
//! acknowledgement takes.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Request};
use http_body_util::Full;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::yield_now;
use tokio::time::{Duration, Instant, MissedTickBehavior, interval, sleep};

use crate::encoding::Encoding;
use crate::failure::Failure;
use crate::histogram::Histogram;
use crate::requests::{self, MARK_BYTES};
use crate::signal::Signal;
use crate::sink::count;
use crate::{http1, http2, spawn};

/// Different requests; as many as are under way at once in the usual shape.
const POOL: usize = 16;

/// What is sent, and how much of it at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) signal: Signal,
    /// Items of a request.
    pub(crate) items: usize,
    pub(crate) transport: Transport,
    pub(crate) encoding: Option<Encoding>,
    /// Requests under way at once.
    pub(crate) streams: usize,
}

/// How requests travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    /// All streams on one connection.
    Grpc,
    /// A connection for each.
    Http,
}

/// How fast requests are sent.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    /// Each stream sends the next request when it has the answer to the last.
    Saturation,
    /// So many items a second, whatever becomes of them.
    ItemsPerSecond(f64),
}

/// What the clients have seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sent {
    /// The time to each acknowledgement.
    pub(crate) times: Histogram,
    /// How often each mark was sent, by its number.
    pub(crate) tried: Vec<u32>,
    /// How often each mark was acknowledged.
    pub(crate) acknowledged: Vec<u32>,
    /// How many requests were.
    pub(crate) requests: u64,
    /// Calls that failed or were refused.
    pub(crate) failed: u64,
    /// How the last of them did.
    pub(crate) failure: Option<String>,
}

/// Requests to send, each in a buffer that is used again: nothing is copied to send it.
pub(crate) struct Load {
    items: usize,
    slots: Vec<Slot>,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    next: AtomicU32,
    done: AtomicBool,
    sent: Mutex<Sent>,
}

/// A request in its buffer.
struct Slot {
    client: Client,
    head: Request<()>,
    body: BytesMut,
    mark: Mark,
}

/// How a request is known again.
#[derive(Clone, Copy, Debug)]
enum Mark {
    /// By a number that is new each time and is written here.
    At(usize),
    /// By this number every time: what is compressed cannot be changed.
    Always(u32),
}

enum Client {
    Grpc(h2::client::SendRequest<Bytes>),
    Http(hyper::client::conn::http1::SendRequest<Full<Bytes>>),
}

impl Load {
    /// Connects, and prepares the requests.
    pub(crate) async fn prepare(shape: Shape, address: SocketAddr) -> Result<Self, Failure> {
        let pool = requests::prepare(shape.signal, shape.items, POOL.min(shape.streams));
        let mut slots = Vec::with_capacity(shape.streams);
        let shared = match shape.transport {
            Transport::Grpc => Some(http2::connect(address).await?),
            Transport::Http => None,
        };
        for number in 0..shape.streams {
            let (client, head) = match &shared {
                Some(connection) => {
                    let encoding = shape.encoding.map(|encoding| HeaderValue::from_static(encoding.as_str()));
                    let head = http2::head(address, shape.signal.grpc_path(), encoding.as_ref());
                    (Client::Grpc(connection.clone()), head)
                }
                None => {
                    let head = http1::head(address, shape.signal.http_path(), shape.encoding);
                    (Client::Http(http1::connect(address).await?), head)
                }
            };
            let mut request = pool[number % pool.len()].clone();
            let (mut message, mark) = match shape.encoding {
                None => (request.bytes, Mark::At(request.mark)),
                Some(encoding) => {
                    let number = u32::try_from(number).expect("there are few streams");
                    request.set_mark(number);
                    (encoding.compress(&request.bytes), Mark::Always(number))
                }
            };
            let mut mark = mark;
            if shape.transport == Transport::Grpc {
                message = http2::framed(&message, shape.encoding);
                mark = match mark {
                    Mark::At(place) => Mark::At(place + http2::PREFIX),
                    Mark::Always(number) => Mark::Always(number),
                };
            }
            slots.push(Slot { client, head, body: BytesMut::from(&message[..]), mark });
        }
        Ok(Load { items: shape.items, slots, state: Arc::default() })
    }

    /// Sends at this pace for this time, and waits for the answers.
    pub(crate) async fn send(&mut self, pace: Pace, time: Duration) {
        match pace {
            Pace::Saturation => self.saturate(time).await,
            Pace::ItemsPerSecond(items) => self.at_rate(items / self.items as f64, time).await,
        }
    }

    /// Sends one request.
    pub(crate) async fn one(&mut self) {
        let slot = self.slots.pop().expect("there is a stream");
        self.slots.push(self.state.send(Instant::now(), slot).await);
    }

    async fn saturate(&mut self, time: Duration) {
        self.state.done.store(false, Ordering::Relaxed);
        let (sender, back) = unbounded_channel();
        let count = self.slots.len();
        for mut slot in self.slots.drain(..) {
            let (state, sender) = (Arc::clone(&self.state), sender.clone());
            spawn(async move {
                while !state.done.load(Ordering::Relaxed) {
                    slot = state.send(Instant::now(), slot).await;
                }
                give_back(&sender, slot);
            });
        }
        sleep(time).await;
        self.state.done.store(true, Ordering::Relaxed);
        self.take_back(back, count).await;
    }

    async fn at_rate(&mut self, requests_per_second: f64, time: Duration) {
        let (sender, mut back) = unbounded_channel();
        let count = self.slots.len();
        self.slots.drain(..).for_each(|slot| give_back(&sender, slot));
        let mut ticks = interval(Duration::from_secs_f64(1.0 / requests_per_second));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let start = Instant::now();
        while start.elapsed() < time {
            ticks.tick().await;
            // A request that finds every stream busy waits, and its time counts from here.
            let issued = Instant::now();
            let Some(slot) = back.recv().await else { break };
            let (state, sender) = (Arc::clone(&self.state), sender.clone());
            spawn(async move { give_back(&sender, state.send(issued, slot).await) });
        }
        self.take_back(back, count).await;
    }

    async fn take_back(&mut self, mut back: UnboundedReceiver<Slot>, count: usize) {
        for _ in 0..count {
            self.slots.extend(back.recv().await);
        }
    }

    /// What was seen so far.
    pub(crate) fn sent(&self) -> Sent {
        self.state.sent().clone()
    }

    /// Forgets the times, and nothing else.
    pub(crate) fn forget_times(&self) {
        self.state.sent().times = Histogram::default();
    }
}

fn give_back(sender: &UnboundedSender<Slot>, slot: Slot) {
    // The load waits for its slots, unless it is given up.
    let _ = sender.send(slot);
}

impl State {
    fn sent(&self) -> MutexGuard<'_, Sent> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn send(&self, issued: Instant, mut slot: Slot) -> Slot {
        let number = match slot.mark {
            Mark::Always(number) => number,
            Mark::At(place) => {
                let number = self.next.fetch_add(1, Ordering::Relaxed);
                slot.body[place..][..MARK_BYTES].copy_from_slice(&requests::mark(number));
                number
            }
        };
        let body = slot.body.freeze();
        let head = slot.head.clone();
        let outcome = match &mut slot.client {
            Client::Grpc(connection) => http2::call(connection, head, [body.clone()]).await,
            Client::Http(connection) => http1::call(connection, head, body.clone()).await,
        };
        if outcome.is_err() {
            // A connection that is gone fails at once, and others want to run too.
            yield_now().await;
        }
        self.note(number, issued.elapsed(), outcome);
        // A request that failed half-way may still be referred to.
        slot.body = body.try_into_mut().unwrap_or_else(|body| BytesMut::from(&body[..]));
        slot
    }

    fn note(&self, number: u32, took: Duration, outcome: Result<(), Failure>) {
        let mut sent = self.sent();
        count(&mut sent.tried, number);
        match outcome {
            Ok(()) => {
                sent.times.add(took);
                count(&mut sent.acknowledged, number);
                sent.requests += 1;
            }
            Err(failure) => {
                sent.failed += 1;
                sent.failure = Some(failure.to_string());
            }
        }
    }
}
