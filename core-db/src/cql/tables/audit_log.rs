//! `audit_log`: who changed what in a guild, `((guild_id, bucket), entry_id DESC)`.

use rookery_model::audit_log::AuditLogRow;
use rookery_model::{AuditLogEntryId, GuildId, Snowflake};

use super::prelude::*;
use crate::bucket::bucket_of_id;
use crate::cql::damage::Decoded;
use crate::tables::audit_log::check;

row! {
    guild_id: i64,
    bucket: i32,
    entry_id: i64,
    user_id: Blank<i64>,
    target_id: Blank<i64>,
    action_type: i32,
    reason: Option<String>,
    changes: Option<String>,
    options: Option<String>,
}

/// The table's statements.
pub struct AuditLog {
    put: Statement,
    delete_bucket: Statement,
    below: Statement,
}

impl AuditLog {
    pub async fn prepare(preparer: Preparer<'_>) -> Result<Self, OpenError> {
        let table = preparer.table(Table::AuditLog);
        let (put, delete_bucket, below) = tokio::try_join!(
            table.insert(Row::COLUMNS),
            table.delete("guild_id = ? AND bucket = ?"),
            table.select(Row::COLUMNS, "guild_id = ? AND bucket = ? AND entry_id < ? LIMIT ?"),
        )?;
        Ok(Self { put, delete_bucket, below })
    }

    pub fn put(&self, entry: &AuditLogRow, at: i64) -> Result<Mutation, StoreError> {
        check(entry)?;
        let AuditLogRow { guild_id, id, user_id, target_id, action_type, reason, changes, options } = entry;
        let bucket = bucket_of_id(id.0);
        let row = Row {
            guild_id: big(*guild_id),
            bucket: bucket.cast_signed(),
            entry_id: big(*id),
            user_id: blank_id(*user_id),
            target_id: blank_id(*target_id),
            action_type: (*action_type).into(),
            reason: reason.clone(),
            changes: changes.clone(),
            options: options.clone(),
        };
        let bytes = [reason, changes, options].into_iter().flatten().map(String::len).sum();
        self.put.with_sized(Partition::Of(guild_id.get(), bucket.into()), bytes, row.at(at))
    }

    pub fn delete_bucket(&self, guild_id: GuildId, bucket: u32, at: i64) -> Mutation {
        let values = (at, big(guild_id), bucket.cast_signed());
        self.delete_bucket.with(Partition::Of(guild_id.get(), bucket.into()), values)
    }

    /// Entries of a guild below an id, newest first, over its buckets.
    pub async fn page(
        &self,
        calls: &Calls,
        guild_id: GuildId,
        buckets: Vec<u32>,
        before: Option<AuditLogEntryId>,
        limit: usize,
    ) -> Result<Vec<AuditLogRow>, StoreError> {
        let own = before.map_or(u32::MAX, |id| bucket_of_id(id.0));
        let below = before.map_or(i64::MAX, bound);
        let mut found = Vec::new();
        for bucket in buckets.into_iter().filter(|bucket| *bucket <= own) {
            self.fill(calls, (guild_id, bucket), below, limit, &mut found).await?;
        }
        Ok(found)
    }

    /// Reads a bucket on until the page is full or the bucket ends: damaged entries do not count.
    async fn fill(
        &self,
        calls: &Calls,
        (guild_id, bucket): (GuildId, u32),
        mut below: i64,
        limit: usize,
        found: &mut Vec<AuditLogRow>,
    ) -> Result<(), StoreError> {
        while found.len() < limit {
            let asked = limit - found.len();
            let rows_max = i32::try_from(asked).unwrap_or(i32::MAX);
            let values = (big(guild_id), bucket.cast_signed(), below, rows_max);
            let rows: Vec<Decoded<Row, 3>> = calls.rows(&self.below, values).await?;
            let is_last = rows.len() < asked;
            below = rows.last().map_or(below, |last| match last {
                Decoded::Row(row) => row.entry_id,
                Decoded::Damaged(damage) => damage.key[2],
            });
            found.extend(calls.understood(&self.below, rows, entry)?);
            if is_last {
                break;
            }
        }
        Ok(())
    }
}

pub fn entry(row: Row) -> Result<AuditLogRow, StoreError> {
    let key = [row.guild_id, row.bucket.into(), row.entry_id];
    let action_type = u16::try_from(row.action_type);
    Ok(AuditLogRow {
        guild_id: id(row.guild_id),
        id: id(row.entry_id),
        user_id: id_or_none(row.user_id),
        target_id: row.target_id.0.map(|raw| Snowflake(raw.cast_unsigned())),
        action_type: action_type.map_err(|_| corrupt(Table::AuditLog, &key, "an action type is out of range"))?,
        reason: row.reason,
        changes: row.changes,
        options: row.options,
    })
}
