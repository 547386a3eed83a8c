//! `retentions`: how many days a guild keeps messages; guilds that keep them for ever have no row.

use rookery_model::GuildId;
use rookery_model::store::RetentionRow;

use super::prelude::*;

row! { guild_id: i64, max_age_days: i32 }

/// The table's statements.
pub struct Retentions {
    put: Statement,
    delete: Statement,
    get: Statement,
    all: Statement,
}

impl Retentions {
    pub async fn prepare(preparer: Preparer<'_>) -> Result<Self, OpenError> {
        let table = preparer.table(Table::Retentions);
        let (put, delete, get, all) = tokio::try_join!(
            table.insert(Row::COLUMNS),
            table.delete("guild_id = ?"),
            table.select(Row::COLUMNS, "guild_id = ?"),
            table.select(Row::COLUMNS, "token(guild_id) > ?"),
        )?;
        Ok(Self { put, delete, get, all })
    }

    pub fn put(&self, retention: RetentionRow, at: i64) -> Mutation {
        let RetentionRow { guild_id, max_age_days } = retention;
        let row = Row { guild_id: big(guild_id), max_age_days: max_age_days.cast_signed() };
        self.put.with(Partition::Of(guild_id.get(), 0), row.at(at))
    }

    pub fn delete(&self, guild_id: GuildId, at: i64) -> Mutation {
        self.delete.with(Partition::Of(guild_id.get(), 0), (at, big(guild_id)))
    }

    pub async fn get(&self, calls: &Calls, guild_id: GuildId) -> Result<Option<RetentionRow>, StoreError> {
        let row: Option<Row> = calls.row(&self.get, (big(guild_id),)).await?;
        Ok(row.map(retention))
    }

    /// All of them, page by page: one row a guild that has one.
    pub async fn all(&self, calls: &Calls) -> Result<Vec<RetentionRow>, StoreError> {
        let rows: Vec<Row> = calls.all_rows(&self.all, (i64::MIN,)).await?;
        Ok(rows.into_iter().map(retention).collect())
    }
}

pub fn retention(row: Row) -> RetentionRow {
    RetentionRow { guild_id: id(row.guild_id), max_age_days: row.max_age_days.cast_unsigned() }
}
