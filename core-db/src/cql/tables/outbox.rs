//! `outbox`: work that follows from writes, `((queue, minute), queued_at_us, id)`.

use rookery_model::outbox::{OutboxPlace, OutboxQueue, OutboxRow};

use super::prelude::*;
use crate::cql::damage::Decoded;
use crate::tables::outbox::check;

row! { queue: i8, minute: i32, queued_at_us: i64, id: i64, work: Vec<u8> }

const MINUTE_US: i64 = 60 * 1_000_000;

/// The table's statements.
pub struct Outbox {
    put: Statement,
    delete: Statement,
    after: Statement,
}

impl Outbox {
    pub async fn prepare(preparer: Preparer<'_>) -> Result<Self, OpenError> {
        let table = preparer.table(Table::Outbox);
        let after = "queue = ? AND minute = ? AND (queued_at_us, id) > (?, ?) LIMIT ?";
        let (put, delete, after) = tokio::try_join!(
            table.insert(Row::COLUMNS),
            table.delete("queue = ? AND minute = ? AND queued_at_us = ? AND id = ?"),
            table.select(Row::COLUMNS, after),
        )?;
        Ok(Self { put, delete, after })
    }

    pub fn put(&self, row: &OutboxRow, at: i64) -> Result<Mutation, StoreError> {
        check(row)?;
        let OutboxRow { queue, place: OutboxPlace { queued_at, id }, work } = row;
        let minute = minute_of(*queued_at);
        let row =
            Row { queue: number(*queue), minute, queued_at_us: queued_at.0, id: id.cast_signed(), work: work.clone() };
        self.put.with_sized(partition(*queue, minute), work.len(), row.at(at))
    }

    pub fn delete(&self, queue: OutboxQueue, place: OutboxPlace, at: i64) -> Mutation {
        let minute = minute_of(place.queued_at);
        let values = (at, number(queue), minute, place.queued_at.0, place.id.cast_signed());
        self.delete.with(partition(queue, minute), values)
    }

    /// Work of one minute behind a place.
    pub async fn after(
        &self,
        calls: &Calls,
        queue: OutboxQueue,
        minute: i32,
        after: Option<OutboxPlace>,
        limit: i32,
    ) -> Result<Vec<OutboxRow>, StoreError> {
        let mut from = after.map_or((i64::MIN, i64::MAX), |place| (place.queued_at.0, place.id.cast_signed()));
        let (wanted, mut found) = (usize::try_from(limit).unwrap_or(0), Vec::new());
        while found.len() < wanted {
            let asked = wanted - found.len();
            let rows_max = i32::try_from(asked).unwrap_or(i32::MAX);
            let values = (number(queue), minute, from.0, from.1, rows_max);
            let rows: Vec<Decoded<Row, 4>> = calls.rows(&self.after, values).await?;
            let is_last = rows.len() < asked;
            from = rows.last().map_or(from, |last| match last {
                Decoded::Row(row) => (row.queued_at_us, row.id),
                Decoded::Damaged(damage) => (damage.key[2], damage.key[3]),
            });
            // Or a damaged row would hold up all the work behind it.
            found.extend(calls.understood(&self.after, rows, work)?);
            if is_last {
                break;
            }
        }
        Ok(found)
    }
}

/// The minute, since 1970, in which work was queued.
pub fn minute_of(queued_at: Timestamp) -> i32 {
    // Not beyond the year 6000 in either direction.
    i32::try_from(queued_at.0.div_euclid(MINUTE_US)).unwrap_or(if queued_at.0 < 0 { i32::MIN } else { i32::MAX })
}

/// The number of a queue.
pub fn number(queue: OutboxQueue) -> i8 {
    u8::from(queue).cast_signed()
}

fn partition(queue: OutboxQueue, minute: i32) -> Partition {
    Partition::Of(u8::from(queue).into(), minute.cast_unsigned().into())
}

pub fn work(row: Row) -> Result<OutboxRow, StoreError> {
    let key = [row.queue.into(), row.minute.into(), row.queued_at_us, row.id];
    let queue = row.queue.cast_unsigned().try_into();
    Ok(OutboxRow {
        queue: queue.map_err(|reason: String| corrupt(Table::Outbox, &key, reason))?,
        place: OutboxPlace { queued_at: Timestamp(row.queued_at_us), id: row.id.cast_unsigned() },
        work: row.work,
    })
}
