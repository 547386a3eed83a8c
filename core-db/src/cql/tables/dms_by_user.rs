//! `dms_by_user`: the DMs that stand in a user's list.

use rookery_model::{ChannelId, UserId};

use super::prelude::*;

row! { user_id: i64, channel_id: i64 }

/// The table's statements.
pub struct DmsByUser {
    put: Statement,
    delete: Statement,
    of: Statement,
}

impl DmsByUser {
    pub async fn prepare(preparer: Preparer<'_>) -> Result<Self, OpenError> {
        let table = preparer.table(Table::DmsByUser);
        let (put, delete, of) = tokio::try_join!(
            table.insert(Row::COLUMNS),
            table.delete("user_id = ? AND channel_id = ?"),
            table.select(&["channel_id"], "user_id = ?"),
        )?;
        Ok(Self { put, delete, of })
    }

    pub fn put(&self, user_id: UserId, channel_id: ChannelId, at: i64) -> Mutation {
        let row = Row { user_id: big(user_id), channel_id: big(channel_id) };
        self.put.with(Partition::Of(user_id.get(), 0), row.at(at))
    }

    pub fn delete(&self, user_id: UserId, channel_id: ChannelId, at: i64) -> Mutation {
        self.delete.with(Partition::Of(user_id.get(), 0), (at, big(user_id), big(channel_id)))
    }

    /// The DMs of a user, by id.
    pub async fn of(&self, calls: &Calls, user_id: UserId) -> Result<Vec<ChannelId>, StoreError> {
        let rows: Vec<(i64,)> = calls.all_rows(&self.of, (big(user_id),)).await?;
        Ok(rows.into_iter().map(|(channel_id,)| id(channel_id)).collect())
    }
}
