//! A deployment that `cargo xtask lab` runs: described by its `lab.json`, broken and mended by the lab's own commands.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;
use tokio::process::Command;

use super::{Deployment, Layout, NodeLayout, NotHere, PopLayout, RegionLayout, Role, Target};

/// What the lab writes into its folder.
const FILE: &str = "lab.json";
/// Names the program whose `lab` command is used; `cargo xtask gameday` sets it to itself.
pub const XTASK_VARIABLE: &str = "ROOKERY_XTASK";
/// The folder of that program's package, by which it knows its clone; what cargo says of a folder is this program's own.
pub const XTASK_FOLDER_VARIABLE: &str = "ROOKERY_XTASK_FOLDER";
/// How long a process may take to drain.
const END_PATIENCE: Duration = Duration::from_secs(60);

/// A lab that is up.
#[derive(Debug)]
pub struct Lab {
    folder: PathBuf,
    layout: Layout,
}

/// What is looked at of `lab.json`.
#[derive(Debug, Deserialize)]
struct LabFile {
    admin_token_file: PathBuf,
    regions: Vec<LabRegion>,
    processes: Vec<LabProcess>,
}

#[derive(Debug, Deserialize)]
struct LabRegion {
    name: String,
}

#[derive(Debug, Deserialize)]
struct LabProcess {
    name: String,
    /// `database`, `bus`, `region`, `pop`, and some that nothing is done to here.
    role: String,
    region: Option<String>,
    /// What the deployment calls it.
    node: String,
    pid: Option<u32>,
    #[serde(default)]
    addresses: BTreeMap<String, String>,
}

impl LabFile {
    fn load(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join(FILE);
        let text = std::fs::read(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("{} is not as expected", path.display()))
    }

    fn of<'a>(&'a self, region: &'a str, role: &'a str) -> impl Iterator<Item = &'a LabProcess> {
        let is_it = move |process: &&LabProcess| process.region.as_deref() == Some(region) && process.role == role;
        self.processes.iter().filter(is_it)
    }

    fn layout(&self) -> anyhow::Result<Layout> {
        let regions = self.regions.iter().map(|region| self.region(&region.name)).collect::<anyhow::Result<_>>()?;
        Ok(Layout { regions })
    }

    fn region(&self, name: &str) -> anyhow::Result<RegionLayout> {
        let address = |process: &LabProcess, kind: &str| {
            let found = process.addresses.get(kind).cloned();
            found.with_context(|| format!("{} has no address {kind}", process.name))
        };
        let nodes = self.of(name, "region").map(|process| {
            let (gateway, operator) = (address(process, "gateway")?, address(process, "operator")?);
            Ok(NodeLayout { name: process.node.clone(), gateway, operator })
        });
        let nodes: Vec<NodeLayout> = nodes.collect::<anyhow::Result<_>>()?;
        let pops = self.of(name, "pop").map(|process| {
            let (api, operator) = (address(process, "api")?, address(process, "operator")?);
            Ok(PopLayout { name: process.node.clone(), api, operator })
        });
        let pops: Vec<PopLayout> = pops.collect::<anyhow::Result<_>>()?;
        ensure!(!nodes.is_empty() && !pops.is_empty(), "region {name} has no node or no point of presence");
        Ok(RegionLayout { name: name.into(), nodes, pops, admin_token_file: self.admin_token_file.clone() })
    }
}

impl Lab {
    /// The lab of a folder.
    pub fn open(folder: &Path) -> anyhow::Result<Self> {
        let layout = LabFile::load(folder)?.layout()?;
        ensure!(!layout.regions.is_empty(), "the lab in {} has no region", folder.display());
        Ok(Self { folder: folder.to_owned(), layout })
    }

    fn region(&self, region: usize) -> anyhow::Result<&str> {
        let found = self.layout.regions.get(region).with_context(|| format!("the lab has no region {region}"))?;
        Ok(&found.name)
    }

    /// Names and ids of the processes that a target is, as they are now.
    fn processes(&self, target: Target) -> anyhow::Result<Vec<(String, Option<u32>)>> {
        let (file, region) = (LabFile::load(&self.folder)?, self.region(target.region)?);
        let all = |role| file.of(region, role).map(|process| (process.name.clone(), process.pid)).collect::<Vec<_>>();
        let found = match target.role {
            Role::Database => all("database"),
            Role::Bus => all("bus"),
            Role::Node => all("region").into_iter().skip(target.index).take(1).collect(),
            Role::Pop => all("pop").into_iter().skip(target.index).take(1).collect(),
        };
        if found.is_empty() {
            bail!(NotHere(format!("the lab has not {target}")));
        }
        Ok(found)
    }

    async fn lab(&self, action: &[&str]) -> anyhow::Result<()> {
        let mut command = match std::env::var_os(XTASK_VARIABLE) {
            Some(program) => Command::new(program),
            None => {
                let mut cargo = Command::new("cargo");
                cargo.arg("xtask");
                cargo
            }
        };
        if let Some(folder) = std::env::var_os(XTASK_FOLDER_VARIABLE) {
            command.env("CARGO_MANIFEST_DIR", folder);
        }
        let output = command.args(["lab", "--dir"]).arg(&self.folder).args(action).kill_on_drop(true).output().await;
        let output = output.context("the lab's command could not be started")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "lab {}: {} {said}", action.join(" "), output.status);
        Ok(())
    }

    async fn signal(&self, signal: &str, target: Target) -> anyhow::Result<Vec<u32>> {
        let mut ids = Vec::new();
        for (name, pid) in self.processes(target)? {
            let pid = pid.with_context(|| format!("{name} does not run"))?;
            let status = Command::new("kill").args([signal, &pid.to_string()]).status().await;
            ensure!(status.context("kill could not be started")?.success(), "{name} takes no {signal}");
            ids.push(pid);
        }
        Ok(ids)
    }
}

impl Deployment for Lab {
    fn layout(&self) -> &Layout {
        &self.layout
    }

    async fn kill(&mut self, target: Target) -> anyhow::Result<()> {
        for (name, _) in self.processes(target)? {
            self.lab(&["break", "node", &name]).await?;
        }
        Ok(())
    }

    async fn end(&mut self, target: Target) -> anyhow::Result<()> {
        let ids = self.signal("-TERM", target).await?;
        let began = Instant::now();
        let mut poll = tokio::time::interval(Duration::from_millis(20));
        while ids.iter().any(|id| Path::new(&format!("/proc/{id}")).exists()) {
            ensure!(began.elapsed() < END_PATIENCE, "{target} does not end within {} s", END_PATIENCE.as_secs());
            poll.tick().await;
        }
        Ok(())
    }

    async fn start(&mut self, target: Target) -> anyhow::Result<()> {
        // Starts what does not run of the region.
        self.lab(&["heal", "region", self.region(target.region)?]).await
    }

    async fn halt(&mut self, target: Target) -> anyhow::Result<()> {
        self.signal("-STOP", target).await.map(drop)
    }

    async fn go_on(&mut self, target: Target) -> anyhow::Result<()> {
        self.signal("-CONT", target).await.map(drop)
    }

    async fn cut(&mut self, region: usize) -> anyhow::Result<()> {
        self.lab(&["break", "region", self.region(region)?, "--cut"]).await
    }

    async fn heal(&mut self, region: usize) -> anyhow::Result<()> {
        self.lab(&["heal", "region", self.region(region)?]).await
    }

    async fn start_skewed(&mut self, _target: Target, _skew_s: i64) -> anyhow::Result<()> {
        bail!(NotHere("processes of a lab have this machine's clock".into()))
    }

    async fn fill_disk(&mut self, _region: usize) -> anyhow::Result<()> {
        bail!(NotHere("disks of a lab are not filled".into()))
    }

    async fn empty_disk(&mut self, _region: usize) -> anyhow::Result<()> {
        Ok(())
    }

    fn log(&self, _target: Target) -> String {
        format!("in {}", self.folder.display())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_labs_file_tells_where_its_parts_are() {
        let process = |name: &str, role: &str, node: &str, addresses: serde_json::Value| json!({ "name": name, "role": role, "region": "eu", "node": node, "pid": 7, "addresses": addresses });
        let mut file = json!({
            "version": 1, "admin_token_file": "/lab/admin.token", "regions": [{ "name": "eu" }],
            "processes": [
                process("eu-db-1", "database", "1", json!({ "cql": "10.89.1.3:9042" })),
                process("eu-node-eu-1", "region", "eu-1", json!({ "gateway": "ws://g", "operator": "http://o" })),
                process("eu-pop-eu-pop", "pop", "eu-pop", json!({ "api": "http://a/api", "operator": "http://p" })),
            ],
        });
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), file.to_string()).unwrap();
        let lab = Lab::open(folder.path()).unwrap();
        let region = &lab.layout.regions[0];
        assert_eq!((region.nodes[0].name.as_str(), region.nodes[0].gateway.as_str()), ("eu-1", "ws://g"));
        assert_eq!(region.pops[0].api, "http://a/api");
        let names = |target| lab.processes(target).map(|all| all.into_iter().map(|(name, _)| name).collect::<Vec<_>>());
        assert_eq!(names(Target::node(0, 0)).unwrap(), ["eu-node-eu-1"]);
        assert_eq!(names(Target::database(0)).unwrap(), ["eu-db-1"]);
        assert!(names(Target::bus(0)).unwrap_err().is::<NotHere>());
        assert!(names(Target::node(0, 1)).unwrap_err().is::<NotHere>());
        file["processes"][2]["role"] = "geodns".into();
        std::fs::write(folder.path().join(FILE), file.to_string()).unwrap();
        assert!(Lab::open(folder.path()).unwrap_err().to_string().contains("no point of presence"));
    }
}
