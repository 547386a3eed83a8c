//! `invites`: invites by code.

use rookery_model::invite::InviteRow;

use super::prelude::*;
use crate::key::check_text;

row! {
    code: String,
    guild_id: i64,
    channel_id: i64,
    inviter_id: Blank<i64>,
    uses: i32,
    max_uses: i32,
    max_age: i32,
    temporary: bool,
    created_at_us: i64,
}

/// The table's statements.
pub struct Invites {
    put: Statement,
    delete: Statement,
    get: Statement,
}

impl Invites {
    pub async fn prepare(preparer: Preparer<'_>) -> Result<Self, OpenError> {
        let table = preparer.table(Table::Invites);
        let (put, delete, get) = tokio::try_join!(
            table.insert(Row::COLUMNS),
            table.delete("code = ?"),
            table.select(Row::COLUMNS, "code = ?"),
        )?;
        Ok(Self { put, delete, get })
    }

    pub fn put(&self, invite: &InviteRow, at: i64) -> Result<Mutation, StoreError> {
        let InviteRow { code, guild_id, channel_id, inviter_id, uses, max_uses, max_age, temporary, created_at } =
            invite;
        check_text("an invite code", code)?;
        let row = Row {
            code: code.clone(),
            guild_id: big(*guild_id),
            channel_id: big(*channel_id),
            inviter_id: blank_id(*inviter_id),
            uses: uses.cast_signed(),
            max_uses: max_uses.cast_signed(),
            max_age: max_age.cast_signed(),
            temporary: *temporary,
            created_at_us: created_at.0,
        };
        Ok(self.put.with(Partition::Alone, row.at(at)))
    }

    pub fn delete(&self, code: &str, at: i64) -> Result<Mutation, StoreError> {
        check_text("an invite code", code)?;
        Ok(self.delete.with(Partition::Alone, (at, code.to_owned())))
    }

    pub async fn get(&self, calls: &Calls, code: &str) -> Result<Option<InviteRow>, StoreError> {
        if code.is_empty() || check_text("an invite code", code).is_err() {
            return Ok(None);
        }
        let row: Option<Row> = calls.row_from_anywhere(&self.get, (code,), None).await?;
        Ok(row.map(invite))
    }
}

pub fn invite(row: Row) -> InviteRow {
    InviteRow {
        code: row.code,
        guild_id: id(row.guild_id),
        channel_id: id(row.channel_id),
        inviter_id: id_or_none(row.inviter_id),
        uses: row.uses.cast_unsigned(),
        max_uses: row.max_uses.cast_unsigned(),
        max_age: row.max_age.cast_unsigned(),
        temporary: row.temporary,
        created_at: Timestamp(row.created_at_us),
    }
}
