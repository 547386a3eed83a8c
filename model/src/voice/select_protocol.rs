//! SELECT_PROTOCOL (opcode 1): a client chooses how its media travels.

use serde::Deserialize;

use super::Codec;
use super::codec::bounded_codecs;
use super::identify::null_is_default;

/// The data of SELECT_PROTOCOL, as far as it can be read without knowing the protocol.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct SelectProtocol {
    /// `udp` or `webrtc`.
    pub protocol: String,
    #[serde(default)]
    pub data: Option<ProtocolData>,
    /// A second place for what `data` holds with `webrtc`.
    #[serde(default)]
    pub sdp: Option<String>,
    #[serde(default)]
    pub rtc_connection_id: Option<String>,
    #[serde(default, deserialize_with = "bounded_codecs")]
    pub codecs: Vec<Codec>,
    #[serde(default, deserialize_with = "null_is_default")]
    pub experiments: Vec<String>,
}

/// What the protocol needs.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum ProtocolData {
    /// Of `webrtc`: the lines of the offer that the server needs.
    Sdp(String),
    /// Of `udp`.
    Udp {
        /// As IP discovery told it; clients that only send may put anything.
        address: String,
        port: u16,
        mode: String,
    },
}
