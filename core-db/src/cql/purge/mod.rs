//! Removes in the background what nobody can see any more: bounded steps, noted in `purges` before anybody is told of
//! the deletion, and so resumed by whoever comes next.
//!
//! Every process may take every step: what is removed does not come back, so a step taken twice is a step taken once.
//! A job is struck off only when no data centre has anything left of it (`everywhere`).

mod board;
mod contents;
mod erasure;
mod everywhere;
mod marked;
mod messages;
pub(super) mod retention;
#[cfg(test)]
mod tests;
mod work;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rookery_model::MessageId;
use rookery_model::id::EPOCH_MS;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use self::everywhere::Reader;
use super::shared::Shared;
use crate::StoreError;
use crate::bucket::{BUCKET_SPAN_MS, bucket_of};
use crate::config::CqlConfig;

/// Rows looked at in one step.
pub const STEP_ROWS: i32 = 1_000;
/// How often `purges` is read, for what other processes noted.
const POLL: Duration = Duration::from_secs(5);
/// The pause between two steps, so that removal never takes more than a part of the cluster.
const BETWEEN_STEPS: Duration = Duration::from_millis(20);
/// How often a job walks over the same rows before it rests: rows that stay were written with timestamps ahead of this
/// process's clock, and go when it has caught up.
const PASSES_MAX: usize = 10;
/// Messages that a walk over several data centres remembers, so that each is removed once. One that is forgotten is
/// removed once more.
const SEEN_MAX: usize = 1_000_000;
/// Days are remembered up to this many.
const DAYS_MAX: usize = 1_024;
const DAY_MS: u64 = 24 * 3_600 * 1_000;

/// Days whose row in `purges` is known to be stored.
#[derive(Debug, Default)]
pub struct KnownDays(Mutex<HashSet<i32>>);

impl KnownDays {
    pub fn contains(&self, day: i32) -> bool {
        self.0.lock().contains(&day)
    }
    pub fn note(&self, day: i32) {
        let mut days = self.0.lock();
        if days.len() >= DAYS_MAX {
            days.clear();
        }
        days.insert(day);
    }
}

/// The day after which a marked message is removed: when its bucket is past, so that the page it stands on is not the
/// newest any more, and the day of the deletion is over for every clock.
pub fn due_day(message_id: MessageId, deleted_at_us: i64) -> i32 {
    let bucket_end_ms = EPOCH_MS + (u64::from(bucket_of(message_id)) + 1) * BUCKET_SPAN_MS;
    let deleted_ms = deleted_at_us.max(0).cast_unsigned() / 1_000;
    day_of(bucket_end_ms.max(deleted_ms)) + 1
}

fn day_of(unix_ms: u64) -> i32 {
    i32::try_from(unix_ms / DAY_MS).unwrap_or(i32::MAX - 1)
}

/// Whether nobody writes into a day any more.
fn is_due(day: i32, now_ms: u64) -> bool {
    day < day_of(now_ms)
}

/// Removes until told to stop.
pub async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    let (jobs, changes) = watch::channel(Vec::new());
    let both = async { tokio::join!(board::keep(&shared, &jobs), work::run(&shared, changes)) };
    tokio::select! {
        () = stop.cancelled() => {}
        _ = both => {}
    }
}

/// Reads what is to be removed and hides it from readers, before the first of them.
pub async fn load(shared: &Shared) -> Result<(), StoreError> {
    board::Board::read(shared).await.map(drop)
}

/// Why a job rests whose rows do not go.
fn do_not_go(what: impl std::fmt::Display) -> StoreError {
    StoreError::Unavailable(format!("{what}: rows stay after {PASSES_MAX} removals; is another process's clock ahead?"))
}

/// How long what is hidden is left alone before it is removed.
///
/// A write that another process decided on before it heard of the job may still be on its way: it hears within [`POLL`],
/// and tries for as long as writes are tried. What is read after that is all there will ever be.
fn grace(config: &CqlConfig) -> Duration {
    Duration::from_millis(config.removal_grace_ms)
}

#[cfg(test)]
mod unit {
    use super::*;
    use rookery_model::Snowflake;

    #[test]
    fn a_marked_message_is_due_when_its_bucket_is_past_and_the_day_is_over() {
        let made_ms = EPOCH_MS + 5 * BUCKET_SPAN_MS + 1_000;
        let message = MessageId(Snowflake::floor_of_ms(made_ms));
        let end_of_bucket = day_of(EPOCH_MS + 6 * BUCKET_SPAN_MS);
        let at = |ms: u64| i64::try_from(ms * 1_000).unwrap();
        assert_eq!(due_day(message, at(made_ms + 5)), end_of_bucket + 1);
        let much_later_ms = made_ms + 100 * BUCKET_SPAN_MS;
        let due = due_day(message, at(much_later_ms));
        assert_eq!(due, day_of(much_later_ms) + 1);
        assert!(!is_due(due, much_later_ms + DAY_MS));
        assert!(is_due(due, much_later_ms + 2 * DAY_MS));
    }
}
