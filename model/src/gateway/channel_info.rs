//! CHANNEL_INFO: the answer to REQUEST_CHANNEL_INFO.

use serde::{Deserialize, Serialize};

use crate::{ChannelId, GuildId, Patch};

/// What of a guild's channels is not in their objects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelInfo {
    pub guild_id: GuildId,
    /// The voice channels that the session sees.
    pub channels: Vec<ChannelInfoChannel>,
}

/// What was asked for of one channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelInfoChannel {
    pub id: ChannelId,
    /// Null where the channel has none, absent where nobody asked for it.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub status: Patch<String>,
}

impl ChannelInfoChannel {
    /// The name by which `status` is asked for.
    pub const STATUS: &str = "status";
}
