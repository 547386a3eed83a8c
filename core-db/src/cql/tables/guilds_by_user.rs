//! `guilds_by_user`: the guilds that a user is in.

use rookery_model::{GuildId, UserId};

use super::prelude::*;

row! { user_id: i64, guild_id: i64 }

/// The table's statements.
pub struct GuildsByUser {
    put: Statement,
    delete: Statement,
    of: Statement,
}

impl GuildsByUser {
    pub async fn prepare(preparer: Preparer<'_>) -> Result<Self, OpenError> {
        let table = preparer.table(Table::GuildsByUser);
        let (put, delete, of) = tokio::try_join!(
            table.insert(Row::COLUMNS),
            table.delete("user_id = ? AND guild_id = ?"),
            table.select(&["guild_id"], "user_id = ?"),
        )?;
        Ok(Self { put, delete, of })
    }

    pub fn put(&self, user_id: UserId, guild_id: GuildId, at: i64) -> Mutation {
        let row = Row { user_id: big(user_id), guild_id: big(guild_id) };
        self.put.with(Partition::Of(user_id.get(), 0), row.at(at))
    }

    pub fn delete(&self, user_id: UserId, guild_id: GuildId, at: i64) -> Mutation {
        self.delete.with(Partition::Of(user_id.get(), 0), (at, big(user_id), big(guild_id)))
    }

    /// The guilds of a user, by id.
    pub async fn of(&self, calls: &Calls, user_id: UserId) -> Result<Vec<GuildId>, StoreError> {
        let rows: Vec<(i64,)> = calls.all_rows(&self.of, (big(user_id),)).await?;
        Ok(rows.into_iter().map(|(guild_id,)| id(guild_id)).collect())
    }
}
