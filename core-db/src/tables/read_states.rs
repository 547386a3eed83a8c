//! `read_states`: how far users have read.

use rookery_model::store::ReadState;
use rookery_model::{ChannelId, UserId};

use super::{Sink, Table, View};
use crate::key::Key;
use crate::{StoreError, row};

/// All read states of a user.
pub fn prefix(user_id: UserId) -> Key {
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
