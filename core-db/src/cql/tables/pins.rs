//! `pins`: the pinned messages of a channel; at most fifty, so that they are ordered when read.

use rookery_model::{ChannelId, MessageId};

use super::prelude::*;
use crate::cql::purge::Reader;
use crate::engine::PinRow;

row! { channel_id: i64, message_id: i64, pinned_at_us: i64 }

/// The table's statements.
pub struct Pins {
    put: Statement,
    delete: Statement,
    delete_all: Statement,
    exists: Statement,
    of: Statement,
}

impl Pins {
    pub async fn prepare(preparer: Preparer<'_>) -> Result<Self, OpenError> {
        let table = preparer.table(Table::Pins);
        let (put, delete, delete_all, exists, of) = tokio::try_join!(
            table.insert(Row::COLUMNS),
            table.delete("channel_id = ? AND message_id = ?"),
            table.delete("channel_id = ?"),
            table.select(&["message_id"], "channel_id = ? AND message_id = ?"),
            table.select(Row::COLUMNS, "channel_id = ?"),
        )?;
        Ok(Self { put, delete, delete_all, exists, of })
    }

    pub fn put(&self, channel_id: ChannelId, message_id: MessageId, pinned_at: Timestamp, at: i64) -> Mutation {
        let row = Row { channel_id: big(channel_id), message_id: big(message_id), pinned_at_us: pinned_at.0 };
        self.put.with(Partition::Of(channel_id.get(), 0), row.at(at))
    }

    pub fn delete(&self, channel_id: ChannelId, message_id: MessageId, at: i64) -> Mutation {
        self.delete.with(Partition::Of(channel_id.get(), 0), (at, big(channel_id), big(message_id)))
    }

    pub fn delete_all(&self, channel_id: ChannelId, at: i64) -> Mutation {
        self.delete_all.with(Partition::Of(channel_id.get(), 0), (at, big(channel_id)))
    }

    /// Whether a message is pinned.
    pub async fn exists(
        &self,
        calls: &Calls,
        channel_id: ChannelId,
        message_id: MessageId,
    ) -> Result<bool, StoreError> {
        let row: Option<(i64,)> = calls.row(&self.exists, (big(channel_id), big(message_id))).await?;
        Ok(row.is_some())
    }

    /// The pins of a channel, newest pin first.
    pub async fn of(&self, calls: &Calls, channel_id: ChannelId) -> Result<Vec<PinRow>, StoreError> {
        self.of_at(&Reader::here(calls), channel_id).await
    }

    /// Likewise, as somebody sees them.
    pub async fn of_at(&self, reader: &Reader<'_>, channel_id: ChannelId) -> Result<Vec<PinRow>, StoreError> {
        let rows: Vec<Row> = reader.rows(&self.of, (big(channel_id),)).await?;
        let pin = |row: Row| PinRow { message_id: id(row.message_id), pinned_at: Timestamp(row.pinned_at_us) };
        let mut pins: Vec<PinRow> = rows.into_iter().map(pin).collect();
        pins.sort_by_key(|pin| std::cmp::Reverse((pin.pinned_at, pin.message_id)));
        Ok(pins)
    }
}
