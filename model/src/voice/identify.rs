//! IDENTIFY (opcode 0): a client starts a session.

use serde::{Deserialize, Deserializer, de};

use super::VideoStream;
use super::video::bounded_streams;
use crate::gateway::GatewayToken;
use crate::{ChannelId, UserId, VoiceServerId};

/// The data of IDENTIFY.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct VoiceIdentify {
    pub server_id: VoiceServerId,
    /// Only clients of version 9 and above tell it.
    #[serde(default)]
    pub channel_id: Option<ChannelId>,
    pub user_id: UserId,
    /// As VOICE_STATE_UPDATE told it.
    pub session_id: String,
    /// As VOICE_SERVER_UPDATE told it.
    pub token: GatewayToken,
    /// Whether the client sends or shows video.
    #[serde(default, deserialize_with = "null_is_default")]
    pub video: bool,
    /// Those that it would send.
    #[serde(default, deserialize_with = "bounded_streams")]
    pub streams: Vec<VideoStream>,
    /// 0: no end-to-end encryption.
    #[serde(default, deserialize_with = "null_is_default")]
    pub max_dave_protocol_version: u16,
}

/// Reads null as if the field were absent.
pub(super) fn null_is_default<'de, D: Deserializer<'de>, T: Default + de::Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}
