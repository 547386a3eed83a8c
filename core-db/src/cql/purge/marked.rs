//! Marked messages whose day has come.

use std::collections::BTreeMap;
use std::time::Duration;

use rookery_model::ChannelId;

use super::everywhere::{Everywhere, Reader};
use super::{BETWEEN_STEPS, STEP_ROWS, grace};
use crate::StoreError;
use crate::bucket::bucket_of;
use crate::cql::counters::Counters;
use crate::cql::statement::Mutation;
use crate::cql::tables::messages::{Messages, Trace};
use crate::cql::tables::messages_to_purge::{Due, SLOTS};
use crate::cql::value::bound;

/// Rows among which those of one step are looked for; where they lie further apart each goes by itself.
const SPAN_ROWS_MAX: usize = 4 * STEP_ROWS as usize;

/// Removes the messages of a day, step by step.
pub async fn day(everywhere: &Everywhere<'_>, day: i32) -> Result<(), StoreError> {
    for slot in 0..SLOTS {
        slot_of_day(everywhere, day, slot).await?;
    }
    Ok(())
}

/// Removes the messages of a slot in steps, then the slot.
///
/// The notes go only at the end, with one tombstone: taken away step by step they would leave a tombstone each for the
/// next step to read over. A start after a crash walks the slot again and removes what is removed already.
async fn slot_of_day(everywhere: &Everywhere<'_>, day: i32, slot: u8) -> Result<(), StoreError> {
    let tables = &everywhere.shared.tables;
    let at = everywhere.shared.clock.take(1);
    let mut is_any = false;
    for reader in everywhere.readers() {
        let mut last: Option<Due> = None;
        loop {
            let due = tables.messages_to_purge.after(reader, (day, slot), last.as_ref(), STEP_ROWS).await?;
            let Some(end) = due.last() else { break };
            (last, is_any) = (Some(*end), true);
            step(everywhere, reader, &due).await?;
            Counters::add(&everywhere.shared.calls.counters.purged_rows, due.len() as u64);
            tokio::time::sleep(BETWEEN_STEPS).await;
        }
    }
    if is_any {
        everywhere.write(vec![tables.messages_to_purge.delete_slot(day, slot, at)]).await?;
    }
    Ok(())
}

/// Removes rows, bucket by bucket, and buckets that they leave empty from the index.
async fn step(everywhere: &Everywhere<'_>, reader: &Reader<'_>, due: &[Due]) -> Result<(), StoreError> {
    let mut by_bucket: BTreeMap<(ChannelId, u32), Vec<Due>> = BTreeMap::new();
    for due in due {
        by_bucket.entry((due.channel_id, bucket_of(due.message_id))).or_default().push(*due);
    }
    for (of, due) in by_bucket {
        let tombstones = tombstones(everywhere, reader, of, due).await?;
        everywhere.write(tombstones).await?;
        leave_index_if_empty(everywhere, of).await?;
    }
    Ok(())
}

/// The tombstones that remove rows of one bucket: one for each run of them between which nothing else is stored.
///
/// Where somebody cleaned up, or a guild keeps messages for a time only, thousands lie side by side. A tombstone each would
/// end every read of the bucket: a node gives up over a hundred thousand.
async fn tombstones(
    everywhere: &Everywhere<'_>,
    reader: &Reader<'_>,
    of: (ChannelId, u32),
    mut due: Vec<Due>,
) -> Result<Vec<Mutation>, StoreError> {
    let messages = &everywhere.shared.tables.messages;
    due.sort_unstable_by_key(|due| std::cmp::Reverse(due.message_id));
    let (Some(newest), Some(oldest)) = (due.first().copied(), due.last().copied()) else { return Ok(Vec::new()) };
    let (mut stored, mut below): (Vec<Trace>, i64) = (Vec::new(), bound(newest.message_id).saturating_add(1));
    while stored.len() < SPAN_ROWS_MAX {
        let step = messages.traces(reader, of, below, STEP_ROWS).await?;
        let (length, end) = (step.len(), step.last().map(|last| bound(last.message_id())));
        stored.extend(step);
        match end {
            Some(end) if length == STEP_ROWS as usize && end > bound(oldest.message_id) => below = end,
            _ => return Ok(runs(due, &stored).iter().filter_map(|run| of_run(messages, run)).collect()),
        }
    }
    Ok(due.iter().filter_map(|due| of_run(messages, std::slice::from_ref(due))).collect())
}

/// The tombstone of a run, newest first.
fn of_run(messages: &Messages, run: &[Due]) -> Option<Mutation> {
    let (newest, oldest) = (run.first()?, run.last()?);
    // With the timestamp of the mark: a message that was put anew after it stays, and is in no run of several.
    let at = run.iter().map(|due| due.deleted_at_us).max()?;
    Some(match run {
        [one] => messages.delete(one.channel_id, one.message_id, at),
        _ => messages.delete_between(newest.channel_id, oldest.message_id, newest.message_id, at),
    })
}

/// Cuts what is due, newest first, into runs between which nothing else is stored.
fn runs(due: Vec<Due>, stored: &[Trace]) -> Vec<Vec<Due>> {
    let mut runs: Vec<Vec<Due>> = Vec::new();
    let mut stored = stored.iter().peekable();
    let mut is_open = false;
    for due in due {
        // Rows above this one that are not due end the run; so does a row that stands here anew.
        while stored.next_if(|trace| trace.message_id() > due.message_id).is_some() {
            is_open = false;
        }
        let own = stored.next_if(|trace| trace.message_id() == due.message_id);
        let is_anew = own.is_some_and(|trace| trace.author_id().is_some());
        match runs.last_mut() {
            Some(run) if is_open && !is_anew => run.push(due),
            _ => runs.push(vec![due]),
        }
        is_open = !is_anew;
    }
    runs
}

/// Takes a past bucket off the index when nobody has a row in it any more.
///
/// With a timestamp of some time ago: what a process is writing into it at this moment puts its index row again, and with
/// a later one (`Buckets::is_stored`); what was written before has ended and would be seen.
async fn leave_index_if_empty(everywhere: &Everywhere<'_>, of: (ChannelId, u32)) -> Result<(), StoreError> {
    let shared = everywhere.shared;
    let ago = i64::try_from((grace(&shared.config) + Duration::from_secs(60)).as_micros()).unwrap_or(i64::MAX);
    let at = shared.clock.take(1).saturating_sub(ago);
    for reader in everywhere.readers() {
        if !shared.tables.messages.traces(reader, of, i64::MAX, 1).await?.is_empty() {
            return Ok(());
        }
    }
    everywhere.write(vec![shared.tables.message_buckets.delete(of.0, of.1, at)]).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use rookery_model::{MessageId, UserId};

    #[test]
    fn a_run_ends_where_another_row_is_stored_and_leaves_out_what_was_put_anew() {
        let due = |id| Due { channel_id: ChannelId::new(1), message_id: MessageId::new(id), deleted_at_us: 5 };
        let marked = |id| Trace::new(MessageId::new(id), None);
        let stands = |id| Trace::new(MessageId::new(id), Some(UserId::new(7)));
        let cut = |ids: &[u64], stored: &[Trace]| -> Vec<Vec<u64>> {
            let runs = runs(ids.iter().copied().map(due).collect(), stored);
            runs.iter().map(|run| run.iter().map(|due| due.message_id.get()).collect()).collect()
        };
        let all = [marked(9), marked(8), marked(7), marked(6)];
        assert_eq!(cut(&[9, 8, 7, 6], &all), [vec![9, 8, 7, 6]]);
        // What is gone already does not end it.
        assert_eq!(cut(&[9, 8, 7, 6], &[marked(9), marked(6)]), [vec![9, 8, 7, 6]]);
        assert_eq!(cut(&[9, 8, 6], &[marked(9), marked(8), stands(7), marked(6)]), [vec![9, 8], vec![6]]);
        // Marked too, but due on another day.
        assert_eq!(cut(&[9, 7, 6], &all), [vec![9], vec![7, 6]]);
        assert_eq!(cut(&[9, 8, 7, 6], &[marked(9), stands(8), marked(7), marked(6)]), [vec![9], vec![8], vec![7, 6]]);
        assert!(cut(&[], &all).is_empty());
    }
}
