//! `reaction_counts`: how often each emoji stands on a message, `((channel_id, bucket), message_id DESC, emoji)`.

use std::collections::{BTreeMap, HashMap};

use futures_util::{StreamExt as _, TryStreamExt as _};
use rookery_model::message::ReactionEmoji;
use rookery_model::store::ReactionCountRow;
use rookery_model::{ChannelId, EmojiId, MessageId};

use super::prelude::*;
use crate::bucket::bucket_of;
use crate::cql::purge::Reader;
use crate::key::check_text;

row! {
    channel_id: i64,
    bucket: i32,
    message_id: i64,
    emoji: String,
    emoji_name: Option<String>,
    emoji_animated: bool,
    count: i32,
    first_at_us: i64,
}

/// How many messages one query names; ScyllaDB takes a hundred.
const MESSAGES_MAX: usize = 100;
/// How many such queries are under way at a time.
const CONCURRENT: usize = 16;

/// The table's statements.
pub struct ReactionCounts {
    put: Statement,
    delete: Statement,
    delete_of_message: Statement,
    delete_bucket: Statement,
    of: Statement,
    between: Statement,
}

impl ReactionCounts {
    pub async fn prepare(preparer: Preparer<'_>) -> Result<Self, OpenError> {
        let table = preparer.table(Table::ReactionCounts);
        let (put, delete, delete_of_message, delete_bucket, of, between) = tokio::try_join!(
            table.insert(Row::COLUMNS),
            table.delete("channel_id = ? AND bucket = ? AND message_id = ? AND emoji = ?"),
            table.delete("channel_id = ? AND bucket = ? AND message_id = ?"),
            table.delete("channel_id = ? AND bucket = ?"),
            table.select(Row::COLUMNS, "channel_id = ? AND bucket = ? AND message_id IN ?"),
            table.select(&["message_id"], "channel_id = ? AND bucket = ? AND message_id >= ? AND message_id <= ?"),
        )?;
        Ok(Self { put, delete, delete_of_message, delete_bucket, of, between })
    }

    pub fn put(&self, count: &ReactionCountRow, at: i64) -> Result<Mutation, StoreError> {
        let ReactionCountRow { channel_id, message_id, emoji, count, first_at } = count;
        let bucket = bucket_of(*message_id);
        let row = Row {
            channel_id: big(*channel_id),
            bucket: bucket.cast_signed(),
            message_id: big(*message_id),
            emoji: emoji_key(emoji)?,
            emoji_name: emoji.name.clone(),
            emoji_animated: emoji.animated,
            count: count.cast_signed(),
            first_at_us: first_at.0,
        };
        Ok(self.put.with(Partition::Of(channel_id.get(), bucket.into()), row.at(at)))
    }

    pub fn delete(
        &self,
        channel_id: ChannelId,
        message_id: MessageId,
        emoji: &ReactionEmoji,
        at: i64,
    ) -> Result<Mutation, StoreError> {
        let bucket = bucket_of(message_id);
        let values = (at, big(channel_id), bucket.cast_signed(), big(message_id), emoji_key(emoji)?);
        Ok(self.delete.with(Partition::Of(channel_id.get(), bucket.into()), values))
    }

    pub fn delete_of_message(&self, channel_id: ChannelId, message_id: MessageId, at: i64) -> Mutation {
        let bucket = bucket_of(message_id);
        let values = (at, big(channel_id), bucket.cast_signed(), big(message_id));
        self.delete_of_message.with(Partition::Of(channel_id.get(), bucket.into()), values)
    }

    /// Removes the counts of a bucket.
    pub fn delete_bucket(&self, channel_id: ChannelId, bucket: u32, at: i64) -> Mutation {
        let partition = Partition::Of(channel_id.get(), bucket.into());
        self.delete_bucket.with(partition, (at, big(channel_id), bucket.cast_signed()))
    }

    /// Which messages of one bucket have counts, between two, both included.
    pub async fn messages_between(
        &self,
        reader: &Reader<'_>,
        channel_id: ChannelId,
        oldest: MessageId,
        newest: MessageId,
    ) -> Result<Vec<MessageId>, StoreError> {
        let values = (big(channel_id), bucket_of(oldest).cast_signed(), big(oldest), big(newest));
        let rows: Vec<(i64,)> = reader.rows(&self.between, values).await?;
        Ok(rows.into_iter().map(|(message_id,)| id(message_id)).collect())
    }

    /// The counts of messages in the order asked for, those of a message in the order in which the emojis first came.
    ///
    /// A page's messages mostly share a bucket: one query.
    pub async fn of(
        &self,
        calls: &Calls,
        channel_id: ChannelId,
        message_ids: &[MessageId],
    ) -> Result<Vec<ReactionCountRow>, StoreError> {
        let mut by_bucket: BTreeMap<u32, Vec<i64>> = BTreeMap::new();
        for message_id in message_ids {
            by_bucket.entry(bucket_of(*message_id)).or_default().push(big(*message_id));
        }
        let queries: Vec<(u32, Vec<i64>)> = by_bucket
            .into_iter()
            .flat_map(|(bucket, ids)| ids.chunks(MESSAGES_MAX).map(|ids| (bucket, ids.to_vec())).collect::<Vec<_>>())
            .collect();
        let rows: Vec<Vec<Row>> = futures_util::stream::iter(queries)
            .map(|(bucket, ids)| calls.all_rows(&self.of, (big(channel_id), bucket.cast_signed(), ids)))
            .buffer_unordered(CONCURRENT)
            .try_collect()
            .await?;
        let mut by_message: HashMap<MessageId, Vec<ReactionCountRow>> = HashMap::new();
        for row in rows.into_iter().flatten() {
            let count = count(row)?;
            by_message.entry(count.message_id).or_default().push(count);
        }
        let mut counts = Vec::new();
        for message_id in message_ids {
            let mut of_message = by_message.get(message_id).cloned().unwrap_or_default();
            of_message.sort_by_key(|count| count.first_at);
            counts.extend(of_message);
        }
        Ok(counts)
    }
}

/// What tells emojis apart, if keys can hold it.
pub(super) fn emoji_key(emoji: &ReactionEmoji) -> Result<String, StoreError> {
    let text = emoji.key();
    check_text("an emoji", &text)?;
    Ok(text)
}

/// An emoji out of its key and what is stored beside it; none if the key is of no emoji.
pub(super) fn emoji(key: &str, name: Option<String>, animated: bool) -> Option<ReactionEmoji> {
    let emoji_id = match key.strip_prefix(':') {
        Some(raw) if !raw.is_empty() => Some(raw.parse::<EmojiId>().ok()?),
        _ => None,
    };
    Some(ReactionEmoji { id: emoji_id, name, animated })
}

pub fn count(row: Row) -> Result<ReactionCountRow, StoreError> {
    let key = [row.channel_id, row.bucket.into(), row.message_id];
    let emoji = emoji(&row.emoji, row.emoji_name, row.emoji_animated);
    Ok(ReactionCountRow {
        channel_id: id(row.channel_id),
        message_id: id(row.message_id),
        emoji: emoji.ok_or_else(|| corrupt(Table::ReactionCounts, &key, "an emoji's id is no id"))?,
        count: row.count.cast_unsigned(),
        first_at: Timestamp(row.first_at_us),
    })
}
