//! `messages_by_author`: where a user's messages are, newest first; for erasure.

use rookery_model::{ChannelId, MessageId, UserId};

use super::prelude::*;

row! { author_id: i64, message_id: i64, channel_id: i64 }

/// The table's statements.
pub struct MessagesByAuthor {
    put: Statement,
    delete: Statement,
    delete_between: Statement,
    below: Statement,
}

impl MessagesByAuthor {
    pub async fn prepare(preparer: Preparer<'_>) -> Result<Self, OpenError> {
        let table = preparer.table(Table::MessagesByAuthor);
        let (put, delete, delete_between, below) = tokio::try_join!(
            table.insert(Row::COLUMNS),
            table.delete("author_id = ? AND message_id = ? AND channel_id = ?"),
            table.delete("author_id = ? AND message_id >= ? AND message_id <= ?"),
            table.select(&["channel_id", "message_id"], "author_id = ? AND message_id < ? LIMIT ?"),
        )?;
        Ok(Self { put, delete, delete_between, below })
    }

    pub fn put(&self, author_id: UserId, message_id: MessageId, channel_id: ChannelId, at: i64) -> Mutation {
        let row = Row { author_id: big(author_id), message_id: big(message_id), channel_id: big(channel_id) };
        self.put.with(Partition::Of(author_id.get(), 0), row.at(at))
    }

    pub fn delete(&self, author_id: UserId, message_id: MessageId, channel_id: ChannelId, at: i64) -> Mutation {
        let values = (at, big(author_id), big(message_id), big(channel_id));
        self.delete.with(Partition::Of(author_id.get(), 0), values)
    }

    /// Removes a user's rows between two messages, both included: one tombstone, however many there are.
    pub fn delete_between(&self, author_id: UserId, oldest: MessageId, newest: MessageId, at: i64) -> Mutation {
        let values = (at, big(author_id), big(oldest), big(newest));
        self.delete_between.with(Partition::Of(author_id.get(), 0), values)
    }

    /// A user's messages below an id, newest first.
    pub async fn below(
        &self,
        calls: &Calls,
        author_id: UserId,
        before: Option<MessageId>,
        limit: i32,
    ) -> Result<Vec<(ChannelId, MessageId)>, StoreError> {
        let values = (big(author_id), before.map_or(i64::MAX, bound), limit);
        let rows: Vec<(i64, i64)> = calls.all_rows(&self.below, values).await?;
        Ok(rows.into_iter().map(|(channel_id, message_id)| (id(channel_id), id(message_id))).collect())
    }
}
