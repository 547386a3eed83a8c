//! VIDEO (opcode 12): which video somebody sends.

use serde::{Deserialize, Deserializer, Serialize, de};

use super::Ssrc;
use super::identify::null_is_default;
use crate::UserId;

/// Simulcast layers that a client may name.
pub const STREAMS_MAX: usize = 8;
/// Bytes of a layer's name; RFC 8852 has them up to 255, the one-byte form of the header extension up to 16.
const RID_MAX_BYTES: usize = 16;

/// What a stream shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MediaType {
    #[default]
    Video,
    Screen,
    Test,
}

/// How large a stream is at most.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct StreamResolution {
    /// `fixed`, or `source`: as it comes.
    #[serde(rename = "type")]
    pub kind: ResolutionType,
    #[serde(default)]
    pub width: f64,
    #[serde(default)]
    pub height: f64,
}

/// Whether a resolution is a number or that of the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResolutionType {
    Fixed,
    Source,
}

/// One simulcast layer.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct VideoStream {
    #[serde(rename = "type", default, deserialize_with = "null_is_default")]
    pub kind: MediaType,
    #[serde(default, deserialize_with = "null_is_default")]
    pub rid: String,
    /// 0 to 100.
    #[serde(default, deserialize_with = "null_is_default")]
    pub quality: u8,
    #[serde(default, deserialize_with = "null_is_default")]
    pub active: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssrc: Option<Ssrc>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rtx_ssrc: Option<Ssrc>,
    /// Bits a second; the server does not tell it to others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bitrate: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_framerate: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_resolution: Option<StreamResolution>,
}

/// The data of VIDEO as a client sends it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Video {
    #[serde(default)]
    pub audio_ssrc: Ssrc,
    /// 0: no video.
    #[serde(default)]
    pub video_ssrc: Ssrc,
    #[serde(default)]
    pub rtx_ssrc: Ssrc,
    #[serde(default, deserialize_with = "bounded_streams")]
    pub streams: Vec<VideoStream>,
}

/// The data of VIDEO as others get it.
///
/// songbird takes opcode 12 for an older event of the same number, which has the first three fields: they stay.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VideoEvent {
    pub user_id: UserId,
    pub audio_ssrc: Ssrc,
    pub video_ssrc: Ssrc,
    pub streams: Vec<VideoStream>,
}

pub(super) fn bounded_streams<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<VideoStream>, D::Error> {
    let streams = Option::<Vec<VideoStream>>::deserialize(deserializer)?.unwrap_or_default();
    let is_valid = |stream: &VideoStream| stream.rid.len() <= RID_MAX_BYTES && stream.quality <= 100;
    if streams.len() > STREAMS_MAX || !streams.iter().all(is_valid) {
        return Err(de::Error::custom("too many streams, or one with a long name or a quality above 100"));
    }
    Ok(streams)
}
