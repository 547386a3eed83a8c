//! Relationships: what a user is to another.

use serde::{Deserialize, Serialize};

use crate::channel::int_enum;
use crate::user::User;
use crate::{Timestamp, UserId};

int_enum! {
    /// What the other is to the user.
    RelationshipType: u8 {
        Friend = 1,
        Blocked = 2,
        /// The other asks.
        IncomingRequest = 3,
        /// The user asked.
        OutgoingRequest = 4,
    }
}

/// One side of a relationship: each of the two has a row of their own, or none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelationshipRow {
    pub user_id: UserId,
    pub other_id: UserId,
    #[serde(rename = "type")]
    pub kind: RelationshipType,
    /// What the user calls the other.
    #[serde(default)]
    pub nickname: Option<String>,
    pub since: Timestamp,
}

/// A relationship as the API shows it; also RELATIONSHIP_ADD.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relationship {
    /// The other's id.
    pub id: UserId,
    #[serde(rename = "type")]
    pub kind: RelationshipType,
    pub nickname: Option<String>,
    pub since: Timestamp,
    pub user: User,
}

/// RELATIONSHIP_REMOVE.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelationshipRemove {
    /// The other's id.
    pub id: UserId,
    /// What they were until now.
    #[serde(rename = "type")]
    pub kind: RelationshipType,
}

impl RelationshipRow {
    /// The API's form.
    pub fn view(&self, user: User) -> Relationship {
        Relationship { id: self.other_id, kind: self.kind, nickname: self.nickname.clone(), since: self.since, user }
    }
}
