//! Removes in the background what nobody can see any more: bounded steps, noted in `purges` before anybody is told of
//! the deletion, and so resumed by whoever comes next.
//!
//! Every process may take every step: what is removed does not come back, so a step taken twice is a step taken once.

mod contents;
mod erasure;
pub(super) mod marked;
mod messages;
pub(super) mod retention;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rookery_model::MessageId;
use rookery_model::id::EPOCH_MS;
use tokio_util::sync::CancellationToken;

use super::clock::now_us;
use super::shared::Shared;
use super::tables::purges::Job;
use crate::StoreError;
use crate::bucket::{BUCKET_SPAN_MS, bucket_of};
use crate::tables::purges::Purge;

/// Rows looked at in one step.
pub const STEP_ROWS: i32 = 1_000;
/// How often `purges` is read, for what other processes noted.
const POLL: Duration = Duration::from_secs(5);
/// The pause between two steps, so that removal never takes more than a part of the cluster.
const BETWEEN_STEPS: Duration = Duration::from_millis(20);
/// The pause after a step that failed.
const AFTER_FAILURE: Duration = Duration::from_secs(1);
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
    let work = async {
        loop {
            let pause = match pass(&shared).await {
                Ok(()) => POLL,
                Err(error) => {
                    tracing::warn!(%error, "cannot remove what was deleted; trying again");
                    AFTER_FAILURE
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = shared.wake.notified() => {}
            }
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = work => {}
    }
}

/// Reads what is to be removed, and removes it.
async fn pass(shared: &Shared) -> Result<(), StoreError> {
    let jobs = load(shared).await?;
    let now_ms = now_us().max(0).cast_unsigned() / 1_000;
    let mut failed = None;
    for job in jobs {
        let outcome = match job {
            Job::Contents(purge, through) => remove_contents(shared, purge, through).await,
            Job::Day(day) if is_due(day, now_ms) => marked::day(shared, day).await,
            Job::Day(_) => Ok(()),
        };
        // One that cannot be taken further does not hold up those behind it.
        if let Err(error) = outcome {
            tracing::warn!(?job, %error, "cannot go on with the removal of what was deleted");
            failed = Some(error);
        }
    }
    failed.map_or(Ok(()), Err)
}

/// Reads what is to be removed and hides it from readers.
pub async fn load(shared: &Shared) -> Result<Vec<Job>, StoreError> {
    let jobs = shared.tables.purges.all(&shared.calls).await?;
    let mut purges = Vec::new();
    for job in &jobs {
        if let Job::Contents(purge, through) = *job {
            purges.push((purge, Some(through)));
        }
    }
    // Another process may have begun some: their messages were seen here until now.
    let is_news = purges.iter().any(|(purge, through)| through.is_some_and(|to| !shared.doomed.goes(*purge, to)));
    shared.doomed.apply(purges.into_iter());
    if is_news {
        shared.removed();
    }
    Ok(jobs)
}

/// Removes the contents of a channel or guild, or what a user wrote, step by step.
async fn remove_contents(shared: &Shared, purge: Purge, through: MessageId) -> Result<(), StoreError> {
    loop {
        let is_done = match purge {
            Purge::Channel(id) => contents::step_of_channel(shared, id).await?,
            Purge::Guild(id) => contents::step_of_guild(shared, id).await?,
            Purge::User(id) => return erasure::run(shared, id, through).await,
        };
        if is_done {
            break;
        }
        tokio::time::sleep(BETWEEN_STEPS).await;
    }
    let at = shared.clock.take(1);
    super::batches::write_all(shared, vec![shared.tables.purges.delete(Job::Contents(purge, through), at)]).await?;
    shared.doomed.end(purge, through);
    Ok(())
}

#[cfg(test)]
mod tests {
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
