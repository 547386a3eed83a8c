//! The messages of erased users.

use std::time::Duration;

use rookery_model::{MessageId, UserId};

use super::messages::{self, Doomed};
use super::{BETWEEN_STEPS, STEP_ROWS};
use crate::StoreError;
use crate::cql::batches::write_all;
use crate::cql::lanes;
use crate::cql::shared::Shared;
use crate::cql::tables::purges::Job;
use crate::tables::purges::Purge;

/// How long the erasure of a user goes on looking for messages after it began.
///
/// An edit that was decided before the erasure may be written after it, and would bring its message back.
const USER_GRACE: Duration = Duration::from_secs(2);

/// Removes all that a user wrote up to a message, in passes until one finds nothing.
pub async fn run(shared: &Shared, id: UserId, through: MessageId) -> Result<(), StoreError> {
    let mut has_rested = false;
    loop {
        let at = shared.clock.take(1);
        let found = pass(shared, id, through).await?;
        if has_rested && found == 0 {
            return end(shared, id, through, at).await;
        }
        tokio::time::sleep(USER_GRACE).await;
        has_rested = true;
    }
}

/// Ends the erasure as of a moment; one that was asked for since goes on, by its later timestamp.
async fn end(shared: &Shared, id: UserId, through: MessageId, at: i64) -> Result<(), StoreError> {
    let purge = Purge::User(id);
    if shared.tables.purges.through(&shared.calls, id).await?.is_some_and(|stored| stored > through) {
        shared.wake.notify_one();
        return Ok(());
    }
    write_all(shared, vec![shared.tables.purges.delete(Job::Contents(purge, through), at)]).await?;
    shared.doomed.end(purge, through);
    Ok(())
}

/// Walks over what the user wrote, newest first; says how many messages there were.
async fn pass(shared: &Shared, id: UserId, through: MessageId) -> Result<usize, StoreError> {
    let index = &shared.tables.messages_by_author;
    let (mut before, mut found) = (MessageId::new(through.get().saturating_add(1)), 0);
    loop {
        // The moment first, then the end of everything under way: what lies below it is found, what is put later stays.
        let at = shared.clock.take(1);
        lanes::ended(shared.lanes.all()).await;
        let rows = index.below(&shared.calls, id, Some(before), STEP_ROWS).await?;
        let (Some((_, newest)), Some((_, oldest))) = (rows.first(), rows.last()) else { return Ok(found) };
        let of_row = |(channel_id, message_id)| Doomed { channel_id, message_id, indexed_by: None };
        let doomed: Vec<Doomed> = rows.iter().copied().map(of_row).collect();
        messages::remove(shared, &doomed, at).await?;
        // One tombstone for all of them, so that the next pass does not wade through one each. A message of the oldest
        // id in yet another channel would be covered unseen: it waits for the next step, which begins with that id.
        let is_last = (rows.len() as i64) < i64::from(STEP_ROWS);
        let end = if is_last { *oldest } else { MessageId::new(oldest.get().saturating_add(1)) };
        write_all(shared, vec![index.delete_between(id, end, *newest, at)]).await?;
        found += rows.len();
        if is_last {
            return Ok(found);
        }
        before = end;
        tokio::time::sleep(BETWEEN_STEPS).await;
    }
}
