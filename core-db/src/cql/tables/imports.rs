//! `imports`: an import that was begun and not finished; at most one row.

use rookery_model::store::ImportRow;

use super::prelude::*;

row! { id: i8, archive_id: String, segments_done: i32 }

/// The key of the one row.
const ID: i8 = 1;

/// The table's statements.
pub struct Imports {
    put: Statement,
    delete: Statement,
    get: Statement,
}

impl Imports {
    pub async fn prepare(preparer: Preparer<'_>) -> Result<Self, OpenError> {
        let table = preparer.table(Table::Imports);
        let (put, delete, get) = tokio::try_join!(
            table.insert(Row::COLUMNS),
            table.delete("id = ?"),
            table.select(Row::COLUMNS, "id = ?"),
        )?;
        Ok(Self { put, delete, get })
    }

    pub fn put(&self, import: &ImportRow, at: i64) -> Mutation {
        let ImportRow { archive_id, segments_done } = import;
        let row = Row { id: ID, archive_id: archive_id.clone(), segments_done: segments_done.cast_signed() };
        self.put.with(Partition::Of(0, 0), row.at(at))
    }

    pub fn delete(&self, at: i64) -> Mutation {
        self.delete.with(Partition::Of(0, 0), (at, ID))
    }

    pub async fn get(&self, calls: &Calls) -> Result<Option<ImportRow>, StoreError> {
        let row: Option<Row> = calls.row(&self.get, (ID,)).await?;
        let import =
            |row: Row| ImportRow { archive_id: row.archive_id, segments_done: row.segments_done.cast_unsigned() };
        Ok(row.map(import))
    }
}
