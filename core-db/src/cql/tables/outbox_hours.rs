//! `outbox_hours`: which hours of a queue may hold work.

use rookery_model::outbox::OutboxQueue;

use super::outbox::number;
use super::prelude::*;

row! { queue: i8, hour: i32 }

/// The table's statements.
pub struct OutboxHours {
    put: Statement,
    delete: Statement,
    of: Statement,
}

impl OutboxHours {
    pub async fn prepare(preparer: Preparer<'_>) -> Result<Self, OpenError> {
        let table = preparer.table(Table::OutboxHours);
        let (put, delete, of) = tokio::try_join!(
            table.insert(Row::COLUMNS),
            table.delete("queue = ? AND hour = ?"),
            table.select(&["hour"], "queue = ?"),
        )?;
        Ok(Self { put, delete, of })
    }

    pub fn put(&self, queue: OutboxQueue, hour: i32, at: i64) -> Mutation {
        let row = Row { queue: number(queue), hour };
        self.put.with(Partition::Of(u8::from(queue).into(), 0), row.at(at))
    }

    pub fn delete(&self, queue: OutboxQueue, hour: i32, at: i64) -> Mutation {
        self.delete.with(Partition::Of(u8::from(queue).into(), 0), (at, number(queue), hour))
    }

    /// The hours of a queue, oldest first.
    pub async fn of(&self, calls: &Calls, queue: OutboxQueue) -> Result<Vec<i32>, StoreError> {
        let rows: Vec<(i32,)> = calls.all_rows(&self.of, (number(queue),)).await?;
        Ok(rows.into_iter().map(|(hour,)| hour).collect())
    }
}
