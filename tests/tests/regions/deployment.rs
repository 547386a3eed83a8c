//! Two regions of one deployment, as processes.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::ensure;
use reqwest::Method;
use rookery_tests::{Cluster, Gateway, NatsServer, PATIENCE, Person, Process, free_address, run, run_for};
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard};

/// A deployment of two regions in one folder.
pub struct Deployment {
    pub folder: tempfile::TempDir,
    pub cluster: Cluster,
    pub nats: NatsServer,
    pub links: [String; 2],
    /// Where clients find each region again after a restart.
    pub gateways: [String; 2],
    /// Both are nodes of the first region.
    pub is_one_region: bool,
    /// One deployment at a time: leases are not renewed in time by a database that all of them load.
    pub _turn: MutexGuard<'static, ()>,
}

static TURN: Mutex<()> = Mutex::const_new(());

/// A region with its point of presence.
pub struct Region {
    pub region: Process,
    pub pop: Process,
}

pub const NAMES: [&str; 2] = ["eu", "us"];
pub const SCHEMA_PATIENCE: Duration = Duration::from_secs(240);

impl Deployment {
    pub async fn prepare(cluster: Cluster) -> anyhow::Result<Self> {
        Self::prepare_as(cluster, false).await
    }

    pub async fn prepare_as(cluster: Cluster, is_one_region: bool) -> anyhow::Result<Self> {
        let turn = TURN.lock().await;
        let folder = tempfile::tempdir()?;
        let nats = NatsServer::start(folder.path()).await?;
        let (links, gateways) = ([free_address()?, free_address()?], [free_address()?, free_address()?]);
        let deployment = Self { folder, cluster, nats, links, gateways, is_one_region, _turn: turn };
        for name in NAMES {
            deployment.issue("region", name).await?;
            deployment.issue("pop", &format!("{name}-pop")).await?;
        }
        let node = |index: usize| {
            let gateway = format!("wss://{}.example.org", deployment.node(index));
            json!({ "name": deployment.node(index), "number": index + 1, "link": deployment.links[index],
                    "gateway": gateway, "addresses": ["192.0.2.1"] })
        };
        let region = |name: &str, nodes: &[usize]| {
            let nodes: Vec<Value> = nodes.iter().map(|index| node(*index)).collect();
            json!({ "name": name, "data_center": name, "nats_urls": [deployment.nats.url], "nodes": nodes })
        };
        let regions = match is_one_region {
            true => vec![region(NAMES[0], &[0, 1])],
            false => vec![region(NAMES[0], &[0]), region(NAMES[1], &[1])],
        };
        // Few, so that a start takes little of the database's time.
        let file = json!({
            "name": "test", "domain": "example.org", "bus": "nats", "virtual_shards": 64, "regions": regions,
        });
        std::fs::write(deployment.path("deployment.json"), file.to_string())?;
        let contact = format!("store.cql.keyspace={}", deployment.cluster.keyspace);
        let args = ["admin", "schema", "--cql", &deployment.cluster.contact_points, "--set", &contact];
        // Forty tables, one after the other.
        let ended = run_for(SCHEMA_PATIENCE, deployment.folder.path(), args).await?;
        ensure!(ended.code == Some(0), "{ended:?}");
        Ok(deployment)
    }

    /// The region of a process, and its node.
    const fn region(&self, index: usize) -> &'static str {
        if self.is_one_region { NAMES[0] } else { NAMES[index] }
    }

    pub fn node(&self, index: usize) -> String {
        format!("{}-{}", self.region(index), if self.is_one_region { index + 1 } else { 1 })
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub async fn issue(&self, role: &str, name: &str) -> anyhow::Result<()> {
        let (ca, out) = (self.path("ca"), self.path(name));
        let args = ["ca".into(), "--dir".into(), ca, "issue".into(), "--role".into(), role.into(), "--out".into(), out];
        let ended = run(self.folder.path(), args).await?;
        ensure!(ended.code == Some(0), "{ended:?}");
        Ok(())
    }

    pub fn identity(&self, shows: &str) -> String {
        let file = |name: &str| self.path(shows).join(name).display().to_string();
        let (ca, certificate, key) = (file("ca.pem"), file("cert.pem"), file("key.pem"));
        format!("ca_file = {ca:?}\ncertificate_file = {certificate:?}\nkey_file = {key:?}\n")
    }

    pub fn config(&self, name: &str, text: &str) -> anyhow::Result<PathBuf> {
        let path = self.path(name).with_extension("toml");
        std::fs::write(&path, text)?;
        Ok(path)
    }

    pub fn data_dir(&self, index: usize) -> PathBuf {
        self.path(&format!("{}-data", NAMES[index]))
    }

    /// Each region has a data centre of its own where the cluster has as many.
    pub fn data_centre(&self, index: usize) -> String {
        let has_more = self.cluster.contact_points.split(',').count() >= NAMES.len();
        let number = if self.is_one_region { 1 } else { index + 1 };
        if has_more { format!("dc{number}") } else { self.cluster.data_centre.clone() }
    }

    pub async fn start_region(&self, index: usize) -> anyhow::Result<Process> {
        let (name, data_dir) = (NAMES[index], self.data_dir(index));
        std::fs::create_dir_all(&data_dir)?;
        if index > 0 {
            // The whole deployment signs and checks with the same keys.
            for secret in ["token.key", "admin.token"] {
                std::fs::copy(self.data_dir(0).join(secret), data_dir.join(secret))?;
            }
        }
        let points: Vec<&str> = self.cluster.contact_points.split(',').collect();
        let text = format!(
            "name = {:?}\nnode = {:?}\ndeployment_file = {:?}\nlimits = \"off\"\ndata_dir = {data_dir:?}\n\
             operator = \"127.0.0.1:0\"\n[gateway]\nlisten = {:?}\npublic_url = \"ws://{}\"\n[store]\nengine = \"cql\"\n\
             [store.cql]\ncontact_points = {points:?}\nkeyspace = {:?}\nlocal_data_centre = {:?}\n\
             [link]\nlisten = {:?}\n{}",
            self.region(index),
            self.node(index),
            self.path("deployment.json"),
            self.gateways[index],
            self.gateways[index],
            self.cluster.keyspace,
            self.data_centre(index),
            self.links[index],
            self.identity(name),
        );
        let config = self.config(name, &text)?;
        Process::start(&self.path(name), [Path::new("region"), Path::new("--config"), &config]).await
    }

    pub async fn start(&self, index: usize) -> anyhow::Result<Region> {
        let region = self.start_region(index).await?;
        let name = NAMES[index];
        let keys = self.data_dir(index).join("token.pub");
        let text = format!(
            "limits = \"off\"\noperator = \"127.0.0.1:0\"\ntoken_keys_file = {keys:?}\n[pop]\nhttp = \"127.0.0.1:0\"\n\
             [uplink]\nregions = [{:?}]\n{}",
            self.links[index],
            self.identity(&format!("{name}-pop"))
        );
        let config = self.config(&format!("{name}-pop-config"), &text)?;
        let pop = self.path(&format!("{name}-pop-process"));
        let pop = Process::start(&pop, [Path::new("pop"), Path::new("--config"), &config]).await?;
        Ok(Region { region, pop })
    }
}

impl Region {
    pub fn api(&self) -> anyhow::Result<&str> {
        self.pop.address("api")
    }

    pub async fn session(&self, person: &Person) -> anyhow::Result<Gateway> {
        Gateway::start(self.region.address("gateway")?, &person.token, None).await
    }
}

/// The answer to a GET once the region is reached again: its link is tried every second.
pub async fn answered(person: &Person, path: &str) -> anyhow::Result<Value> {
    answer(person, Method::GET, path, None).await
}

/// The answer to a request, likewise.
pub async fn answer(person: &Person, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
    let began = Instant::now();
    let mut poll = tokio::time::interval(Duration::from_millis(50));
    loop {
        poll.tick().await;
        let answer = person.ask(method.clone(), path, body).await?;
        if answer.status != 503 {
            ensure!(answer.status == 200, "{answer:?}");
            return Ok(answer.body);
        }
        ensure!(began.elapsed() < PATIENCE, "{answer:?}");
    }
}
