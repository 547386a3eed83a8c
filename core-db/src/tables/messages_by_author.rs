//! `messages_by_author`: where a user's messages are, newest first; for erasure.

use rookery_model::{ChannelId, MessageId, UserId};

use super::{Sink, Table, marker};
use crate::key::{Key, Parts};
use crate::{StoreError, row};

/// All messages of a user.
pub fn prefix(author_id: UserId) -> Key {
    Key::of(Table::MessagesByAuthor).id(author_id.get())
}

fn key(author_id: UserId, id: MessageId, channel_id: ChannelId) -> Key {
    prefix(author_id).newest_first(id.get()).id(channel_id.get())
}

pub fn put(sink: &mut impl Sink, author_id: UserId, id: MessageId, channel_id: ChannelId) {
    sink.put(Table::MessagesByAuthor, key(author_id, id, channel_id), marker());
}

pub fn delete(sink: &mut impl Sink, author_id: UserId, id: MessageId, channel_id: ChannelId) {
    sink.delete(Table::MessagesByAuthor, key(author_id, id, channel_id));
}

/// Where a page of messages below an id begins: nothing up to this key is in it.
pub fn page_start(author_id: UserId, before: Option<MessageId>) -> Option<Key> {
    before.map(|id| prefix(author_id).newest_first(id.get()).id(u64::MAX))
}

/// The ids that a key holds.
pub fn ids(key: &[u8]) -> Result<(ChannelId, MessageId), StoreError> {
    let read = || {
        let mut parts = Parts::of(key, Table::MessagesByAuthor)?;
        parts.id()?;
        let message = parts.newest_first()?;
        Some((ChannelId::new(parts.id()?), MessageId::new(message)))
    };
    read().ok_or_else(|| row::corrupt(Table::MessagesByAuthor, key, "key without its ids"))
}
