//! What a breaker guarantees to its callers, one guarantee at a time. `model` tries random sequences of calls,
//! `interleavings` random orders of threads.

mod interleavings;
mod model;

use std::num::NonZeroU32;

use futures_util::FutureExt;
use futures_util::future::{join_all, poll_immediate};

use super::*;
use crate::config::Period;
use crate::queue::CircuitBreaker;
use crate::telemetry::BreakerState::{self, Closed, HalfOpen, Open};
use crate::time::{Duration, Instant};

const OPEN_DURATION: Duration = Duration::from_secs(30);

fn count(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).expect("not zero")
}

/// Opens after three failures, for half a minute; one trial at once, and one that succeeds closes it.
fn settings() -> CircuitBreaker {
    let (failure_threshold, open_duration) = (count(3), Period::secs(OPEN_DURATION.as_secs()));
    CircuitBreaker { failure_threshold, open_duration, ..CircuitBreaker::default() }
}

fn permit(breaker: &Breaker) -> Permit<'_> {
    match breaker.admit() {
        Admission::Allowed { permit, .. } => permit,
        Admission::Refused { retry_at } => panic!("refused until {retry_at:?}"),
    }
}

fn refused_for(breaker: &Breaker) -> Duration {
    match breaker.admit() {
        Admission::Allowed { permit, .. } => panic!("allowed: {permit:?}"),
        Admission::Refused { retry_at } => retry_at - Instant::now(),
    }
}

/// A breaker that has just opened.
fn opened(settings: &CircuitBreaker) -> Breaker {
    let breaker = Breaker::new(settings);
    while permit(&breaker).failed().is_none() {}
    breaker
}

async fn advance(time: Duration) {
    tokio::time::advance(time).await;
}

fn edge(transition: Option<Transition>) -> Option<(BreakerState, BreakerState)> {
    transition.map(|Transition { from, to, .. }| (from, to))
}

#[tokio::test(start_paused = true)]
async fn opens_at_the_threshold_and_tells_who_caused_it() {
    let breaker = Breaker::new(&settings());
    advance(Duration::from_secs(7)).await;
    assert_eq!(permit(&breaker).failed(), None);
    assert_eq!(permit(&breaker).failed(), None);
    assert_eq!(breaker.state(), Closed);
    let transition = permit(&breaker).failed();
    assert_eq!(transition, Some(Transition { from: Closed, to: Open, lasted: Duration::from_secs(7) }));
    assert_eq!(breaker.state(), Open);
    advance(Duration::from_secs(10)).await;
    assert_eq!(refused_for(&breaker), Duration::from_secs(20));
}

#[tokio::test(start_paused = true)]
async fn a_success_begins_the_count_anew_and_an_ignored_call_does_not() {
    let breaker = Breaker::new(&settings());
    for _ in 0..10 {
        assert_eq!(permit(&breaker).failed(), None);
        assert_eq!(permit(&breaker).failed(), None);
        assert_eq!(permit(&breaker).succeeded(), None);
    }
    assert_eq!(permit(&breaker).failed(), None);
    assert_eq!(permit(&breaker).failed(), None);
    permit(&breaker).ignored();
    drop(permit(&breaker));
    assert_eq!(breaker.snapshot().consecutive_failures, 2);
    assert_eq!(edge(permit(&breaker).failed()), Some((Closed, Open)));
}

#[tokio::test(start_paused = true)]
async fn of_calls_that_were_under_way_together_one_failure_counts() {
    let breaker = Breaker::new(&settings());
    for failures in 1..=2 {
        let together: Vec<_> = (0..10).map(|_| permit(&breaker)).collect();
        assert!(together.into_iter().all(|call| call.failed().is_none()));
        assert_eq!(breaker.snapshot().consecutive_failures, failures);
    }
    let (slow, begun_later) = (permit(&breaker), permit(&breaker));
    assert_eq!(edge(begun_later.failed()), Some((Closed, Open)));
    assert_eq!(slow.failed(), None);
}

#[tokio::test(start_paused = true)]
async fn a_success_counts_whatever_failed_beside_it() {
    let breaker = Breaker::new(&settings());
    let (fails, succeeds, fails_too) = (permit(&breaker), permit(&breaker), permit(&breaker));
    assert_eq!(fails.failed(), None);
    assert_eq!(succeeds.succeeded(), None);
    assert_eq!(breaker.snapshot().consecutive_failures, 0, "a backend that answers is not away");
    assert_eq!(fails_too.failed(), None);
    assert_eq!(breaker.snapshot().consecutive_failures, 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_only_ignored_never_opens_it() {
    let breaker = Breaker::new(&settings());
    for _ in 0..100 {
        permit(&breaker).ignored();
    }
    assert_eq!(breaker.state(), Closed);
}

#[tokio::test(start_paused = true)]
async fn a_disabled_breaker_never_opens() {
    let breaker = Breaker::new(&CircuitBreaker { enabled: false, ..settings() });
    for _ in 0..100 {
        assert_eq!(permit(&breaker).failed(), None);
    }
    assert_eq!((breaker.state(), breaker.snapshot().consecutive_failures), (Closed, 100));
}

#[tokio::test(start_paused = true)]
async fn one_trial_is_allowed_once_the_time_is_over_and_closes_it() {
    let breaker = opened(&settings());
    advance(OPEN_DURATION - Duration::from_millis(1)).await;
    assert_eq!(refused_for(&breaker), Duration::from_millis(1));
    advance(Duration::from_millis(1)).await;
    assert_eq!(breaker.state(), Open, "nobody has asked");
    let Admission::Allowed { permit: trial, transition } = breaker.admit() else { panic!("refused") };
    assert_eq!(transition, Some(Transition { from: Open, to: HalfOpen, lasted: OPEN_DURATION }));
    assert!(trial.is_trial());
    assert_eq!(breaker.state(), HalfOpen);
    assert_eq!(refused_for(&breaker), OPEN_DURATION, "if the trial failed now");
    assert_eq!(edge(trial.succeeded()), Some((HalfOpen, Closed)));
    assert!(!permit(&breaker).is_trial());
    assert_eq!(breaker.snapshot().consecutive_failures, 0, "the outage is over and forgotten");
}

#[tokio::test(start_paused = true)]
async fn a_trial_that_fails_opens_it_for_the_whole_time_again() {
    let breaker = opened(&settings());
    advance(OPEN_DURATION).await;
    let trial = permit(&breaker);
    advance(Duration::from_secs(5)).await;
    let transition = trial.failed();
    assert_eq!(transition, Some(Transition { from: HalfOpen, to: Open, lasted: Duration::from_secs(5) }));
    assert_eq!(refused_for(&breaker), OPEN_DURATION);
}

#[tokio::test(start_paused = true)]
async fn trials_are_bounded_at_once_and_counted_until_enough_have_succeeded() {
    let breaker = opened(&CircuitBreaker { half_open_calls: count(2), success_threshold: count(3), ..settings() });
    advance(OPEN_DURATION).await;
    let (one, two) = (permit(&breaker), permit(&breaker));
    assert!(one.is_trial() && two.is_trial());
    refused_for(&breaker);
    assert_eq!(one.succeeded(), None);
    let three = permit(&breaker);
    refused_for(&breaker);
    assert_eq!(two.succeeded(), None);
    assert_eq!(edge(three.succeeded()), Some((HalfOpen, Closed)));
}

#[tokio::test(start_paused = true)]
async fn a_trial_that_says_nothing_leaves_its_place_to_the_next() {
    let breaker = opened(&settings());
    advance(OPEN_DURATION).await;
    drop(permit(&breaker));
    permit(&breaker).ignored();
    assert_eq!(breaker.state(), HalfOpen);
    assert_eq!(edge(permit(&breaker).succeeded()), Some((HalfOpen, Closed)));
}

#[tokio::test(start_paused = true)]
async fn a_call_from_before_the_outage_says_nothing_about_what_came_after() {
    let breaker = Breaker::new(&settings());
    let mut early: Vec<_> = (0..6).map(|_| permit(&breaker)).collect();
    let mut next = || early.pop().expect("six calls");
    while permit(&breaker).failed().is_none() {}

    assert_eq!((next().succeeded(), next().failed()), (None, None));
    assert_eq!(refused_for(&breaker), OPEN_DURATION, "neither closed it nor made it wait longer");

    advance(OPEN_DURATION).await;
    let trial = permit(&breaker);
    assert_eq!((next().succeeded(), next().failed()), (None, None));
    assert_eq!((breaker.state(), breaker.snapshot().trial_calls), (HalfOpen, 1));

    assert_eq!(edge(trial.succeeded()), Some((HalfOpen, Closed)));
    assert_eq!((permit(&breaker).failed(), permit(&breaker).failed()), (None, None));
    assert_eq!((next().succeeded(), next().failed()), (None, None));
    assert_eq!((breaker.state(), breaker.snapshot().consecutive_failures), (Closed, 2));
}

#[tokio::test(start_paused = true)]
async fn a_trial_of_an_earlier_round_says_nothing_about_a_later_one() {
    let breaker = opened(&CircuitBreaker { half_open_calls: count(4), ..settings() });
    advance(OPEN_DURATION).await;
    let (fails, succeeds, dropped, fails_late) =
        (permit(&breaker), permit(&breaker), permit(&breaker), permit(&breaker));
    assert_eq!(edge(fails.failed()), Some((HalfOpen, Open)));
    assert_eq!(succeeds.succeeded(), None);
    assert_eq!(breaker.state(), Open);
    advance(OPEN_DURATION).await;
    let trials: Vec<_> = (0..4).map(|_| permit(&breaker)).collect();
    drop(dropped);
    refused_for(&breaker);
    assert_eq!(fails_late.failed(), None);
    assert_eq!((breaker.state(), breaker.snapshot().trial_calls), (HalfOpen, 4));
    drop(trials);
    assert_eq!(breaker.snapshot().trial_calls, 0);
}

#[tokio::test(start_paused = true)]
async fn all_who_wait_go_on_at_once_when_it_closes() {
    let breaker = opened(&settings());
    let began = Instant::now();
    let consumers = (0..10).map(|_| async {
        let mut asked = 0;
        loop {
            asked += 1;
            match breaker.admit() {
                Admission::Allowed { permit, .. } if permit.is_trial() => {
                    advance(Duration::from_secs(2)).await;
                    assert_eq!(edge(permit.succeeded()), Some((HalfOpen, Closed)));
                    return (asked, began.elapsed());
                }
                Admission::Allowed { permit, .. } => {
                    assert_eq!(permit.succeeded(), None);
                    return (asked, began.elapsed());
                }
                Admission::Refused { .. } => breaker.chance().await,
            }
        }
    });
    for (asked, after) in join_all(consumers).await {
        assert!(asked <= 3, "asked {asked} times");
        assert_eq!(after.as_secs(), 32);
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_trial_hears_of_a_free_place_and_of_a_failure() {
    let breaker = opened(&settings());
    advance(OPEN_DURATION).await;
    let trial = permit(&breaker);
    let mut waits = Box::pin(breaker.chance());
    assert!(waits.as_mut().now_or_never().is_none());
    drop(trial);
    assert!(waits.now_or_never().is_some(), "the place is free");

    let trial = permit(&breaker);
    let mut waits = Box::pin(breaker.chance());
    assert!(waits.as_mut().now_or_never().is_none());
    assert_eq!(edge(trial.failed()), Some((HalfOpen, Open)));
    assert!(waits.now_or_never().is_some(), "now there is a time to wait for");

    let before = Instant::now();
    breaker.chance().await;
    assert_eq!(before.elapsed().as_secs(), OPEN_DURATION.as_secs());
    assert!(permit(&breaker).is_trial());
}

#[tokio::test(start_paused = true)]
async fn a_closed_breaker_keeps_nobody_waiting() {
    assert!(poll_immediate(Breaker::new(&settings()).chance()).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn the_wait_of_an_open_breaker_can_be_ended() {
    let breaker = opened(&settings());
    let mut waits = Box::pin(breaker.chance());
    assert!(waits.as_mut().now_or_never().is_none());
    breaker.try_now();
    assert!(waits.now_or_never().is_some());
    let trial = permit(&breaker);
    assert!(trial.is_trial());
    breaker.try_now();
    assert_eq!(refused_for(&breaker), OPEN_DURATION, "a second trial is not allowed by it");
    assert_eq!(edge(trial.succeeded()), Some((HalfOpen, Closed)));
    breaker.try_now();
    assert_eq!(breaker.state(), Closed);
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_says_what_a_status_page_shows() {
    let breaker = opened(&settings());
    let since = Instant::now();
    advance(Duration::from_secs(1)).await;
    let open =
        Snapshot { state: Open, since, consecutive_failures: 3, trial_calls: 0, retry_at: Some(since + OPEN_DURATION) };
    assert_eq!(breaker.snapshot(), open);
    advance(OPEN_DURATION).await;
    let _trial = permit(&breaker);
    let half_open = Snapshot { state: HalfOpen, since: Instant::now(), trial_calls: 1, retry_at: None, ..open };
    assert_eq!(breaker.snapshot(), half_open);
}
