//! `attachments`: the files of messages, `((channel_id, bucket), message_id DESC, attachment_id)`.

use std::collections::BTreeMap;
use std::ops::Range;

use futures_util::{StreamExt as _, TryStreamExt as _};
use rookery_model::store::AttachmentRow;
use rookery_model::{ChannelId, MessageId};

use super::prelude::*;
use crate::bucket::bucket_of;
use crate::cql::damage::Decoded;
use crate::cql::purge::Reader;
use crate::tables::attachments::check;

row! {
    channel_id: i64,
    bucket: i32,
    message_id: i64,
    attachment_id: i64,
    author_id: i64,
    filename: String,
    content_type: Option<String>,
    size_bytes: i64,
    object_key: String,
}

/// How many messages one query names; ScyllaDB takes a hundred.
const MESSAGES_MAX: usize = 100;
/// How many such queries are under way at a time.
const CONCURRENT: usize = 16;

/// The table's statements.
pub struct Attachments {
    put: Statement,
    delete: Statement,
    delete_bucket: Statement,
    of: Statement,
    between: Statement,
}

impl Attachments {
    pub async fn prepare(preparer: Preparer<'_>) -> Result<Self, OpenError> {
        let table = preparer.table(Table::Attachments);
        let (put, delete, delete_bucket, of, between) = tokio::try_join!(
            table.insert(Row::COLUMNS),
            table.delete("channel_id = ? AND bucket = ? AND message_id = ? AND attachment_id = ?"),
            table.delete("channel_id = ? AND bucket = ?"),
            table.select(Row::COLUMNS, "channel_id = ? AND bucket = ? AND message_id IN ?"),
            table.select(Row::COLUMNS, "channel_id = ? AND bucket = ? AND message_id >= ? AND message_id < ?"),
        )?;
        Ok(Self { put, delete, delete_bucket, of, between })
    }

    pub fn put(&self, attachment: &AttachmentRow, at: i64) -> Result<Mutation, StoreError> {
        check(attachment)?;
        let AttachmentRow { channel_id, message_id, id, author_id, filename, content_type, size_bytes, object_key } =
            attachment;
        let bucket = bucket_of(*message_id);
        let row = Row {
            channel_id: big(*channel_id),
            bucket: bucket.cast_signed(),
            message_id: big(*message_id),
            attachment_id: big(*id),
            author_id: big(*author_id),
            filename: filename.clone(),
            content_type: content_type.clone(),
            size_bytes: size_bytes.cast_signed(),
            object_key: object_key.clone(),
        };
        let bytes = filename.len() + object_key.len() + content_type.as_ref().map_or(0, String::len);
        self.put.with_sized(Partition::Of(channel_id.get(), bucket.into()), bytes, row.at(at))
    }

    pub fn delete(&self, attachment: &AttachmentRow, at: i64) -> Mutation {
        let AttachmentRow { channel_id, message_id, .. } = attachment;
        let bucket = bucket_of(*message_id);
        let values = (at, big(*channel_id), bucket.cast_signed(), big(*message_id), big(attachment.id));
        self.delete.with(Partition::Of(channel_id.get(), bucket.into()), values)
    }

    /// Removes those of a bucket.
    pub fn delete_bucket(&self, channel_id: ChannelId, bucket: u32, at: i64) -> Mutation {
        let partition = Partition::Of(channel_id.get(), bucket.into());
        self.delete_bucket.with(partition, (at, big(channel_id), bucket.cast_signed()))
    }

    /// The files of messages, those of a message by id.
    pub async fn of(
        &self,
        calls: &Calls,
        channel_id: ChannelId,
        message_ids: &[MessageId],
    ) -> Result<Vec<AttachmentRow>, StoreError> {
        let rows = self.rows(&Reader::here(calls), channel_id, message_ids).await?;
        calls.understood(&self.of, rows, |row| Ok(attachment(row)))
    }

    /// Likewise, as somebody sees them.
    pub async fn of_at(
        &self,
        reader: &Reader<'_>,
        channel_id: ChannelId,
        message_ids: &[MessageId],
    ) -> Result<Vec<AttachmentRow>, StoreError> {
        let rows = self.rows(reader, channel_id, message_ids).await?;
        reader.calls().understood(&self.of, rows, |row| Ok(attachment(row)))
    }

    async fn rows(
        &self,
        reader: &Reader<'_>,
        channel_id: ChannelId,
        message_ids: &[MessageId],
    ) -> Result<Vec<Decoded<Row, 4>>, StoreError> {
        let mut by_bucket: BTreeMap<u32, Vec<i64>> = BTreeMap::new();
        for message_id in message_ids {
            by_bucket.entry(bucket_of(*message_id)).or_default().push(big(*message_id));
        }
        let chunks = |(bucket, ids): (u32, Vec<i64>)| {
            ids.chunks(MESSAGES_MAX).map(|ids| (bucket, ids.to_vec())).collect::<Vec<_>>()
        };
        let queries: Vec<(u32, Vec<i64>)> = by_bucket.into_iter().flat_map(chunks).collect();
        let rows: Vec<Vec<Decoded<Row, 4>>> = futures_util::stream::iter(queries)
            .map(|(bucket, ids)| reader.rows(&self.of, (big(channel_id), bucket.cast_signed(), ids)))
            .buffered(CONCURRENT)
            .try_collect()
            .await?;
        Ok(rows.into_iter().flatten().collect())
    }

    /// The files of some messages of a bucket.
    pub async fn between(
        &self,
        reader: &Reader<'_>,
        (channel_id, bucket): (ChannelId, u32),
        messages: Range<i64>,
    ) -> Result<Vec<AttachmentRow>, StoreError> {
        let values = (big(channel_id), bucket.cast_signed(), messages.start, messages.end);
        let rows: Vec<Decoded<Row, 4>> = reader.rows(&self.between, values).await?;
        reader.calls().understood(&self.between, rows, |row| Ok(attachment(row)))
    }
}

pub fn attachment(row: Row) -> AttachmentRow {
    AttachmentRow {
        channel_id: id(row.channel_id),
        message_id: id(row.message_id),
        id: id(row.attachment_id),
        author_id: id(row.author_id),
        filename: row.filename,
        content_type: row.content_type,
        size_bytes: row.size_bytes.cast_unsigned(),
        object_key: row.object_key,
    }
}
