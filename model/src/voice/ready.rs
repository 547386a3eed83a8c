//! READY (opcode 2): where a client sends its media to.

use serde::Serialize;
use std::net::IpAddr;

use super::{EncryptionMode, Ssrc, VideoStream};

/// The data of READY.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VoiceReady {
    /// The client's own, for audio.
    pub ssrc: Ssrc,
    /// songbird reads it as an address, not as a name.
    pub ip: IpAddr,
    pub port: u16,
    pub modes: Vec<EncryptionMode>,
    pub experiments: Vec<String>,
    /// With the SSRCs that the client's video gets.
    pub streams: Vec<VideoStream>,
}
