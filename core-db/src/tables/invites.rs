//! `invites`: invites by code.

use rookery_model::GuildId;
use rookery_model::invite::InviteRow;

use super::{Sink, Table, View, invites_by_guild};
use crate::key::{Key, check_text};
use crate::{StoreError, row};

fn key(code: &str) -> Key {
    Key::of(Table::Invites).tail(code.as_bytes())
}

pub fn put(sink: &mut impl Sink, invite: &InviteRow) -> Result<(), StoreError> {
    check_text("an invite code", &invite.code)?;
    sink.put(Table::Invites, key(&invite.code), row::encode(invite)?);
    invites_by_guild::put(sink, invite.guild_id, &invite.code);
    Ok(())
}

pub fn delete(sink: &mut impl Sink, guild_id: GuildId, code: &str) -> Result<(), StoreError> {
    check_text("an invite code", code)?;
    sink.delete(Table::Invites, key(code));
    invites_by_guild::delete(sink, guild_id, code);
    Ok(())
}

pub fn get(view: &impl View, code: &str) -> Result<Option<InviteRow>, StoreError> {
    if check_text("an invite code", code).is_err() {
        return Ok(None);
    }
    let key = key(code);
    let row = view.get(Table::Invites, &key)?;
    row.map(|bytes| row::decode(Table::Invites, key.as_bytes(), &bytes)).transpose()
}
