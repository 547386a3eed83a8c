//! REQUEST_CHANNEL_INFO (opcode 43): what of a guild's channels is not in their objects; the answer is CHANNEL_INFO.

use serde::{Deserialize, Serialize};

use crate::GuildId;

/// The data of REQUEST_CHANNEL_INFO.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestChannelInfo {
    pub guild_id: GuildId,
    /// Fields of [`ChannelInfoChannel`](super::ChannelInfoChannel) by name; names that mean nothing are passed over.
    pub fields: Vec<String>,
}
