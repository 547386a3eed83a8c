//! What the deployment's own name servers need beside the regions.

use std::net::IpAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The deployment's own name servers, which send clients to the nearest healthy point of presence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GeoDns {
    /// Those that the domain is delegated to; at least one, two for a domain that must not vanish with a machine.
    pub name_servers: Vec<NameServer>,
    /// How a point of presence says that it wants clients.
    #[serde(default)]
    pub health: HealthCheck,
    /// How long resolvers may keep which point of presence a client is sent to; halved while one is down.
    #[serde(default = "default_ttl_seconds")]
    pub ttl_seconds: u32,
    /// A GeoIP2 database on the name servers, of countries at least; needed by placements of countries and continents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<PathBuf>,
}

fn default_ttl_seconds() -> u32 {
    30
}

/// A name server of the domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NameServer {
    /// Its name under the domain: `ns1`.
    pub name: String,
    /// Its public addresses.
    pub addresses: Vec<IpAddr>,
    /// The region that Terraform rents its machine in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
}

/// The request that a name server makes of every address of a point of presence; 200 is well, all else is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HealthCheck {
    /// The operator's port, plain HTTP; to be opened to name servers only.
    pub port: u16,
    /// A path on that port.
    pub path: String,
    /// Time between two checks.
    pub interval_seconds: u32,
    /// Time for an answer.
    pub timeout_seconds: u32,
}

impl Default for HealthCheck {
    fn default() -> Self {
        Self { port: 8_090, path: "/readyz".to_owned(), interval_seconds: 2, timeout_seconds: 1 }
    }
}
