//! READY (opcode 2): where a client sends its media to.

use serde::Serialize;
use std::fmt;
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
    /// Relays for browsers whose UDP gets nowhere. The API has no such field; clients that do not know it pass it over.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ice_servers: Vec<IceServer>,
}

/// A relay with what opens it for a while, in the form that browsers take it.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct IceServer {
    pub urls: Vec<String>,
    pub username: String,
    pub credential: String,
}

impl fmt::Debug for IceServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IceServer").field("urls", &self.urls).finish_non_exhaustive()
    }
}
