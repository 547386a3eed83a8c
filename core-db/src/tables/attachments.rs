//! `attachments`: the files of messages. A row that goes leaves its object in the outbox, to be removed.

use rookery_model::outbox::{FileRemoval, OutboxPlace, OutboxQueue, OutboxRow};
use rookery_model::store::AttachmentRow;
use rookery_model::{ChannelId, MessageId, Timestamp};

use super::{Pair, Sink, Table, View, outbox};
use crate::key::{Key, check_text};
use crate::{StoreError, row};

/// All files in a channel.
pub fn channel_prefix(channel_id: ChannelId) -> Key {
    Key::of(Table::Attachments).id(channel_id.get())
}

/// All files of a message.
pub fn message_prefix(channel_id: ChannelId, message_id: MessageId) -> Key {
    channel_prefix(channel_id).newest_first(message_id.get())
}

fn key(attachment: &AttachmentRow) -> Key {
    message_prefix(attachment.channel_id, attachment.message_id).id(attachment.id.get())
}

pub fn put(sink: &mut impl Sink, attachment: &AttachmentRow) -> Result<(), StoreError> {
    check(attachment)?;
    sink.put(Table::Attachments, key(attachment), row::encode(attachment)?);
    Ok(())
}

pub fn delete(sink: &mut impl Sink, attachment: &AttachmentRow, now: Timestamp) -> Result<(), StoreError> {
    sink.delete(Table::Attachments, key(attachment));
    outbox::put(sink, &removal(attachment, now)?)
}

/// Deletes stored rows; the object of a damaged one cannot be told, and stays.
pub fn delete_rows(sink: &mut impl Sink, rows: &[Pair]) -> Result<(), StoreError> {
    let now = outbox::now();
    for (key, bytes) in rows {
        sink.delete(Table::Attachments, Key::stored(key));
        if let Ok(attachment) = row::decode::<AttachmentRow>(Table::Attachments, key, bytes) {
            outbox::put(sink, &removal(&attachment, now)?)?;
        }
    }
    Ok(())
}

/// The work that a row leaves behind.
pub fn removal(attachment: &AttachmentRow, queued_at: Timestamp) -> Result<OutboxRow, StoreError> {
    let removal = FileRemoval {
        channel_id: attachment.channel_id,
        message_id: attachment.message_id,
        attachment_id: attachment.id,
        object_key: attachment.object_key.clone(),
    };
    let mut work = Vec::with_capacity(128);
    ciborium::into_writer(&removal, &mut work).map_err(|error| StoreError::Invalid(error.to_string()))?;
    Ok(OutboxRow { queue: OutboxQueue::Files, place: OutboxPlace { queued_at, id: attachment.id.get() }, work })
}

/// Refuses a name of an object that the outbox could not hold one day.
pub fn check(attachment: &AttachmentRow) -> Result<(), StoreError> {
    check_text("the name of an object", &attachment.object_key)
}

/// Deletes the files of a message.
pub fn delete_of_message(
    view: &impl View,
    channel_id: ChannelId,
    message_id: MessageId,
    sink: &mut impl Sink,
) -> Result<(), StoreError> {
    delete_rows(sink, &view.scan(Table::Attachments, &message_prefix(channel_id, message_id), usize::MAX)?)
}
