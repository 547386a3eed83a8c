//! `message_edits`: what messages held until they were edited, `((channel_id, bucket), message_id DESC, edited_at_us DESC)`.

use rookery_model::store::MessageEditRow;
use rookery_model::{ChannelId, MessageId};

use super::prelude::*;
use crate::bucket::bucket_of;
use crate::cql::damage::Decoded;

row! {
    channel_id: i64,
    bucket: i32,
    message_id: i64,
    edited_at_us: i64,
    author_id: i64,
    content: String,
    attachments: Blank<Vec<u8>>,
    embeds: Blank<Vec<u8>>,
}

/// The table's statements.
pub struct MessageEdits {
    put: Statement,
    delete_of_message: Statement,
    delete_bucket: Statement,
    of: Statement,
}

impl MessageEdits {
    pub async fn prepare(preparer: Preparer<'_>) -> Result<Self, OpenError> {
        let table = preparer.table(Table::MessageEdits);
        let (put, delete_of_message, delete_bucket, of) = tokio::try_join!(
            table.insert(Row::COLUMNS),
            table.delete("channel_id = ? AND bucket = ? AND message_id = ?"),
            table.delete("channel_id = ? AND bucket = ?"),
            table.select(Row::COLUMNS, "channel_id = ? AND bucket = ? AND message_id = ? LIMIT ?"),
        )?;
        Ok(Self { put, delete_of_message, delete_bucket, of })
    }

    pub fn put(&self, edit: &MessageEditRow, at: i64) -> Result<Mutation, StoreError> {
        let MessageEditRow { channel_id, message_id, edited_at, author_id, content, attachments, embeds } = edit;
        let bucket = bucket_of(*message_id);
        let row = Row {
            channel_id: big(*channel_id),
            bucket: bucket.cast_signed(),
            message_id: big(*message_id),
            edited_at_us: edited_at.0,
            author_id: big(*author_id),
            content: content.clone(),
            attachments: nested((!attachments.is_empty()).then_some(attachments))?,
            embeds: nested((!embeds.is_empty()).then_some(embeds))?,
        };
        let blob = |blob: &Blank<Vec<u8>>| blob.0.as_ref().map_or(0, Vec::len);
        let bytes = row.content.len() + blob(&row.attachments) + blob(&row.embeds);
        self.put.with_sized(Partition::Of(channel_id.get(), bucket.into()), bytes, row.at(at))
    }

    pub fn delete_of_message(&self, channel_id: ChannelId, message_id: MessageId, at: i64) -> Mutation {
        let bucket = bucket_of(message_id);
        let values = (at, big(channel_id), bucket.cast_signed(), big(message_id));
        self.delete_of_message.with(Partition::Of(channel_id.get(), bucket.into()), values)
    }

    /// Removes those of a bucket.
    pub fn delete_bucket(&self, channel_id: ChannelId, bucket: u32, at: i64) -> Mutation {
        let partition = Partition::Of(channel_id.get(), bucket.into());
        self.delete_bucket.with(partition, (at, big(channel_id), bucket.cast_signed()))
    }

    /// What a message held, newest first.
    pub async fn of(
        &self,
        calls: &Calls,
        channel_id: ChannelId,
        message_id: MessageId,
        limit: i32,
    ) -> Result<Vec<MessageEditRow>, StoreError> {
        let values = (big(channel_id), bucket_of(message_id).cast_signed(), big(message_id), limit);
        let rows: Vec<Decoded<Row, 4>> = calls.rows(&self.of, values).await?;
        calls.understood(&self.of, rows, edit)
    }
}

pub fn edit(row: Row) -> Result<MessageEditRow, StoreError> {
    let key = [row.channel_id, row.bucket.into(), row.message_id, row.edited_at_us];
    let nested = |reason: String| corrupt(Table::MessageEdits, &key, reason);
    Ok(MessageEditRow {
        channel_id: id(row.channel_id),
        message_id: id(row.message_id),
        edited_at: Timestamp(row.edited_at_us),
        author_id: id(row.author_id),
        attachments: unnested("attachments", &row.attachments).map_err(nested)?.unwrap_or_default(),
        embeds: unnested("embeds", &row.embeds).map_err(nested)?.unwrap_or_default(),
        content: row.content,
    })
}
