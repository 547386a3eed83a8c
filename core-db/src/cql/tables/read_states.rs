//! `read_states`: how far users have read.

use rookery_model::store::ReadState;
use rookery_model::{ChannelId, UserId};

use super::prelude::*;
use crate::cql::damage::{Damage, Decoded};

row! {
    user_id: i64,
    channel_id: i64,
    last_message_id: Blank<i64>,
    mention_count: i32,
    last_pin_timestamp_us: Blank<i64>,
}

/// The table's statements.
pub struct ReadStates {
    put: Statement,
    get: Statement,
    of: Statement,
}

impl ReadStates {
    pub async fn prepare(preparer: Preparer<'_>) -> Result<Self, OpenError> {
        let table = preparer.table(Table::ReadStates);
        let (put, get, of) = tokio::try_join!(
            table.insert(Row::COLUMNS),
            table.select(Row::COLUMNS, "user_id = ? AND channel_id = ?"),
            table.select(Row::COLUMNS, "user_id = ?"),
        )?;
        Ok(Self { put, get, of })
    }

    pub fn put(&self, state: &ReadState, at: i64) -> Mutation {
        let ReadState { user_id, channel_id, last_message_id, mention_count, last_pin_timestamp } = state;
        let row = Row {
            user_id: big(*user_id),
            channel_id: big(*channel_id),
            last_message_id: blank_id(*last_message_id),
            mention_count: mention_count.cast_signed(),
            last_pin_timestamp_us: Blank(last_pin_timestamp.map(|at| at.0)),
        };
        self.put.with(Partition::Of(user_id.get(), 0), row.at(at))
    }

    pub async fn get(
        &self,
        calls: &Calls,
        user_id: UserId,
        channel_id: ChannelId,
    ) -> Result<Option<ReadState>, StoreError> {
        let row: Option<Row> = calls.row(&self.get, (big(user_id), big(channel_id))).await?;
        Ok(row.map(state))
    }

    /// All read states of a user, by channel.
    pub async fn of(&self, calls: &Calls, user_id: UserId) -> Result<Vec<ReadState>, StoreError> {
        let rows: Vec<Decoded<Row, 2>> = calls.all_rows(&self.of, (big(user_id),)).await?;
        let shown = |row| match row {
            Decoded::Row(row) => Some(state(row)),
            Decoded::Damaged(Damage { key, reason }) => {
                calls.left_out(&self.of, &key, &reason);
                None
            }
        };
        Ok(rows.into_iter().filter_map(shown).collect())
    }
}

pub fn state(row: Row) -> ReadState {
    ReadState {
        user_id: id(row.user_id),
        channel_id: id(row.channel_id),
        last_message_id: id_or_none(row.last_message_id),
        mention_count: row.mention_count.cast_unsigned(),
        last_pin_timestamp: row.last_pin_timestamp_us.0.map(Timestamp),
    }
}
