//! `invites_by_guild`: the codes of a guild's invites.

use rookery_model::GuildId;
use rookery_model::invite::InviteRow;

use super::{Sink, Table, View, invites, marker};
use crate::key::{Key, Parts};
use crate::{StoreError, row};

/// All codes of a guild.
pub fn prefix(guild_id: GuildId) -> Key {
    Key::of(Table::InvitesByGuild).id(guild_id.get())
}

pub fn put(sink: &mut impl Sink, guild_id: GuildId, code: &str) {
    sink.put(Table::InvitesByGuild, prefix(guild_id).tail(code.as_bytes()), marker());
}

pub fn delete(sink: &mut impl Sink, guild_id: GuildId, code: &str) {
    sink.delete(Table::InvitesByGuild, prefix(guild_id).tail(code.as_bytes()));
}

/// The code that a key of a guild names.
pub fn code(guild_id: GuildId, key: &[u8]) -> Result<&str, StoreError> {
    let code = Parts::after(key, &prefix(guild_id)).and_then(|parts| std::str::from_utf8(parts.tail()).ok());
    code.ok_or_else(|| row::corrupt(Table::InvitesByGuild, key, "key without a code"))
}

/// The invites of a guild that can be read, by code; the others are named in `damaged`, for a missing one grants nothing.
pub fn of(view: &impl View, guild_id: GuildId, damaged: &mut Vec<StoreError>) -> Result<Vec<InviteRow>, StoreError> {
    let mut found = Vec::new();
    for (key, _) in view.scan_around(Table::InvitesByGuild, &prefix(guild_id), None, usize::MAX, damaged)? {
        match code(guild_id, &key).and_then(|code| invites::get(view, code)) {
            // The code may have become another guild's.
            Ok(invite) => found.extend(invite.filter(|invite| invite.guild_id == guild_id)),
            Err(error @ StoreError::Corrupt { .. }) => damaged.push(error),
            Err(other) => return Err(other),
        }
    }
    Ok(found)
}
