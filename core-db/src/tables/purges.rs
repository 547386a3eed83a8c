//! `purges`: deleted channels and guilds, and erased users, whose contents are still to be removed, in the background.

use fjall::Slice;
use rookery_model::{ChannelId, GuildId, MessageId, UserId};

use super::{Sink, Table, View, marker};
use crate::key::{Key, Parts};
use crate::{StoreError, row};

/// Whose contents are to be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Purge {
    Channel(ChannelId),
    Guild(GuildId),
    User(UserId),
}

fn key(purge: Purge) -> Key {
    let key = Key::of(Table::Purges);
    match purge {
        Purge::Channel(id) => key.kind(1).id(id.get()),
        Purge::Guild(id) => key.kind(2).id(id.get()),
        Purge::User(id) => key.kind(3).id(id.get()),
    }
}

pub fn put(sink: &mut impl Sink, purge: Purge) {
    sink.put(Table::Purges, key(purge), marker());
}

/// Begins the erasure of a user's messages up to an id.
pub fn put_user(sink: &mut impl Sink, user_id: UserId, through: MessageId) {
    sink.put(Table::Purges, key(Purge::User(user_id)), Slice::from(through.get().to_be_bytes()));
}

pub fn delete(sink: &mut impl Sink, purge: Purge) {
    sink.delete(Table::Purges, key(purge));
}

/// Up to which message id a purge that is under way goes.
pub fn through(view: &impl View, purge: Purge) -> Result<Option<MessageId>, StoreError> {
    let key = key(purge);
    let row = view.get(Table::Purges, &key)?;
    row.map(|row| parse_row(key.as_bytes(), &row)).transpose()
}

/// What a row says: up to which message id. Of channels and guilds everything goes.
pub fn parse_row(key: &[u8], row: &[u8]) -> Result<MessageId, StoreError> {
    match (parse(key)?, <[u8; 8]>::try_from(row)) {
        (Purge::User(_), Ok(through)) => Ok(MessageId::new(u64::from_be_bytes(through))),
        (Purge::User(_), Err(_)) => Err(row::corrupt(Table::Purges, key, "not a message id")),
        _ => Ok(MessageId::new(u64::MAX)),
    }
}

/// What a key names.
pub fn parse(key: &[u8]) -> Result<Purge, StoreError> {
    let read = || {
        let mut parts = Parts::of(key, Table::Purges)?;
        match (parts.kind()?, parts.id()?) {
            (1, id) => Some(Purge::Channel(ChannelId::new(id))),
            (2, id) => Some(Purge::Guild(GuildId::new(id))),
            (3, id) => Some(Purge::User(UserId::new(id))),
            _ => None,
        }
    };
    read().ok_or_else(|| row::corrupt(Table::Purges, key, "not a channel, guild or user"))
}

/// What is left from before, each with the message id up to which it goes; rows that cannot be read stand in `damaged`.
pub fn all(view: &impl View, damaged: &mut Vec<StoreError>) -> Result<Vec<(Purge, MessageId)>, StoreError> {
    let rows = view.scan_around(Table::Purges, &Key::of(Table::Purges), None, usize::MAX, damaged)?;
    let mut purges = Vec::with_capacity(rows.len());
    for (key, row) in rows {
        match parse(&key).and_then(|purge| Ok((purge, parse_row(&key, &row)?))) {
            Ok(purge) => purges.push(purge),
            Err(error) => damaged.push(error),
        }
    }
    Ok(purges)
}
