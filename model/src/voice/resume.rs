//! RESUME (opcode 7): a client takes its session up again on a new connection.

use serde::{Deserialize, Deserializer, de};

use crate::gateway::GatewayToken;
use crate::{ChannelId, VoiceServerId};

/// The data of RESUME.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct VoiceResume {
    pub server_id: VoiceServerId,
    /// Only clients of version 9 and above tell it.
    #[serde(default)]
    pub channel_id: Option<ChannelId>,
    pub session_id: String,
    pub token: GatewayToken,
    /// From version 8 on: the number of the last message that the client received. None if there was none, which clients
    /// also say with -1.
    #[serde(default, deserialize_with = "seq_ack")]
    pub seq_ack: Option<u16>,
}

/// Reads the number of the last message that a client received: absent, null and -1 mean none.
pub(super) fn seq_ack<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u16>, D::Error> {
    match Option::<i64>::deserialize(deserializer)? {
        None | Some(-1) => Ok(None),
        Some(seq) => u16::try_from(seq).map(Some).map_err(de::Error::custom),
    }
}
