//! The one clock of a node, from which the cores get their times.

use std::time::{Duration, Instant};

/// A monotonic clock that began at the start of the node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Instant);

impl Clock {
    /// Begins now.
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }
    /// Milliseconds since then.
    pub(crate) fn now_ms(self) -> u64 {
        self.now_us() / 1_000
    }
    /// Microseconds since then.
    pub(crate) fn now_us(self) -> u64 {
        u64::try_from(self.0.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
    /// What 0 is.
    pub(crate) const fn epoch(self) -> Instant {
        self.0
    }
    /// A moment.
    pub(crate) fn at_us(self, us: u64) -> Instant {
        self.0 + Duration::from_micros(us)
    }
    /// Waits for a moment; for ever if there is none.
    pub(crate) async fn reached(self, ms: Option<u64>) {
        match ms {
            // Beyond a year nothing is waited for.
            Some(ms) => {
                let at = self.0 + Duration::from_millis(ms.min(365 * 24 * 3_600_000));
                tokio::time::sleep_until(at.into()).await;
            }
            None => std::future::pending().await,
        }
    }
}
