//! `reactions`: who reacted with what, `((channel_id, message_id), emoji, user_id)`.

use rookery_model::message::ReactionEmoji;
use rookery_model::store::ReactionRow;
use rookery_model::{ChannelId, MessageId, UserId};

use super::{Sink, Table, View, reaction_counts};
use crate::engine::OwnReaction;
use crate::key::{Key, Parts, check_text};
use crate::{StoreError, row};

/// All reactions of a channel.
pub fn channel_prefix(channel_id: ChannelId) -> Key {
    Key::of(Table::Reactions).id(channel_id.get())
}

/// All reactions of a message.
pub fn message_prefix(channel_id: ChannelId, message_id: MessageId) -> Key {
    channel_prefix(channel_id).id(message_id.get())
}

/// All reactions of a message with one emoji.
pub fn emoji_prefix(channel_id: ChannelId, message_id: MessageId, emoji: &ReactionEmoji) -> Result<Key, StoreError> {
    let text = emoji.key();
    check_text("an emoji", &text)?;
    Ok(message_prefix(channel_id, message_id).text(&text))
}

fn key(reaction: &ReactionRow) -> Result<Key, StoreError> {
    let prefix = emoji_prefix(reaction.channel_id, reaction.message_id, &reaction.emoji)?;
    Ok(prefix.id(reaction.user_id.get()))
}

pub fn put(sink: &mut impl Sink, reaction: &ReactionRow) -> Result<(), StoreError> {
    sink.put(Table::Reactions, key(reaction)?, row::encode(&reaction.emoji)?);
    Ok(())
}

pub fn delete(sink: &mut impl Sink, reaction: &ReactionRow) -> Result<(), StoreError> {
    sink.delete(Table::Reactions, key(reaction)?);
    Ok(())
}

/// Where a page of users above one begins: the last key not in it.
pub fn page_start(prefix: &Key, after: Option<UserId>) -> Option<Key> {
    after.map(|user_id| prefix.clone().id(user_id.get()))
}

/// The user of a key under an emoji's prefix.
pub fn user(key: &[u8], prefix: &Key) -> Result<UserId, StoreError> {
    let id = Parts::after(key, prefix).and_then(|mut parts| parts.id());
    id.map(UserId::new).ok_or_else(|| row::corrupt(Table::Reactions, key, "key without a user"))
}

/// Which emojis a user has on messages: a look-up for each emoji that the counts know.
pub fn own(
    view: &impl View,
    channel_id: ChannelId,
    message_ids: &[MessageId],
    user_id: UserId,
) -> Result<Vec<OwnReaction>, StoreError> {
    let mut own = Vec::new();
    for count in reaction_counts::of(view, channel_id, message_ids)? {
        let key = emoji_prefix(channel_id, count.message_id, &count.emoji)?.id(user_id.get());
        if view.get(Table::Reactions, &key)?.is_some() {
            own.push(OwnReaction { message_id: count.message_id, emoji: count.emoji });
        }
    }
    Ok(own)
}
