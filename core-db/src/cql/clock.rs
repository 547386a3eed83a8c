//! Write timestamps: what decides between two writes of one row.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Gives every write a timestamp of its own, in the order of calls.
///
/// The last write wins by timestamp, so timestamps must rise with the order of submission whatever the system's clock
/// does, and must lie above all that a former writer of the same rows used.
#[derive(Debug)]
pub struct WriteClock {
    last_us: AtomicI64,
}

impl WriteClock {
    /// A clock whose timestamps lie above a floor, Unix microseconds.
    pub fn new(floor_us: i64) -> Self {
        Self { last_us: AtomicI64::new(floor_us) }
    }

    /// Timestamps lie above this floor from now on.
    pub fn raise_floor(&self, floor_us: i64) {
        self.last_us.fetch_max(floor_us, Ordering::AcqRel);
    }

    /// Takes as many timestamps in a row as asked for; answers the first.
    pub fn take(&self, count: usize) -> i64 {
        self.take_at(now_us(), count)
    }

    fn take_at(&self, now_us: i64, count: usize) -> i64 {
        let count = i64::try_from(count.max(1)).unwrap_or(i64::MAX);
        let first = |last: i64| now_us.max(last.saturating_add(1));
        let next = |last: i64| Some(first(last).saturating_add(count - 1));
        // `fetch_update` of a closure that never refuses always answers `Ok`.
        let last = self.last_us.fetch_update(Ordering::AcqRel, Ordering::Acquire, next).unwrap_or_else(|last| last);
        first(last)
    }

    /// The highest timestamp given so far, or the floor.
    pub fn last_us(&self) -> i64 {
        self.last_us.load(Ordering::Acquire)
    }
}

/// Now, Unix microseconds.
pub fn now_us() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_micros()).unwrap_or(i64::MAX)
}

/// Now, Unix milliseconds.
pub fn now_ms() -> u64 {
    now_us().cast_unsigned() / 1_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_rise_when_the_clock_stands_or_falls() {
        let clock = WriteClock::new(0);
        assert_eq!(clock.take_at(1_000, 1), 1_000);
        assert_eq!(clock.take_at(1_000, 3), 1_001);
        assert_eq!(clock.take_at(10, 1), 1_004);
        assert_eq!(clock.take_at(5_000, 1), 5_000);
        assert_eq!(clock.last_us(), 5_000);
    }

    #[test]
    fn timestamps_lie_above_the_floor() {
        let clock = WriteClock::new(9_000);
        assert_eq!(clock.take_at(1_000, 2), 9_001);
        assert_eq!(clock.take_at(1_000, 1), 9_003);
    }

    #[test]
    fn many_writers_never_share_a_timestamp() {
        let clock = WriteClock::new(0);
        let mut taken: Vec<i64> = std::thread::scope(|scope| {
            let writers: Vec<_> =
                (0..4).map(|_| scope.spawn(|| (0..1_000).map(|_| clock.take(2)).collect::<Vec<_>>())).collect();
            writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect()
        });
        taken.sort_unstable();
        assert!(taken.windows(2).all(|pair| pair[1] - pair[0] >= 2));
    }
}
