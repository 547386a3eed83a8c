//! When a second node is asked: a read that is slow compared with the others, and only so many of them.
//!
//! A fixed delay asks twice for everything as soon as all answers take longer: over a wide area always, and on a cluster
//! that has too much to do just when more questions are the last thing it needs.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A read is slow that takes so many times the usual.
const SLOW_FACTOR: u64 = 3;
/// An answer moves what counts as usual by this part of the difference.
const SMOOTHING: u64 = 16;
/// Every so manieth read may be asked for twice.
const READS_PER_SECOND_ASK: u64 = 10;
/// What may be spent at once, after a time of quiet: a node that halts is found out within this.
const BURST: u64 = 100;

/// The state; figures that are a little old do no harm, so nothing here is ordered.
#[derive(Debug)]
pub struct Hedge {
    /// How long a read usually takes, microseconds.
    usual_us: AtomicU64,
    /// Second questions that may be asked, times [`READS_PER_SECOND_ASK`].
    budget: AtomicU64,
}

impl Default for Hedge {
    fn default() -> Self {
        Self { usual_us: AtomicU64::new(0), budget: AtomicU64::new(BURST * READS_PER_SECOND_ASK) }
    }
}

impl Hedge {
    /// A read begins: whether a second node may be asked for it.
    pub fn begins(&self) -> bool {
        let budget = self.budget.load(Ordering::Relaxed);
        let budget = (budget + 1).min(BURST * READS_PER_SECOND_ASK);
        self.budget.store(budget, Ordering::Relaxed);
        budget >= READS_PER_SECOND_ASK
    }

    /// A second node was asked.
    pub fn asked(&self) {
        let budget = self.budget.load(Ordering::Relaxed);
        self.budget.store(budget.saturating_sub(READS_PER_SECOND_ASK), Ordering::Relaxed);
    }

    /// A read ended, well or not.
    pub fn took(&self, took: Duration) {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let usual = self.usual_us.load(Ordering::Relaxed);
        let step = took.abs_diff(usual).div_ceil(SMOOTHING);
        let moved = if took >= usual { usual.saturating_add(step) } else { usual - step };
        self.usual_us.store(moved, Ordering::Relaxed);
    }

    /// After what time a read is slow, at least `least`.
    pub fn slow_after(&self, least: Duration) -> Duration {
        let usual = self.usual_us.load(Ordering::Relaxed);
        Duration::from_micros(usual.saturating_mul(SLOW_FACTOR)).max(least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: Duration = Duration::from_millis(50);

    #[test]
    fn slow_is_what_takes_much_longer_than_usual() {
        let hedge = Hedge::default();
        assert_eq!(hedge.slow_after(LEAST), LEAST);
        for _ in 0..1_000 {
            hedge.took(Duration::from_millis(3));
        }
        assert_eq!(hedge.slow_after(LEAST), LEAST, "near by, the least counts");
        for _ in 0..1_000 {
            hedge.took(Duration::from_millis(80));
        }
        let after = hedge.slow_after(LEAST);
        assert!(after > Duration::from_millis(230) && after <= Duration::from_millis(240), "{after:?}");
        for _ in 0..1_000 {
            hedge.took(Duration::from_millis(1));
        }
        assert_eq!(hedge.slow_after(LEAST), LEAST, "and it is forgotten");
        hedge.took(Duration::MAX);
        hedge.took(Duration::ZERO);
    }

    #[test]
    fn no_more_than_every_tenth_read_is_asked_for_twice() {
        let hedge = Hedge::default();
        let twice = (0..10_000)
            .filter(|_| {
                hedge.begins() && {
                    hedge.asked();
                    true
                }
            })
            .count();
        assert!((1_000..=1_100).contains(&twice), "{twice}");
    }

    #[test]
    fn what_was_not_asked_may_be_asked_later_up_to_a_burst() {
        let hedge = Hedge::default();
        for _ in 0..10_000 {
            hedge.begins();
        }
        let at_once = (0..1_000)
            .take_while(|_| {
                hedge.begins() && {
                    hedge.asked();
                    true
                }
            })
            .count();
        assert!((100..=112).contains(&at_once), "{at_once}");
    }
}
