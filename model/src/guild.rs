//! Guilds.

use serde::{Deserialize, Serialize};

use crate::role::Role;
use crate::{ApplicationId, ChannelId, GuildId, Permissions, Timestamp, UserId};

/// What a guild stores of itself, and the part of the API's guild that is not a list of other entities.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuildProperties {
    pub id: GuildId,
    pub name: String,
    #[serde(default)]
    pub icon: Option<String>,
    #[serde(default)]
    pub description: Option<String>,
    #[serde(default)]
    pub home_header: Option<String>,
    #[serde(default)]
    pub splash: Option<String>,
    #[serde(default)]
    pub discovery_splash: Option<String>,
    #[serde(default)]
    pub banner: Option<String>,
    pub owner_id: UserId,
    #[serde(default)]
    pub application_id: Option<ApplicationId>,
    #[serde(default)]
    pub region: String,
    #[serde(default)]
    pub afk_channel_id: Option<ChannelId>,
    /// Seconds: 60, 300, 900, 1800 or 3600.
    pub afk_timeout: u32,
    #[serde(default)]
    pub system_channel_id: Option<ChannelId>,
    #[serde(default)]
    pub system_channel_flags: u32,
    #[serde(default)]
    pub widget_enabled: bool,
    #[serde(default)]
    pub widget_channel_id: Option<ChannelId>,
    #[serde(default)]
    pub verification_level: u8,
    #[serde(default)]
    pub default_message_notifications: u8,
    #[serde(default)]
    pub mfa_level: u8,
    #[serde(default)]
    pub explicit_content_filter: u8,
    #[serde(default)]
    pub features: Vec<String>,
    #[serde(default)]
    pub max_presences: Option<u32>,
    pub max_members: u32,
    pub max_stage_video_channel_users: u32,
    pub max_video_channel_users: u32,
    #[serde(default)]
    pub vanity_url_code: Option<String>,
    #[serde(default)]
    pub premium_tier: u8,
    #[serde(default)]
    pub premium_subscription_count: u32,
    pub preferred_locale: String,
    #[serde(default)]
    pub rules_channel_id: Option<ChannelId>,
    #[serde(default)]
    pub public_updates_channel_id: Option<ChannelId>,
    #[serde(default)]
    pub safety_alerts_channel_id: Option<ChannelId>,
    #[serde(default)]
    pub premium_progress_bar_enabled: bool,
    #[serde(default)]
    pub nsfw: bool,
    #[serde(default)]
    pub nsfw_level: u8,
}

impl GuildProperties {
    /// A new guild with the API's defaults.
    pub fn new(id: GuildId, name: impl Into<String>, owner_id: UserId) -> Self {
        Self {
            id,
            name: name.into(),
            icon: None,
            description: None,
            home_header: None,
            splash: None,
            discovery_splash: None,
            banner: None,
            owner_id,
            application_id: None,
            region: "local".into(),
            afk_channel_id: None,
            afk_timeout: 300,
            system_channel_id: None,
            system_channel_flags: 0,
            widget_enabled: false,
            widget_channel_id: None,
            verification_level: 0,
            default_message_notifications: 0,
            mfa_level: 0,
            explicit_content_filter: 0,
            features: Vec::new(),
            max_presences: None,
            max_members: 1_000_000,
            max_stage_video_channel_users: 50,
            max_video_channel_users: 25,
            vanity_url_code: None,
            premium_tier: 0,
            premium_subscription_count: 0,
            preferred_locale: "en-US".into(),
            rules_channel_id: None,
            public_updates_channel_id: None,
            safety_alerts_channel_id: None,
            premium_progress_bar_enabled: false,
            nsfw: false,
            nsfw_level: 0,
        }
    }
}

/// A guild as the API shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Guild {
    #[serde(flatten)]
    pub properties: GuildProperties,
    pub roles: Vec<Role>,
    pub emojis: Vec<crate::message::Emoji>,
    /// Stickers come with their own feature; always present because libraries require the field.
    pub stickers: Vec<()>,
    pub incidents_data: Option<()>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approximate_member_count: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approximate_presence_count: Option<u32>,
}

/// A guild in the caller's list of guilds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PartialGuild {
    pub id: GuildId,
    pub name: String,
    pub icon: Option<String>,
    pub banner: Option<String>,
    pub owner: bool,
    pub permissions: Permissions,
    pub features: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approximate_member_count: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approximate_presence_count: Option<u32>,
}

/// A guild that cannot be reached now, or that READY only announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnavailableGuild {
    pub id: GuildId,
    /// Absent when the user was removed from the guild.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unavailable: Option<bool>,
}

/// A ban.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BanRow {
    pub guild_id: GuildId,
    pub user_id: UserId,
    #[serde(default)]
    pub reason: Option<String>,
    pub created_at: Timestamp,
}
