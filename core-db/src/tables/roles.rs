//! `roles`: the roles of a guild.

use rookery_model::role::Role;
use rookery_model::{GuildId, RoleId};

use super::{Sink, Table, View};
use crate::key::Key;
use crate::{StoreError, row};

/// All roles of a guild.
pub fn prefix(guild_id: GuildId) -> Key {
    Key::of(Table::Roles).id(guild_id.get())
}

pub fn put(sink: &mut impl Sink, guild_id: GuildId, role: &Role) -> Result<(), StoreError> {
    sink.put(Table::Roles, prefix(guild_id).id(role.id.get()), row::encode(role)?);
    Ok(())
}

pub fn delete(sink: &mut impl Sink, guild_id: GuildId, id: RoleId) {
    sink.delete(Table::Roles, prefix(guild_id).id(id.get()));
}

/// The roles of a guild, by id.
pub fn of(view: &impl View, guild_id: GuildId) -> Result<Vec<Role>, StoreError> {
    let rows = view.scan(Table::Roles, &prefix(guild_id), usize::MAX)?;
    rows.iter().map(|(key, bytes)| row::decode(Table::Roles, key, bytes)).collect()
}
