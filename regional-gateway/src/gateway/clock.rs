//! Milliseconds on a monotonic clock, as the session core counts them.

use std::time::Duration;

use tokio::time::Instant;

/// A clock that began at the start of the gateway.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
}

impl Clock {
    /// Begins now.
    pub fn start() -> Self {
        Self { started: Instant::now() }
    }
    /// Milliseconds since then.
    pub fn now_ms(self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
    /// Waits for a moment; for ever if there is none.
    pub async fn reached(self, ms: Option<u64>) {
        match ms {
            Some(ms) => tokio::time::sleep_until(self.instant(ms)).await,
            None => std::future::pending().await,
        }
    }
    /// The moment of a number of this clock.
    pub fn instant(self, ms: u64) -> Instant {
        // Beyond a year nothing is waited for.
        self.started + Duration::from_millis(ms.min(365 * 24 * 3_600_000))
    }
}
