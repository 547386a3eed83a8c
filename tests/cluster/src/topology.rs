//! Which nodes a cluster has: names, data centres, addresses, tokens.

use std::net::{Ipv4Addr, SocketAddrV4};

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::subnet::{NODES_MAX, Subnet};

/// Where every node answers CQL.
pub const CQL_PORT: u16 = 9042;
/// Where the nodes speak with each other.
pub(crate) const STORAGE_PORT: u16 = 7000;
/// Where a node answers `nodetool`.
pub(crate) const JMX_PORT: u16 = 7199;

/// How many data centres of how many nodes, and on which addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Topology {
    dcs: u8,
    nodes_per_dc: u8,
    subnet: Subnet,
    /// One for each data centre where they are not all on the subnet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    places: Vec<DataCentre>,
}

/// Where the nodes of one data centre are, when it is said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataCentre {
    /// What the data centre is called; its nodes are `NAME-db-1`, `NAME-db-2`, …
    pub name: String,
    /// The address of its first node; the others follow it.
    pub first_address: Ipv4Addr,
    /// The network namespace (of `ip netns`) that the nodes run in, which has these addresses.
    pub network_namespace: Option<String>,
}

/// One node of a [`Topology`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// `dc2-1` is the first node of the second data centre.
    pub name: String,
    /// `dc1`, `dc2`, …
    pub dc: String,
    /// `r1`, `r2`, …: a rack of its own within the data centre.
    pub rack: String,
    /// A loopback address of its own.
    pub address: Ipv4Addr,
    /// Whether others find the ring through it: the first of each data centre.
    pub is_seed: bool,
    /// The network namespace that it runs in; none where that is this program's.
    pub network_namespace: Option<String>,
    pub(crate) token: i64,
}

impl Topology {
    /// A cluster of `dcs` data centres of `nodes_per_dc` nodes each.
    pub fn new(dcs: u8, nodes_per_dc: u8, subnet: Subnet) -> Result<Self> {
        ensure!(dcs > 0, "a cluster has at least one data centre");
        ensure!(nodes_per_dc > 0, "a data centre has at least one node");
        let nodes = u32::from(dcs) * u32::from(nodes_per_dc);
        ensure!(nodes <= NODES_MAX, "{dcs} × {nodes_per_dc} are {nodes} nodes; a subnet has room for {NODES_MAX}");
        Ok(Self { dcs, nodes_per_dc, subnet, places: Vec::new() })
    }

    /// Data centres with names, addresses and network namespaces of their own, of `nodes_per_dc` nodes each.
    pub fn placed(places: Vec<DataCentre>, nodes_per_dc: u8) -> Result<Self> {
        let dcs = u8::try_from(places.len()).context("a cluster has at most 255 data centres")?;
        for place in &places {
            let last = place.first_address.octets()[3].checked_add(nodes_per_dc).filter(|end| *end < u8::MAX);
            ensure!(last.is_some(), "{} has no room for {nodes_per_dc} nodes from {}", place.name, place.first_address);
        }
        Ok(Self { places, ..Self::new(dcs, nodes_per_dc, Subnet::DEFAULT)? })
    }

    /// How many data centres.
    pub fn dcs(&self) -> u8 {
        self.dcs
    }

    /// How many nodes in each data centre.
    pub fn nodes_per_dc(&self) -> u8 {
        self.nodes_per_dc
    }

    /// The first three numbers of the nodes' addresses.
    pub fn subnet(&self) -> Subnet {
        self.subnet
    }

    /// The nodes, data centre by data centre.
    pub fn nodes(&self) -> Vec<Node> {
        let places = (0..self.dcs).flat_map(|dc| (0..self.nodes_per_dc).map(move |place| (dc, place)));
        places.map(|(dc, place)| self.node(dc, place)).collect()
    }

    fn node(&self, dc: u8, place: u8) -> Node {
        let token = token(dc, place, self.nodes_per_dc);
        if let Some(data_centre) = self.places.get(usize::from(dc)) {
            return data_centre.node(place, token);
        }
        Node {
            name: format!("dc{}-{}", dc + 1, place + 1),
            dc: format!("dc{}", dc + 1),
            rack: format!("r{}", place + 1),
            address: self.subnet.host(dc * self.nodes_per_dc + place + 1),
            is_seed: place == 0,
            network_namespace: None,
            token,
        }
    }

    /// The addresses through which nodes find the ring.
    pub(crate) fn seeds(&self) -> Vec<Ipv4Addr> {
        self.nodes().into_iter().filter(|node| node.is_seed).map(|node| node.address).collect()
    }
}

/// The token of a node that is alone.
pub(crate) fn only_token() -> i64 {
    token(0, 0, 1)
}

impl std::fmt::Display for Topology {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let plural = |count: u8| if count == 1 { "" } else { "s" };
        let Self { dcs, nodes_per_dc, subnet, places } = self;
        write!(f, "{dcs} data centre{} of {nodes_per_dc} node{} ", plural(*dcs), plural(*nodes_per_dc))?;
        if places.is_empty() {
            return write!(f, "on {subnet}.1 and up");
        }
        let places: Vec<_> =
            places.iter().map(|place| format!("{} from {}", place.name, place.first_address)).collect();
        f.write_str(&places.join(", "))
    }
}

impl DataCentre {
    fn node(&self, place: u8, token: i64) -> Node {
        let [a, b, c, first] = self.first_address.octets();
        Node {
            name: format!("{}-db-{}", self.name, place + 1),
            dc: self.name.clone(),
            rack: format!("r{}", place + 1),
            // There is room: it was looked at when the topology was made.
            address: Ipv4Addr::new(a, b, c, first.saturating_add(place)),
            is_seed: place == 0,
            network_namespace: self.network_namespace.clone(),
            token,
        }
    }
}

impl Node {
    /// Where the node answers CQL.
    pub fn cql(&self) -> SocketAddrV4 {
        SocketAddrV4::new(self.address, CQL_PORT)
    }

    /// Every socket that the node listens on.
    pub(crate) fn sockets(&self) -> [SocketAddrV4; 3] {
        [CQL_PORT, STORAGE_PORT, JMX_PORT].map(|port| SocketAddrV4::new(self.address, port))
    }
}

/// Where a node stands on the ring.
///
/// NetworkTopologyStrategy looks at each data centre as a ring of its own, so every data centre divides the whole
/// range evenly. Two nodes may not share a token: each data centre's are shifted by a little. The smallest number is
/// no token.
fn token(dc: u8, place: u8, nodes_per_dc: u8) -> i64 {
    const SHIFT: i128 = 1000;
    let part = (1_i128 << 64) / i128::from(nodes_per_dc);
    let token = i128::from(i64::MIN) + part * i128::from(place) + SHIFT * (i128::from(dc) + 1);
    i64::try_from(token).expect("the last part starts 2^64/255 below the end, and 255 shifts are far less")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn topology(dcs: u8, nodes_per_dc: u8) -> Topology {
        Topology::new(dcs, nodes_per_dc, "127.0.2".parse().unwrap()).unwrap()
    }

    #[test]
    fn every_data_centre_divides_the_ring_evenly() {
        for nodes_per_dc in [1, 2, 3, 7, 84] {
            let part = u64::MAX / u64::from(nodes_per_dc);
            for dc in 0..3 {
                let mut tokens: Vec<i64> = (0..nodes_per_dc).map(|place| token(dc, place, nodes_per_dc)).collect();
                tokens.push(token(dc, 0, nodes_per_dc));
                for pair in tokens.windows(2) {
                    // Around the end of the range, too.
                    let owned = pair[1].wrapping_sub(pair[0]).cast_unsigned();
                    let owned = if nodes_per_dc == 1 { u64::MAX } else { owned };
                    assert!(owned.abs_diff(part) <= u64::from(nodes_per_dc) + 1, "{owned} of {part}");
                }
            }
        }
    }

    #[test]
    fn no_two_nodes_share_name_address_or_token() {
        for (dcs, nodes_per_dc) in [(1, 1), (3, 1), (3, 3), (253, 1), (1, 253)] {
            let nodes = topology(dcs, nodes_per_dc).nodes();
            let count = usize::from(dcs) * usize::from(nodes_per_dc);
            assert_eq!(nodes.len(), count);
            assert_eq!(nodes.iter().map(|node| &node.name).collect::<HashSet<_>>().len(), count);
            assert_eq!(nodes.iter().map(|node| node.address).collect::<HashSet<_>>().len(), count);
            assert_eq!(nodes.iter().map(|node| node.token).collect::<HashSet<_>>().len(), count);
            assert!(nodes.iter().all(|node| node.token != i64::MIN));
        }
    }

    #[test]
    fn the_first_node_of_each_data_centre_is_a_seed() {
        let topology = topology(2, 3);
        let nodes = topology.nodes();
        let shown: Vec<_> =
            nodes.iter().map(|node| format!("{} {} {} {}", node.name, node.dc, node.rack, node.address)).collect();
        assert_eq!(shown[0], "dc1-1 dc1 r1 127.0.2.1");
        assert_eq!(shown[5], "dc2-3 dc2 r3 127.0.2.6");
        assert_eq!(topology.seeds(), [Ipv4Addr::new(127, 0, 2, 1), Ipv4Addr::new(127, 0, 2, 4)]);
    }

    #[test]
    fn data_centres_stand_where_it_is_said() {
        let place = |name: &str, address: [u8; 4]| DataCentre {
            name: name.into(),
            first_address: address.into(),
            network_namespace: Some(format!("lab-{name}")),
        };
        let topology = Topology::placed(vec![place("eu", [10, 9, 1, 100]), place("us", [10, 9, 2, 100])], 2).unwrap();
        let nodes = topology.nodes();
        let shown: Vec<_> =
            nodes.iter().map(|node| format!("{} {} {} {}", node.name, node.dc, node.rack, node.address)).collect();
        assert_eq!(shown[0], "eu-db-1 eu r1 10.9.1.100");
        assert_eq!(shown[3], "us-db-2 us r2 10.9.2.101");
        assert_eq!(nodes[3].network_namespace.as_deref(), Some("lab-us"));
        assert_eq!(topology.seeds(), [Ipv4Addr::new(10, 9, 1, 100), Ipv4Addr::new(10, 9, 2, 100)]);
        assert!(nodes[0].token != nodes[2].token);
        let text = serde_json::to_string(&topology).unwrap();
        assert_eq!(serde_json::from_str::<Topology>(&text).unwrap(), topology);
        assert!(topology.to_string().ends_with("eu from 10.9.1.100, us from 10.9.2.100"), "{topology}");
        let error = Topology::placed(vec![place("eu", [10, 9, 1, 253])], 2).unwrap_err().to_string();
        assert_eq!(error, "eu has no room for 2 nodes from 10.9.1.253");
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let refused = |dcs, nodes| Topology::new(dcs, nodes, "127.0.2".parse().unwrap()).unwrap_err().to_string();
        assert_eq!(refused(0, 1), "a cluster has at least one data centre");
        assert_eq!(refused(1, 0), "a data centre has at least one node");
        assert_eq!(refused(127, 2), "127 × 2 are 254 nodes; a subnet has room for 253");
        assert_eq!(refused(255, 255), "255 × 255 are 65025 nodes; a subnet has room for 253");
    }

    #[test]
    fn a_topology_survives_its_file() {
        let before = topology(3, 2);
        let text = serde_json::to_string(&before).unwrap();
        assert_eq!(text, r#"{"dcs":3,"nodes_per_dc":2,"subnet":"127.0.2"}"#);
        assert_eq!(serde_json::from_str::<Topology>(&text).unwrap(), before);
        assert_eq!(before.to_string(), "3 data centres of 2 nodes on 127.0.2.1 and up");
    }
}
