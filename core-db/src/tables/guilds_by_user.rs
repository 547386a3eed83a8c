//! `guilds_by_user`: the guilds that a user is in.

use rookery_model::{GuildId, UserId};

use super::{Sink, Table, View, marker};
use crate::key::{Key, Parts};
use crate::{StoreError, row};

fn prefix(user_id: UserId) -> Key {
    Key::of(Table::GuildsByUser).id(user_id.get())
}

pub fn put(sink: &mut impl Sink, user_id: UserId, guild_id: GuildId) {
    sink.put(Table::GuildsByUser, prefix(user_id).id(guild_id.get()), marker());
}

pub fn delete(sink: &mut impl Sink, user_id: UserId, guild_id: GuildId) {
    sink.delete(Table::GuildsByUser, prefix(user_id).id(guild_id.get()));
}

/// The guilds of a user, by id.
pub fn of(view: &impl View, user_id: UserId) -> Result<Vec<GuildId>, StoreError> {
    let prefix = prefix(user_id);
    let rows = view.scan(Table::GuildsByUser, &prefix, usize::MAX)?;
    let id = |key: &[u8]| Parts::after(key, &prefix).and_then(|mut parts| parts.id()).map(GuildId::new);
    rows.iter()
        .map(|(key, _)| id(key).ok_or_else(|| row::corrupt(Table::GuildsByUser, key, "key without an id")))
        .collect()
}
