//! `stage_instances`: the stages of a guild that are live.

use rookery_model::stage_instance::StageInstance;
use rookery_model::{ChannelId, GuildId};

use super::prelude::*;

row! {
    guild_id: i64,
    channel_id: i64,
    stage_instance_id: i64,
    topic: String,
    privacy_level: i8,
    discoverable_disabled: bool,
    guild_scheduled_event_id: Blank<i64>,
}

/// The table's statements.
pub struct StageInstances {
    put: Statement,
    delete: Statement,
    delete_all: Statement,
    of: Statement,
}

impl StageInstances {
    pub async fn prepare(preparer: Preparer<'_>) -> Result<Self, OpenError> {
        let table = preparer.table(Table::StageInstances);
        let (put, delete, delete_all, of) = tokio::try_join!(
            table.insert(Row::COLUMNS),
            table.delete("guild_id = ? AND channel_id = ?"),
            table.delete("guild_id = ?"),
            table.select(Row::COLUMNS, "guild_id = ?"),
        )?;
        Ok(Self { put, delete, delete_all, of })
    }

    pub fn put(&self, stage: &StageInstance, at: i64) -> Result<Mutation, StoreError> {
        // Every field by name: a new one does not compile until it is stored.
        let StageInstance {
            id,
            guild_id,
            channel_id,
            topic,
            privacy_level,
            discoverable_disabled,
            guild_scheduled_event_id,
        } = stage;
        let row = Row {
            guild_id: big(*guild_id),
            channel_id: big(*channel_id),
            stage_instance_id: big(*id),
            topic: topic.clone(),
            privacy_level: privacy_level.cast_signed(),
            discoverable_disabled: *discoverable_disabled,
            guild_scheduled_event_id: blank_id(*guild_scheduled_event_id),
        };
        self.put.with_sized(Partition::Of(guild_id.get(), 0), topic.len(), row.at(at))
    }

    pub fn delete(&self, guild_id: GuildId, channel_id: ChannelId, at: i64) -> Mutation {
        self.delete.with(Partition::Of(guild_id.get(), 0), (at, big(guild_id), big(channel_id)))
    }

    pub fn delete_all(&self, guild_id: GuildId, at: i64) -> Mutation {
        self.delete_all.with(Partition::Of(guild_id.get(), 0), (at, big(guild_id)))
    }

    /// Those of a guild, by channel.
    pub async fn of(&self, calls: &Calls, guild_id: GuildId) -> Result<Vec<StageInstance>, StoreError> {
        let rows: Vec<Row> = calls.all_rows(&self.of, (big(guild_id),)).await?;
        Ok(rows.into_iter().map(stage_instance).collect())
    }
}

pub fn stage_instance(row: Row) -> StageInstance {
    StageInstance {
        id: id(row.stage_instance_id),
        guild_id: id(row.guild_id),
        channel_id: id(row.channel_id),
        topic: row.topic,
        privacy_level: row.privacy_level.cast_unsigned(),
        discoverable_disabled: row.discoverable_disabled,
        guild_scheduled_event_id: id_or_none(row.guild_scheduled_event_id),
    }
}
