//! `relationships`: what others are to a user.

use rookery_model::UserId;
use rookery_model::relationship::RelationshipRow;

use super::{Sink, Table, View};
use crate::key::Key;
use crate::{StoreError, row};

fn prefix(user_id: UserId) -> Key {
    Key::of(Table::Relationships).id(user_id.get())
}

pub fn put(sink: &mut impl Sink, relationship: &RelationshipRow) -> Result<(), StoreError> {
    let key = prefix(relationship.user_id).id(relationship.other_id.get());
    sink.put(Table::Relationships, key, row::encode(relationship)?);
    Ok(())
}

pub fn delete(sink: &mut impl Sink, user_id: UserId, other_id: UserId) {
    sink.delete(Table::Relationships, prefix(user_id).id(other_id.get()));
}

/// The relationships of a user, by the other's id.
///
/// A damaged row is an error: it may be what blocks somebody.
pub fn of(view: &impl View, user_id: UserId) -> Result<Vec<RelationshipRow>, StoreError> {
    let rows = view.scan(Table::Relationships, &prefix(user_id), usize::MAX)?;
    rows.iter().map(|(key, bytes)| row::decode(Table::Relationships, key, bytes)).collect()
}
