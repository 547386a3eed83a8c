//! What time it is.

/// A moment by both clocks of a machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds on a clock that never goes back and also runs while the machine is suspended (`CLOCK_BOOTTIME` where
    /// there is one). All leases are measured by it.
    pub monotonic_ms: u64,
    /// Unix microseconds, right or wrong: for ids, write timestamps and what people read in rows, and for nothing else.
    pub wall_us: i64,
}

impl Now {
    /// Unix milliseconds, right or wrong.
    pub(crate) fn wall_ms(self) -> u64 {
        u64::try_from(self.wall_us / 1_000).unwrap_or(0)
    }
}
