//! PASSIVE_UPDATE_V1 and PASSIVE_UPDATE_V2: what changed in a guild that a session does not look at.

use serde::{Deserialize, Serialize};

use crate::member::Member;
use crate::{ChannelId, GuildId, MessageId, Timestamp};

/// A channel in which something was written or pinned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassiveChannel {
    pub id: ChannelId,
    pub last_message_id: Option<MessageId>,
    /// Absent where nothing is pinned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_pin_timestamp: Option<Timestamp>,
}

/// PASSIVE_UPDATE_V1: the channels that changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PassiveUpdateV1 {
    pub guild_id: GuildId,
    pub channels: Vec<PassiveChannel>,
    pub voice_states: Vec<()>,
    pub members: Vec<Member>,
}

/// PASSIVE_UPDATE_V2: as V1, with what is gone told apart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PassiveUpdateV2 {
    pub guild_id: GuildId,
    pub updated_channels: Vec<PassiveChannel>,
    pub updated_voice_states: Vec<()>,
    pub removed_voice_states: Vec<()>,
    pub updated_members: Vec<Member>,
}
