//! VOICE_STATE_UPDATE (opcode 4): a client joins, moves between or leaves voice channels.

use serde::{Deserialize, Serialize};

use super::identify::null_is_default;
use crate::{ChannelId, GuildId};

/// The data of VOICE_STATE_UPDATE as a client sends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoiceStateUpdate {
    /// None for calls in DMs.
    #[serde(default)]
    pub guild_id: Option<GuildId>,
    /// None to leave.
    #[serde(default)]
    pub channel_id: Option<ChannelId>,
    #[serde(default, deserialize_with = "null_is_default")]
    pub self_mute: bool,
    #[serde(default, deserialize_with = "null_is_default")]
    pub self_deaf: bool,
    #[serde(default, deserialize_with = "null_is_default")]
    pub self_video: bool,
}
