//! What the lab is made of: regions, their addresses and machines, and the `deployment.json` that says so.

use std::net::Ipv4Addr;

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::wan::Network;

/// Names of regions with their places, in the order in which labs have them.
const PLACES: [(&str, f64, f64); 5] =
    [("eu", 50.48, 12.37), ("us", 39.04, -77.49), ("ap", 1.35, 103.82), ("sa", -23.55, -46.63), ("af", -26.2, 28.05)];
/// How many regions a lab may have.
pub const REGIONS_MAX: usize = PLACES.len();
/// How many nodes a region may have: each takes a tenth of a gigabyte, and there are twenty addresses for them.
pub const NODES_PER_REGION_MAX: usize = 8;
/// What the deployment is called, and the domain that its name servers answer for.
pub const DEPLOYMENT: &str = "lab";
pub const DOMAIN: &str = "lab.test";
/// Labs that one machine may run side by side.
pub(crate) const SLOTS: u8 = 16;
/// The second number of the first lab's addresses.
const FIRST_SECOND_NUMBER: u8 = 89;
/// The last number of the first machine of each role, as `terraform/modules/deployment` has it.
const FIRST_HOST: [(Role, u8); 7] = [
    (Role::Region, 10),
    (Role::Bus, 30),
    (Role::Voice, 45),
    (Role::Pop, 60),
    (Role::GeoDns, 80),
    (Role::Observability, 90),
    (Role::Database, 100),
];

/// Ports on which machines answer.
pub mod port {
    pub const GATEWAY: u16 = 8_081;
    pub const LINK: u16 = 8_082;
    pub const REGION_OPERATOR: u16 = 8_091;
    pub const POP_HTTP: u16 = 8_080;
    pub const POP_OPERATOR: u16 = 8_090;
    pub const VOICE: u16 = 8_444;
    pub const VOICE_OPERATOR: u16 = 8_092;
    pub const TURN: u16 = 3_478;
    pub const NATS: u16 = 4_222;
    pub const NATS_GATEWAY: u16 = 7_222;
    pub const NATS_MONITOR: u16 = 8_222;
    pub const PROMETHEUS: u16 = 9_090;
    pub const CQL: u16 = 9_042;
    pub const DNS: u16 = 53;
    /// On loopback addresses, where port 53 may be somebody's, and may take a privilege.
    pub const DNS_ON_LOOPBACK: u16 = 5_353;
}

/// What a machine does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Database,
    Bus,
    Region,
    /// A voice node, and the relay beside it.
    Voice,
    Relay,
    Pop,
    GeoDns,
    Observability,
    /// The program that carries packets between regions.
    Wan,
}

/// What keeps regions apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// A network namespace each, with delay and loss between them.
    Namespaces,
    /// Loopback addresses: nothing is delayed, and no region can be cut off.
    Loopback,
}

/// What is asked of a lab.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Options {
    pub regions: usize,
    pub nodes_per_region: usize,
    /// One way.
    pub delay_ms: f64,
    pub loss_percent: f64,
    /// Which packets get lost.
    pub seed: u64,
    /// `regional` or `global`.
    pub durability: String,
    /// Whether rate limits apply.
    pub limits: bool,
    /// Whether loopback addresses are used even where namespaces can be made.
    pub loopback: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            regions: 3,
            nodes_per_region: 1,
            delay_ms: 40.0,
            loss_percent: 0.1,
            seed: 1,
            durability: "regional".into(),
            limits: false,
            loopback: false,
        }
    }
}

impl Options {
    /// Says what cannot be.
    pub fn check(&self) -> Result<()> {
        ensure!((1..=REGIONS_MAX).contains(&self.regions), "a lab has 1 to {REGIONS_MAX} regions");
        ensure!(
            (1..=NODES_PER_REGION_MAX).contains(&self.nodes_per_region),
            "a region has 1 to {NODES_PER_REGION_MAX} nodes"
        );
        ensure!((0.0..=1_000.0).contains(&self.delay_ms), "the delay is from 0 to 1,000 ms");
        ensure!((0.0..=50.0).contains(&self.loss_percent), "the loss is from 0 to 50 percent");
        ensure!(
            ["regional", "global"].contains(&self.durability.as_str()),
            "durability is \"regional\" or \"global\", not {:?}",
            self.durability
        );
        ensure!(self.durability != "global" || self.regions >= 3, "\"global\" durability needs three regions");
        Ok(())
    }
}

/// A lab's regions and machines.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    pub options: Options,
    pub mode: Mode,
    /// Which of the labs of this machine it is.
    pub slot: u8,
    pub regions: Vec<PlannedRegion>,
}

/// A region of a [`Plan`].
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedRegion {
    pub name: String,
    pub network: Network,
    /// None on loopback addresses.
    pub namespace: Option<String>,
    /// This machine's device that leads into the namespace.
    pub link: String,
    pub machines: Vec<Machine>,
    coordinates: (f64, f64),
}

/// A machine, which is a process here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// As Terraform calls it: `eu-node-eu-1`.
    pub name: String,
    pub role: Role,
    /// What the deployment calls it: the node `eu-1`, the point of presence `eu-pop`.
    pub node: String,
    pub address: Ipv4Addr,
}

impl Plan {
    /// The lab of these options in one of the places that this machine has for labs.
    pub fn new(options: &Options, mode: Mode, slot: u8) -> Result<Self> {
        options.check()?;
        let regions = PLACES.iter().take(options.regions).enumerate();
        let regions = regions.map(|(index, place)| region(options, mode, slot, index, *place)).collect();
        Ok(Self { options: options.clone(), mode, slot, regions })
    }

    /// What addresses of this lab's machines begin with.
    pub fn address_prefix(&self) -> String {
        let [first, second] = first_numbers(self.mode, self.slot);
        format!("{first}.{second}.")
    }

    /// The network that holds all regions.
    pub fn all_regions(&self) -> String {
        format!("{}0.0/16", self.address_prefix())
    }

    /// Where a name server answers.
    pub fn dns_port(&self) -> u16 {
        match self.mode {
            Mode::Namespaces => port::DNS,
            Mode::Loopback => port::DNS_ON_LOOPBACK,
        }
    }

    /// The file of truth about the deployment, for Rookery. It knows no machines on loopback addresses, which Terraform alone
    /// reads and which have to be in private networks.
    pub fn deployment(&self) -> Value {
        let mut deployment = self.deployment_with_machines();
        let regions = deployment["regions"].as_array_mut();
        for region in regions.into_iter().flatten().filter(|_| self.mode == Mode::Loopback) {
            region.as_object_mut().and_then(|region| region.remove("machines"));
        }
        deployment
    }

    /// The same for Terraform.
    pub fn deployment_with_machines(&self) -> Value {
        let name_servers: Vec<Value> = self
            .machines_of(Role::GeoDns)
            .map(|(region, machine)| json!({ "name": machine.node, "addresses": [machine.address], "region": region.name }))
            .collect();
        json!({
            "name": DEPLOYMENT,
            "domain": DOMAIN,
            "durability": self.options.durability,
            // As many as a database of one small node a region hands over in seconds.
            "virtual_shards": 256,
            "bus": "nats",
            "default_home": self.regions.first().map(|region| &region.name),
            "geodns": { "name_servers": name_servers, "health": { "port": port::POP_OPERATOR }, "ttl_seconds": 5 },
            "regions": self.regions.iter().enumerate().map(|(index, region)| self.region(index, region)).collect::<Vec<_>>(),
        })
    }

    fn region(&self, index: usize, region: &PlannedRegion) -> Value {
        let of = |role| region.machines.iter().filter(move |machine| machine.role == role);
        let addresses = |role| of(role).map(|machine| machine.address).collect::<Vec<_>>();
        let nodes = of(Role::Region).enumerate().map(|(place, machine)| {
            let Machine { node, address, .. } = machine;
            json!({
                "name": node, "number": index * NODES_PER_REGION_MAX + place + 1,
                "link": format!("{address}:{}", port::LINK), "gateway": format!("ws://{address}:{}", port::GATEWAY),
                "addresses": [address],
            })
        });
        let voice_nodes = of(Role::Voice).map(|machine| {
            let Machine { node, address, .. } = machine;
            json!({
                "name": node, "number": index + 1, "endpoint": format!("{address}:{}", port::VOICE), "addresses": [address],
            })
        });
        let pops = of(Role::Pop).map(|machine| json!({ "name": machine.node, "addresses": [machine.address] }));
        json!({
            "name": region.name,
            "data_center": region.name,
            "coordinates": { "latitude": region.coordinates.0, "longitude": region.coordinates.1 },
            // Networks of clients that tests ask name servers for: documentation's, one a region.
            "placement": { "networks": [format!("203.0.113.{}/27", index * 32)] },
            "nats_urls": addresses(Role::Bus).iter().map(|it| format!("nats://{it}:{}", port::NATS)).collect::<Vec<_>>(),
            "nodes": nodes.collect::<Vec<_>>(),
            "pops": pops.collect::<Vec<_>>(),
            "voice_nodes": voice_nodes.collect::<Vec<_>>(),
            "machines": {
                "location": region.name, "network_zone": region.name, "network": region.network,
                "node_type": "lab", "voice_type": "lab", "pop_type": "lab", "database_type": "lab", "bus_type": "lab",
                "observability_type": "lab",
                "database_addresses": addresses(Role::Database), "bus_addresses": addresses(Role::Bus),
            },
        })
    }

    /// Machines of one role with their regions.
    pub fn machines_of(&self, role: Role) -> impl Iterator<Item = (&PlannedRegion, &Machine)> {
        let all = self.regions.iter().flat_map(|region| region.machines.iter().map(move |machine| (region, machine)));
        all.filter(move |(_, machine)| machine.role == role)
    }
}

fn first_numbers(mode: Mode, slot: u8) -> [u8; 2] {
    let first = match mode {
        Mode::Namespaces => 10,
        Mode::Loopback => 127,
    };
    [first, FIRST_SECOND_NUMBER + slot]
}

fn region(options: &Options, mode: Mode, slot: u8, index: usize, place: (&str, f64, f64)) -> PlannedRegion {
    let (name, latitude, longitude) = place;
    let [first, second] = first_numbers(mode, slot);
    let number = u8::try_from(index + 1).expect("there are no more regions than places");
    let network = Network::new(first, second, number);
    let machine = |role, place: usize, machine: String, node: String| {
        let first_host = FIRST_HOST.iter().find(|(known, _)| *known == role).map_or(0, |(_, first)| *first);
        let place = u8::try_from(place).expect("there are fewer machines of a role than addresses for them");
        Machine { name: format!("{name}-{machine}"), role, node, address: network.host(first_host + place) }
    };
    let mut machines =
        vec![machine(Role::Database, 0, "db-1".into(), "1".into()), machine(Role::Bus, 0, "bus-1".into(), "1".into())];
    for place in 0..options.nodes_per_region {
        let node = format!("{name}-{}", place + 1);
        machines.push(machine(Role::Region, place, format!("node-{node}"), node));
    }
    let voice = format!("{name}-voice");
    machines.push(machine(Role::Voice, 0, format!("voice-{voice}"), voice));
    machines.push(machine(Role::Pop, 0, format!("pop-{name}-pop"), format!("{name}-pop")));
    // Two name servers, so that the domain does not vanish with a region.
    if index < 2 {
        let node = format!("ns{}", index + 1);
        machines.push(machine(Role::GeoDns, index, format!("dns-{node}"), node));
    }
    machines.push(machine(Role::Observability, 0, "obs".into(), "obs".into()));
    PlannedRegion {
        name: name.into(),
        network,
        namespace: (mode == Mode::Namespaces).then(|| format!("rklab{slot}-{name}")),
        link: format!("rklab{slot}-{number}"),
        machines,
        coordinates: (latitude, longitude),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn plan(regions: usize, nodes_per_region: usize, mode: Mode) -> Plan {
        Plan::new(&Options { regions, nodes_per_region, ..Options::default() }, mode, 2).unwrap()
    }

    #[test]
    fn every_machine_has_a_name_and_an_address_of_its_own() {
        let plan = plan(REGIONS_MAX, NODES_PER_REGION_MAX, Mode::Namespaces);
        let machines: Vec<&Machine> = plan.regions.iter().flat_map(|region| &region.machines).collect();
        assert_eq!(machines.iter().map(|machine| &machine.name).collect::<HashSet<_>>().len(), machines.len());
        assert_eq!(machines.iter().map(|machine| machine.address).collect::<HashSet<_>>().len(), machines.len());
        for region in &plan.regions {
            assert!(region.machines.iter().all(|machine| region.network.contains(machine.address)));
            // Names of devices end at 15 characters.
            assert!(region.link.len() <= 15, "{}", region.link);
        }
        let numbers: HashSet<u64> = plan.deployment()["regions"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|region| region["nodes"].as_array().unwrap())
            .map(|node| node["number"].as_u64().unwrap())
            .collect();
        assert_eq!(numbers.len(), REGIONS_MAX * NODES_PER_REGION_MAX);
        assert!(numbers.iter().all(|number| (1..=127).contains(number)));
    }

    #[test]
    fn labs_of_one_machine_share_nothing() {
        let of = |slot| Plan::new(&Options::default(), Mode::Namespaces, slot).unwrap();
        let (first, second) = (of(0), of(1));
        assert_eq!(first.all_regions(), "10.89.0.0/16");
        for (one, other) in first.regions.iter().zip(&second.regions) {
            assert!(one.network != other.network && one.namespace != other.namespace && one.link != other.link);
        }
        assert!(FIRST_SECOND_NUMBER.checked_add(SLOTS).is_some());
    }

    #[test]
    fn on_loopback_there_are_no_namespaces() {
        let plan = plan(2, 1, Mode::Loopback);
        assert!(plan.regions.iter().all(|region| region.namespace.is_none()));
        assert_eq!(plan.regions[1].machines[0].address, Ipv4Addr::new(127, 91, 2, 100));
        assert_eq!(plan.dns_port(), port::DNS_ON_LOOPBACK);
        assert!(plan.deployment()["regions"][1].get("machines").is_none());
        let network = &plan.deployment_with_machines()["regions"][1]["machines"]["network"];
        assert_eq!(network.as_str(), Some("127.91.2.0/24"));
    }

    #[test]
    fn what_cannot_be_is_named() {
        let refused = |options: Options| options.check().unwrap_err().to_string();
        let fine = Options::default();
        assert!(fine.check().is_ok());
        assert_eq!(refused(Options { regions: 0, ..fine.clone() }), "a lab has 1 to 5 regions");
        assert_eq!(refused(Options { regions: 6, ..fine.clone() }), "a lab has 1 to 5 regions");
        assert_eq!(refused(Options { nodes_per_region: 9, ..fine.clone() }), "a region has 1 to 8 nodes");
        assert_eq!(refused(Options { delay_ms: -1.0, ..fine.clone() }), "the delay is from 0 to 1,000 ms");
        assert_eq!(refused(Options { delay_ms: f64::NAN, ..fine.clone() }), "the delay is from 0 to 1,000 ms");
        assert_eq!(refused(Options { loss_percent: 51.0, ..fine.clone() }), "the loss is from 0 to 50 percent");
        let global = Options { durability: "global".into(), ..fine.clone() };
        assert!(global.check().is_ok());
        assert_eq!(refused(Options { regions: 2, ..global }), "\"global\" durability needs three regions");
        assert!(refused(Options { durability: "none".into(), ..fine }).contains("not \"none\""));
    }
}
