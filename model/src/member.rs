//! Guild members.

use serde::{Deserialize, Serialize};

use crate::user::User;
use crate::{GuildId, Permissions, RoleId, Timestamp, UserId};

/// What a guild stores of a member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberRow {
    pub guild_id: GuildId,
    pub user_id: UserId,
    #[serde(default)]
    pub nick: Option<String>,
    #[serde(default)]
    pub avatar: Option<String>,
    /// Without `@everyone`, sorted.
    #[serde(default)]
    pub roles: Vec<RoleId>,
    pub joined_at: Timestamp,
    #[serde(default)]
    pub deaf: bool,
    #[serde(default)]
    pub mute: bool,
    #[serde(default)]
    pub pending: bool,
    #[serde(default)]
    pub flags: u32,
    #[serde(default)]
    pub communication_disabled_until: Option<Timestamp>,
}

/// A member as the API shows it; `user` is absent inside message events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<User>,
    pub nick: Option<String>,
    pub avatar: Option<String>,
    #[serde(default)]
    pub banner: Option<String>,
    pub roles: Vec<RoleId>,
    pub joined_at: Timestamp,
    #[serde(default)]
    pub premium_since: Option<Timestamp>,
    pub deaf: bool,
    pub mute: bool,
    pub flags: u32,
    pub pending: bool,
    #[serde(default)]
    pub communication_disabled_until: Option<Timestamp>,
    /// Total permissions in a channel; only in interactions and when asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions: Option<Permissions>,
}

impl MemberRow {
    /// The API's form, with or without the user.
    pub fn view(&self, user: Option<User>) -> Member {
        Member {
            user,
            nick: self.nick.clone(),
            avatar: self.avatar.clone(),
            banner: None,
            roles: self.roles.clone(),
            joined_at: self.joined_at,
            premium_since: None,
            deaf: self.deaf,
            mute: self.mute,
            flags: self.flags,
            pending: self.pending,
            communication_disabled_until: self.communication_disabled_until,
            permissions: None,
        }
    }
}
