//! Which machines Terraform rents for a region. Rookery itself reads none of it.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

/// A region's machines in Hetzner's cloud, as the provider `hcloud` names things. Nodes, voice nodes and points of
/// presence are those of the region, one machine each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machines {
    /// Where they stand: `fsn1`.
    pub location: String,
    /// The network zone of that location: `eu-central`.
    pub network_zone: String,
    /// The region's private network, /16 to /24; of no other region.
    pub network: Ipv4Net,
    /// What a node is rented as.
    pub node_type: String,
    /// What a point of presence is rented as.
    pub pop_type: String,
    /// What a node of the database is rented as.
    pub database_type: String,
    /// The public addresses of the database's nodes, one machine each.
    pub database_addresses: Vec<Ipv4Addr>,
    /// What a NATS server is rented as.
    pub bus_type: String,
    /// The public addresses of the NATS servers, one machine each; none where the bus is `local`.
    #[serde(default)]
    pub bus_addresses: Vec<Ipv4Addr>,
    /// What a voice node is rented as; needed where the region has some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voice_type: Option<String>,
    /// What Prometheus and Grafana run on; none without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observability_type: Option<String>,
}

impl Machines {
    /// Private networks that can hold a region's machines.
    pub(crate) const PREFIXES: std::ops::RangeInclusive<u8> = 16..=24;
}
