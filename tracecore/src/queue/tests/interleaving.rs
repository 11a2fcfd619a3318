//! The queue under many interleavings of its threads: the very source of the queue, compiled once more over a lock that
//! hands control to the checker. A lost wake-up shows as a deadlock, which the checker reports with the schedule to
//! replay it. What tokio's primitives do inside is one step here; tokio checks that itself.

#[expect(clippy::duplicate_mod, reason = "the point is to compile the same source over another lock")]
#[expect(dead_code, reason = "the check uses part of it")]
#[path = "../bounded.rs"]
mod bounded;

mod sync;

#[expect(clippy::duplicate_mod, reason = "what is taken holds the queue that it was taken from")]
#[expect(dead_code, reason = "the check uses part of it")]
#[path = "../taken.rs"]
mod taken;

use std::sync::Arc;

use futures_util::FutureExt;
use shuttle::future::block_on;
use shuttle::sync::atomic::{AtomicU64, Ordering};
use shuttle::thread::{self, JoinHandle};

use self::bounded::Queue;
use self::taken::Taken;
use super::{batch, settings};
use crate::queue::{Batching, Full, Load, Outcome, SendingQueue, Sizer};
use crate::signal::Batch;
use crate::telemetry::DropReason;

/// Schedules of each kind: enough to find each fault that was tried, in a second or two.
const SCHEDULES: usize = 1000;
/// How many changes of priority a schedule has: the faults that take more are rare.
const DEPTH: usize = 3;

/// Runs `scenario` under random schedules, and under those that run one thread as long as they can.
fn check(scenario: fn()) {
    shuttle::check_random(scenario, SCHEDULES);
    shuttle::check_pct(scenario, SCHEDULES, DEPTH);
}

fn queue() -> Arc<Queue> {
    Queue::new(&settings(4, Sizer::Items))
}

/// A queue of eight items that merges until there are three, and cuts at four.
fn merging() -> Arc<Queue> {
    let batch = Some(Batching { min_size: 3, max_size: 4, ..Batching::default() });
    Queue::new(&SendingQueue { batch, ..settings(8, Sizer::Items) })
}

/// A sender that waits for room; how many items it has brought in.
fn send(queue: &Arc<Queue>, batch: Batch) -> JoinHandle<u64> {
    let queue = Arc::clone(queue);
    thread::spawn(move || match block_on(queue.room_for(Load::of(&batch))) {
        Ok(place) => {
            let items = batch.items();
            // What comes after the last count is its sender's to tell of.
            if place.commit(batch, crate::memory::Charge::none(), crate::emit::PASSAGE, None) { items } else { 0 }
        }
        Err(full) => {
            assert_eq!(full, Full::Closed(DropReason::Shutdown));
            0
        }
    })
}

/// A sender that does not wait.
fn try_send(queue: &Arc<Queue>, batch: Batch) -> JoinHandle<u64> {
    let queue = Arc::clone(queue);
    thread::spawn(move || match queue.reserve(&batch) {
        Ok(place) => {
            let items = batch.items();
            if place.commit(batch, crate::memory::Charge::none(), crate::emit::PASSAGE, None) { items } else { 0 }
        }
        Err(_) => 0,
    })
}

/// A sender that stands in line, if it must, and goes away.
fn go_away(queue: &Arc<Queue>, batch: Batch) -> JoinHandle<()> {
    let queue = Arc::clone(queue);
    thread::spawn(move || drop(queue.room_for(Load::of(&batch)).now_or_never()))
}

/// A consumer that delivers until the end; how many items it has delivered.
fn consume(queue: &Arc<Queue>) -> JoinHandle<u64> {
    let queue = Arc::clone(queue);
    thread::spawn(move || {
        let mut items = 0;
        while let Some(taken) = block_on(queue.next()) {
            items += delivered(taken);
        }
        items
    })
}

/// Delivers; how many items that is, if they were not counted before.
fn delivered(mut taken: Taken) -> u64 {
    let items = taken.items();
    let Some(claim) = taken.claim(taken.len()) else { return 0 };
    taken.settle(claim, Outcome::Delivered);
    items
}

/// A consumer that is cut off with what it got.
fn cut_off(queue: &Arc<Queue>) -> JoinHandle<()> {
    let queue = Arc::clone(queue);
    thread::spawn(move || drop(queue.next().now_or_never()))
}

/// Consumers that deliver until they have delivered so many items, and then close the queue: one that sleeps beside what
/// is ready, or will be, sleeps for ever.
fn consume_all<const N: usize>(queue: &Arc<Queue>, items: u64) -> [JoinHandle<u64>; N] {
    let left = Arc::new(AtomicU64::new(items));
    [(); N].map(|()| {
        let (queue, left) = (Arc::clone(queue), Arc::clone(&left));
        thread::spawn(move || {
            let mut items = 0;
            while let Some(taken) = block_on(queue.next()) {
                let these = delivered(taken);
                items += these;
                if left.fetch_sub(these, Ordering::SeqCst) == these {
                    queue.close(DropReason::Shutdown);
                }
            }
            items
        })
    })
}

/// A consumer that asks once, and delivers what it got.
fn consume_and_go_away(queue: &Arc<Queue>) -> JoinHandle<u64> {
    let queue = Arc::clone(queue);
    thread::spawn(move || {
        let taken = queue.next().now_or_never().flatten();
        taken.map_or(0, delivered)
    })
}

fn joined<const N: usize>(threads: [JoinHandle<u64>; N]) -> u64 {
    threads.into_iter().map(|thread| thread.join().expect("no thread panics")).sum()
}

#[test]
fn every_sender_gets_its_turn_and_every_batch_is_delivered_once() {
    check(|| {
        let queue = queue();
        let senders = [4, 1, 3, 2].map(|items| send(&queue, batch(items, 1)));
        let passing = try_send(&queue, batch(1, 1));
        let gone = go_away(&queue, batch(4, 1));
        let consumers = [consume(&queue), consume(&queue), consume_and_go_away(&queue)];
        let sent = joined(senders);
        assert_eq!(sent, 10, "a sender was sent away from an open queue");
        let sent = sent + joined([passing]);
        gone.join().expect("no thread panics");
        queue.close(DropReason::Shutdown);
        assert_eq!(joined(consumers), sent);
        assert_eq!((queue.abandon(), queue.used()), (0, Load::default()));
    });
}

#[test]
fn a_close_at_any_moment_wakes_everybody_and_loses_nothing_that_came_in() {
    check(|| {
        let queue = queue();
        let senders = [4, 1, 3].map(|items| send(&queue, batch(items, 1)));
        let gone = go_away(&queue, batch(2, 1));
        let consumers = [consume(&queue), consume(&queue)];
        let closing = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || queue.close(DropReason::Shutdown))
        };
        let sent = joined(senders);
        for thread in [gone, closing] {
            thread.join().expect("no thread panics");
        }
        assert_eq!(joined(consumers), sent);
        assert_eq!((queue.abandon(), queue.used()), (0, Load::default()));
    });
}

#[test]
fn a_last_count_at_any_moment_and_deliveries_tell_of_each_item_once() {
    check(|| {
        for queue in [queue(), merging()] {
            let senders = [4, 2, 3].map(|items| send(&queue, batch(items, 1)));
            let counting = [0, 1].map(|_| {
                let queue = Arc::clone(&queue);
                thread::spawn(move || queue.abandon())
            });
            let (consumer, cut_off) = (consume(&queue), cut_off(&queue));
            let (sent, counted) = (joined(senders), joined(counting));
            cut_off.join().expect("no thread panics");
            assert_eq!(joined([consumer]) + counted, sent);
            assert_eq!(queue.used(), Load::default());
        }
    });
}

#[test]
fn no_consumer_sleeps_beside_a_batch_while_another_is_busy() {
    check(|| {
        let queue = queue();
        // Reserved beforehand: the fewer steps there are, the more of their orders are tried.
        let places =
            [1, 2].map(|items| batch(items, 1)).map(|batch| (queue.reserve(&batch).expect("it is empty"), batch));
        // Each takes one batch and is then busy for good.
        let consumers = [0, 1].map(|_| {
            let queue = Arc::clone(&queue);
            thread::spawn(move || block_on(queue.next()).map_or(0, delivered))
        });
        for (place, batch) in places {
            assert!(place.commit(batch, crate::memory::Charge::none(), crate::emit::PASSAGE, None));
        }
        assert_eq!(joined(consumers), 3);
    });
}

#[test]
fn what_waits_to_be_merged_goes_out_by_its_size_or_its_time_whoever_keeps_it() {
    check(|| {
        let queue = merging();
        let senders = [1, 5, 2].map(|items| send(&queue, batch(items, 1)));
        let consumers = consume_all::<2>(&queue, 8);
        assert_eq!(joined(senders), 8);
        assert_eq!(joined(consumers), 8);
        assert_eq!((queue.abandon(), queue.used()), (0, Load::default()));
    });
}

#[test]
fn the_time_is_kept_when_its_keeper_goes_away() {
    check(|| {
        let queue = merging();
        let gone = consume_and_go_away(&queue);
        let sender = send(&queue, batch(1, 1));
        let consumers = consume_all::<1>(&queue, 1);
        assert_eq!(joined([sender]), 1);
        // Whoever asks once and goes away may have been the one that got it.
        let delivered = joined([gone]);
        if delivered > 0 {
            queue.close(DropReason::Shutdown);
        }
        assert_eq!(joined(consumers) + delivered, 1);
    });
}

#[test]
fn a_full_queue_flushes_what_waits_to_be_merged_and_nobody_waits_for_room_for_ever() {
    check(|| {
        let batch_settings = Batching { min_size: 8, ..Batching::default() };
        let queue = Queue::new(&SendingQueue { batch: Some(batch_settings), ..settings(8, Sizer::Items) });
        sync::stop_time();
        let senders = [3, 3, 3, 7].map(|items| send(&queue, batch(items, 1)));
        let consumers = [consume(&queue), consume(&queue)];
        assert_eq!(joined(senders), 16, "a sender was sent away from an open queue");
        queue.close(DropReason::Shutdown);
        assert_eq!(joined(consumers), 16);
        sync::start_time();
    });
}

#[test]
fn a_close_flushes_what_waits_to_be_merged_whatever_is_being_cut() {
    check(|| {
        let queue = merging();
        let senders = [7, 1].map(|items| send(&queue, batch(items, 1)));
        let consumers = [consume(&queue), consume(&queue)];
        let closing = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || queue.close(DropReason::Shutdown))
        };
        let sent = joined(senders);
        closing.join().expect("no thread panics");
        assert_eq!(joined(consumers), sent);
        assert_eq!((queue.abandon(), queue.used()), (0, Load::default()));
    });
}
