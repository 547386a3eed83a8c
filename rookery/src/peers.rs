//! The other nodes of a deployment, out of its file.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context as _, anyhow, bail};
use rookery_bus::{Bus, BusConfig, BusKind, Subject};
use rookery_deployment::{Bus as Carrier, Deployment, Node, Region};
use rookery_link::{Client, ClientOptions, LinkTls, Role};
use rookery_model::lease::WORKER_IDS;
use rookery_placement::{Config, Marks, RegionName};
use rookery_region::peers::stream::Receiving;
use rookery_region::peers::{PeerInit, PeersInit};
use rookery_region::placement::task::PlacementInit;
use rookery_region::voice::{VoiceInit, VoiceRoomsConfig};
use rookery_service::Mistakes;

use crate::secrets;

/// Where a process stands in its deployment.
#[derive(Debug)]
pub struct Place {
    deployment: Deployment,
    region: Region,
    node: Node,
}

impl Place {
    /// Finds a node in the deployment's file; everything that is wrong is among the mistakes.
    pub fn find(file: &Path, region: Option<&str>, node: Option<&str>, mistakes: &mut Mistakes) -> Option<Self> {
        let deployment = match Deployment::load(file) {
            Ok(deployment) => deployment,
            Err(errors) => {
                mistakes.push("deployment_file", errors.to_string(), "a deployment without mistakes");
                return None;
            }
        };
        let names: Vec<&str> = deployment.regions().iter().map(|region| region.name.as_str()).collect();
        let Some(found) = region.and_then(|name| deployment.region(name)) else {
            let problem = format!("is {region:?}, and {} has no such region", file.display());
            mistakes.push("name", problem, format!("one of {}", names.join(", ")));
            return None;
        };
        let nodes: Vec<&str> = found.nodes.iter().map(|node| node.name.as_str()).collect();
        let Some(own) = node.and_then(|name| found.node(name)) else {
            let problem = format!("is {node:?}, and the region {} has no such node", found.name);
            mistakes.push("node", problem, format!("one of {}", nodes.join(", ")));
            return None;
        };
        if deployment.bus() == Carrier::Local && deployment.nodes().count() > 1 {
            mistakes.push("deployment_file", "its nodes have no bus between them", "\"bus\": \"nats\"");
        }
        let (region, node) = (found.clone(), own.clone());
        Some(Self { deployment, region, node })
    }

    /// Low 10 bits of the ids that are made here.
    pub fn worker_id(&self) -> u16 {
        self.node.number.get().into()
    }

    /// Where clients find the gateway.
    pub fn gateway(&self) -> &str {
        &self.node.gateway
    }

    /// The same for WebTransport.
    pub fn webtransport(&self) -> Option<&str> {
        self.node.webtransport.as_deref()
    }

    /// All nodes sign, and know their operator, by the same secrets: only the first node of the first region makes them.
    pub fn require_secrets(&self, data_dir: &Path) -> anyhow::Result<()> {
        let home = self.deployment.default_home();
        let makes_them = home.name == self.region.name && home.nodes.first() == Some(&self.node);
        if makes_them {
            return Ok(());
        }
        for secret in [secrets::TOKEN_KEY, secrets::ADMIN_TOKEN] {
            let path = data_dir.join(secret);
            if !path.exists() {
                bail!(
                    "{} is not there: copy it from the data folder of the first node of the region {}, which made it for the \
                     whole deployment",
                    path.display(),
                    home.name
                );
            }
        }
        Ok(())
    }

    /// Begins to connect to the bus; none where the file says that there is none between processes.
    pub async fn bus(&self, config: &BusConfig) -> anyhow::Result<Option<Bus>> {
        if self.deployment.bus() == Carrier::Local {
            return Ok(None);
        }
        let own = full_name(&self.region, &self.node);
        Bus::connect(&self.bus_config(config), &own).await.context("the bus").map(Some)
    }

    /// The way to the deployment's voice nodes, the region's own first, where there is a bus.
    pub async fn voice(&self, bus: Option<&Bus>, config: VoiceRoomsConfig) -> anyhow::Result<Option<VoiceInit>> {
        let Some(bus) = bus.cloned() else { return Ok(None) };
        let others = self.deployment.regions().iter().map(|region| region.name.as_str());
        let own = self.region.name.as_str();
        let regions: Vec<&str> = std::iter::once(own).chain(others.filter(|name| *name != own)).collect();
        let init = VoiceInit::open(bus, self.deployment.name(), &regions, &self.node.name).await;
        Ok(Some(init.context("the way to voice nodes")?.laid_out(config)))
    }

    /// Begins to connect to the other nodes; none if there are none.
    pub async fn connect(
        &self,
        bus: Option<Bus>,
        tls: &LinkTls,
        first_floors: Marks,
    ) -> anyhow::Result<Option<PeersInit>> {
        let nearest = self.deployment.nearest_to(&self.region);
        let all = nearest.iter().flat_map(|region| region.nodes.iter().map(move |node| (*region, node)));
        let others: Vec<(&Region, &Node)> = all.filter(|(_, node)| node.number != self.node.number).collect();
        let Some(bus) = bus.filter(|_| !others.is_empty()) else { return Ok(None) };
        let own = full_name(&self.region, &self.node);
        let subject = |region: &Region, node: &Node| Subject::node(self.deployment.name(), &region.name, &node.name);
        let subscription = bus.subscribe(&subject(&self.region, &self.node)?).await.context("the bus")?;
        let mut receiving = Receiving::new(subscription);
        let mut peers = Vec::new();
        for (region, node) in others {
            let name = full_name(region, node);
            let stream = receiving.open(&bus, &own, &name, subject(region, node)?).map_err(|error| anyhow!(error))?;
            let calls = Client::connect(&node.link, Role::Region.dns_name(), tls, ClientOptions::default())?;
            peers.push(PeerInit { name, worker_id: node.number.get().into(), calls, stream });
        }
        tokio::spawn(receiving.run());
        let placement = self.placement(&bus, first_floors).await?;
        Ok(Some(PeersInit { peers, placement }))
    }

    /// What keeps up with who owns what.
    async fn placement(&self, bus: &Bus, first_floors: Marks) -> anyhow::Result<PlacementInit> {
        let (deployment, regions) = (self.deployment.name(), self.deployment.regions());
        let names: Vec<RegionName> =
            regions.iter().map(|region| RegionName::new(&region.name)).collect::<Result<_, _>>()?;
        let place = |wanted: &Region| regions.iter().position(|region| region.name == wanted.name).unwrap_or(0);
        let own = place(&self.region);
        let mut config = Config::new(names[own].clone(), names.clone(), self.worker_id(), rand::random());
        config.first_floors = first_floors;
        config.virtual_shards = self.deployment.virtual_shards().get();
        // Who is told nothing by an operator takes what the dead leave, as far as a majority of the leases' replicas lives.
        config.stands_by_for = names.iter().filter(|name| **name != config.region).cloned().collect();
        let mut homes = vec![u8::try_from(place(self.deployment.default_home()))?; WORKER_IDS.into()];
        let mut nodes = HashMap::new();
        for (index, region) in (0_u8..).zip(regions) {
            region.numbers().for_each(|number| homes[usize::from(number.get())] = index);
            for node in &region.nodes {
                nodes.insert(node.number.get().into(), Subject::placement_of(deployment, &region.name, &node.name)?);
            }
        }
        let all = Subject::placement(deployment)?;
        let own = Subject::placement_of(deployment, &self.region.name, &self.node.name)?;
        let subscriptions =
            [bus.subscribe(&own).await.context("the bus")?, bus.subscribe(&all).await.context("the bus")?];
        Ok(PlacementInit { config, bus: bus.clone(), subscriptions, all, nodes, homes })
    }

    /// What the file says of the bus, unless the process is told otherwise.
    fn bus_config(&self, config: &BusConfig) -> BusConfig {
        let urls = if config.urls.is_empty() { self.region.nats_urls.clone() } else { config.urls.clone() };
        BusConfig { kind: BusKind::Nats, deployment: self.deployment.name().to_owned(), urls, ..config.clone() }
    }
}

/// As which nodes know each other.
fn full_name(region: &Region, node: &Node) -> String {
    format!("{}.{}", region.name, node.name)
}
