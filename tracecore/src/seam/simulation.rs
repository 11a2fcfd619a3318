//! The seed of a simulated run, and what is drawn from it.

use std::cell::RefCell;
use std::marker::PhantomData;

/// Most often a point lets nobody by: a run that yields everywhere is as regular as one that never does.
const POINTS_PER_YIELD: u64 = 4;
/// How often a point yields at most: enough for a task to be overtaken by another that takes some steps.
const MOST_YIELDS: u64 = 3;

thread_local! {
    static CHANCE: RefCell<Option<SplitMix64>> = const { RefCell::new(None) };
}

/// While this lives, chance at the seams of this thread comes from its seed. It cannot leave its thread, and the run
/// must stay on it too: a current-thread runtime.
#[derive(Debug)]
#[must_use = "chance is restored when it is dropped"]
pub struct Simulation {
    /// What was in place before: simulations nest.
    before: Option<SplitMix64>,
    _thread: PhantomData<*const ()>,
}

impl Simulation {
    /// Draws from `seed` what is otherwise left to chance.
    pub fn seeded(seed: u64) -> Self {
        let before = CHANCE.replace(Some(SplitMix64(seed)));
        Simulation { before, _thread: PhantomData }
    }

    /// 64 bits from the seed, for what the simulation itself decides.
    pub fn random(&self) -> u64 {
        random().unwrap_or_default()
    }
}

impl Drop for Simulation {
    fn drop(&mut self) {
        CHANCE.set(self.before.take());
    }
}

/// 64 bits from the seed, if there is one.
pub(super) fn random() -> Option<u64> {
    CHANCE.with_borrow_mut(|chance| chance.as_mut().map(SplitMix64::next))
}

/// How often the task at a point lets others by.
pub(super) fn yields() -> u64 {
    match random() {
        Some(bits) if bits.is_multiple_of(POINTS_PER_YIELD) => 1 + bits / POINTS_PER_YIELD % MOST_YIELDS,
        _ => 0,
    }
}

/// The generator of Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (2014): any seed is good.
#[derive(Debug)]
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let bits = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;
    use crate::seam;

    /// The order in which five tasks pass ten points each.
    async fn order() -> Vec<usize> {
        let passed = Rc::new(RefCell::new(Vec::new()));
        let tasks = tokio::task::LocalSet::new();
        for task in 0..5 {
            let passed = Rc::clone(&passed);
            tasks.spawn_local(async move {
                for _ in 0..10 {
                    seam::point().await;
                    passed.borrow_mut().push(task);
                }
            });
        }
        tasks.await;
        Rc::into_inner(passed).expect("all tasks have ended").into_inner()
    }

    #[tokio::test]
    async fn a_seed_decides_the_order_of_tasks() {
        let mut orders = Vec::new();
        for seed in [1, 1, 2] {
            let _simulation = Simulation::seeded(seed);
            orders.push(order().await);
        }
        assert_eq!(orders[0], orders[1], "the same seed");
        assert_ne!(orders[0], orders[2], "another seed");
    }

    #[tokio::test]
    async fn without_a_simulation_nobody_yields_at_a_point() {
        let one_after_the_other = (0..5).flat_map(|task| [task; 10]).collect::<Vec<_>>();
        assert_eq!(order().await, one_after_the_other);
    }

    #[test]
    fn chance_is_restored_when_the_simulation_ends() {
        let outer = Simulation::seeded(1);
        let first = outer.random();
        {
            let inner = Simulation::seeded(1);
            assert_eq!(inner.random(), first);
        }
        let rest = outer.random();
        drop(outer);
        assert_eq!(random(), None);
        let again = Simulation::seeded(1);
        assert_eq!([again.random(), again.random()], [first, rest]);
    }

    #[test]
    fn splitmix_gives_the_published_numbers() {
        let mut generator = SplitMix64(1_234_567);
        let numbers = [(); 3].map(|()| generator.next());
        assert_eq!(numbers, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }
}
