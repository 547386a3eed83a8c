//! Calls about guilds, roles and members.

use serde::{Deserialize, Serialize};

use crate::color::RoleColors;
use crate::{ChannelId, Patch, Permissions, RoleId, Timestamp, UserId};

use super::CreateChannel;

/// `POST /guilds`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CreateGuild {
    pub name: String,
    pub verification_level: Option<u8>,
    pub default_message_notifications: Option<u8>,
    pub explicit_content_filter: Option<u8>,
    pub afk_timeout: Option<u32>,
    pub system_channel_flags: Option<u32>,
    /// The first is `@everyone`; placeholder ids let channels name them.
    pub roles: Vec<(u64, CreateRole)>,
    /// Placeholder id and channel; `parent_id` names a placeholder of an earlier category.
    pub channels: Vec<(Option<u64>, CreateChannel)>,
    /// Placeholder of a channel.
    pub system_channel_id: Option<u64>,
    /// Placeholder of a channel.
    pub afk_channel_id: Option<u64>,
}

/// `PATCH /guilds/{id}`.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ModifyGuild {
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub description: Patch<String>,
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub verification_level: Patch<u8>,
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub default_message_notifications: Patch<u8>,
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub explicit_content_filter: Patch<u8>,
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub afk_channel_id: Patch<ChannelId>,
    pub afk_timeout: Option<u32>,
    pub owner_id: Option<UserId>,
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub system_channel_id: Patch<ChannelId>,
    pub system_channel_flags: Option<u32>,
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub rules_channel_id: Patch<ChannelId>,
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub public_updates_channel_id: Patch<ChannelId>,
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub safety_alerts_channel_id: Patch<ChannelId>,
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub preferred_locale: Patch<String>,
    pub premium_progress_bar_enabled: Option<bool>,
}

/// `POST /guilds/{id}/roles`.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CreateRole {
    pub name: Option<String>,
    pub permissions: Option<Permissions>,
    pub color: Option<u32>,
    pub colors: Option<RoleColors>,
    pub hoist: bool,
    pub mentionable: bool,
    pub unicode_emoji: Option<String>,
}

/// `PATCH /guilds/{id}/roles/{id}`.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ModifyRole {
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub name: Patch<String>,
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub permissions: Patch<Permissions>,
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub color: Patch<u32>,
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub colors: Patch<RoleColors>,
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub hoist: Patch<bool>,
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub mentionable: Patch<bool>,
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub unicode_emoji: Patch<String>,
}

/// One entry of `PATCH /guilds/{id}/roles`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolePosition {
    pub id: RoleId,
    pub position: Option<u32>,
}

/// One entry of `PATCH /guilds/{id}/channels`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelPosition {
    pub id: ChannelId,
    pub position: Option<u32>,
    pub lock_permissions: bool,
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub parent_id: Patch<ChannelId>,
}

/// `PATCH /guilds/{id}/members/{id}`.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ModifyMember {
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub nick: Patch<String>,
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub roles: Patch<Vec<RoleId>>,
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub mute: Patch<bool>,
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub deaf: Patch<bool>,
    /// Another voice channel; cleared: out of voice.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub channel_id: Patch<ChannelId>,
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub communication_disabled_until: Patch<Timestamp>,
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub flags: Patch<u32>,
}
