//! `purges`: deleted channels and guilds whose contents are still to be removed, in the background.

use rookery_model::{ChannelId, GuildId};

use super::{Sink, Table, View, marker};
use crate::key::{Key, Parts};
use crate::{StoreError, row};

/// What is to be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Purge {
    Channel(ChannelId),
    Guild(GuildId),
}

fn key(purge: Purge) -> Key {
    match purge {
        Purge::Channel(id) => Key::of(Table::Purges).kind(1).id(id.get()),
        Purge::Guild(id) => Key::of(Table::Purges).kind(2).id(id.get()),
    }
}

pub fn put(sink: &mut impl Sink, purge: Purge) {
    sink.put(Table::Purges, key(purge), marker());
}

pub fn delete(sink: &mut impl Sink, purge: Purge) {
    sink.delete(Table::Purges, key(purge));
}

/// What a key names.
pub fn parse(key: &[u8]) -> Option<Purge> {
    let mut parts = Parts::of(key, Table::Purges)?;
    match (parts.kind()?, parts.id()?) {
        (1, id) => Some(Purge::Channel(ChannelId::new(id))),
        (2, id) => Some(Purge::Guild(GuildId::new(id))),
        _ => None,
    }
}

/// What is left from before.
pub fn all(view: &impl View) -> Result<Vec<Purge>, StoreError> {
    let rows = view.scan(Table::Purges, &Key::of(Table::Purges), usize::MAX)?;
    rows.iter()
        .map(|(key, _)| parse(key).ok_or_else(|| row::corrupt(Table::Purges, key, "not a channel or guild")))
        .collect()
}
