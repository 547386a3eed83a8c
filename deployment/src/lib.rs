//! The one file of truth about a deployment, `deployment.json`: its regions, their nodes, voice nodes and points of presence.
//!
//! Regions and points of presence read it, Terraform reads it, and the GeoDNS servers' configuration is generated from
//! it ([`gdnsd`]). JSON, because Terraform reads that natively. Everything here is pure but [`Deployment::load`].
//!
//! A [`Deployment`] that was loaded has no mistakes: names and numbers are unique, and what is named exists.

mod check;
mod endpoint;
pub mod gdnsd;
mod geodns;
mod machines;
mod node;
mod placement;
mod pop;
mod region;
mod voice_node;

use std::path::Path;

use rookery_service::{ConfigErrors, Mistakes, Validate};
use serde::{Deserialize, Serialize};

pub use endpoint::{Endpoint, EndpointError};
pub use geodns::{GeoDns, HealthCheck, NameServer};
pub use machines::Machines;
pub use node::{Node, NodeNumber, NodeNumberError};
pub use placement::{Continent, Country, CountryError, Placement};
pub use pop::Pop;
pub use region::{Coordinates, Region};
pub use voice_node::{VoiceNode, VoiceNodeNumber, VoiceNodeNumberError};

/// What an acknowledged message survives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// Any node or process of its home region.
    #[default]
    Regional,
    /// The loss of any one region as well; needs [`GLOBAL_MIN_REGIONS`].
    Global,
}

/// Regions without which a majority does not survive the loss of one.
pub const GLOBAL_MIN_REGIONS: usize = 3;

/// What carries events between nodes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Bus {
    /// The process itself.
    #[default]
    Local,
    /// NATS, at each region's [`Region::nats_urls`].
    Nats,
}

/// Into how many parts the owners of each region are divided, of which every node has its share: a power of two, 16 to
/// 4,096. It can never be changed. With fewer a node is handed its share sooner, and shares are less even.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct VirtualShards(u16);

/// A number that parts cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a power of two, 16 to 4096")]
pub struct VirtualShardsError;

impl VirtualShards {
    const MOST: u16 = 4_096;

    /// The number itself.
    pub fn get(self) -> u16 {
        self.0
    }

    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for VirtualShards {
    fn default() -> Self {
        Self(Self::MOST)
    }
}

impl TryFrom<u16> for VirtualShards {
    type Error = VirtualShardsError;

    fn try_from(number: u16) -> Result<Self, VirtualShardsError> {
        let fits = number.is_power_of_two() && (16..=Self::MOST).contains(&number);
        if fits { Ok(Self(number)) } else { Err(VirtualShardsError) }
    }
}

impl From<VirtualShards> for u16 {
    fn from(shards: VirtualShards) -> Self {
        shards.0
    }
}

/// A deployment: one domain, one tenant, any number of regions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deployment {
    name: String,
    domain: String,
    #[serde(default)]
    durability: Durability,
    #[serde(default)]
    bus: Bus,
    #[serde(default = "VirtualShards::default", skip_serializing_if = "VirtualShards::is_default")]
    virtual_shards: VirtualShards,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    default_home: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    geodns: Option<GeoDns>,
    regions: Vec<Region>,
}

impl Deployment {
    /// Reads and checks a file; the error has every mistake, each with its path, such as `regions.0.nodes.1.number`.
    pub fn load(path: &Path) -> Result<Self, ConfigErrors> {
        // Neither the environment nor arguments change it: it must be the same for everyone who reads it.
        rookery_service::config::load_from(Some(path), [], &[])
    }

    /// What machines and metrics call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The domain under which clients find it.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// What an acknowledged message survives.
    pub fn durability(&self) -> Durability {
        self.durability
    }

    /// What carries events between nodes.
    pub fn bus(&self) -> Bus {
        self.bus
    }

    /// Into how many parts each region's owners are divided.
    pub fn virtual_shards(&self) -> VirtualShards {
        self.virtual_shards
    }

    /// What the deployment's own name servers need, if it has them.
    pub fn geodns(&self) -> Option<&GeoDns> {
        self.geodns.as_ref()
    }

    /// The regions, in the order of the file; at least one.
    pub fn regions(&self) -> &[Region] {
        &self.regions
    }

    /// The region of that name.
    pub fn region(&self, name: &str) -> Option<&Region> {
        self.regions.iter().find(|region| region.name == name)
    }

    /// The home of accounts and guilds whose creator's region is not known: `default_home`, else the first region.
    pub fn default_home(&self) -> &Region {
        let named = self.default_home.as_deref().and_then(|name| self.region(name));
        named.or(self.regions.first()).expect("a deployment without regions is not loaded")
    }

    /// Every node with its region.
    pub fn nodes(&self) -> impl Iterator<Item = (&Region, &Node)> {
        self.regions.iter().flat_map(|region| region.nodes.iter().map(move |node| (region, node)))
    }

    /// The node of that number with its region.
    pub fn node(&self, number: NodeNumber) -> Option<(&Region, &Node)> {
        self.nodes().find(|(_, node)| node.number == number)
    }

    /// Every point of presence with its region.
    pub fn pops(&self) -> impl Iterator<Item = (&Region, &Pop)> {
        self.regions.iter().flat_map(|region| region.pops.iter().map(move |pop| (region, pop)))
    }

    /// Every voice node with its region.
    pub fn voice_nodes(&self) -> impl Iterator<Item = (&Region, &VoiceNode)> {
        self.regions.iter().flat_map(|region| region.voice_nodes.iter().map(move |node| (region, node)))
    }

    /// All regions, the nearest to `region` first, itself at the head; where coordinates are missing, in the file's order.
    pub fn nearest_to(&self, region: &Region) -> Vec<&Region> {
        let mut others: Vec<&Region> = self.regions.iter().filter(|other| other.name != region.name).collect();
        // Stable: equal distances stay in the file's order.
        others.sort_by(|a, b| region.distance_km(a).total_cmp(&region.distance_km(b)));
        let own = self.region(&region.name);
        own.into_iter().chain(others).collect()
    }
}

impl Validate for Deployment {
    fn validate(&self, mistakes: &mut Mistakes) {
        check::check(self, mistakes);
    }
}
