//! `members`: the members of a guild.

use rookery_model::member::MemberRow;
use rookery_model::{GuildId, UserId};

use super::{Sink, Table, View, guilds_by_user};
use crate::key::Key;
use crate::{StoreError, row};

/// All members of a guild.
pub fn prefix(guild_id: GuildId) -> Key {
    Key::of(Table::Members).id(guild_id.get())
}

fn key(guild_id: GuildId, user_id: UserId) -> Key {
    prefix(guild_id).id(user_id.get())
}

pub fn put(sink: &mut impl Sink, member: &MemberRow) -> Result<(), StoreError> {
    sink.put(Table::Members, key(member.guild_id, member.user_id), row::encode(member)?);
    guilds_by_user::put(sink, member.user_id, member.guild_id);
    Ok(())
}

pub fn delete(sink: &mut impl Sink, guild_id: GuildId, user_id: UserId) {
    sink.delete(Table::Members, key(guild_id, user_id));
    guilds_by_user::delete(sink, user_id, guild_id);
}

pub fn get(view: &impl View, guild_id: GuildId, user_id: UserId) -> Result<Option<MemberRow>, StoreError> {
    let key = key(guild_id, user_id);
    let row = view.get(Table::Members, &key)?;
    row.map(|bytes| row::decode(Table::Members, key.as_bytes(), &bytes)).transpose()
}

/// Where a page of members above a user begins: the last key not in it.
pub fn page_start(guild_id: GuildId, after: Option<UserId>) -> Option<Key> {
    after.map(|user_id| key(guild_id, user_id))
}
