//! The clock that leases are measured by.

use rookery_placement::Now;
use rustix::time::{ClockId, clock_gettime};

/// Milliseconds on a clock that never goes back and also runs while the machine is suspended.
pub fn now_ms() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    let (seconds, nanoseconds) = (now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs());
    seconds.saturating_mul(1_000).saturating_add(nanoseconds / 1_000_000)
}

/// This moment by both clocks of the machine.
pub fn now() -> Now {
    Now { monotonic_ms: now_ms(), wall_us: crate::id_generator::now().0 }
}
