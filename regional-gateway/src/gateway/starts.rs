//! How often an account may start a session.
//!
//! A day has so many starts for all of an account's shards together. Beside that, a bot's shards share buckets by
//! `shard_id % max_concurrency`, and a bucket takes one IDENTIFY in five seconds; buckets do not wait for each other.
//! (Source: "Rate Limiting" under "Sharding" of the API's documentation.)
//!
//! Libraries pace a bucket by when they sent, and we see when it arrived: of two IDENTIFYs sent five seconds apart the
//! first may have been longer on its way. So the window is a little shorter here ([`BUCKET_TOLERANCE_MS`]); who keeps to
//! the documented pace is never refused for the network's sake, and who does not wait is refused by seconds.
//!
//! People have no shards and their apps no such pacing: all devices and tabs of one account start at the same moment
//! when a network comes back. They may start a few sessions at once ([`DEVICES_AT_ONCE`]).

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use parking_lot::Mutex;
use rookery_model::UserId;
use rookery_model::gateway::Shard;

const DAY_MS: u64 = 24 * 3_600_000;
/// How long a bucket is taken by an IDENTIFY.
const BUCKET_MS: u64 = 5_000;
/// How much later than the second the first of two IDENTIFYs may have arrived.
const BUCKET_TOLERANCE_MS: u64 = 1_000;
const DEVICES_WINDOW_MS: u64 = 5_000;
/// Sessions that a person may start in [`DEVICES_WINDOW_MS`].
const DEVICES_AT_ONCE: u32 = 16;
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

/// Who starts a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Starter {
    /// One of a bot's shards; a bot that does not shard is its first.
    Bot(Shard),
    Person,
}

impl Starter {
    /// Whoever starts a session with that shard of an IDENTIFY.
    pub fn of(is_bot: bool, shard: Option<Shard>) -> Self {
        if is_bot { Self::Bot(shard.unwrap_or(Shard::WHOLE)) } else { Self::Person }
    }
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

#[derive(Clone, Default)]
struct Starts {
    day_ends_ms: u64,
    in_day: u32,
    /// A person's.
    window_ends_ms: u64,
    in_window: u32,
    /// A bot's buckets that are taken, and until when; no more of them than starts in a day.
    taken: Vec<(u32, u64)>,
}

impl SessionStarts {
    /// Nobody started yet; without a number for the day both limits are lifted.
    pub fn new(per_day: Option<u32>, concurrency: u32) -> Self {
        let accounts = Cache::builder().max_capacity(ACCOUNTS_MAX).time_to_idle(Duration::from_millis(DAY_MS)).build();
        Self { per_day, concurrency: concurrency.max(1), accounts }
    }

    /// Counts a start.
    pub fn take(&self, now_ms: u64, user_id: UserId, starter: Starter) -> Result<(), StartRefused> {
        let Some(per_day) = self.per_day else { return Ok(()) };
        let starts = self.accounts.get_with(user_id, Arc::default);
        let mut starts = starts.lock();
        if !runs(now_ms, starts.day_ends_ms, DAY_MS) {
            (starts.day_ends_ms, starts.in_day) = (now_ms + DAY_MS, 0);
        }
        if starts.in_day >= per_day {
            return Err(StartRefused::Spent);
        }
        match starter {
            Starter::Bot(shard) => starts.take_bucket(now_ms, shard.id % self.concurrency)?,
            Starter::Person => starts.take_place(now_ms)?,
        }
        starts.in_day += 1;
        Ok(())
    }

    /// Takes a start back of which nothing came through no fault of the client: it may try again at once.
    pub fn give_back(&self, user_id: UserId, starter: Starter) {
        let Some(starts) = self.accounts.get(&user_id) else { return };
        let mut starts = starts.lock();
        starts.in_day = starts.in_day.saturating_sub(1);
        match starter {
            Starter::Bot(shard) => {
                let bucket = shard.id % self.concurrency;
                starts.taken.retain(|(taken, _)| *taken != bucket);
            }
            Starter::Person => starts.in_window = starts.in_window.saturating_sub(1),
        }
    }

    /// What is left to an account.
    pub fn left(&self, now_ms: u64, user_id: UserId) -> StartsLeft {
        let total = self.per_day.unwrap_or(u32::MAX);
        let day = self.accounts.get(&user_id).map(|starts| {
            let starts = starts.lock();
            (starts.in_day, starts.day_ends_ms)
        });
        let (used, reset_after_ms) = match day {
            Some((in_day, ends_ms)) if runs(now_ms, ends_ms, DAY_MS) => (in_day, ends_ms - now_ms),
            _ => (0, DAY_MS),
        };
        StartsLeft { total, remaining: total - used, reset_after_ms, max_concurrency: self.concurrency }
    }
}

impl Starts {
    fn take_bucket(&mut self, now_ms: u64, key: u32) -> Result<(), StartRefused> {
        const TAKEN_MS: u64 = BUCKET_MS - BUCKET_TOLERANCE_MS;
        self.taken.retain(|(_, until_ms)| runs(now_ms, *until_ms, TAKEN_MS));
        if self.taken.iter().any(|(taken, _)| *taken == key) {
            return Err(StartRefused::TooFast);
        }
        self.taken.push((key, now_ms + TAKEN_MS));
        Ok(())
    }

    fn take_place(&mut self, now_ms: u64) -> Result<(), StartRefused> {
        if !runs(now_ms, self.window_ends_ms, DEVICES_WINDOW_MS) {
            (self.window_ends_ms, self.in_window) = (now_ms + DEVICES_WINDOW_MS, 0);
        }
        if self.in_window >= DEVICES_AT_ONCE {
            return Err(StartRefused::TooFast);
        }
        self.in_window += 1;
        Ok(())
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
    const WHOLE: Starter = Starter::Bot(Shard::WHOLE);

    fn shard(id: u32) -> Starter {
        Starter::Bot(Shard { id, count: 64 })
    }

    #[test]
    fn a_day_has_so_many_starts() {
        let starts = SessionStarts::new(Some(3), 1);
        assert_eq!(
            (0..4).map(|i| starts.take(i * 10_000, USER, WHOLE).is_ok()).collect::<Vec<_>>(),
            [true, true, true, false]
        );
        let left = starts.left(40_000, USER);
        assert_eq!((left.total, left.remaining, left.reset_after_ms), (3, 0, DAY_MS - 40_000));
        assert_eq!(starts.take(40_000, USER, WHOLE), Err(StartRefused::Spent));
        assert_eq!(starts.take(DAY_MS, USER, WHOLE), Ok(()));
        assert_eq!(starts.left(DAY_MS, UserId::new(2)).remaining, 3);
    }

    #[test]
    fn a_clock_that_is_set_back_locks_nobody_out() {
        let (now, hour_ago) = (100 * DAY_MS, 100 * DAY_MS - 3_600_000);
        for starter in [WHOLE, Starter::Person] {
            let starts = SessionStarts::new(Some(17), 1);
            while starts.take(now, USER, starter).is_ok() {}
            assert_eq!(starts.left(hour_ago, USER).remaining, 17, "{starter:?}");
            assert_eq!(starts.take(hour_ago, USER, starter), Ok(()), "{starter:?}");
            assert_eq!(starts.left(hour_ago, USER).remaining, 16, "{starter:?}");
        }
    }

    #[test]
    fn shards_of_one_bucket_follow_each_other_and_those_of_others_do_not_wait() {
        let starts = SessionStarts::new(Some(1_000), 4);
        assert!((0..4).all(|id| starts.take(0, USER, shard(id)).is_ok()), "four buckets at once");
        assert!((4..64).all(|id| starts.take(100, USER, shard(id)) == Err(StartRefused::TooFast)));
        assert_eq!(starts.left(100, USER).remaining, 996, "what was refused is not counted");
        // Sent five seconds after the first of its bucket, which took longer on its way.
        assert_eq!(starts.take(BUCKET_MS - BUCKET_TOLERANCE_MS - 1, USER, shard(5)), Err(StartRefused::TooFast));
        assert_eq!(starts.take(BUCKET_MS - BUCKET_TOLERANCE_MS, USER, shard(5)), Ok(()));
        assert_eq!(starts.take(BUCKET_MS, USER, shard(1)), Err(StartRefused::TooFast), "5 holds the bucket of 1");
        assert_eq!(starts.take(BUCKET_MS, USER, shard(2)), Ok(()));
        assert_eq!(starts.take(BUCKET_MS, UserId::new(2), shard(2)), Ok(()), "another bot has its own");
    }

    #[test]
    fn a_bot_without_shards_is_its_first_shard() {
        let starts = SessionStarts::new(Some(1_000), 1);
        assert_eq!(starts.take(0, USER, WHOLE), Ok(()));
        assert_eq!(starts.take(0, USER, shard(0)), Err(StartRefused::TooFast));
    }

    #[test]
    fn a_persons_devices_start_together_and_a_burst_is_slowed() {
        let starts = SessionStarts::new(Some(1_000), 1);
        assert_eq!((0..17).filter(|_| starts.take(0, USER, Starter::Person).is_ok()).count(), 16);
        assert_eq!(starts.take(4_999, USER, Starter::Person), Err(StartRefused::TooFast));
        assert_eq!(starts.take(5_000, USER, Starter::Person), Ok(()));
    }

    #[test]
    fn what_came_to_nothing_is_not_counted() {
        let starts = SessionStarts::new(Some(1_000), 4);
        assert_eq!(starts.take(0, USER, shard(1)), Ok(()));
        assert_eq!(starts.take(0, USER, shard(2)), Ok(()));
        starts.give_back(USER, shard(1));
        assert_eq!(starts.left(0, USER).remaining, 999);
        assert_eq!(starts.take(100, USER, shard(5)), Ok(()), "of the same bucket");
        assert_eq!(starts.take(100, USER, shard(2)), Err(StartRefused::TooFast));
        let person = UserId::new(2);
        starts.give_back(person, Starter::Person);
        assert!((0..16).all(|_| starts.take(0, person, Starter::Person).is_ok()));
        starts.give_back(person, Starter::Person);
        assert_eq!(starts.take(0, person, Starter::Person), Ok(()));
        assert_eq!(starts.take(0, person, Starter::Person), Err(StartRefused::TooFast));
    }

    #[test]
    fn without_limit_nobody_waits() {
        let free = SessionStarts::new(None, 1);
        assert!((0..5_000).all(|_| free.take(0, USER, WHOLE).is_ok() && free.take(0, USER, Starter::Person).is_ok()));
    }
}
