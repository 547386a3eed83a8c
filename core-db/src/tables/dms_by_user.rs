//! `dms_by_user`: the DMs that stand in a user's list.

use rookery_model::{ChannelId, UserId};

use super::{Sink, Table, View, marker};
use crate::key::{Key, Parts};
use crate::{StoreError, row};

fn prefix(user_id: UserId) -> Key {
    Key::of(Table::DmsByUser).id(user_id.get())
}

pub fn put(sink: &mut impl Sink, user_id: UserId, channel_id: ChannelId) {
    sink.put(Table::DmsByUser, prefix(user_id).id(channel_id.get()), marker());
}

pub fn delete(sink: &mut impl Sink, user_id: UserId, channel_id: ChannelId) {
    sink.delete(Table::DmsByUser, prefix(user_id).id(channel_id.get()));
}

/// The DMs of a user, by id.
pub fn of(view: &impl View, user_id: UserId) -> Result<Vec<ChannelId>, StoreError> {
    let prefix = prefix(user_id);
    let rows = view.scan(Table::DmsByUser, &prefix, usize::MAX)?;
    let id = |key: &[u8]| Parts::after(key, &prefix).and_then(|mut parts| parts.id()).map(ChannelId::new);
    rows.iter()
        .map(|(key, _)| id(key).ok_or_else(|| row::corrupt(Table::DmsByUser, key, "key without an id")))
        .collect()
}
