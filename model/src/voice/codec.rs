//! Codecs, as SELECT_PROTOCOL and SESSION_UPDATE (opcode 14) name them.

use serde::{Deserialize, Deserializer, Serialize, de};

/// More than any client knows.
const CODECS_MAX: usize = 32;

/// What a codec encodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CodecType {
    Audio,
    Video,
}

/// A codec that a client knows.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Codec {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: CodecType,
    /// The smallest is preferred.
    #[serde(default)]
    pub priority: u32,
    /// Of its RTP packets, below 128.
    pub payload_type: u8,
    /// Of those that are sent again.
    #[serde(default)]
    pub rtx_payload_type: Option<u8>,
    #[serde(default = "yes")]
    pub encode: bool,
    #[serde(default = "yes")]
    pub decode: bool,
}

const fn yes() -> bool {
    true
}

/// The data of SESSION_UPDATE as a client sends it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct SessionUpdate {
    #[serde(default, deserialize_with = "bounded_codecs")]
    pub codecs: Vec<Codec>,
}

/// The data of SESSION_UPDATE as the server sends it: what changed.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize)]
pub struct SessionUpdateEvent {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio_codec: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub video_codec: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub media_session_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keyframe_interval: Option<u32>,
}

pub(super) fn bounded_codecs<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Codec>, D::Error> {
    let codecs = Option::<Vec<Codec>>::deserialize(deserializer)?.unwrap_or_default();
    let is_valid = |codec: &Codec| codec.payload_type < 128 && codec.rtx_payload_type.is_none_or(|pt| pt < 128);
    if codecs.len() > CODECS_MAX || !codecs.iter().all(is_valid) {
        return Err(de::Error::custom("too many codecs, or a payload type above 127"));
    }
    Ok(codecs)
}
