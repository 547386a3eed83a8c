//! The outbox: queues of work over their hours and minutes.

use std::collections::HashSet;

use futures_util::StreamExt as _;
use parking_lot::Mutex;
use rookery_model::Timestamp;
use rookery_model::outbox::{OutboxPlace, OutboxQueue, OutboxRow};
use rookery_model::store::AttachmentRow;

use super::batches::write_all;
use super::clock::now_us;
use super::shared::Shared;
use super::statement::Mutation;
use super::tables::outbox::minute_of;
use crate::StoreError;
use crate::tables::attachments::removal;

const HOUR_US: i64 = 3_600 * 1_000_000;
const HOUR_MINUTES: i32 = 60;
/// Minutes that are asked about at a time.
const CONCURRENT: usize = 8;
/// No write is under way for so long, and no two clocks are so far apart.
const SLACK_US: i64 = 600 * 1_000_000;
/// Hours are remembered up to this many.
const KNOWN_MAX: usize = 1_024;

/// Hours whose index row is known to be stored.
#[derive(Debug, Default)]
pub struct KnownHours(Mutex<HashSet<(OutboxQueue, i32)>>);

impl KnownHours {
    /// Whether an hour need not be put again. Past ones may have been taken out of the index meanwhile.
    pub fn contains(&self, queue: OutboxQueue, hour: i32) -> bool {
        end_us(hour) > now_us() && self.0.lock().contains(&(queue, hour))
    }

    /// Index rows are stored now.
    pub fn note(&self, hours: &[(OutboxQueue, i32)]) {
        if hours.is_empty() {
            return;
        }
        let mut known = self.0.lock();
        if known.len() + hours.len() > KNOWN_MAX {
            known.clear();
        }
        known.extend(hours);
    }
}

/// The hour, since 1970, in which work was queued.
pub fn hour_of(queued_at: Timestamp) -> i32 {
    minute_of(queued_at).div_euclid(HOUR_MINUTES)
}

fn end_us(hour: i32) -> i64 {
    (i64::from(hour) + 1).saturating_mul(HOUR_US)
}

/// What files leave behind whose rows are removed at a moment: their objects in the queue, and its hour in the index.
///
/// To be written before the rows go, so that no object is forgotten.
pub fn removals(shared: &Shared, files: &[AttachmentRow], at: i64) -> Result<Vec<Mutation>, StoreError> {
    if files.is_empty() {
        return Ok(Vec::new());
    }
    let (tables, queued_at) = (&shared.tables, Timestamp(at));
    let mut rows = vec![tables.outbox_hours.put(OutboxQueue::Files, hour_of(queued_at), at)];
    for file in files {
        rows.push(tables.outbox.put(&removal(file, queued_at)?, at)?);
    }
    Ok(rows)
}

/// Work of a queue behind a place, oldest first.
pub async fn page(
    shared: &Shared,
    queue: OutboxQueue,
    after: Option<OutboxPlace>,
    limit: usize,
) -> Result<Vec<OutboxRow>, StoreError> {
    let first = after.map_or(i32::MIN, |place| minute_of(place.queued_at));
    let hours = shared.tables.outbox_hours.of(&shared.calls, queue).await?;
    let mut found = Vec::new();
    for hour in hours.into_iter().filter(|hour| *hour >= first.div_euclid(HOUR_MINUTES)) {
        if found.len() >= limit {
            break;
        }
        let begin = hour.saturating_mul(HOUR_MINUTES);
        let from = begin.max(first);
        let before = found.len();
        of_minutes(shared, queue, from..begin.saturating_add(HOUR_MINUTES), after, limit, &mut found).await?;
        if from == begin && found.len() == before {
            forget_if_past(shared, queue, hour).await?;
        }
    }
    Ok(found)
}

/// Work of some minutes, as far as there is room on the page.
async fn of_minutes(
    shared: &Shared,
    queue: OutboxQueue,
    minutes: std::ops::Range<i32>,
    after: Option<OutboxPlace>,
    limit: usize,
    found: &mut Vec<OutboxRow>,
) -> Result<(), StoreError> {
    let rows_max = i32::try_from(limit - found.len()).unwrap_or(i32::MAX);
    let ask = |minute| shared.tables.outbox.after(&shared.calls, queue, minute, after, rows_max);
    let mut answers = futures_util::stream::iter(minutes).map(ask).buffered(CONCURRENT);
    while found.len() < limit {
        let Some(rows) = answers.next().await else { break };
        found.extend(rows?);
    }
    found.truncate(limit);
    Ok(())
}

/// Takes an hour that was found empty out of the index, once it is over.
///
/// As of a while ago: whatever was written until then would have been found. What is put into the hour later, by an import
/// for example, has put it into the index with a later timestamp, and it stays.
async fn forget_if_past(shared: &Shared, queue: OutboxQueue, hour: i32) -> Result<(), StoreError> {
    let as_of = now_us() - SLACK_US;
    if end_us(hour) > as_of {
        return Ok(());
    }
    write_all(shared, vec![shared.tables.outbox_hours.delete(queue, hour, as_of)]).await.map_err(|error| match error {
        // This is a read for whoever asked.
        StoreError::Unwritable(reason) | StoreError::Unknown(reason) => StoreError::Unavailable(reason),
        other => other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_and_minutes_follow_from_the_moment() {
        let at = |us| (hour_of(Timestamp(us)), minute_of(Timestamp(us)));
        assert_eq!((at(0), at(HOUR_US - 1), at(HOUR_US)), ((0, 0), (0, 59), (1, 60)));
        assert_eq!(at(-1), (-1, -1));
        assert_eq!(end_us(0), HOUR_US);
        assert_eq!(minute_of(Timestamp(i64::MIN)), i32::MIN);
        assert_eq!(minute_of(Timestamp(i64::MAX)), i32::MAX);
    }

    #[test]
    fn only_hours_that_are_not_over_are_remembered() {
        let known = KnownHours::default();
        let now = hour_of(Timestamp(now_us()));
        known.note(&[(OutboxQueue::Search, now + 1), (OutboxQueue::Search, now - 1)]);
        assert!(known.contains(OutboxQueue::Search, now + 1) && !known.contains(OutboxQueue::Search, now - 1));
        assert!(!known.contains(OutboxQueue::Push, now + 1));
    }
}
