//! `retentions`: how many days a guild keeps messages; guilds that keep them for ever have no row.

use rookery_model::GuildId;
use rookery_model::store::RetentionRow;

use super::{Pair, Sink, Table, View};
use crate::key::Key;
use crate::{StoreError, row};

fn key(guild_id: GuildId) -> Key {
    Key::of(Table::Retentions).id(guild_id.get())
}

pub fn put(sink: &mut impl Sink, retention: &RetentionRow) -> Result<(), StoreError> {
    sink.put(Table::Retentions, key(retention.guild_id), row::encode(retention)?);
    Ok(())
}

pub fn delete(sink: &mut impl Sink, guild_id: GuildId) {
    sink.delete(Table::Retentions, key(guild_id));
}

pub fn get(view: &impl View, guild_id: GuildId) -> Result<Option<RetentionRow>, StoreError> {
    let key = key(guild_id);
    let row = view.get(Table::Retentions, &key)?;
    row.map(|bytes| row::decode(Table::Retentions, key.as_bytes(), &bytes)).transpose()
}

/// All of them that can be read, by guild; the others are named in `damaged`.
pub fn all(view: &impl View, damaged: &mut Vec<StoreError>) -> Result<Vec<RetentionRow>, StoreError> {
    let rows = view.scan_around(Table::Retentions, &Key::of(Table::Retentions), None, usize::MAX, damaged)?;
    let read =
        |(key, bytes): &Pair| row::decode(Table::Retentions, key, bytes).map_err(|error| damaged.push(error)).ok();
    Ok(rows.iter().filter_map(read).collect())
}
