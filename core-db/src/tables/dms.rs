//! `dms`: DMs and group DMs.

use rookery_model::store::DmRow;
use rookery_model::{ChannelId, MessageId, UserId};
use serde::Serialize;

use super::channels::{self, Stored};
use super::{Sink, Table, View};
use crate::key::Key;
use crate::{StoreError, row};

/// All fields of a DM as stored.
#[derive(Serialize)]
pub(crate) struct StoredDm<'a> {
    channel: Stored<'a>,
    user_ids: &'a [UserId],
    #[serde(skip_serializing_if = "Option::is_none")]
    call_message_id: Option<MessageId>,
}

impl<'a> From<&'a DmRow> for StoredDm<'a> {
    fn from(dm: &'a DmRow) -> Self {
        let DmRow { channel, user_ids, call_message_id } = dm;
        Self { channel: channel.into(), user_ids, call_message_id: *call_message_id }
    }
}

fn key(id: ChannelId) -> Key {
    Key::of(Table::Dms).id(id.get())
}

/// Puts a DM, and the way to it.
pub fn put(sink: &mut impl Sink, dm: &DmRow) -> Result<(), StoreError> {
    sink.put(Table::Dms, key(dm.channel.id), row::encode(&StoredDm::from(dm))?);
    channels::put_place(sink, dm.channel.id, None)
}

pub fn delete(sink: &mut impl Sink, id: ChannelId) {
    sink.delete(Table::Dms, key(id));
    channels::delete(sink, id);
}

pub fn get(view: &impl View, id: ChannelId) -> Result<Option<DmRow>, StoreError> {
    let key = key(id);
    let row = view.get(Table::Dms, &key)?;
    row.map(|bytes| row::decode(Table::Dms, key.as_bytes(), &bytes)).transpose()
}
