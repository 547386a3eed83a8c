//! `bans`: who may not come back to a guild.

use rookery_model::guild::BanRow;
use rookery_model::{GuildId, UserId};

use super::{Sink, Table, View};
use crate::key::Key;
use crate::{StoreError, row};

/// All bans of a guild.
pub fn prefix(guild_id: GuildId) -> Key {
    Key::of(Table::Bans).id(guild_id.get())
}

fn key(guild_id: GuildId, user_id: UserId) -> Key {
    prefix(guild_id).id(user_id.get())
}

pub fn put(sink: &mut impl Sink, ban: &BanRow) -> Result<(), StoreError> {
    sink.put(Table::Bans, key(ban.guild_id, ban.user_id), row::encode(ban)?);
    Ok(())
}

pub fn delete(sink: &mut impl Sink, guild_id: GuildId, user_id: UserId) {
    sink.delete(Table::Bans, key(guild_id, user_id));
}

pub fn get(view: &impl View, guild_id: GuildId, user_id: UserId) -> Result<Option<BanRow>, StoreError> {
    let key = key(guild_id, user_id);
    let row = view.get(Table::Bans, &key)?;
    row.map(|bytes| row::decode(Table::Bans, key.as_bytes(), &bytes)).transpose()
}

/// Where a page of bans above a user begins: the last key not in it.
pub fn page_start(guild_id: GuildId, after: Option<UserId>) -> Option<Key> {
    after.map(|user_id| key(guild_id, user_id))
}
