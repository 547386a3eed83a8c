//! PRESENCE_UPDATE as it is dispatched: whether somebody is there, where, and what they do.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Activity, Status};
use crate::user::User;
use crate::{GuildId, UserId};

/// Activities that others see of one user at most.
pub const ACTIVITIES_MAX: usize = 16;

/// What a client runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ClientKind {
    Desktop,
    Mobile,
    Web,
}

impl ClientKind {
    /// The name in SESSIONS_REPLACE and `client_status`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Desktop => "desktop",
            Self::Mobile => "mobile",
            Self::Web => "web",
        }
    }
}

/// The status on each kind of client; absent where the user is offline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ClientStatus {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desktop: Option<Status>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mobile: Option<Status>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub web: Option<Status>,
}

impl ClientStatus {
    /// The status on one kind of client.
    pub const fn of_mut(&mut self, kind: ClientKind) -> &mut Option<Status> {
        match kind {
            ClientKind::Desktop => &mut self.desktop,
            ClientKind::Mobile => &mut self.mobile,
            ClientKind::Web => &mut self.web,
        }
    }
}

/// A user as others see them. Never invisible: that is offline here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presence {
    pub status: Status,
    pub activities: Arc<[Activity]>,
    pub client_status: ClientStatus,
}

impl Default for Presence {
    /// Offline.
    fn default() -> Self {
        Self { status: Status::Offline, activities: Arc::default(), client_status: ClientStatus::default() }
    }
}

impl Presence {
    /// Whether there is nothing to see.
    pub fn is_offline(&self) -> bool {
        self.status == Status::Offline
    }

    /// The event, or the entry of a list of presences, which tells no guild.
    pub fn of(&self, user: PresenceUser, guild_id: Option<GuildId>) -> PresenceEvent {
        PresenceEvent {
            user,
            guild_id,
            status: self.status,
            activities: Arc::clone(&self.activities),
            client_status: self.client_status,
        }
    }
}

/// Whose presence it is: the id, or the whole user if something of it changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PresenceUser {
    Whole(Box<User>),
    Id { id: UserId },
}

impl PresenceUser {
    /// The user's id.
    pub fn id(&self) -> UserId {
        match self {
            Self::Whole(user) => user.id,
            Self::Id { id } => *id,
        }
    }
}

impl From<UserId> for PresenceUser {
    fn from(id: UserId) -> Self {
        Self::Id { id }
    }
}

/// PRESENCE_UPDATE, and an entry of the lists of presences in READY, GUILD_CREATE and GUILD_MEMBERS_CHUNK.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PresenceEvent {
    pub user: PresenceUser,
    /// Absent for friends, and in lists, which are of one guild.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guild_id: Option<GuildId>,
    pub status: Status,
    pub activities: Arc<[Activity]>,
    pub client_status: ClientStatus,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::ActivityType;

    #[test]
    fn an_event_has_the_documented_shape() {
        let presence = Presence {
            status: Status::Dnd,
            activities: Arc::new([Activity::new("game", ActivityType::Playing)]),
            client_status: ClientStatus { mobile: Some(Status::Dnd), ..ClientStatus::default() },
        };
        let event = presence.of(UserId::new(7).into(), Some(GuildId::new(5)));
        let json = serde_json::to_value(&event).expect("JSON");
        let wanted = serde_json::json!({
            "user": {"id": "7"}, "guild_id": "5", "status": "dnd",
            "activities": [{"name": "game", "type": 0}], "client_status": {"mobile": "dnd"},
        });
        assert_eq!(json, wanted);
        assert_eq!(serde_json::from_value::<PresenceEvent>(json).expect("an event"), event);
    }
}
