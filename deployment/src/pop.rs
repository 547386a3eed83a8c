//! A point of presence: what clients of the REST API reach.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// A point of presence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pop {
    /// Unique over the deployment.
    pub name: String,
    /// Its public addresses, IPv4 and IPv6; at least one.
    pub addresses: Vec<IpAddr>,
}
