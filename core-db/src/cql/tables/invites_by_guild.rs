//! `invites_by_guild`: the codes of a guild's invites.

use rookery_model::GuildId;

use super::prelude::*;
use crate::cql::purge::Reader;

row! { guild_id: i64, code: String }

/// The table's statements.
pub struct InvitesByGuild {
    put: Statement,
    delete: Statement,
    codes: Statement,
    page: Statement,
    delete_all: Statement,
}

impl InvitesByGuild {
    pub async fn prepare(preparer: Preparer<'_>) -> Result<Self, OpenError> {
        let table = preparer.table(Table::InvitesByGuild);
        let (put, delete, codes, page, delete_all) = tokio::try_join!(
            table.insert(Row::COLUMNS),
            table.delete("guild_id = ? AND code = ?"),
            table.select(&["code"], "guild_id = ?"),
            table.select(&["code"], "guild_id = ? AND code > ? LIMIT ?"),
            table.delete("guild_id = ?"),
        )?;
        Ok(Self { put, delete, codes, page, delete_all })
    }

    pub fn put(&self, guild_id: GuildId, code: &str, at: i64) -> Mutation {
        let row = Row { guild_id: big(guild_id), code: code.to_owned() };
        self.put.with(Partition::Of(guild_id.get(), 0), row.at(at))
    }

    pub fn delete(&self, guild_id: GuildId, code: &str, at: i64) -> Mutation {
        self.delete.with(Partition::Of(guild_id.get(), 0), (at, big(guild_id), code.to_owned()))
    }

    /// The codes of a guild, in order.
    pub async fn codes(&self, calls: &Calls, guild_id: GuildId) -> Result<Vec<String>, StoreError> {
        let rows: Vec<(String,)> = calls.all_rows(&self.codes, (big(guild_id),)).await?;
        Ok(rows.into_iter().map(|(code,)| code).collect())
    }

    pub fn delete_all(&self, guild_id: GuildId, at: i64) -> Mutation {
        self.delete_all.with(Partition::Of(guild_id.get(), 0), (at, big(guild_id)))
    }

    /// The codes of a guild above one.
    pub async fn codes_above(
        &self,
        reader: &Reader<'_>,
        guild_id: GuildId,
        after: &str,
        limit: i32,
    ) -> Result<Vec<String>, StoreError> {
        let rows: Vec<(String,)> = reader.rows(&self.page, (big(guild_id), after, limit)).await?;
        Ok(rows.into_iter().map(|(code,)| code).collect())
    }
}
