//! Which batches are shown when there are many: the first of each second, then every so manyth.

use std::sync::Mutex;
use std::time::Duration;

use tracecore::time::Instant;

/// For how long the first batches are the first.
const WINDOW: Duration = Duration::from_secs(1);

/// Counts the batches of a second.
pub(super) struct Sampling {
    initial: u64,
    thereafter: u64,
    window: Mutex<Window>,
}

#[derive(Default)]
struct Window {
    began: Option<Instant>,
    batches: u64,
}

impl Sampling {
    /// `initial` batches of each second, then every `thereafter`th, none if that is 0.
    pub(super) fn new(initial: u64, thereafter: u64) -> Self {
        Sampling { initial, thereafter, window: Mutex::default() }
    }

    /// Whether the batch that comes now is shown.
    pub(super) fn shows(&self, now: Instant) -> bool {
        let mut window = self.window.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if window.began.is_none_or(|began| now.duration_since(began) >= WINDOW) {
            *window = Window { began: Some(now), batches: 0 };
        }
        window.batches += 1;
        let behind = window.batches.saturating_sub(self.initial);
        behind == 0 || behind.checked_rem(self.thereafter) == Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(initial: u64, thereafter: u64) -> Vec<usize> {
        let sampling = Sampling::new(initial, thereafter);
        let now = Instant::now();
        (1..=10).filter(|_| sampling.shows(now)).collect()
    }

    #[test]
    fn shows_the_first_batches_of_a_second_and_then_every_so_manyth() {
        assert_eq!(shown(2, 1), (1..=10).collect::<Vec<_>>());
        assert_eq!(shown(2, 3), [1, 2, 5, 8]);
        assert_eq!(shown(2, 0), [1, 2]);
        assert_eq!(shown(0, 4), [4, 8]);
        assert_eq!(shown(0, 0), [0; 0]);
    }

    #[test]
    fn begins_again_with_each_second() {
        let sampling = Sampling::new(1, 0);
        let start = Instant::now();
        let shown = [0, 999, 1000, 1999, 5000].map(|millis| sampling.shows(start + Duration::from_millis(millis)));
        assert_eq!(shown, [true, false, true, false, true]);
    }
}
