//! `messages_to_purge`: deleted messages whose marked rows are still stored, by the day on which they are removed.

use rookery_model::{ChannelId, MessageId};

use super::prelude::*;
use crate::cql::purge::Reader;

row! { day: i32, slot: i8, channel_id: i64, message_id: i64, deleted_at_us: i64 }

/// Over how many partitions a day is spread.
pub const SLOTS: u8 = 16;

/// A message to remove.
#[derive(Clone, Copy, Debug)]
pub struct Due {
    pub channel_id: ChannelId,
    pub message_id: MessageId,
    /// The timestamp of the deletion: what was put later is another message's life.
    pub deleted_at_us: i64,
}

/// The table's statements.
pub struct MessagesToPurge {
    put: Statement,
    delete_slot: Statement,
    after: Statement,
}

impl MessagesToPurge {
    pub async fn prepare(preparer: Preparer<'_>) -> Result<Self, OpenError> {
        let table = preparer.table(Table::MessagesToPurge);
        let after = "day = ? AND slot = ? AND (channel_id, message_id) > (?, ?) LIMIT ?";
        let (put, delete_slot, after) = tokio::try_join!(
            table.insert(Row::COLUMNS),
            table.delete("day = ? AND slot = ?"),
            table.select(&["channel_id", "message_id", "deleted_at_us"], after),
        )?;
        Ok(Self { put, delete_slot, after })
    }

    pub fn put(&self, day: i32, due: Due) -> Mutation {
        let slot = slot_of(due.channel_id);
        let row = Row {
            day,
            slot,
            channel_id: big(due.channel_id),
            message_id: big(due.message_id),
            deleted_at_us: due.deleted_at_us,
        };
        self.put.with(Partition::Of(day.cast_unsigned().into(), slot.cast_unsigned().into()), row.at(due.deleted_at_us))
    }

    /// Removes a slot whole.
    pub fn delete_slot(&self, day: i32, slot: u8, at: i64) -> Mutation {
        self.delete_slot.with(Partition::Of(day.cast_unsigned().into(), slot.into()), (at, day, slot.cast_signed()))
    }

    /// The messages of a day's slot behind one.
    pub async fn after(
        &self,
        reader: &Reader<'_>,
        (day, slot): (i32, u8),
        after: Option<&Due>,
        limit: i32,
    ) -> Result<Vec<Due>, StoreError> {
        let (channel_id, message_id) =
            after.map_or((i64::MIN, i64::MIN), |due| (big(due.channel_id), big(due.message_id)));
        let values = (day, slot.cast_signed(), channel_id, message_id, limit);
        let rows: Vec<(i64, i64, i64)> = reader.rows(&self.after, values).await?;
        let due = |(channel_id, message_id, deleted_at_us)| Due {
            channel_id: id(channel_id),
            message_id: id(message_id),
            deleted_at_us,
        };
        Ok(rows.into_iter().map(due).collect())
    }
}

/// The slot of a channel's messages. Ids end in a sequence number that is mostly zero: the time above it spreads.
fn slot_of(channel_id: ChannelId) -> i8 {
    let spread = channel_id.get() ^ (channel_id.get() >> 22);
    // Below 16.
    (spread % u64::from(SLOTS)) as i8
}
