//! How often an account may start a session.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use parking_lot::Mutex;
use rookery_model::UserId;

const DAY_MS: u64 = 24 * 3_600_000;
const CONCURRENCY_WINDOW_MS: u64 = 5_000;
/// Libraries pace themselves by when they sent; what arrives closer together than that is no abuse yet.
const CONCURRENCY_SLACK: u32 = 16;
/// Accounts whose starts are counted; the least active give way.
const ACCOUNTS_MAX: u64 = 200_000;

/// The starts of one account, as `GET /gateway/bot` tells them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartsLeft {
    pub total: u32,
    pub remaining: u32,
    pub reset_after_ms: u64,
    pub max_concurrency: u32,
}

/// Why a session may not start now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartRefused {
    /// None is left for today.
    Spent,
    /// Too many in these seconds: again a little later.
    TooFast,
}

/// The starts of all accounts.
pub struct SessionStarts {
    per_day: Option<u32>,
    concurrency: u32,
    accounts: Cache<UserId, Arc<Mutex<Starts>>>,
}

#[derive(Clone, Copy, Default)]
struct Starts {
    day_ends_ms: u64,
    in_day: u32,
    window_ends_ms: u64,
    in_window: u32,
}

impl SessionStarts {
    /// Nobody started yet; none lifts both limits.
    pub fn new(per_day: Option<u32>, concurrency: u32) -> Self {
        let accounts = Cache::builder().max_capacity(ACCOUNTS_MAX).time_to_idle(Duration::from_millis(DAY_MS)).build();
        Self { per_day, concurrency, accounts }
    }

    /// Counts a start.
    pub fn take(&self, now_ms: u64, user_id: UserId) -> Result<(), StartRefused> {
        let Some(per_day) = self.per_day else { return Ok(()) };
        let starts = self.accounts.get_with(user_id, Arc::default);
        let mut starts = starts.lock();
        if !runs(now_ms, starts.day_ends_ms, DAY_MS) {
            (starts.day_ends_ms, starts.in_day) = (now_ms + DAY_MS, 0);
        }
        if !runs(now_ms, starts.window_ends_ms, CONCURRENCY_WINDOW_MS) {
            (starts.window_ends_ms, starts.in_window) = (now_ms + CONCURRENCY_WINDOW_MS, 0);
        }
        if starts.in_day >= per_day {
            return Err(StartRefused::Spent);
        }
        if starts.in_window >= self.concurrency.saturating_mul(CONCURRENCY_SLACK) {
            return Err(StartRefused::TooFast);
        }
        starts.in_day += 1;
        starts.in_window += 1;
        Ok(())
    }

    /// What is left to an account.
    pub fn left(&self, now_ms: u64, user_id: UserId) -> StartsLeft {
        let total = self.per_day.unwrap_or(u32::MAX);
        let starts = self.accounts.get(&user_id).map(|starts| *starts.lock()).unwrap_or_default();
        let (used, reset_after_ms) = if runs(now_ms, starts.day_ends_ms, DAY_MS) {
            (starts.in_day, starts.day_ends_ms - now_ms)
        } else {
            (0, DAY_MS)
        };
        StartsLeft { total, remaining: total - used, reset_after_ms, max_concurrency: self.concurrency }
    }
}

/// Whether a window still runs. One that ends later than one opened now was opened before the clock was set back, and
/// counts no more.
const fn runs(now_ms: u64, ends_ms: u64, window_ms: u64) -> bool {
    now_ms < ends_ms && ends_ms - now_ms <= window_ms
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: UserId = UserId::new(1);

    #[test]
    fn a_day_has_so_many_starts() {
        let starts = SessionStarts::new(Some(3), 1);
        assert_eq!(
            (0..4).map(|i| starts.take(i * 10_000, USER).is_ok()).collect::<Vec<_>>(),
            [true, true, true, false]
        );
        let left = starts.left(40_000, USER);
        assert_eq!((left.total, left.remaining, left.reset_after_ms), (3, 0, DAY_MS - 40_000));
        assert_eq!(starts.take(40_000, USER), Err(StartRefused::Spent));
        assert_eq!(starts.take(DAY_MS, USER), Ok(()));
        assert_eq!(starts.left(DAY_MS, UserId::new(2)).remaining, 3);
    }

    #[test]
    fn a_clock_that_is_set_back_locks_nobody_out() {
        let starts = SessionStarts::new(Some(17), 1);
        let (now, hour_ago) = (100 * DAY_MS, 100 * DAY_MS - 3_600_000);
        assert_eq!((0..17).filter(|_| starts.take(now, USER).is_ok()).count(), 16);
        assert_eq!(starts.take(now, USER), Err(StartRefused::TooFast));
        assert_eq!(starts.left(hour_ago, USER).remaining, 17);
        assert_eq!(starts.take(hour_ago, USER), Ok(()));
        assert_eq!(starts.left(hour_ago, USER).remaining, 16);
    }

    #[test]
    fn a_burst_is_slowed_and_without_limit_it_is_not() {
        let starts = SessionStarts::new(Some(1_000), 1);
        assert_eq!((0..17).filter(|_| starts.take(0, USER).is_ok()).count(), 16);
        assert_eq!(starts.take(4_999, USER), Err(StartRefused::TooFast));
        assert_eq!(starts.take(5_000, USER), Ok(()));
        let free = SessionStarts::new(None, 1);
        assert!((0..5_000).all(|_| free.take(0, USER).is_ok()));
    }
}
