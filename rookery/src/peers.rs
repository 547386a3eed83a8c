//! The other regions of a deployment, out of its file.

use std::path::Path;

use anyhow::{Context as _, anyhow, bail};
use rookery_bus::{Bus, BusConfig, BusKind, Subject};
use rookery_deployment::{Bus as Carrier, Deployment, Node, Region};
use rookery_link::{Client, ClientOptions, LinkTls, Role};
use rookery_region::peers::stream::Receiving;
use rookery_region::peers::{PeerInit, PeerPlace, PeersInit};
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
        for region in deployment.regions().iter().filter(|region| region.nodes.len() > 1) {
            let problem = format!("the region {} has {} nodes", region.name, region.nodes.len());
            mistakes.push("deployment_file", problem, "one node a region: this version divides no region among nodes");
        }
        if deployment.bus() == Carrier::Local && deployment.regions().len() > 1 {
            mistakes.push("deployment_file", "its regions have no bus between them", "\"bus\": \"nats\"");
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

    /// All regions sign, and know their operator, by the same secrets: only the first region makes them.
    pub fn require_secrets(&self, data_dir: &Path) -> anyhow::Result<()> {
        let home = self.deployment.default_home();
        if home.name == self.region.name {
            return Ok(());
        }
        for secret in [secrets::TOKEN_KEY, secrets::ADMIN_TOKEN] {
            let path = data_dir.join(secret);
            if !path.exists() {
                bail!(
                    "{} is not there: copy it from the data folder of the region {}, which made it for the whole deployment",
                    path.display(),
                    home.name
                );
            }
        }
        Ok(())
    }

    /// Begins to connect to the other regions; none if there are none.
    pub async fn connect(&self, bus: &BusConfig, tls: &LinkTls) -> anyhow::Result<Option<PeersInit>> {
        let others: Vec<&Region> = self
            .deployment
            .nearest_to(&self.region)
            .into_iter()
            .filter(|other| other.name != self.region.name)
            .collect();
        if others.is_empty() {
            return Ok(None);
        }
        let own = full_name(&self.region, &self.node);
        let bus = Bus::connect(&self.bus_config(bus), &own).await.context("the bus")?;
        let subject = |region: &Region, node: &Node| Subject::node(self.deployment.name(), &region.name, &node.name);
        let subscription = bus.subscribe(&subject(&self.region, &self.node)?).await.context("the bus")?;
        let mut receiving = Receiving::new(subscription);
        let mut peers = Vec::new();
        for region in others {
            let node = region.nodes.first().context("a region without nodes is not loaded")?;
            let name = full_name(region, node);
            let stream = receiving.open(&bus, &own, &name, subject(region, node)?).map_err(|error| anyhow!(error))?;
            let calls = Client::connect(&node.link, Role::Region.dns_name(), tls, ClientOptions::default())?;
            let worker_ids = region.numbers().map(|number| number.get().into()).collect();
            peers.push(PeerInit { place: PeerPlace { name: region.name.clone(), worker_ids }, calls, stream });
        }
        tokio::spawn(receiving.run());
        let own_worker_ids = self.region.numbers().map(|number| number.get().into()).collect();
        Ok(Some(PeersInit { own_worker_ids, default_home: self.deployment.default_home().name.clone(), peers }))
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
