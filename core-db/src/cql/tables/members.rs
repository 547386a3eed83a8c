//! `members`: the members of a guild.

use rookery_model::member::MemberRow;
use rookery_model::{GuildId, UserId};

use super::prelude::*;
use crate::cql::purge::Reader;

row! {
    guild_id: i64,
    user_id: i64,
    nick: Option<String>,
    avatar: Option<String>,
    roles: Vec<i64>,
    joined_at_us: i64,
    deaf: bool,
    mute: bool,
    pending: bool,
    flags: i32,
    communication_disabled_until_us: Blank<i64>,
}

/// The table's statements.
pub struct Members {
    put: Statement,
    delete: Statement,
    delete_all: Statement,
    get: Statement,
    page: Statement,
    ids: Statement,
}

impl Members {
    pub async fn prepare(preparer: Preparer<'_>) -> Result<Self, OpenError> {
        let table = preparer.table(Table::Members);
        let (put, delete, delete_all, get, page, ids) = tokio::try_join!(
            table.insert(Row::COLUMNS),
            table.delete("guild_id = ? AND user_id = ?"),
            table.delete("guild_id = ?"),
            table.select(Row::COLUMNS, "guild_id = ? AND user_id = ?"),
            table.select(Row::COLUMNS, "guild_id = ? AND user_id > ? LIMIT ?"),
            table.select(&["user_id"], "guild_id = ? AND user_id > ? LIMIT ?"),
        )?;
        Ok(Self { put, delete, delete_all, get, page, ids })
    }

    pub fn put(&self, member: &MemberRow, at: i64) -> Mutation {
        let MemberRow {
            guild_id,
            user_id,
            nick,
            avatar,
            roles,
            joined_at,
            deaf,
            mute,
            pending,
            flags,
            communication_disabled_until,
        } = member;
        let row = Row {
            guild_id: big(*guild_id),
            user_id: big(*user_id),
            nick: nick.clone(),
            avatar: avatar.clone(),
            roles: bigs(roles),
            joined_at_us: joined_at.0,
            deaf: *deaf,
            mute: *mute,
            pending: *pending,
            flags: flags.cast_signed(),
            communication_disabled_until_us: Blank(communication_disabled_until.map(|until| until.0)),
        };
        self.put.with(Partition::Of(guild_id.get(), 0), row.at(at))
    }

    pub fn delete(&self, guild_id: GuildId, user_id: UserId, at: i64) -> Mutation {
        self.delete.with(Partition::Of(guild_id.get(), 0), (at, big(guild_id), big(user_id)))
    }

    /// Deletes all members.
    pub fn delete_all(&self, guild_id: GuildId, at: i64) -> Mutation {
        self.delete_all.with(Partition::Of(guild_id.get(), 0), (at, big(guild_id)))
    }

    pub async fn get(
        &self,
        calls: &Calls,
        guild_id: GuildId,
        user_id: UserId,
    ) -> Result<Option<MemberRow>, StoreError> {
        let row: Option<Row> = calls.row(&self.get, (big(guild_id), big(user_id))).await?;
        Ok(row.map(member))
    }

    /// Members above one, by user.
    pub async fn page(
        &self,
        calls: &Calls,
        guild_id: GuildId,
        after: Option<UserId>,
        limit: i32,
    ) -> Result<Vec<MemberRow>, StoreError> {
        let from = after.map_or(i64::MIN, bound);
        calls.page_around_damage(&self.page, big(guild_id), from, limit, |row: Row| (row.user_id, member(row))).await
    }

    /// Who is a member, above a user.
    pub async fn ids_above(
        &self,
        reader: &Reader<'_>,
        guild_id: GuildId,
        after: Option<UserId>,
        limit: i32,
    ) -> Result<Vec<UserId>, StoreError> {
        let values = (big(guild_id), after.map_or(i64::MIN, bound), limit);
        let rows: Vec<(i64,)> = reader.rows(&self.ids, values).await?;
        Ok(rows.into_iter().map(|(user_id,)| id(user_id)).collect())
    }
}

pub fn member(row: Row) -> MemberRow {
    MemberRow {
        guild_id: id(row.guild_id),
        user_id: id(row.user_id),
        nick: row.nick,
        avatar: row.avatar,
        roles: ids(row.roles),
        joined_at: Timestamp(row.joined_at_us),
        deaf: row.deaf,
        mute: row.mute,
        pending: row.pending,
        flags: row.flags.cast_unsigned(),
        communication_disabled_until: row.communication_disabled_until_us.0.map(Timestamp),
    }
}
