//! `relationships`: what others are to a user.

use rookery_model::UserId;
use rookery_model::relationship::RelationshipRow;

use super::prelude::*;

row! { user_id: i64, other_id: i64, kind as "type": i8, nickname: Option<String>, since_us: i64 }

/// The table's statements.
pub struct Relationships {
    put: Statement,
    delete: Statement,
    of: Statement,
}

impl Relationships {
    pub async fn prepare(preparer: Preparer<'_>) -> Result<Self, OpenError> {
        let table = preparer.table(Table::Relationships);
        let (put, delete, of) = tokio::try_join!(
            table.insert(Row::COLUMNS),
            table.delete("user_id = ? AND other_id = ?"),
            table.select(Row::COLUMNS, "user_id = ?"),
        )?;
        Ok(Self { put, delete, of })
    }

    pub fn put(&self, relationship: &RelationshipRow, at: i64) -> Result<Mutation, StoreError> {
        let RelationshipRow { user_id, other_id, kind, nickname, since } = relationship;
        let row = Row {
            user_id: big(*user_id),
            other_id: big(*other_id),
            kind: u8::from(*kind).cast_signed(),
            nickname: nickname.clone(),
            since_us: since.0,
        };
        let bytes = nickname.as_ref().map_or(0, String::len);
        self.put.with_sized(Partition::Of(user_id.get(), 0), bytes, row.at(at))
    }

    pub fn delete(&self, user_id: UserId, other_id: UserId, at: i64) -> Mutation {
        self.delete.with(Partition::Of(user_id.get(), 0), (at, big(user_id), big(other_id)))
    }

    /// The relationships of a user, by the other's id.
    pub async fn of(&self, calls: &Calls, user_id: UserId) -> Result<Vec<RelationshipRow>, StoreError> {
        let rows: Vec<Row> = calls.all_rows(&self.of, (big(user_id),)).await?;
        rows.into_iter().map(relationship).collect()
    }
}

pub fn relationship(row: Row) -> Result<RelationshipRow, StoreError> {
    let key = [row.user_id, row.other_id];
    let kind = row.kind.cast_unsigned().try_into();
    Ok(RelationshipRow {
        user_id: id(row.user_id),
        other_id: id(row.other_id),
        kind: kind.map_err(|reason: String| corrupt(Table::Relationships, &key, reason))?,
        nickname: row.nickname,
        since: Timestamp(row.since_us),
    })
}
