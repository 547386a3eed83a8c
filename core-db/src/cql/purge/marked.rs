//! Marked messages whose day has come.

use super::{BETWEEN_STEPS, STEP_ROWS};
use crate::StoreError;
use crate::cql::batches::write_all;
use crate::cql::counters::Counters;
use crate::cql::shared::Shared;
use crate::cql::tables::messages_to_purge::SLOTS;
use crate::cql::tables::purges::Job;

/// Removes the messages of a day, step by step, then the day itself.
pub async fn day(shared: &Shared, day: i32) -> Result<(), StoreError> {
    for slot in 0..SLOTS {
        remove_slot(shared, day, slot).await?;
    }
    let at = shared.clock.take(1);
    write_all(shared, vec![shared.tables.purges.delete(Job::Day(day), at)]).await
}

/// Removes the messages of a slot in steps, then the slot.
///
/// The notes go only at the end, with one tombstone: taken away step by step they would leave a tombstone each for the
/// next step to read over. A start after a crash walks the slot again and removes what is removed already.
async fn remove_slot(shared: &Shared, day: i32, slot: u8) -> Result<(), StoreError> {
    let tables = &shared.tables;
    let mut last = None;
    loop {
        let due = tables.messages_to_purge.after(&shared.calls, (day, slot), last.as_ref(), STEP_ROWS).await?;
        // With the timestamp of the mark: a message that was put anew after it stays.
        let rows = due.iter().map(|due| tables.messages.delete(due.channel_id, due.message_id, due.deleted_at_us));
        write_all(shared, rows.collect()).await?;
        Counters::add(&shared.calls.counters.purged_rows, due.len() as u64);
        match due.last() {
            Some(end) => last = Some(*end),
            None if last.is_none() => return Ok(()),
            None => break,
        }
        tokio::time::sleep(BETWEEN_STEPS).await;
    }
    let at = shared.clock.take(1);
    write_all(shared, vec![tables.messages_to_purge.delete_slot(day, slot, at)]).await
}
