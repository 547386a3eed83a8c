//! Calls about channels and invites.

use serde::{Deserialize, Serialize};

use crate::channel::{ChannelType, Overwrite};
use crate::{ChannelId, Patch};

/// `POST /guilds/{id}/channels`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateChannel {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: ChannelType,
    pub topic: Option<String>,
    pub bitrate: Option<u32>,
    pub user_limit: Option<u32>,
    pub rate_limit_per_user: Option<u32>,
    pub position: Option<u32>,
    pub permission_overwrites: Vec<Overwrite>,
    pub parent_id: Option<ChannelId>,
    pub nsfw: bool,
    pub rtc_region: Option<String>,
    pub video_quality_mode: Option<u8>,
    pub default_auto_archive_duration: Option<u32>,
}

/// `PATCH /channels/{id}`: of a guild's channel, or name and icon of a group DM.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ModifyChannel {
    pub name: Option<String>,
    /// Text ↔ announcement.
    #[serde(rename = "type")]
    pub kind: Option<ChannelType>,
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub position: Patch<u32>,
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub topic: Patch<String>,
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub nsfw: Patch<bool>,
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub rate_limit_per_user: Patch<u32>,
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub bitrate: Patch<u32>,
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub user_limit: Patch<u32>,
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub permission_overwrites: Patch<Vec<Overwrite>>,
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub parent_id: Patch<ChannelId>,
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub rtc_region: Patch<String>,
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub video_quality_mode: Patch<u8>,
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub default_auto_archive_duration: Patch<u32>,
}

/// `POST /channels/{id}/invites`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateInvite {
    /// Seconds, 0–5,184,000; default 86,400.
    pub max_age: u32,
    /// 0–100; 0 is unlimited.
    pub max_uses: u32,
    pub temporary: bool,
    pub unique: bool,
}
