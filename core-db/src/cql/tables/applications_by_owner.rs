//! `applications_by_owner`: which applications a user owns.

use rookery_model::{ApplicationId, UserId};

use super::prelude::*;

row! { owner_id: i64, application_id: i64 }

/// The table's statements.
pub struct ApplicationsByOwner {
    put: Statement,
    delete: Statement,
    of: Statement,
}

impl ApplicationsByOwner {
    pub async fn prepare(preparer: Preparer<'_>) -> Result<Self, OpenError> {
        let table = preparer.table(Table::ApplicationsByOwner);
        let (put, delete, of) = tokio::try_join!(
            table.insert(Row::COLUMNS),
            table.delete("owner_id = ? AND application_id = ?"),
            table.select(&["application_id"], "owner_id = ?"),
        )?;
        Ok(Self { put, delete, of })
    }

    pub fn put(&self, owner_id: UserId, application_id: ApplicationId, at: i64) -> Mutation {
        let row = Row { owner_id: big(owner_id), application_id: big(application_id) };
        self.put.with(Partition::Of(owner_id.get(), 0), row.at(at))
    }

    pub fn delete(&self, owner_id: UserId, application_id: ApplicationId, at: i64) -> Mutation {
        self.delete.with(Partition::Of(owner_id.get(), 0), (at, big(owner_id), big(application_id)))
    }

    /// The applications of an owner, by id; those that changed hands may still be among them.
    pub async fn of(&self, calls: &Calls, owner_id: UserId) -> Result<Vec<ApplicationId>, StoreError> {
        let rows: Vec<(i64,)> = calls.all_rows(&self.of, (big(owner_id),)).await?;
        Ok(rows.into_iter().map(|(application_id,)| id(application_id)).collect())
    }
}
