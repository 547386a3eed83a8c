//! `bans`: who may not come back to a guild.

use rookery_model::guild::BanRow;
use rookery_model::{GuildId, UserId};

use super::prelude::*;

row! { guild_id: i64, user_id: i64, reason: Option<String>, created_at_us: i64 }

/// The table's statements.
pub struct Bans {
    put: Statement,
    delete: Statement,
    delete_all: Statement,
    get: Statement,
    page: Statement,
}

impl Bans {
    pub async fn prepare(preparer: Preparer<'_>) -> Result<Self, OpenError> {
        let table = preparer.table(Table::Bans);
        let (put, delete, delete_all, get, page) = tokio::try_join!(
            table.insert(Row::COLUMNS),
            table.delete("guild_id = ? AND user_id = ?"),
            table.delete("guild_id = ?"),
            table.select(Row::COLUMNS, "guild_id = ? AND user_id = ?"),
            table.select(Row::COLUMNS, "guild_id = ? AND user_id > ? LIMIT ?"),
        )?;
        Ok(Self { put, delete, delete_all, get, page })
    }

    pub fn put(&self, ban: &BanRow, at: i64) -> Mutation {
        let BanRow { guild_id, user_id, reason, created_at } = ban;
        let row = Row {
            guild_id: big(*guild_id),
            user_id: big(*user_id),
            reason: reason.clone(),
            created_at_us: created_at.0,
        };
        self.put.with(Partition::Of(guild_id.get(), 0), row.at(at))
    }

    pub fn delete(&self, guild_id: GuildId, user_id: UserId, at: i64) -> Mutation {
        self.delete.with(Partition::Of(guild_id.get(), 0), (at, big(guild_id), big(user_id)))
    }

    pub fn delete_all(&self, guild_id: GuildId, at: i64) -> Mutation {
        self.delete_all.with(Partition::Of(guild_id.get(), 0), (at, big(guild_id)))
    }

    pub async fn get(&self, calls: &Calls, guild_id: GuildId, user_id: UserId) -> Result<Option<BanRow>, StoreError> {
        let row: Option<Row> = calls.row(&self.get, (big(guild_id), big(user_id))).await?;
        Ok(row.map(ban))
    }

    pub async fn page(
        &self,
        calls: &Calls,
        guild_id: GuildId,
        after: Option<UserId>,
        limit: i32,
    ) -> Result<Vec<BanRow>, StoreError> {
        let from = after.map_or(i64::MIN, bound);
        calls.page_around_damage(&self.page, big(guild_id), from, limit, |row: Row| (row.user_id, ban(row))).await
    }
}

pub fn ban(row: Row) -> BanRow {
    BanRow {
        guild_id: id(row.guild_id),
        user_id: id(row.user_id),
        reason: row.reason,
        created_at: Timestamp(row.created_at_us),
    }
}
