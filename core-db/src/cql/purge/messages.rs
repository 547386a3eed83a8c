//! Single messages that go in the background, wherever they stand: those of erased users, those that are too old.

use std::collections::{BTreeMap, HashMap, HashSet};

use rookery_model::store::AttachmentRow;
use rookery_model::{AttachmentId, ChannelId, MessageId, UserId};

use super::everywhere::{Everywhere, Reader};
use crate::StoreError;
use crate::bucket::bucket_of;
use crate::cql::counters::Counters;
use crate::cql::outbox::removals;
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
pub async fn remove(
    everywhere: &Everywhere<'_>,
    reader: &Reader<'_>,
    messages: &[Doomed],
    at: i64,
) -> Result<(), StoreError> {
    let shared = everywhere.shared;
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
    let mut by_bucket: BTreeMap<(ChannelId, u32), Vec<MessageId>> = BTreeMap::new();
    for Doomed { channel_id, message_id, .. } in messages.iter().copied() {
        by_bucket.entry((channel_id, bucket_of(message_id))).or_default().push(message_id);
    }
    for ((channel_id, _), message_ids) in by_bucket {
        rows.extend(hanging_on(everywhere, reader, channel_id, &message_ids, at).await?);
        let files = files(everywhere, channel_id, &message_ids).await?;
        jobs.extend(removals(shared, &files, at)?);
        rows.extend(files.iter().map(|file| tables.attachments.delete(file, at)));
    }
    let index = messages.iter().filter_map(|message| {
        let author_id = message.indexed_by?;
        Some(tables.messages_by_author.delete(author_id, message.message_id, message.channel_id, at))
    });
    // The notes first and the index last: a process that dies in between leaves enough for the next one to go on.
    everywhere.write(jobs).await?;
    days.into_iter().for_each(|day| shared.known_days.note(day));
    everywhere.write(rows).await?;
    everywhere.write(index.collect()).await?;
    Counters::add(&shared.calls.counters.purged_rows, messages.len() as u64);
    Ok(())
}

/// The files of messages, whoever has them: their rows alone lead to their objects.
async fn files(
    everywhere: &Everywhere<'_>,
    channel_id: ChannelId,
    message_ids: &[MessageId],
) -> Result<Vec<AttachmentRow>, StoreError> {
    let mut files: HashMap<(MessageId, AttachmentId), AttachmentRow> = HashMap::new();
    for reader in everywhere.readers() {
        let found = everywhere.shared.tables.attachments.of_at(reader, channel_id, message_ids).await?;
        files.extend(found.into_iter().map(|file| ((file.message_id, file.id), file)));
    }
    Ok(files.into_values().collect())
}

/// Counts and pins of messages of a bucket: no tombstone where there is nothing.
async fn hanging_on(
    everywhere: &Everywhere<'_>,
    reader: &Reader<'_>,
    channel_id: ChannelId,
    message_ids: &[MessageId],
    at: i64,
) -> Result<Vec<Mutation>, StoreError> {
    let tables = &everywhere.shared.tables;
    let (Some(oldest), Some(newest)) = (message_ids.iter().min(), message_ids.iter().max()) else {
        return Ok(Vec::new());
    };
    let (counted, pins) = tokio::try_join!(
        tables.reaction_counts.messages_between(reader, channel_id, *oldest, *newest),
        tables.pins.of_at(reader, channel_id)
    )?;
    let counted: HashSet<MessageId> = counted.into_iter().collect();
    let pinned: HashSet<MessageId> = pins.into_iter().map(|pin| pin.message_id).collect();
    let counts = message_ids.iter().filter(|id| counted.contains(id));
    let counts = counts.map(|id| tables.reaction_counts.delete_of_message(channel_id, *id, at));
    let pins = message_ids.iter().filter(|id| pinned.contains(id)).map(|id| tables.pins.delete(channel_id, *id, at));
    Ok(counts.chain(pins).collect())
}
