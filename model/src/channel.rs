//! Channels of every kind and their permission overwrites.

use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};

use crate::user::User;
use crate::{ChannelId, GuildId, MessageId, Permissions, RoleId, Snowflake, Timestamp, UserId};

macro_rules! int_enum {
    ($(#[$doc:meta])* $name:ident : $repr:ty { $($(#[$vdoc:meta])* $variant:ident = $value:expr),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        #[serde(into = "u8", try_from = "u8")]
        #[repr($repr)]
        pub enum $name { $($(#[$vdoc])* $variant = $value),* }
        impl From<$name> for u8 { fn from(v: $name) -> u8 { v as u8 } }
        impl TryFrom<u8> for $name {
            type Error = String;
            fn try_from(v: u8) -> Result<Self, String> {
                match v { $($value => Ok(Self::$variant),)* _ => Err(format!(concat!("unknown ", stringify!($name), " {}"), v)) }
            }
        }
    };
}
pub(crate) use int_enum;

int_enum! {
    /// The kind of a channel.
    ChannelType: u8 {
        GuildText = 0,
        Dm = 1,
        GuildVoice = 2,
        GroupDm = 3,
        GuildCategory = 4,
        GuildAnnouncement = 5,
        AnnouncementThread = 10,
        PublicThread = 11,
        PrivateThread = 12,
        GuildStageVoice = 13,
        GuildDirectory = 14,
        GuildForum = 15,
        GuildMedia = 16,
    }
}

impl ChannelType {
    /// Whether messages can be sent into it (the text chat of voice channels included).
    pub const fn is_text_based(self) -> bool {
        !matches!(self, Self::GuildCategory | Self::GuildDirectory | Self::GuildForum | Self::GuildMedia)
    }
    /// Whether members can connect with voice.
    pub const fn is_voice_based(self) -> bool {
        matches!(self, Self::GuildVoice | Self::GuildStageVoice)
    }
    /// Whether it is a DM or group DM.
    pub const fn is_private(self) -> bool {
        matches!(self, Self::Dm | Self::GroupDm)
    }
}

int_enum! {
    /// Whom an overwrite is for.
    OverwriteType: u8 { Role = 0, Member = 1 }
}

/// A permission overwrite of a channel for a role or member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overwrite {
    /// Role or user id.
    pub id: Snowflake,
    #[serde(rename = "type")]
    pub kind: OverwriteType,
    pub allow: Permissions,
    pub deny: Permissions,
}

impl Overwrite {
    /// Whether it is for this role.
    pub fn is_for_role(&self, role: RoleId) -> bool {
        self.kind == OverwriteType::Role && self.id == role.0
    }
    /// Whether it is for this member.
    pub fn is_for_member(&self, user: UserId) -> bool {
        self.kind == OverwriteType::Member && self.id == user.0
    }
}

/// A channel; which fields are written depends on its kind, see the `Serialize` implementation.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Channel {
    pub id: ChannelId,
    #[serde(rename = "type")]
    pub kind: ChannelType,
    #[serde(default)]
    pub guild_id: Option<GuildId>,
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default)]
    pub position: u32,
    #[serde(default)]
    pub permission_overwrites: Vec<Overwrite>,
    #[serde(default)]
    pub topic: Option<String>,
    #[serde(default)]
    pub nsfw: bool,
    #[serde(default)]
    pub last_message_id: Option<MessageId>,
    #[serde(default)]
    pub last_pin_timestamp: Option<Timestamp>,
    #[serde(default)]
    pub bitrate: Option<u32>,
    #[serde(default)]
    pub user_limit: Option<u32>,
    /// Slowmode, seconds.
    #[serde(default)]
    pub rate_limit_per_user: u32,
    #[serde(default)]
    pub rtc_region: Option<String>,
    #[serde(default)]
    pub video_quality_mode: Option<u8>,
    #[serde(default)]
    pub parent_id: Option<ChannelId>,
    #[serde(default)]
    pub default_auto_archive_duration: Option<u32>,
    /// DMs: the other users; filled when shown.
    #[serde(default)]
    pub recipients: Vec<User>,
    /// Group DMs.
    #[serde(default)]
    pub icon: Option<String>,
    /// Group DMs.
    #[serde(default)]
    pub owner_id: Option<UserId>,
    #[serde(default)]
    pub flags: u32,
}

impl Channel {
    /// An empty channel of a kind.
    pub fn new(id: ChannelId, kind: ChannelType) -> Self {
        Self {
            id,
            kind,
            guild_id: None,
            name: None,
            position: 0,
            permission_overwrites: Vec::new(),
            topic: None,
            nsfw: false,
            last_message_id: None,
            last_pin_timestamp: None,
            bitrate: kind.is_voice_based().then_some(64_000),
            user_limit: kind.is_voice_based().then_some(0),
            rate_limit_per_user: 0,
            rtc_region: None,
            video_quality_mode: kind.is_voice_based().then_some(1),
            parent_id: None,
            default_auto_archive_duration: None,
            recipients: Vec::new(),
            icon: None,
            owner_id: None,
            flags: 0,
        }
    }
}

impl Serialize for Channel {
    /// Writes the fields of the channel's kind; a nullable one is written as null, so that clients see it cleared.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &self.id)?;
        map.serialize_entry("type", &self.kind)?;
        map.serialize_entry("flags", &self.flags)?;
        if self.kind.is_text_based() {
            map.serialize_entry("last_message_id", &self.last_message_id)?;
        }
        if self.kind.is_private() {
            map.serialize_entry("recipients", &self.recipients)?;
            map.serialize_entry("last_pin_timestamp", &self.last_pin_timestamp)?;
            if self.kind == ChannelType::GroupDm {
                map.serialize_entry("name", &self.name)?;
                map.serialize_entry("icon", &self.icon)?;
                map.serialize_entry("owner_id", &self.owner_id)?;
            }
            return map.end();
        }
        if let Some(guild_id) = self.guild_id {
            map.serialize_entry("guild_id", &guild_id)?;
        }
        map.serialize_entry("name", &self.name)?;
        map.serialize_entry("position", &self.position)?;
        map.serialize_entry("parent_id", &self.parent_id)?;
        map.serialize_entry("permission_overwrites", &self.permission_overwrites)?;
        map.serialize_entry("nsfw", &self.nsfw)?;
        if self.kind == ChannelType::GuildCategory {
            return map.end();
        }
        map.serialize_entry("topic", &self.topic)?;
        map.serialize_entry("rate_limit_per_user", &self.rate_limit_per_user)?;
        if self.kind.is_voice_based() {
            map.serialize_entry("bitrate", &self.bitrate)?;
            map.serialize_entry("user_limit", &self.user_limit)?;
            map.serialize_entry("rtc_region", &self.rtc_region)?;
            map.serialize_entry("video_quality_mode", &self.video_quality_mode)?;
        } else {
            map.serialize_entry("last_pin_timestamp", &self.last_pin_timestamp)?;
            if self.default_auto_archive_duration.is_some() {
                map.serialize_entry("default_auto_archive_duration", &self.default_auto_archive_duration)?;
            }
        }
        map.end()
    }
}
