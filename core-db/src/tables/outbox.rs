//! `outbox`: work that follows from writes, oldest first.

use std::time::{SystemTime, UNIX_EPOCH};

use fjall::Slice;
use rookery_model::Timestamp;
use rookery_model::outbox::{OutboxPlace, OutboxQueue, OutboxRow};

use super::{Sink, Table};
use crate::key::{Key, Parts};
use crate::{StoreError, row};

/// The largest piece of work, bytes: it names things, and holds none.
const WORK_MAX_BYTES: usize = 64 * 1024;

/// All work of a queue.
pub fn prefix(queue: OutboxQueue) -> Key {
    Key::of(Table::Outbox).kind(queue.into())
}

/// The key of a row; also where a page behind it begins.
pub fn key(queue: OutboxQueue, place: OutboxPlace) -> Key {
    prefix(queue).moment(place.queued_at).id(place.id)
}

/// Refuses work that is too large.
pub fn check(row: &OutboxRow) -> Result<(), StoreError> {
    let bytes = row.work.len();
    if bytes > WORK_MAX_BYTES {
        return Err(StoreError::Invalid(format!("work of {bytes} bytes is larger than {WORK_MAX_BYTES}")));
    }
    Ok(())
}

pub fn put(sink: &mut impl Sink, row: &OutboxRow) -> Result<(), StoreError> {
    check(row)?;
    sink.put(Table::Outbox, key(row.queue, row.place), Slice::from(&row.work[..]));
    Ok(())
}

pub fn delete(sink: &mut impl Sink, queue: OutboxQueue, place: OutboxPlace) {
    sink.delete(Table::Outbox, key(queue, place));
}

/// A row out of its key and bytes.
pub fn decode(key: &[u8], bytes: &[u8]) -> Result<OutboxRow, StoreError> {
    let read = || {
        let mut parts = Parts::of(key, Table::Outbox)?;
        let queue = OutboxQueue::try_from(parts.kind()?).ok()?;
        Some((queue, OutboxPlace { queued_at: parts.moment()?, id: parts.id()? }))
    };
    let (queue, place) = read().ok_or_else(|| row::corrupt(Table::Outbox, key, "key without a queue and a place"))?;
    Ok(OutboxRow { queue, place, work: bytes.to_vec() })
}

/// The moment under which the engine itself queues work.
pub fn now() -> Timestamp {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(now.as_micros()).unwrap_or(i64::MAX))
}
