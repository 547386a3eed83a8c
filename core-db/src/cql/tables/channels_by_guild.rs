//! `channels_by_guild`: the channels of a guild.

use rookery_model::channel::Channel;
use rookery_model::{ChannelId, GuildId};

use super::prelude::*;
use crate::cql::purge::Reader;

channel_row! { guild_id: i64 }

/// The table's statements.
pub struct ChannelsByGuild {
    put: Statement,
    delete: Statement,
    delete_all: Statement,
    get: Statement,
    of: Statement,
    ids_of: Statement,
}

impl ChannelsByGuild {
    pub async fn prepare(preparer: Preparer<'_>) -> Result<Self, OpenError> {
        let table = preparer.table(Table::ChannelsByGuild);
        let (put, delete, delete_all, get, of, ids_of) = tokio::try_join!(
            table.insert(Row::COLUMNS),
            table.delete("guild_id = ? AND channel_id = ?"),
            table.delete("guild_id = ?"),
            table.select(Row::COLUMNS, "guild_id = ? AND channel_id = ?"),
            table.select(Row::COLUMNS, "guild_id = ?"),
            table.select(&["channel_id"], "guild_id = ?"),
        )?;
        Ok(Self { put, delete, delete_all, get, of, ids_of })
    }

    pub fn put(&self, guild_id: GuildId, channel: &Channel, at: i64) -> Mutation {
        let row = Row::of(channel, big(guild_id));
        self.put.with(Partition::Of(guild_id.get(), 0), row.at(at))
    }

    pub fn delete(&self, guild_id: GuildId, id: ChannelId, at: i64) -> Mutation {
        self.delete.with(Partition::Of(guild_id.get(), 0), (at, big(guild_id), big(id)))
    }

    pub fn delete_all(&self, guild_id: GuildId, at: i64) -> Mutation {
        self.delete_all.with(Partition::Of(guild_id.get(), 0), (at, big(guild_id)))
    }

    pub async fn get(
        &self,
        calls: &Calls,
        guild_id: GuildId,
        channel_id: ChannelId,
    ) -> Result<Option<Channel>, StoreError> {
        let row: Option<Row> =
            calls.row_from_anywhere(&self.get, (big(guild_id), big(channel_id)), Some(channel_id.timestamp())).await?;
        row.map(channel).transpose()
    }

    /// The channels of a guild, by id.
    pub async fn of(&self, calls: &Calls, guild_id: GuildId) -> Result<Vec<Channel>, StoreError> {
        let rows: Vec<Row> = calls.all_rows(&self.of, (big(guild_id),)).await?;
        rows.into_iter().map(channel).collect()
    }

    /// Their ids.
    pub async fn ids_of(&self, calls: &Calls, guild_id: GuildId) -> Result<Vec<ChannelId>, StoreError> {
        self.ids_at(&Reader::here(calls), guild_id).await
    }

    /// Likewise, as somebody sees them.
    pub async fn ids_at(&self, reader: &Reader<'_>, guild_id: GuildId) -> Result<Vec<ChannelId>, StoreError> {
        let rows: Vec<(i64,)> = reader.rows(&self.ids_of, (big(guild_id),)).await?;
        Ok(rows.into_iter().map(|(channel_id,)| id(channel_id)).collect())
    }
}

pub fn channel(row: Row) -> Result<Channel, StoreError> {
    let key = [row.guild_id, row.channel_id];
    row.into_channel(Some(id(key[0]))).map_err(|reason| corrupt(Table::ChannelsByGuild, &key, reason))
}
