//! Random calls against a model that keeps the whole history.

use proptest::prelude::*;
use tokio::runtime::Builder;

use super::*;

/// What a caller does next. A call is named by its position among those that are under way.
#[derive(Clone, Debug)]
enum Step {
    Ask,
    Succeed(prop::sample::Index),
    Fail(prop::sample::Index),
    Drop(prop::sample::Index),
    Wait(Duration),
    TryNow,
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        6 => Just(Step::Ask),
        2 => index().prop_map(Step::Succeed),
        4 => index().prop_map(Step::Fail),
        1 => index().prop_map(Step::Drop),
        2 => (0_u64..40).prop_map(|seconds| Step::Wait(Duration::from_secs(seconds))),
        1 => Just(Step::TryNow),
    ]
}

/// What happened since the breaker came into its state.
#[derive(Debug)]
struct Model {
    settings: CircuitBreaker,
    state: BreakerState,
    /// How many states there were before this one.
    round: usize,
    /// What the calls of this round said, in order: whether each succeeded.
    said: Vec<bool>,
    /// While open.
    until: Instant,
    /// How many failures have counted in this round.
    counted: usize,
    /// The rounds in which the calls that are under way began, and how many failures had counted then.
    under_way: Vec<(usize, usize)>,
}

impl Model {
    fn enter(&mut self, to: BreakerState) -> Option<(BreakerState, BreakerState)> {
        let from = std::mem::replace(&mut self.state, to);
        self.round += 1;
        self.said.clear();
        self.counted = 0;
        self.until = Instant::now() + self.settings.open_duration.get();
        Some((from, to))
    }

    /// Whether a call may begin, and the transition.
    fn ask(&mut self) -> (bool, Option<(BreakerState, BreakerState)>) {
        let trials = self.under_way.iter().filter(|(round, _)| *round == self.round).count();
        let (allowed, transition) = match self.state {
            Closed => (true, None),
            Open if Instant::now() < self.until => (false, None),
            Open => (true, self.enter(HalfOpen)),
            HalfOpen => (trials < self.settings.half_open_calls.get() as usize, None),
        };
        if allowed {
            self.under_way.push((self.round, self.counted));
        }
        (allowed, transition)
    }

    fn say(&mut self, index: usize, succeeded: bool) -> Option<(BreakerState, BreakerState)> {
        let (round, counted) = self.under_way.remove(index);
        if round != self.round || (!succeeded && counted != self.counted) {
            return None;
        }
        self.said.push(succeeded);
        self.counted += usize::from(!succeeded);
        let failures = self.said.iter().rev().take_while(|succeeded| !**succeeded).count();
        let successes = self.said.len() - failures;
        match self.state {
            Closed if failures >= self.settings.failure_threshold.get() as usize => self.enter(Open),
            HalfOpen if failures > 0 => self.enter(Open),
            HalfOpen if successes >= self.settings.success_threshold.get() as usize => self.enter(Closed),
            _ => None,
        }
    }
}

/// Does the same to the breaker and to the model, and compares what both say.
async fn compare(settings: CircuitBreaker, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let breaker = Breaker::new(&settings);
    let mut permits = Vec::new();
    let (until, said, under_way) = (Instant::now(), Vec::new(), Vec::new());
    let mut model = Model { settings, state: Closed, round: 0, said, until, counted: 0, under_way };
    for step in steps {
        match step {
            Step::Ask => {
                let (allowed, transition) = match breaker.admit() {
                    Admission::Allowed { permit, transition } => {
                        permits.push(permit);
                        (true, transition)
                    }
                    Admission::Refused { retry_at } => {
                        prop_assert!(retry_at > Instant::now());
                        (false, None)
                    }
                };
                prop_assert_eq!((allowed, edge(transition)), model.ask());
            }
            Step::Succeed(_) | Step::Fail(_) | Step::Drop(_) if permits.is_empty() => {}
            Step::Succeed(index) => {
                let index = index.index(permits.len());
                prop_assert_eq!(edge(permits.remove(index).succeeded()), model.say(index, true));
            }
            Step::Fail(index) => {
                let index = index.index(permits.len());
                prop_assert_eq!(edge(permits.remove(index).failed()), model.say(index, false));
            }
            Step::Drop(index) => {
                let index = index.index(permits.len());
                drop(permits.remove(index));
                model.under_way.remove(index);
            }
            Step::Wait(time) => advance(time).await,
            Step::TryNow => {
                breaker.try_now();
                model.until = Instant::now();
            }
        }
        prop_assert_eq!(breaker.state(), model.state);
        prop_assert_eq!(breaker.snapshot().state, model.state);
    }
    // Whatever came before: with no call under way and the time over, one may begin.
    permits.clear();
    advance(OPEN_DURATION).await;
    let allowed = matches!(breaker.admit(), Admission::Allowed { .. });
    prop_assert!(allowed);
    Ok(())
}

proptest! {
    #[test]
    fn agrees_with_the_model(
        thresholds in (1_u32..4, 1_u32..4, 1_u32..4),
        steps in prop::collection::vec(step(), 0..200),
    ) {
        let (failure_threshold, half_open_calls, success_threshold) = thresholds;
        let settings = CircuitBreaker {
            failure_threshold: count(failure_threshold),
            half_open_calls: count(half_open_calls),
            success_threshold: count(success_threshold),
            ..settings()
        };
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
        runtime.block_on(compare(settings, steps))?;
    }
}
