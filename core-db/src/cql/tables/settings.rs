//! `settings`: the settings of a user, one row a set.

use rookery_model::UserId;
use rookery_model::store::SettingsRow;

use super::prelude::*;
use crate::tables::settings::check;

row! { user_id: i64, kind: i8, body: Vec<u8> }

/// The table's statements.
pub struct Settings {
    put: Statement,
    delete_all: Statement,
    get: Statement,
}

impl Settings {
    pub async fn prepare(preparer: Preparer<'_>) -> Result<Self, OpenError> {
        let table = preparer.table(Table::Settings);
        let (put, delete_all, get) = tokio::try_join!(
            table.insert(Row::COLUMNS),
            table.delete("user_id = ?"),
            table.select(Row::COLUMNS, "user_id = ? AND kind = ?"),
        )?;
        Ok(Self { put, delete_all, get })
    }

    pub fn put(&self, settings: &SettingsRow, at: i64) -> Result<Mutation, StoreError> {
        check(settings)?;
        let SettingsRow { user_id, kind, body } = settings;
        let row = Row { user_id: big(*user_id), kind: kind.cast_signed(), body: body.clone() };
        self.put.with_sized(Partition::Of(user_id.get(), 0), body.len(), row.at(at))
    }

    pub fn delete_all(&self, user_id: UserId, at: i64) -> Mutation {
        self.delete_all.with(Partition::Of(user_id.get(), 0), (at, big(user_id)))
    }

    pub async fn get(&self, calls: &Calls, user_id: UserId, kind: u8) -> Result<Option<SettingsRow>, StoreError> {
        let row: Option<Row> = calls.row(&self.get, (big(user_id), kind.cast_signed())).await?;
        Ok(row.map(settings))
    }
}

pub fn settings(row: Row) -> SettingsRow {
    SettingsRow { user_id: id(row.user_id), kind: row.kind.cast_unsigned(), body: row.body }
}
