//! `channels_by_guild`: the channels of a guild.

use rookery_model::channel::Channel;
use rookery_model::{ChannelId, GuildId};

use super::channels::{self, Stored};
use super::{Sink, Table, View};
use crate::key::{Key, Parts};
use crate::{StoreError, row};

fn prefix(guild_id: GuildId) -> Key {
    Key::of(Table::ChannelsByGuild).id(guild_id.get())
}

/// Puts a channel of a guild, and the way to it.
pub fn put(sink: &mut impl Sink, channel: &Channel) -> Result<(), StoreError> {
    let Some(guild_id) = channel.guild_id else {
        return Err(StoreError::Invalid(format!("channel {} has no guild: DMs are written by PutDm", channel.id)));
    };
    let row = row::encode(&Stored::from(channel))?;
    sink.put(Table::ChannelsByGuild, prefix(guild_id).id(channel.id.get()), row);
    channels::put_place(sink, channel.id, Some(guild_id))
}

pub fn delete(sink: &mut impl Sink, guild_id: GuildId, id: ChannelId) {
    sink.delete(Table::ChannelsByGuild, prefix(guild_id).id(id.get()));
    channels::delete(sink, id);
}

pub fn get(view: &impl View, guild_id: GuildId, id: ChannelId) -> Result<Option<Channel>, StoreError> {
    let key = prefix(guild_id).id(id.get());
    let row = view.get(Table::ChannelsByGuild, &key)?;
    row.map(|bytes| row::decode(Table::ChannelsByGuild, key.as_bytes(), &bytes)).transpose()
}

/// The channels of a guild, by id.
pub fn of(view: &impl View, guild_id: GuildId) -> Result<Vec<Channel>, StoreError> {
    let rows = view.scan(Table::ChannelsByGuild, &prefix(guild_id), usize::MAX)?;
    rows.iter().map(|(key, bytes)| row::decode(Table::ChannelsByGuild, key, bytes)).collect()
}

/// Their ids.
pub fn ids_of(view: &impl View, guild_id: GuildId) -> Result<Vec<ChannelId>, StoreError> {
    let rows = view.scan(Table::ChannelsByGuild, &prefix(guild_id), usize::MAX)?;
    rows.iter().map(|(key, _)| id(guild_id, key)).collect()
}

/// Likewise, of those that can be read; the others are named in `damaged`.
pub fn ids_around(
    view: &impl View,
    guild_id: GuildId,
    damaged: &mut Vec<StoreError>,
) -> Result<Vec<ChannelId>, StoreError> {
    let rows = view.scan_around(Table::ChannelsByGuild, &prefix(guild_id), None, usize::MAX, damaged)?;
    Ok(rows.iter().filter_map(|(key, _)| id(guild_id, key).map_err(|error| damaged.push(error)).ok()).collect())
}

fn id(guild_id: GuildId, key: &[u8]) -> Result<ChannelId, StoreError> {
    let id = Parts::after(key, &prefix(guild_id)).and_then(|mut parts| parts.id()).map(ChannelId::new);
    id.ok_or_else(|| row::corrupt(Table::ChannelsByGuild, key, "key without an id"))
}
