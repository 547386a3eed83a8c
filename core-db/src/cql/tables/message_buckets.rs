//! `message_buckets`: which buckets of a channel hold messages, newest first.

use rookery_model::ChannelId;

use super::prelude::*;
use crate::cql::purge::Reader;

row! { channel_id: i64, bucket: i32 }

/// The table's statements.
pub struct MessageBuckets {
    put: Statement,
    delete: Statement,
    of: Statement,
}

impl MessageBuckets {
    pub async fn prepare(preparer: Preparer<'_>) -> Result<Self, OpenError> {
        let table = preparer.table(Table::MessageBuckets);
        let (put, delete, of) = tokio::try_join!(
            table.insert(Row::COLUMNS),
            table.delete("channel_id = ? AND bucket = ?"),
            table.select(&["bucket"], "channel_id = ?"),
        )?;
        Ok(Self { put, delete, of })
    }

    pub fn put(&self, channel_id: ChannelId, bucket: u32, at: i64) -> Mutation {
        let row = Row { channel_id: big(channel_id), bucket: bucket.cast_signed() };
        self.put.with(Partition::Of(channel_id.get(), 0), row.at(at))
    }

    pub fn delete(&self, channel_id: ChannelId, bucket: u32, at: i64) -> Mutation {
        self.delete.with(Partition::Of(channel_id.get(), 0), (at, big(channel_id), bucket.cast_signed()))
    }

    /// The buckets of a channel, newest first; thirty-six a year.
    pub async fn of(&self, calls: &Calls, channel_id: ChannelId) -> Result<Vec<u32>, StoreError> {
        self.of_at(&Reader::here(calls), channel_id).await
    }

    /// Likewise, as somebody sees them.
    pub async fn of_at(&self, reader: &Reader<'_>, channel_id: ChannelId) -> Result<Vec<u32>, StoreError> {
        let rows: Vec<(i32,)> = reader.rows(&self.of, (big(channel_id),)).await?;
        Ok(rows.into_iter().map(|(bucket,)| bucket.cast_unsigned()).collect())
    }
}
