//! SESSION_DESCRIPTION (opcode 4): the answer to SELECT_PROTOCOL.

use serde::{Serialize, Serializer};
use std::fmt;

use super::EncryptionMode;

/// The key of the transport encryption between one client and the server; it never shows in logs.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretKey(pub [u8; 32]);

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(…)")
    }
}
impl Serialize for SecretKey {
    /// As a list of numbers, which is what clients read.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0)
    }
}

/// The data of SESSION_DESCRIPTION.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SessionDescription {
    pub audio_codec: String,
    pub video_codec: String,
    pub media_session_id: String,
    /// With UDP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<EncryptionMode>,
    /// With UDP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_key: Option<SecretKey>,
    /// With WebRTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sdp: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keyframe_interval: Option<u32>,
    /// Libraries read it unconditionally, so it is never left out.
    pub dave_protocol_version: u16,
}
