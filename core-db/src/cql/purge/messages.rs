//! Single messages that go in the background, wherever they stand: those of erased users, those that are too old.

use std::collections::{BTreeMap, HashSet};

use rookery_model::{ChannelId, MessageId, UserId};

use crate::StoreError;
use crate::cql::batches::write_all;
use crate::cql::counters::Counters;
use crate::cql::outbox::removals;
use crate::cql::shared::Shared;
use crate::cql::statement::Mutation;
use crate::cql::tables::messages_to_purge::Due;
use crate::cql::tables::purges::Job;

/// A message to remove.
#[derive(Clone, Copy, Debug)]
pub struct Doomed {
    pub channel_id: ChannelId,
    pub message_id: MessageId,
    /// None leaves the index row to the caller.
    pub indexed_by: Option<UserId>,
}

/// Removes messages with what hangs on them, as of a moment: what is put later stays.
///
/// As when they are deleted one by one: a mark each, and a note of when its row goes.
pub async fn remove(shared: &Shared, messages: &[Doomed], at: i64) -> Result<(), StoreError> {
    let tables = &shared.tables;
    let (mut jobs, mut rows, mut days) = (Vec::new(), Vec::new(), HashSet::new());
    for Doomed { channel_id, message_id, indexed_by: _ } in messages.iter().copied() {
        let day = super::due_day(message_id, at);
        if !shared.known_days.contains(day) && days.insert(day) {
            jobs.push(tables.purges.put(Job::Day(day), at));
        }
        jobs.push(tables.messages_to_purge.put(day, Due { channel_id, message_id, deleted_at_us: at }));
        rows.push(tables.messages.mark_deleted(channel_id, message_id, at));
        rows.push(tables.reactions.clear(channel_id, message_id, None, at)?);
        rows.push(tables.message_edits.delete_of_message(channel_id, message_id, at));
    }
    let mut by_channel: BTreeMap<ChannelId, Vec<MessageId>> = BTreeMap::new();
    for message in messages {
        by_channel.entry(message.channel_id).or_default().push(message.message_id);
    }
    for (channel_id, message_ids) in by_channel {
        rows.extend(hanging_on(shared, channel_id, &message_ids, at).await?);
        let files = tables.attachments.of(&shared.calls, channel_id, &message_ids).await?;
        jobs.extend(removals(shared, &files, at)?);
        rows.extend(files.iter().map(|file| tables.attachments.delete(file, at)));
    }
    let index = messages.iter().filter_map(|message| {
        let author_id = message.indexed_by?;
        Some(tables.messages_by_author.delete(author_id, message.message_id, message.channel_id, at))
    });
    // The notes first and the index last: a process that dies in between leaves enough for the next one to go on.
    write_all(shared, jobs).await?;
    days.into_iter().for_each(|day| shared.known_days.note(day));
    write_all(shared, rows).await?;
    write_all(shared, index.collect()).await?;
    Counters::add(&shared.calls.counters.purged_rows, messages.len() as u64);
    Ok(())
}

/// Counts and pins of messages of a channel: no tombstone where there is nothing.
async fn hanging_on(
    shared: &Shared,
    channel_id: ChannelId,
    message_ids: &[MessageId],
    at: i64,
) -> Result<Vec<Mutation>, StoreError> {
    let (tables, calls) = (&shared.tables, &shared.calls);
    let (counts, pins) =
        tokio::try_join!(tables.reaction_counts.of(calls, channel_id, message_ids), tables.pins.of(calls, channel_id))?;
    let counted: HashSet<MessageId> = counts.into_iter().map(|count| count.message_id).collect();
    let pinned: HashSet<MessageId> = pins.into_iter().map(|pin| pin.message_id).collect();
    let counts = message_ids.iter().filter(|id| counted.contains(id));
    let counts = counts.map(|id| tables.reaction_counts.delete_of_message(channel_id, *id, at));
    let pins = message_ids.iter().filter(|id| pinned.contains(id)).map(|id| tables.pins.delete(channel_id, *id, at));
    Ok(counts.chain(pins).collect())
}
