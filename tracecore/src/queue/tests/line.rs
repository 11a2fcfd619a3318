//! The line of senders that wait for room.

use std::sync::Arc;
use std::task::Poll;

use super::{Task, batch, settings};
use crate::queue::{Full, Load, Outcome, Place, Queue, Sizer, Taken};
use crate::signal::Batch;
use crate::telemetry::DropReason;

/// A queue of ten items, and the two batches of five that fill it, under way.
fn full() -> (Arc<Queue>, [Taken; 2]) {
    let queue = Queue::new(&settings(10, Sizer::Items));
    let taken = [0, 1].map(|_| {
        assert!(queue.reserve(&batch(5, 1)).expect("there is room").commit(
            batch(5, 1),
            crate::memory::Charge::none(),
            crate::emit::PASSAGE,
            None
        ));
        let Poll::Ready(Some(taken)) = taking(&queue).run() else { panic!("a batch waits") };
        taken
    });
    (queue, taken)
}

fn deliver(taken: &mut Taken) {
    let claim = taken.claim(1).expect("nothing was counted");
    taken.settle(claim, Outcome::Delivered);
}

fn taking(queue: &Arc<Queue>) -> Task<Option<Taken>> {
    let queue = Arc::clone(queue);
    Task::new(async move { queue.next().await })
}

/// A sender that stands in line for this batch.
fn waiting(queue: &Arc<Queue>, batch: &Batch) -> Task<Result<Place, Full>> {
    let (queue, load) = (Arc::clone(queue), Load::of(batch));
    let task = Task::new(async move { queue.room_for(load).await });
    assert!(task.run().is_pending(), "there is room");
    task
}

fn admitted(task: &Task<Result<Place, Full>>) -> Place {
    assert!(task.is_woken(), "not told of its place");
    let Poll::Ready(Ok(place)) = task.run() else { panic!("got no place") };
    place
}

#[test]
fn a_large_batch_does_not_starve_behind_small_ones() {
    let (queue, [mut first, mut second]) = full();
    let large = waiting(&queue, &batch(10, 1));
    let small = waiting(&queue, &batch(1, 1));
    deliver(&mut first);
    assert!(!large.is_woken() && !small.is_woken(), "the small one overtook");
    assert_eq!(queue.reserve(&batch(1, 1)).err(), Some(Full::Now), "one that never waited overtook");
    deliver(&mut second);
    let place = admitted(&large);
    assert!(!small.is_woken());
    drop(place);
    admitted(&small);
}

#[test]
fn room_is_handed_over_and_nobody_can_take_it_before_the_woken_one_comes() {
    let (queue, [mut first, _second]) = full();
    let sender = waiting(&queue, &batch(5, 1));
    deliver(&mut first);
    assert!(sender.is_woken());
    assert_eq!(queue.reserve(&batch(1, 1)).err(), Some(Full::Now));
    assert!(admitted(&sender).commit(batch(5, 1), crate::memory::Charge::none(), crate::emit::PASSAGE, None));
}

#[test]
fn a_sender_that_goes_away_leaves_its_turn_to_the_next() {
    let (queue, [mut first, _second]) = full();
    let large = waiting(&queue, &batch(10, 1));
    let small = waiting(&queue, &batch(5, 1));
    deliver(&mut first);
    assert!(!small.is_woken());
    drop(large);
    admitted(&small);
}

#[test]
fn a_sender_that_goes_away_after_it_was_admitted_gives_its_room_to_the_next() {
    let (queue, [mut first, _second]) = full();
    let gone = waiting(&queue, &batch(5, 1));
    let next = waiting(&queue, &batch(5, 1));
    deliver(&mut first);
    assert!(gone.is_woken() && !next.is_woken());
    drop(gone);
    admitted(&next);
}

#[test]
fn a_queue_that_closes_sends_the_line_away() {
    let (queue, _taken) = full();
    let sender = waiting(&queue, &batch(1, 1));
    queue.close(DropReason::Stopped);
    assert!(sender.is_woken());
    assert!(matches!(sender.run(), Poll::Ready(Err(Full::Closed(DropReason::Stopped)))));
}

#[test]
fn nobody_waits_for_room_that_there_will_never_be() {
    let (queue, _taken) = full();
    let load = Load::of(&batch(5, 1)).plus(Load::of(&batch(6, 1)));
    let task = Task::new(async move { queue.room_for(load).await });
    assert!(matches!(task.run(), Poll::Ready(Err(Full::ForEver))));
}

#[test]
fn a_place_for_two_batches_is_split_and_what_is_left_of_it_is_given_back() {
    let queue = Queue::new(&settings(10, Sizer::Items));
    let (two, three) = (batch(2, 1), batch(3, 1));
    let task = {
        let (queue, load) = (Arc::clone(&queue), Load::of(&two).plus(Load::of(&three)));
        Task::new(async move { queue.room_for(load).await })
    };
    let Poll::Ready(Ok(mut both)) = task.run() else { panic!("there is room") };
    let elsewhere = Queue::new(&settings(10, Sizer::Items));
    assert!(both.split(&elsewhere, &two).is_none(), "of another queue");
    let own = both.split(&queue, &two).expect("it is part of it");
    assert!(both.split(&queue, &batch(4, 1)).is_none(), "more than is left");
    assert_eq!(queue.used().items, 5);
    drop(both);
    assert_eq!(queue.used(), Load::of(&two));
    drop(own);
    assert_eq!(queue.used(), Load::default());
}

#[test]
fn a_closed_queue_ends_once_the_last_promised_place_is_filled_or_given_back() {
    for filled in [true, false] {
        let queue = Queue::new(&settings(10, Sizer::Items));
        let place = queue.reserve(&batch(1, 1)).expect("there is room");
        let consumers = [taking(&queue), taking(&queue)];
        assert!(consumers.iter().all(|consumer| consumer.run().is_pending()));
        queue.close(DropReason::Stopped);
        assert!(consumers.iter().all(|consumer| consumer.run().is_pending()), "a batch may still come");
        if filled {
            assert!(place.commit(batch(1, 1), crate::memory::Charge::none(), crate::emit::PASSAGE, None));
        } else {
            drop(place);
        }
        let woken = consumers.iter().filter(|consumer| consumer.is_woken());
        let found = woken.map(|consumer| match consumer.run() {
            Poll::Ready(taken) => taken.is_some(),
            Poll::Pending => panic!("waits for what cannot come"),
        });
        assert_eq!(found.collect::<Vec<_>>(), [filled, false]);
    }
}
