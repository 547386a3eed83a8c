//! A node: one process that serves a region.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::endpoint::Endpoint;

/// A node of a region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// Unique in its region.
    pub name: String,
    /// Unique over the deployment: session ids name the node by it.
    pub number: NodeNumber,
    /// Where other nodes and points of presence reach its QUIC link.
    pub link: Endpoint,
    /// Its gateway as clients reach it: `wss://host[:port]`.
    pub gateway: String,
    /// The same for WebTransport, if it serves that: `https://host[:port][/path]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webtransport: Option<String>,
    /// Its public addresses, for the DNS zone. Needed where `link` or `gateway` is a name under the domain.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<IpAddr>,
}

/// What session ids name a node by: 1 to 127, unique over the deployment, never given to another node while sessions
/// of the first may be resumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct NodeNumber(u8);

/// A number that no node can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a node's number is from 1 to {}", NodeNumber::MAX)]
pub struct NodeNumberError;

impl NodeNumber {
    /// The highest number.
    pub const MAX: u8 = 127;

    /// The number itself.
    pub fn get(self) -> u8 {
        self.0
    }
}

impl TryFrom<u8> for NodeNumber {
    type Error = NodeNumberError;

    fn try_from(number: u8) -> Result<Self, NodeNumberError> {
        if (1..=Self::MAX).contains(&number) { Ok(Self(number)) } else { Err(NodeNumberError) }
    }
}

impl From<NodeNumber> for u8 {
    fn from(number: NodeNumber) -> Self {
        number.0
    }
}

impl fmt::Display for NodeNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
