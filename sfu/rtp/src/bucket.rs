//! Bounds on what strangers can make the server do.

/// A token bucket that is full at first.
#[derive(Clone, Copy, Debug)]
pub struct TokenBucket {
    left_milli: u64,
    filled_at_ms: u64,
}

impl TokenBucket {
    /// Full, with `burst` tokens.
    pub const fn new(now_ms: u64, burst: u32) -> Self {
        Self { left_milli: burst as u64 * 1_000, filled_at_ms: now_ms }
    }

    /// Takes a token if there is one; so many come back each second.
    pub fn take(&mut self, now_ms: u64, burst: u32, per_second: u32) -> bool {
        let passed_ms = now_ms.saturating_sub(self.filled_at_ms);
        self.filled_at_ms = self.filled_at_ms.max(now_ms);
        let filled = self.left_milli.saturating_add(passed_ms.saturating_mul(per_second.into()));
        self.left_milli = filled.min(u64::from(burst) * 1_000);
        let has_one = self.left_milli >= 1_000;
        if has_one {
            self.left_milli -= 1_000;
        }
        has_one
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_the_rate() {
        let mut bucket = TokenBucket::new(1_000, 3);
        assert_eq!((0..10).filter(|_| bucket.take(1_000, 3, 2)).count(), 3);
        assert_eq!((0..10).filter(|_| bucket.take(2_000, 3, 2)).count(), 2);
        assert_eq!((0..10).filter(|_| bucket.take(60_000, 3, 2)).count(), 3);
        assert!(!bucket.take(10, 3, 2), "time does not go back");
    }
}
