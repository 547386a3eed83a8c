//! `pins`: the pinned messages of a channel; at most fifty, so that they are ordered when read.

use fjall::Slice;
use rookery_model::{ChannelId, MessageId, Timestamp};

use super::{Sink, Table, View};
use crate::engine::PinRow;
use crate::key::{Key, Parts};
use crate::{StoreError, row};

/// All pins of a channel.
pub fn prefix(channel_id: ChannelId) -> Key {
    Key::of(Table::Pins).id(channel_id.get())
}

fn key(channel_id: ChannelId, message_id: MessageId) -> Key {
    prefix(channel_id).newest_first(message_id.get())
}

pub fn put(sink: &mut impl Sink, channel_id: ChannelId, message_id: MessageId, pinned_at: Timestamp) {
    sink.put(Table::Pins, key(channel_id, message_id), Slice::from(pinned_at.0.to_be_bytes()));
}

pub fn delete(sink: &mut impl Sink, channel_id: ChannelId, message_id: MessageId) {
    sink.delete(Table::Pins, key(channel_id, message_id));
}

/// The pins of a channel, newest pin first.
pub fn of(view: &impl View, channel_id: ChannelId) -> Result<Vec<PinRow>, StoreError> {
    let rows = view.scan(Table::Pins, &prefix(channel_id), usize::MAX)?;
    let pins: Result<Vec<PinRow>, _> = rows.iter().map(|(key, bytes)| decode(channel_id, key, bytes)).collect();
    let mut pins = pins?;
    pins.sort_by_key(|pin| std::cmp::Reverse((pin.pinned_at, pin.message_id)));
    Ok(pins)
}

/// A pin of a channel out of its key and row.
pub fn decode(channel_id: ChannelId, key: &[u8], bytes: &[u8]) -> Result<PinRow, StoreError> {
    let message_id = Parts::after(key, &prefix(channel_id)).and_then(|mut parts| parts.newest_first());
    let pinned_at = <[u8; 8]>::try_from(bytes).ok();
    let (Some(message_id), Some(pinned_at)) = (message_id, pinned_at) else {
        return Err(row::corrupt(Table::Pins, key, "not a message and a time"));
    };
    let pinned_at = Timestamp(i64::from_be_bytes(pinned_at));
    Ok(PinRow { message_id: MessageId::new(message_id), pinned_at })
}
