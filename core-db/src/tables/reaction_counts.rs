//! `reaction_counts`: how often each emoji stands on a message, `((channel_id, message_id), emoji)`.

use rookery_model::message::ReactionEmoji;
use rookery_model::store::ReactionCountRow;
use rookery_model::{ChannelId, MessageId};

use super::{Sink, Table, View};
use crate::key::{Key, check_text};
use crate::{StoreError, row};

/// All counts of a channel.
pub fn channel_prefix(channel_id: ChannelId) -> Key {
    Key::of(Table::ReactionCounts).id(channel_id.get())
}

/// All counts of a message.
pub fn message_prefix(channel_id: ChannelId, message_id: MessageId) -> Key {
    channel_prefix(channel_id).id(message_id.get())
}

/// The key of one emoji's count.
pub fn key(channel_id: ChannelId, message_id: MessageId, emoji: &ReactionEmoji) -> Result<Key, StoreError> {
    let text = emoji.key();
    check_text("an emoji", &text)?;
    Ok(message_prefix(channel_id, message_id).text(&text))
}

pub fn put(sink: &mut impl Sink, count: &ReactionCountRow) -> Result<(), StoreError> {
    sink.put(Table::ReactionCounts, key(count.channel_id, count.message_id, &count.emoji)?, row::encode(count)?);
    Ok(())
}

pub fn delete(
    sink: &mut impl Sink,
    channel_id: ChannelId,
    message_id: MessageId,
    emoji: &ReactionEmoji,
) -> Result<(), StoreError> {
    sink.delete(Table::ReactionCounts, key(channel_id, message_id, emoji)?);
    Ok(())
}

/// The counts of messages, those of a message together in the order in which the emojis first came.
pub fn of(
    view: &impl View,
    channel_id: ChannelId,
    message_ids: &[MessageId],
) -> Result<Vec<ReactionCountRow>, StoreError> {
    let mut counts = Vec::new();
    for message_id in message_ids {
        let begin = counts.len();
        for (key, bytes) in view.scan(Table::ReactionCounts, &message_prefix(channel_id, *message_id), usize::MAX)? {
            counts.push(row::decode::<ReactionCountRow>(Table::ReactionCounts, &key, &bytes)?);
        }
        counts[begin..].sort_by_key(|count| count.first_at);
    }
    Ok(counts)
}
