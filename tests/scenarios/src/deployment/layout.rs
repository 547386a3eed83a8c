//! Where the parts of a running deployment answer.

use std::path::PathBuf;

/// Regions and their processes.
#[derive(Clone, Debug)]
pub struct Layout {
    pub regions: Vec<RegionLayout>,
}

#[derive(Clone, Debug)]
pub struct RegionLayout {
    pub name: String,
    pub nodes: Vec<NodeLayout>,
    pub pops: Vec<PopLayout>,
    /// Holds the operator's secret, which is the whole deployment's.
    pub admin_token_file: PathBuf,
}

/// A `rookery region` process.
#[derive(Clone, Debug)]
pub struct NodeLayout {
    pub name: String,
    /// `ws://host:port`
    pub gateway: String,
    /// `http://host:port`
    pub operator: String,
}

/// A `rookery pop` process.
#[derive(Clone, Debug)]
pub struct PopLayout {
    pub name: String,
    /// `http://host:port/api`
    pub api: String,
    /// `http://host:port`
    pub operator: String,
}

impl Layout {
    /// The points of presence in the order in which a client of this region is sent to them: its own, then those of the
    /// others, as GeoDNS does.
    pub fn apis_from(&self, region: usize) -> Vec<String> {
        let count = self.regions.len();
        let order = (0..count).map(|step| &self.regions[(region + step) % count]);
        order.flat_map(|region| region.pops.iter().map(|pop| pop.api.clone())).collect()
    }

    /// Which region a gateway belongs to.
    pub fn region_of_gateway(&self, url: &str) -> Option<usize> {
        let url = url.trim_end_matches('/');
        self.regions.iter().position(|region| region.nodes.iter().any(|node| node.gateway.trim_end_matches('/') == url))
    }
}
