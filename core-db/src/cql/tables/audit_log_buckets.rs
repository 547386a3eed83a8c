//! `audit_log_buckets`: which buckets of a guild's audit log hold entries, newest first.

use rookery_model::GuildId;

use super::prelude::*;
use crate::cql::purge::Reader;

row! { guild_id: i64, bucket: i32 }

/// The table's statements.
pub struct AuditLogBuckets {
    put: Statement,
    delete_all: Statement,
    of: Statement,
}

impl AuditLogBuckets {
    pub async fn prepare(preparer: Preparer<'_>) -> Result<Self, OpenError> {
        let table = preparer.table(Table::AuditLogBuckets);
        let (put, delete_all, of) = tokio::try_join!(
            table.insert(Row::COLUMNS),
            table.delete("guild_id = ?"),
            table.select(&["bucket"], "guild_id = ?"),
        )?;
        Ok(Self { put, delete_all, of })
    }

    pub fn put(&self, guild_id: GuildId, bucket: u32, at: i64) -> Mutation {
        let row = Row { guild_id: big(guild_id), bucket: bucket.cast_signed() };
        self.put.with(Partition::Of(guild_id.get(), 0), row.at(at))
    }

    pub fn delete_all(&self, guild_id: GuildId, at: i64) -> Mutation {
        self.delete_all.with(Partition::Of(guild_id.get(), 0), (at, big(guild_id)))
    }

    /// The buckets of a guild, newest first; thirty-six a year.
    pub async fn of(&self, calls: &Calls, guild_id: GuildId) -> Result<Vec<u32>, StoreError> {
        self.of_at(&Reader::here(calls), guild_id).await
    }

    /// Likewise, as somebody sees them.
    pub async fn of_at(&self, reader: &Reader<'_>, guild_id: GuildId) -> Result<Vec<u32>, StoreError> {
        let rows: Vec<(i32,)> = reader.rows(&self.of, (big(guild_id),)).await?;
        Ok(rows.into_iter().map(|(bucket,)| bucket.cast_unsigned()).collect())
    }
}
