//! The files that the processes read.

use serde_json::{Value, json};

use super::{NAMES, Started, Store};
use crate::deployment::{Role, Target};

impl Started {
    /// `deployment.json`.
    pub(super) fn deployment_file(&self) -> Value {
        let nodes = |region: usize| -> Vec<Value> {
            (0..self.options.nodes_per_region)
                .map(|index| {
                    json!({
                        "name": self.name(Target::node(region, index)),
                        "number": region * 8 + index + 1,
                        "link": self.link(region, index),
                        "gateway": format!("wss://{}.example.org", self.name(Target::node(region, index))),
                        "addresses": ["192.0.2.1"],
                    })
                })
                .collect()
        };
        let regions: Vec<_> = (0..self.options.regions)
            .map(|region| {
                json!({ "name": NAMES[region], "data_center": self.data_centre(region),
                        "nats_urls": self.bus_urls(region), "nodes": nodes(region) })
            })
            .collect();
        // Few shards, so that a start takes little of the database's time.
        json!({ "name": "gameday", "domain": "example.org", "bus": "nats", "virtual_shards": 64,
                "durability": self.options.durability, "regions": regions })
    }

    /// A process's configuration.
    pub(super) fn config(&self, target: Target) -> String {
        match target.role {
            Role::Node => self.node_config(target),
            Role::Pop => self.pop_config(target),
            Role::Database | Role::Bus => String::new(),
        }
    }

    fn node_config(&self, target: Target) -> String {
        let Target { region, index, .. } = target;
        let (host, data_dir) = (self.places.node(region, index), self.data_dir(region, index));
        // What else this machine does must not decide what is seen.
        let mut text = format!(
            "name = {:?}\nlimits = \"off\"\ndata_dir = {data_dir:?}\noperator = \"{host}:8091\"\n",
            NAMES[region]
        );
        if self.has_deployment_file() {
            let file = self.path("deployment.json");
            text += &format!("node = {:?}\ndeployment_file = {file:?}\n", self.name(target));
        }
        text += &format!(
            "[degradation]\nenabled = false\n\
             [gateway]\nlisten = \"{host}:8081\"\npublic_url = \"ws://{host}:8081\"\nsessions_dir = {:?}\n\
             [link]\nlisten = {:?}\n{}",
            data_dir.join("sessions"),
            self.link(region, index),
            self.identity(target)
        );
        if self.options.store != Store::Embedded {
            let points = self.contact_points_from(region);
            text += &format!(
                "[store]\nengine = \"cql\"\n[store.cql]\ncontact_points = {points:?}\nkeyspace = {:?}\n\
                 local_data_centre = {:?}\ndurability = {:?}\n",
                self.keyspace,
                self.data_centre(region),
                self.options.durability
            );
        }
        text
    }

    fn pop_config(&self, target: Target) -> String {
        let host = self.places.pop(target.region, target.index);
        let count = self.options.regions;
        // The nearest first.
        let order = (0..count).map(|step| (target.region + step) % count);
        let links: Vec<String> = order
            .flat_map(|region| (0..self.options.nodes_per_region).map(move |index| (region, index)))
            .map(|(region, index)| self.link(region, index))
            .collect();
        let keys = self.data_dir(0, 0).join("token.pub");
        format!(
            "limits = \"off\"\noperator = \"{host}:8090\"\ntoken_keys_file = {keys:?}\n\
             [pop]\nhttp = \"{host}:8080\"\n[uplink]\nregions = {links:?}\n{}",
            self.identity(target)
        )
    }

    fn link(&self, region: usize, index: usize) -> String {
        format!("{}:8082", self.places.node(region, index))
    }

    fn identity(&self, target: Target) -> String {
        let folder = self.path(&self.name(target));
        let file = |name: &str| folder.join(name);
        let (ca, certificate, key) = (file("ca.pem"), file("cert.pem"), file("key.pem"));
        format!("ca_file = {ca:?}\ncertificate_file = {certificate:?}\nkey_file = {key:?}\n")
    }

    /// Each region has a data centre of its own where the cluster has as many.
    pub(super) fn data_centre(&self, region: usize) -> String {
        let has_more = self.contact_points.len() >= self.options.regions;
        format!("dc{}", if has_more { region + 1 } else { 1 })
    }

    /// A region's own data centre first.
    fn contact_points_from(&self, region: usize) -> Vec<String> {
        let mut points = self.contact_points.clone();
        let own = region % points.len().max(1);
        points.rotate_left(own);
        points
    }
}
