//! A voice node: what clients reach for voice and video, with a relay beside it.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::endpoint::Endpoint;

/// A voice node of a region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VoiceNode {
    /// Unique in its region.
    pub name: String,
    /// Unique over the deployment.
    pub number: VoiceNodeNumber,
    /// Its voice gateway as clients reach it, with TLS.
    pub endpoint: Endpoint,
    /// Its public addresses, IPv4 and IPv6; at least one. Media goes to the first.
    pub addresses: Vec<IpAddr>,
}

/// What sets the streams of one voice node apart from those of others: 1 to 4,095.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct VoiceNodeNumber(u16);

/// A number that no voice node can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a voice node's number is from 1 to {}", VoiceNodeNumber::MAX)]
pub struct VoiceNodeNumberError;

impl VoiceNodeNumber {
    /// The highest number.
    pub const MAX: u16 = 4_095;

    /// The number itself.
    pub fn get(self) -> u16 {
        self.0
    }
}

impl TryFrom<u16> for VoiceNodeNumber {
    type Error = VoiceNodeNumberError;

    fn try_from(number: u16) -> Result<Self, VoiceNodeNumberError> {
        if (1..=Self::MAX).contains(&number) { Ok(Self(number)) } else { Err(VoiceNodeNumberError) }
    }
}

impl From<VoiceNodeNumber> for u16 {
    fn from(number: VoiceNodeNumber) -> Self {
        number.0
    }
}

impl fmt::Display for VoiceNodeNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
