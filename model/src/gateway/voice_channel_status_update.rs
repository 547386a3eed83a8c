//! VOICE_CHANNEL_STATUS_UPDATE: what is going on in a voice channel, in the words of those who are in it.

use serde::{Deserialize, Serialize};

use crate::{ChannelId, GuildId};

/// The status that a voice channel has now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoiceChannelStatusUpdate {
    pub id: ChannelId,
    pub guild_id: GuildId,
    /// None once there is none any more.
    pub status: Option<String>,
}
