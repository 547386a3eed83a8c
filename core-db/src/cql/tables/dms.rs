//! `dms`: DMs and group DMs.

use rookery_model::ChannelId;
use rookery_model::store::DmRow;

use super::prelude::*;

channel_row! { user_ids: Vec<i64>, call_message_id: Blank<i64> }

/// The table's statements.
pub struct Dms {
    put: Statement,
    delete: Statement,
    get: Statement,
}

impl Dms {
    pub async fn prepare(preparer: Preparer<'_>) -> Result<Self, OpenError> {
        let table = preparer.table(Table::Dms);
        let (put, delete, get) = tokio::try_join!(
            table.insert(Row::COLUMNS),
            table.delete("channel_id = ?"),
            table.select(Row::COLUMNS, "channel_id = ?"),
        )?;
        Ok(Self { put, delete, get })
    }

    pub fn put(&self, dm: &DmRow, at: i64) -> Mutation {
        let DmRow { channel, user_ids, call_message_id } = dm;
        let row = Row::of(channel, bigs(user_ids), blank_id(*call_message_id));
        self.put.with(Partition::Of(channel.id.get(), 0), row.at(at))
    }

    pub fn delete(&self, id: ChannelId, at: i64) -> Mutation {
        self.delete.with(Partition::Of(id.get(), 0), (at, big(id)))
    }

    pub async fn get(&self, calls: &Calls, channel_id: ChannelId) -> Result<Option<DmRow>, StoreError> {
        let row: Option<Row> =
            calls.row_from_anywhere(&self.get, (big(channel_id),), Some(channel_id.timestamp())).await?;
        row.map(dm).transpose()
    }
}

pub fn dm(mut row: Row) -> Result<DmRow, StoreError> {
    let key = [row.channel_id];
    let user_ids = ids(std::mem::take(&mut row.user_ids));
    let call_message_id = id_or_none(row.call_message_id);
    let channel = row.into_channel(None).map_err(|reason| corrupt(Table::Dms, &key, reason))?;
    Ok(DmRow { channel, user_ids, call_message_id })
}
