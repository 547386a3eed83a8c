//! Invites.

use serde::{Deserialize, Serialize};

use crate::channel::ChannelType;
use crate::user::User;
use crate::{ChannelId, GuildId, Timestamp, UserId};

/// What is stored of an invite.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InviteRow {
    pub code: String,
    pub guild_id: GuildId,
    pub channel_id: ChannelId,
    pub inviter_id: Option<UserId>,
    pub uses: u32,
    /// 0 is unlimited.
    pub max_uses: u32,
    /// Seconds; 0 is for ever.
    pub max_age: u32,
    pub temporary: bool,
    pub created_at: Timestamp,
}

impl InviteRow {
    /// When the invite ends, if it does.
    pub fn expires_at(&self) -> Option<Timestamp> {
        (self.max_age > 0).then(|| Timestamp(self.created_at.0 + i64::from(self.max_age) * 1_000_000))
    }
    /// Whether it can be accepted at `now`.
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.expires_at().is_none_or(|end| now < end) && (self.max_uses == 0 || self.uses < self.max_uses)
    }
}

/// An invite as the API shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Invite {
    #[serde(rename = "type")]
    pub kind: u8,
    pub code: String,
    pub guild_id: Option<GuildId>,
    pub guild: Option<InviteGuild>,
    pub channel: InviteChannel,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inviter: Option<User>,
    pub expires_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approximate_member_count: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approximate_presence_count: Option<u32>,
    /// Whether accepting it made the caller a new member; only in the answer to an accept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_member: Option<bool>,
    /// Only for those who may manage the channel or guild, and for the maker.
    #[serde(flatten)]
    pub metadata: Option<InviteMetadata>,
}

/// Who used an invite how often.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InviteMetadata {
    pub uses: u32,
    pub max_uses: u32,
    pub max_age: u32,
    pub temporary: bool,
    pub created_at: Timestamp,
}

/// The guild inside an invite.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InviteGuild {
    pub id: GuildId,
    pub name: String,
    pub icon: Option<String>,
    pub description: Option<String>,
    pub banner: Option<String>,
    pub splash: Option<String>,
    pub verification_level: u8,
    pub features: Vec<String>,
    pub vanity_url_code: Option<String>,
    pub nsfw_level: u8,
    /// Whether the level says that it is for adults.
    #[serde(default)]
    pub nsfw: bool,
    pub premium_subscription_count: u32,
}

/// The channel inside an invite.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InviteChannel {
    pub id: ChannelId,
    pub name: Option<String>,
    #[serde(rename = "type")]
    pub kind: ChannelType,
}
