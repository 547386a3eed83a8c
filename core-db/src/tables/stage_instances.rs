//! `stage_instances`: the stages of a guild that are live.

use rookery_model::stage_instance::StageInstance;
use rookery_model::{ChannelId, GuildId};

use super::{Sink, Table, View};
use crate::key::Key;
use crate::{StoreError, row};

/// All of a guild.
pub fn prefix(guild_id: GuildId) -> Key {
    Key::of(Table::StageInstances).id(guild_id.get())
}

pub fn put(sink: &mut impl Sink, stage: &StageInstance) -> Result<(), StoreError> {
    sink.put(Table::StageInstances, prefix(stage.guild_id).id(stage.channel_id.get()), row::encode(stage)?);
    Ok(())
}

pub fn delete(sink: &mut impl Sink, guild_id: GuildId, channel_id: ChannelId) {
    sink.delete(Table::StageInstances, prefix(guild_id).id(channel_id.get()));
}

/// Those of a guild, by channel.
pub fn of(view: &impl View, guild_id: GuildId) -> Result<Vec<StageInstance>, StoreError> {
    let rows = view.scan(Table::StageInstances, &prefix(guild_id), usize::MAX)?;
    rows.iter().map(|(key, bytes)| row::decode(Table::StageInstances, key, bytes)).collect()
}
