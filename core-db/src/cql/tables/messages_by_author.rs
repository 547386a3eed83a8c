//! `messages_by_author`: where a user's messages are, `((author_id, bucket), message_id DESC, channel_id)`; for erasure.

use futures_util::{StreamExt as _, TryStreamExt as _};
use rookery_model::{ChannelId, MessageId, Snowflake, UserId};

use super::prelude::*;
use crate::bucket::{BUCKET_SPAN_MS, bucket_of};
use crate::cql::clock::now_ms;
use crate::cql::purge::Reader;

row! { author_id: i64, bucket: i32, message_id: i64, channel_id: i64 }

/// Buckets looked at at a time.
const CONCURRENT: usize = 16;

/// The table's statements.
pub struct MessagesByAuthor {
    put: Statement,
    delete: Statement,
    delete_up_to: Statement,
    delete_bucket: Statement,
    below: Statement,
}

impl MessagesByAuthor {
    pub async fn prepare(preparer: Preparer<'_>) -> Result<Self, OpenError> {
        let table = preparer.table(Table::MessagesByAuthor);
        let (put, delete, delete_up_to, delete_bucket, below) = tokio::try_join!(
            table.insert(Row::COLUMNS),
            table.delete("author_id = ? AND bucket = ? AND message_id = ? AND channel_id = ?"),
            table.delete("author_id = ? AND bucket = ? AND message_id <= ?"),
            table.delete("author_id = ? AND bucket = ?"),
            table.select(&["channel_id", "message_id"], "author_id = ? AND bucket = ? AND message_id < ? LIMIT ?"),
        )?;
        Ok(Self { put, delete, delete_up_to, delete_bucket, below })
    }

    pub fn put(&self, author_id: UserId, message_id: MessageId, channel_id: ChannelId, at: i64) -> Mutation {
        let bucket = bucket_of(message_id);
        let row = Row {
            author_id: big(author_id),
            bucket: bucket.cast_signed(),
            message_id: big(message_id),
            channel_id: big(channel_id),
        };
        self.put.with(Partition::Of(author_id.get(), bucket.into()), row.at(at))
    }

    pub fn delete(&self, author_id: UserId, message_id: MessageId, channel_id: ChannelId, at: i64) -> Mutation {
        let bucket = bucket_of(message_id);
        let values = (at, big(author_id), bucket.cast_signed(), big(message_id), big(channel_id));
        self.delete.with(Partition::Of(author_id.get(), bucket.into()), values)
    }

    /// Removes a user's rows of a bucket up to a message: one tombstone, however many there are.
    pub fn delete_up_to(&self, author_id: UserId, bucket: u32, through: MessageId, at: i64) -> Mutation {
        let partition = Partition::Of(author_id.get(), bucket.into());
        if bucket < bucket_of(through) {
            return self.delete_bucket.with(partition, (at, big(author_id), bucket.cast_signed()));
        }
        self.delete_up_to.with(partition, (at, big(author_id), bucket.cast_signed(), bound(through)))
    }

    /// A user's messages of a bucket below an id, newest first.
    pub async fn below_in(
        &self,
        reader: &Reader<'_>,
        (author_id, bucket): (UserId, u32),
        before: i64,
        limit: i32,
    ) -> Result<Vec<(ChannelId, MessageId)>, StoreError> {
        let values = (big(author_id), bucket.cast_signed(), before, limit);
        let rows: Vec<(i64, i64)> = reader.rows(&self.below, values).await?;
        Ok(rows.into_iter().map(|(channel_id, message_id)| (id(channel_id), id(message_id))).collect())
    }

    /// Which of a user's buckets down from one hold anything, newest first.
    pub async fn buckets(&self, reader: &Reader<'_>, author_id: UserId, newest: u32) -> Result<Vec<u32>, StoreError> {
        let probes = futures_util::stream::iter((0..=newest).rev()).map(|bucket| async move {
            let rows = self.below_in(reader, (author_id, bucket), i64::MAX, 1).await?;
            Ok::<_, StoreError>((!rows.is_empty()).then_some(bucket))
        });
        let found: Vec<Option<u32>> = probes.buffered(CONCURRENT).try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// A user's messages below an id, newest first.
    pub async fn below(
        &self,
        calls: &Calls,
        author_id: UserId,
        before: Option<MessageId>,
        limit: i32,
    ) -> Result<Vec<(ChannelId, MessageId)>, StoreError> {
        // A day more: other clocks than this one made ids too.
        let newest = before.unwrap_or_else(|| MessageId(Snowflake::floor_of_ms(now_ms() + BUCKET_SPAN_MS / 10)));
        // Nobody wrote before there was an id for them, clocks aside.
        let oldest = bucket_of(MessageId(Snowflake(author_id.get()))).saturating_sub(1);
        let (reader, before) = (&Reader::here(calls), before.map_or(i64::MAX, bound));
        let buckets = futures_util::stream::iter((oldest..=bucket_of(newest)).rev());
        let pages = buckets.map(|bucket| self.below_in(reader, (author_id, bucket), before, limit));
        let mut pages = std::pin::pin!(pages.buffered(CONCURRENT));
        let mut found = Vec::new();
        while let Some(page) = pages.try_next().await? {
            found.extend(page);
            if found.len() as i64 >= i64::from(limit) {
                found.truncate(usize::try_from(limit).unwrap_or(0));
                break;
            }
        }
        Ok(found)
    }
}
