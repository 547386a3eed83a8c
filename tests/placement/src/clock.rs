//! A machine's clocks.

use rookery_placement::Now;

/// Unix microseconds at which the worlds begin.
const EPOCH_US: i64 = 1_700_000_000_000_000;
const MILLION: i64 = 1_000_000;

/// The clocks of a machine: neither shows the time.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// What the monotonic clock showed at the beginning.
    pub begin_ms: u64,
    /// How much faster than time it runs, in millionths.
    pub drift_ppm: i64,
    /// How far the wall clock is ahead.
    pub ahead_us: i64,
}

impl Clock {
    /// What they show.
    pub fn now(&self, time_ms: u64) -> Now {
        let time = time_ms.cast_signed();
        let elapsed = time + time * self.drift_ppm / MILLION;
        Now {
            monotonic_ms: self.begin_ms.saturating_add_signed(elapsed),
            wall_us: EPOCH_US + time * 1_000 + self.ahead_us,
        }
    }

    /// When the monotonic clock shows this or more.
    pub fn time_ms(&self, monotonic_ms: u64) -> u64 {
        let elapsed = monotonic_ms.saturating_sub(self.begin_ms).cast_signed();
        let mut time = (elapsed * MILLION / (MILLION + self.drift_ppm)).max(0).cast_unsigned();
        while self.now(time).monotonic_ms < monotonic_ms {
            time += 1;
        }
        time
    }
}
