//! What others are to the user.

use std::collections::BTreeMap;

use rookery_model::UserId;
use rookery_model::relationship::{RelationshipRow, RelationshipType};

/// The relationships of one user, by the other.
#[derive(Debug, Default)]
pub(crate) struct Relationships {
    by_other: BTreeMap<UserId, RelationshipRow>,
}

impl Relationships {
    pub(crate) fn load(rows: Vec<RelationshipRow>) -> Self {
        Self { by_other: rows.into_iter().map(|row| (row.other_id, row)).collect() }
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &RelationshipRow> {
        self.by_other.values()
    }

    pub(crate) fn get(&self, other: UserId) -> Option<&RelationshipRow> {
        self.by_other.get(&other)
    }

    pub(crate) fn is_friend(&self, other: UserId) -> bool {
        self.get(other).is_some_and(|row| row.kind == RelationshipType::Friend)
    }

    /// Those who see when the user comes and goes.
    pub(crate) fn friends(&self) -> impl Iterator<Item = UserId> + '_ {
        self.all().filter(|row| row.kind == RelationshipType::Friend).map(|row| row.other_id)
    }
}
