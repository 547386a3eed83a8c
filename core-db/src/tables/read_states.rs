//! `read_states`: how far users have read.

use rookery_model::store::ReadState;
use rookery_model::{ChannelId, UserId};

use super::{Sink, Table, View};
use crate::key::Key;
use crate::{StoreError, row};

fn prefix(user_id: UserId) -> Key {
    Key::of(Table::ReadStates).id(user_id.get())
}

pub fn put(sink: &mut impl Sink, state: &ReadState) -> Result<(), StoreError> {
    sink.put(Table::ReadStates, prefix(state.user_id).id(state.channel_id.get()), row::encode(state)?);
    Ok(())
}

pub fn get(view: &impl View, user_id: UserId, channel_id: ChannelId) -> Result<Option<ReadState>, StoreError> {
    let key = prefix(user_id).id(channel_id.get());
    let row = view.get(Table::ReadStates, &key)?;
    row.map(|bytes| row::decode(Table::ReadStates, key.as_bytes(), &bytes)).transpose()
}

/// All read states of a user, by channel.
pub fn of(view: &impl View, user_id: UserId) -> Result<Vec<ReadState>, StoreError> {
    let rows = view.scan(Table::ReadStates, &prefix(user_id), usize::MAX)?;
    rows.iter().map(|(key, bytes)| row::decode(Table::ReadStates, key, bytes)).collect()
}
