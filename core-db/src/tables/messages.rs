//! `messages`: `((channel_id, bucket), message_id DESC)`.
//!
//! A bucket follows from the id and grows with it, so one scan over a channel walks the buckets newest first.

use fjall::Slice;
use rookery_model::message::{MessageFlags, MessageRow, MessageType};
use rookery_model::{ApplicationId, ChannelId, MessageId, Timestamp, UserId, WebhookId};

use super::{Change, Sink, Table, View, message_buckets, messages_by_author};
use crate::StoreError;
use crate::bucket::bucket_of;
use crate::key::{Key, Parts};
use crate::row::{self, ColumnError, ColumnReader, Columns};

/// Column numbers are on disk: never change one, never use one again.
mod column {
    pub const AUTHOR_ID: u8 = 1;
    pub const KIND: u8 = 2;
    pub const CONTENT: u8 = 3;
    pub const EDITED_TIMESTAMP: u8 = 4;
    /// Bits: 1 text to speech, 2 mentions everyone, 4 pinned.
    pub const MARKS: u8 = 5;
    pub const MENTION_USERS: u8 = 6;
    pub const MENTION_ROLES: u8 = 7;
    pub const ATTACHMENTS: u8 = 8;
    pub const EMBEDS: u8 = 9;
    pub const FLAGS: u8 = 10;
    pub const MESSAGE_REFERENCE: u8 = 11;
    pub const APPLICATION_ID: u8 = 12;
    pub const WEBHOOK_ID: u8 = 13;
    pub const NONCE: u8 = 14;
    pub const CALL: u8 = 15;
}

const MARK_TTS: u64 = 1;
const MARK_EVERYONE: u64 = 2;
const MARK_PINNED: u64 = 4;

/// All messages of a channel.
pub fn prefix(channel_id: ChannelId) -> Key {
    Key::of(Table::Messages).id(channel_id.get())
}

/// The key of a message.
pub fn key(channel_id: ChannelId, id: MessageId) -> Key {
    prefix(channel_id).bucket(bucket_of(id)).newest_first(id.get())
}

/// The ids that a key holds.
pub fn ids(key: &[u8]) -> Result<(ChannelId, MessageId), StoreError> {
    let read = || {
        let mut parts = Parts::of(key, Table::Messages)?;
        let channel_id = parts.id()?;
        parts.bucket()?;
        Some((ChannelId::new(channel_id), MessageId::new(parts.newest_first()?)))
    };
    read().ok_or_else(|| row::corrupt(Table::Messages, key, "key without its ids"))
}

/// Puts a message with its rows in the two indexes.
pub fn put(sink: &mut impl Sink, message: &MessageRow) -> Result<(), StoreError> {
    sink.put(Table::Messages, key(message.channel_id, message.id), encode(message)?);
    messages_by_author::put(sink, message.author_id, message.id, message.channel_id);
    sink.change(Change::Bucket(message_buckets::key(message.channel_id, bucket_of(message.id))));
    Ok(())
}

pub fn get(view: &impl View, channel_id: ChannelId, id: MessageId) -> Result<Option<MessageRow>, StoreError> {
    let key = key(channel_id, id);
    let row = view.get(Table::Messages, &key)?;
    row.map(|bytes| decode(key.as_bytes(), &bytes)).transpose()
}

fn encode(message: &MessageRow) -> Result<Slice, StoreError> {
    // Every field by name: a new one does not compile until it is stored.
    let MessageRow {
        channel_id: _,
        id: _,
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
    let mark = |set: bool, bit: u64| if set { bit } else { 0 };
    let mut row = Columns::new();
    row.number(column::AUTHOR_ID, author_id.get());
    row.number(column::KIND, u8::from(*kind).into());
    row.text(column::CONTENT, content);
    row.some_number(column::EDITED_TIMESTAMP, edited_timestamp.map(|at| at.0.cast_unsigned()));
    row.number(
        column::MARKS,
        mark(*tts, MARK_TTS) | mark(*mention_everyone, MARK_EVERYONE) | mark(*pinned, MARK_PINNED),
    );
    row.ids(column::MENTION_USERS, mention_users.iter().map(|id| id.get()));
    row.ids(column::MENTION_ROLES, mention_roles.iter().map(|id| id.get()));
    row.nested(column::ATTACHMENTS, (!attachments.is_empty()).then_some(attachments))?;
    row.nested(column::EMBEDS, (!embeds.is_empty()).then_some(embeds))?;
    row.number(column::FLAGS, flags.bits());
    row.nested(column::MESSAGE_REFERENCE, message_reference.as_ref())?;
    row.some_number(column::APPLICATION_ID, application_id.map(ApplicationId::get));
    row.some_number(column::WEBHOOK_ID, webhook_id.map(WebhookId::get));
    row.nested(column::NONCE, nonce.as_ref())?;
    row.nested(column::CALL, call.as_ref())?;
    row.finish()
}

/// Reads a message out of its key and row.
pub fn decode(key: &[u8], bytes: &[u8]) -> Result<MessageRow, StoreError> {
    let (channel_id, id) = ids(key)?;
    let columns = ColumnReader::new(Table::Messages, key, bytes)?;
    read(channel_id, id, columns).map_err(|reason| row::corrupt(Table::Messages, key, reason))
}

fn read(channel_id: ChannelId, id: MessageId, mut columns: ColumnReader<'_>) -> Result<MessageRow, ColumnError> {
    let mut message = MessageRow {
        channel_id,
        id,
        author_id: UserId::default(),
        kind: MessageType::Default,
        content: String::new(),
        edited_timestamp: None,
        tts: false,
        mention_everyone: false,
        mention_users: Vec::new(),
        mention_roles: Vec::new(),
        attachments: Vec::new(),
        embeds: Vec::new(),
        flags: MessageFlags::empty(),
        pinned: false,
        message_reference: None,
        application_id: None,
        webhook_id: None,
        nonce: None,
        call: None,
    };
    while let Some((column, value)) = columns.next()? {
        match column {
            column::AUTHOR_ID => message.author_id = UserId::new(row::number(value)?),
            column::KIND => message.kind = kind(value)?,
            column::CONTENT => message.content = row::text(value)?,
            column::EDITED_TIMESTAMP => {
                message.edited_timestamp = Some(Timestamp(row::number(value)?.cast_signed()));
            }
            column::MARKS => {
                let marks = row::number(value)?;
                message.tts = marks & MARK_TTS != 0;
                message.mention_everyone = marks & MARK_EVERYONE != 0;
                message.pinned = marks & MARK_PINNED != 0;
            }
            column::MENTION_USERS => message.mention_users = row::ids(value)?,
            column::MENTION_ROLES => message.mention_roles = row::ids(value)?,
            column::ATTACHMENTS => message.attachments = row::nested(value)?,
            column::EMBEDS => message.embeds = row::nested(value)?,
            column::FLAGS => message.flags = MessageFlags::from_bits_retain(row::number(value)?),
            column::MESSAGE_REFERENCE => message.message_reference = Some(row::nested(value)?),
            column::APPLICATION_ID => message.application_id = Some(ApplicationId::new(row::number(value)?)),
            column::WEBHOOK_ID => message.webhook_id = Some(WebhookId::new(row::number(value)?)),
            column::NONCE => message.nonce = Some(row::nested(value)?),
            column::CALL => message.call = Some(row::nested(value)?),
            // A later version's column.
            _ => {}
        }
    }
    Ok(message)
}

fn kind(value: &[u8]) -> Result<MessageType, ColumnError> {
    let number = u8::try_from(row::number(value)?).map_err(|_| "a message type is out of range")?;
    MessageType::try_from(number).map_err(|_| "an unknown message type")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rookery_model::embed::Embed;
    use rookery_model::message::{Attachment, MessageCall, MessageReference, Nonce};
    use rookery_model::{AttachmentId, RoleId};

    fn full() -> MessageRow {
        MessageRow {
            channel_id: ChannelId::new(5),
            id: MessageId::new(1 << 40),
            author_id: UserId::new(7),
            kind: MessageType::Reply,
            content: "hello 🦀".into(),
            edited_timestamp: Some(Timestamp(-5)),
            tts: true,
            mention_everyone: false,
            mention_users: vec![UserId::new(1), UserId::new(u64::MAX)],
            mention_roles: vec![RoleId::new(2)],
            attachments: vec![Attachment {
                id: AttachmentId::new(3),
                filename: "a.png".into(),
                description: None,
                content_type: Some("image/png".into()),
                size: 9,
                url: "u".into(),
                proxy_url: "p".into(),
                width: Some(1),
                height: None,
            }],
            embeds: vec![Embed { title: Some("t".into()), timestamp: Some(Timestamp(1)), ..Embed::default() }],
            flags: MessageFlags::from_bits_retain(1 << 60),
            pinned: true,
            message_reference: Some(MessageReference {
                kind: 0,
                message_id: Some(MessageId::new(4)),
                channel_id: None,
                guild_id: None,
            }),
            application_id: Some(ApplicationId::new(11)),
            webhook_id: Some(WebhookId::new(0)),
            nonce: Some(Nonce::Integer(-3)),
            call: Some(MessageCall { participants: vec![UserId::new(7)], ended_timestamp: Some(Timestamp(9)) }),
        }
    }

    #[test]
    fn every_field_comes_back() {
        let message = full();
        let key = key(message.channel_id, message.id);
        assert_eq!(decode(key.as_bytes(), &encode(&message).unwrap()), Ok(message));
    }

    #[test]
    fn columns_of_a_later_version_are_skipped_and_absent_ones_are_defaults() {
        let message = full();
        let key = key(message.channel_id, message.id);
        let mut later = encode(&message).unwrap().to_vec();
        later.extend_from_slice(&[200, 3, b'n', b'e', b'w']);
        assert_eq!(decode(key.as_bytes(), &later), Ok(message));
        let bare = decode(key.as_bytes(), &[1, column::AUTHOR_ID, 1, 7]).unwrap();
        assert_eq!((bare.author_id, bare.kind, bare.content.as_str()), (UserId::new(7), MessageType::Default, ""));
    }

    #[test]
    fn damage_names_table_and_key() {
        let message = full();
        let key = key(message.channel_id, message.id);
        let row = encode(&message).unwrap();
        for cut in 1..row.len() {
            match decode(key.as_bytes(), &row[..cut]) {
                // Cut exactly between two columns it is a row with fewer of them.
                Ok(_) => {}
                Err(StoreError::Corrupt { table, key, .. }) => {
                    assert_eq!((table, &key[..16]), ("messages", "0000000000000005"));
                }
                Err(other) => panic!("{other}"),
            }
        }
    }
}
