//! `messages`: `((channel_id, bucket), message_id DESC)`.

mod page_row;

use rookery_model::message::MessageRow;
use rookery_model::{ChannelId, MessageId, UserId};

pub use self::page_row::PageRow;
use super::prelude::*;
use crate::bucket::bucket_of;
use crate::cql::damage::{Damage, Decoded};
use crate::cql::purge::Reader;

row! {
    channel_id: i64,
    bucket: i32,
    message_id: i64,
    author_id: Blank<i64>,
    kind as "type": Option<i8>,
    content: String,
    edited_timestamp_us: Blank<i64>,
    marks: Option<i8>,
    mention_users: Vec<i64>,
    mention_roles: Vec<i64>,
    attachments: Blank<Vec<u8>>,
    embeds: Blank<Vec<u8>>,
    flags: Blank<i64>,
    message_reference: Blank<Vec<u8>>,
    application_id: Blank<i64>,
    webhook_id: Blank<i64>,
    nonce: Blank<Vec<u8>>,
    deleted: Blank<bool>,
    call: Blank<Vec<u8>>,
}

const MARK_TTS: i8 = 1;
const MARK_EVERYONE: i8 = 2;
const MARK_PINNED: i8 = 4;

/// Which part of a bucket a page reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Ids below one, newest first.
    Below(i64),
    /// Ids above one, oldest first.
    Above(i64),
}

/// What the removal of a channel needs of a message.
#[derive(Debug, scylla::DeserializeRow)]
pub struct Trace {
    message_id: i64,
    author_id: Blank<i64>,
}

impl Trace {
    #[cfg(test)]
    pub fn new(message_id: MessageId, author_id: Option<UserId>) -> Self {
        Self { message_id: big(message_id), author_id: blank_id(author_id) }
    }
    pub fn message_id(&self) -> MessageId {
        id(self.message_id)
    }
    /// None of a message that was deleted before.
    pub fn author_id(&self) -> Option<UserId> {
        id_or_none(self.author_id)
    }
}

/// The table's statements.
pub struct Messages {
    put: Statement,
    delete: Statement,
    delete_bucket: Statement,
    delete_between: Statement,
    get: Statement,
    author: Statement,
    below: Statement,
    above: Statement,
    traces: Statement,
}

impl Messages {
    pub async fn prepare(preparer: Preparer<'_>) -> Result<Self, OpenError> {
        let table = preparer.table(Table::Messages);
        let (put, delete, delete_bucket, delete_between, get, author, below, above, traces) = tokio::try_join!(
            table.insert(Row::COLUMNS),
            table.delete("channel_id = ? AND bucket = ? AND message_id = ?"),
            table.delete("channel_id = ? AND bucket = ?"),
            table.delete("channel_id = ? AND bucket = ? AND message_id >= ? AND message_id <= ?"),
            table.select(Row::COLUMNS, "channel_id = ? AND bucket = ? AND message_id = ?"),
            table.select(&["author_id"], "channel_id = ? AND bucket = ? AND message_id = ?"),
            table.select(Row::COLUMNS, "channel_id = ? AND bucket = ? AND message_id < ? LIMIT ?"),
            table.select(
                Row::COLUMNS,
                "channel_id = ? AND bucket = ? AND message_id > ? ORDER BY message_id ASC LIMIT ?"
            ),
            table.select(&["message_id", "author_id"], "channel_id = ? AND bucket = ? AND message_id < ? LIMIT ?"),
        )?;
        Ok(Self { put, delete, delete_bucket, delete_between, get, author, below, above, traces })
    }

    pub fn put(&self, message: &MessageRow, at: i64) -> Result<Mutation, StoreError> {
        let row = row(message)?;
        let blob = |blob: &Blank<Vec<u8>>| blob.0.as_ref().map_or(0, Vec::len);
        let bytes = row.content.len()
            + (row.mention_users.len() + row.mention_roles.len()) * 12
            + [&row.attachments, &row.embeds, &row.message_reference, &row.nonce, &row.call]
                .into_iter()
                .map(blob)
                .sum::<usize>();
        self.put.with_sized(partition(message.channel_id, message.id), bytes, row.at(at))
    }

    /// The soft mark: an empty row in the place of the message.
    ///
    /// It is a put like any other, so the deletion leaves no tombstone where everybody reads, and an edit that arrives
    /// late, with a lower timestamp, loses column by column.
    pub fn mark_deleted(&self, channel_id: ChannelId, message_id: MessageId, at: i64) -> Mutation {
        let row = Row {
            channel_id: big(channel_id),
            bucket: bucket_of(message_id).cast_signed(),
            message_id: big(message_id),
            author_id: Blank(None),
            kind: Some(0),
            content: String::new(),
            edited_timestamp_us: Blank(None),
            marks: Some(0),
            mention_users: Vec::new(),
            mention_roles: Vec::new(),
            attachments: Blank(None),
            embeds: Blank(None),
            flags: Blank(None),
            message_reference: Blank(None),
            application_id: Blank(None),
            webhook_id: Blank(None),
            nonce: Blank(None),
            deleted: Blank(Some(true)),
            call: Blank(None),
        };
        self.put.with(partition(channel_id, message_id), row.at(at))
    }

    /// Removes a row for good.
    pub fn delete(&self, channel_id: ChannelId, message_id: MessageId, at: i64) -> Mutation {
        let bucket = bucket_of(message_id).cast_signed();
        self.delete.with(partition(channel_id, message_id), (at, big(channel_id), bucket, big(message_id)))
    }

    /// Removes a bucket whole.
    pub fn delete_bucket(&self, channel_id: ChannelId, bucket: u32, at: i64) -> Mutation {
        let partition = Partition::Of(channel_id.get(), bucket.into());
        self.delete_bucket.with(partition, (at, big(channel_id), bucket.cast_signed()))
    }

    /// Removes the rows of one bucket between two, both included: one tombstone, however many there are.
    pub fn delete_between(&self, channel_id: ChannelId, oldest: MessageId, newest: MessageId, at: i64) -> Mutation {
        let bucket = bucket_of(oldest).cast_signed();
        let values = (at, big(channel_id), bucket, big(oldest), big(newest));
        self.delete_between.with(partition(channel_id, oldest), values)
    }

    pub async fn get(
        &self,
        calls: &Calls,
        channel_id: ChannelId,
        id: MessageId,
    ) -> Result<Option<MessageRow>, StoreError> {
        let key = (big(channel_id), bucket_of(id).cast_signed(), big(id));
        let row: Option<Decoded<PageRow, 3>> = calls.row(&self.get, key).await?;
        Ok(match row.map(understood).transpose()? {
            Some(PageRow::Message(message)) => Some(message),
            Some(PageRow::Hidden(_)) | None => None,
        })
    }

    /// Whether there is a row for a message; the inner none is one without an author, a deleted one.
    pub async fn author(
        &self,
        calls: &Calls,
        channel_id: ChannelId,
        message_id: MessageId,
    ) -> Result<Option<Option<UserId>>, StoreError> {
        let key = (big(channel_id), bucket_of(message_id).cast_signed(), big(message_id));
        let row: Option<(Blank<i64>,)> = calls.row(&self.author, key).await?;
        Ok(row.map(|(author_id,)| id_or_none(author_id)))
    }

    /// Hands on rows of one bucket from one side; answers how many there were.
    pub async fn page(
        &self,
        calls: &Calls,
        channel_id: ChannelId,
        bucket: u32,
        side: Side,
        limit: i32,
        mut take: impl FnMut(PageRow),
    ) -> Result<usize, StoreError> {
        let (statement, from) = match side {
            Side::Below(from) => (&self.below, from),
            Side::Above(from) => (&self.above, from),
        };
        let values = (big(channel_id), bucket.cast_signed(), from, limit);
        let mut read = 0;
        let show = |row: Decoded<PageRow, 3>| {
            read += 1;
            match row {
                Decoded::Row(row) => take(row),
                // It only stands where it stands: it must not take the page away.
                Decoded::Damaged(Damage { key, reason }) => {
                    calls.left_out(statement, &key, &reason);
                    take(PageRow::Hidden(id(key[2])));
                }
            }
        };
        calls.each(statement, values, show).await?;
        Ok(read)
    }

    /// The newest rows of a bucket below one, marked ones too.
    pub async fn traces(
        &self,
        reader: &Reader<'_>,
        (channel_id, bucket): (ChannelId, u32),
        below: i64,
        limit: i32,
    ) -> Result<Vec<Trace>, StoreError> {
        reader.rows(&self.traces, (big(channel_id), bucket.cast_signed(), below, limit)).await
    }
}

fn partition(channel_id: ChannelId, message_id: MessageId) -> Partition {
    Partition::Of(channel_id.get(), bucket_of(message_id).into())
}

/// A row that must be understood.
pub fn understood(row: Decoded<PageRow, 3>) -> Result<PageRow, StoreError> {
    match row {
        Decoded::Row(row) => Ok(row),
        Decoded::Damaged(Damage { key, reason }) => Err(corrupt(Table::Messages, &key, reason)),
    }
}

pub fn row(message: &MessageRow) -> Result<Row, StoreError> {
    // Every field by name: a new one does not compile until it is stored.
    let MessageRow {
        channel_id,
        id,
        author_id,
        kind,
        content,
        edited_timestamp,
        tts,
        mention_everyone,
        mention_users,
        mention_roles,
        attachments,
        embeds,
        flags,
        pinned,
        message_reference,
        application_id,
        webhook_id,
        nonce,
        call,
    } = message;
    let mark = |set: bool, bit: i8| if set { bit } else { 0 };
    Ok(Row {
        channel_id: big(*channel_id),
        bucket: bucket_of(*id).cast_signed(),
        message_id: big(*id),
        author_id: Blank(Some(big(*author_id))),
        kind: Some(u8::from(*kind).cast_signed()),
        content: content.clone(),
        edited_timestamp_us: Blank(edited_timestamp.map(|at| at.0)),
        marks: Some(mark(*tts, MARK_TTS) | mark(*mention_everyone, MARK_EVERYONE) | mark(*pinned, MARK_PINNED)),
        mention_users: bigs(mention_users),
        mention_roles: bigs(mention_roles),
        attachments: nested((!attachments.is_empty()).then_some(attachments))?,
        embeds: nested((!embeds.is_empty()).then_some(embeds))?,
        flags: Blank(Some(flags.bits().cast_signed()).filter(|flags| *flags != 0)),
        message_reference: nested(message_reference.as_ref())?,
        application_id: blank_id(*application_id),
        webhook_id: blank_id(*webhook_id),
        nonce: nested(nonce.as_ref())?,
        deleted: Blank(None),
        call: nested(call.as_ref())?,
    })
}
