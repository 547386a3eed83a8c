//! `guilds`: what a guild says of itself.

use rookery_model::GuildId;
use rookery_model::guild::GuildProperties;

use super::{Sink, Table, View};
use crate::key::Key;
use crate::{StoreError, row};

fn key(id: GuildId) -> Key {
    Key::of(Table::Guilds).id(id.get())
}

pub fn put(sink: &mut impl Sink, guild: &GuildProperties) -> Result<(), StoreError> {
    sink.put(Table::Guilds, key(guild.id), row::encode(guild)?);
    Ok(())
}

pub fn delete(sink: &mut impl Sink, id: GuildId) {
    sink.delete(Table::Guilds, key(id));
}

pub fn get(view: &impl View, id: GuildId) -> Result<Option<GuildProperties>, StoreError> {
    let key = key(id);
    let row = view.get(Table::Guilds, &key)?;
    row.map(|bytes| row::decode(Table::Guilds, key.as_bytes(), &bytes)).transpose()
}
