//! The limit over all REST routes: a window of a second.

use rookery_model::{ApiError, ErrorCode, Timestamp};

const WINDOW_US: i64 = 1_000_000;

/// How much of the current second is used.
#[derive(Debug, Default)]
pub(crate) struct RequestLimit {
    ends: Timestamp,
    used: u32,
}

impl RequestLimit {
    /// Takes one request; the wait if the second is used up.
    pub(crate) fn take(&mut self, now: Timestamp, limit: Option<u32>) -> Result<(), ApiError> {
        let Some(limit) = limit else { return Ok(()) };
        // A clock that went back opens a new window rather than a longer one.
        if now >= self.ends || self.ends.0 - now.0 > WINDOW_US {
            *self = Self { ends: Timestamp(now.0.saturating_add(WINDOW_US)), used: 0 };
        }
        if self.used >= limit {
            let seconds = (self.ends.0 - now.0) as f64 / 1e6;
            return Err(ApiError::rate_limited(ErrorCode::RateLimited, seconds, true));
        }
        self.used += 1;
        Ok(())
    }
}
