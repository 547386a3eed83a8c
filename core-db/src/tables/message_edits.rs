//! `message_edits`: what messages held until they were edited, newest first.

use rookery_model::store::MessageEditRow;
use rookery_model::{ChannelId, MessageId};

use super::{Sink, Table};
use crate::key::Key;
use crate::{StoreError, row};

/// All former contents in a channel.
pub fn channel_prefix(channel_id: ChannelId) -> Key {
    Key::of(Table::MessageEdits).id(channel_id.get())
}

/// All former contents of a message.
pub fn message_prefix(channel_id: ChannelId, message_id: MessageId) -> Key {
    channel_prefix(channel_id).newest_first(message_id.get())
}

pub fn put(sink: &mut impl Sink, edit: &MessageEditRow) -> Result<(), StoreError> {
    let key = message_prefix(edit.channel_id, edit.message_id).newest_moment_first(edit.edited_at);
    sink.put(Table::MessageEdits, key, row::encode(edit)?);
    Ok(())
}
