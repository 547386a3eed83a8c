//! VOICE_STATE_UPDATE as it is dispatched: who is in which voice channel, and how.

use serde::{Deserialize, Serialize};

use crate::member::Member;
use crate::{ChannelId, GuildId, Timestamp, UserId};

/// A user's connection to a voice channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoiceState {
    /// Absent in GUILD_CREATE, and in calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guild_id: Option<GuildId>,
    /// None: the user left.
    pub channel_id: Option<ChannelId>,
    pub user_id: UserId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<Member>,
    /// Names the voice connection; not the id that RESUME takes.
    pub session_id: String,
    /// By the guild's moderators.
    pub deaf: bool,
    pub mute: bool,
    pub self_deaf: bool,
    pub self_mute: bool,
    pub self_video: bool,
    /// Whether the user streams with Go Live.
    #[serde(default)]
    pub self_stream: bool,
    /// Whether the user may not speak here.
    pub suppress: bool,
    pub request_to_speak_timestamp: Option<Timestamp>,
}
