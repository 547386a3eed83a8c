//! `lab.json`: what runs, where it answers, and what is broken at the moment.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::plan::{Mode, Options, Role};
use crate::wan::Network;

const FILE: &str = "lab.json";
const VERSION: u32 = 1;

/// Everything that another program has to know of a lab.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    pub version: u32,
    pub mode: Mode,
    pub options: Options,
    /// Which of the labs of this machine it is.
    pub slot: u8,
    /// The binary under test.
    pub rookery: PathBuf,
    pub deployment_file: PathBuf,
    /// The operator's secret, the same in every region.
    pub admin_token_file: PathBuf,
    /// Who signed what processes show each other on the link.
    pub ca_file: PathBuf,
    /// The network that holds all regions, where they have namespaces.
    pub all_regions: String,
    pub regions: Vec<RegionState>,
    pub processes: Vec<ProcessState>,
}

/// A region.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RegionState {
    pub name: String,
    pub network: Network,
    /// Its network namespace; null on loopback addresses.
    pub namespace: Option<String>,
    /// This machine's device that leads there.
    pub link: String,
    /// The regions that it was cut off from by `break region --cut`.
    pub cut_from: Vec<String>,
}

/// A process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProcessState {
    /// As Terraform calls the machine: `eu-node-eu-1`, `us-pop-us-pop`, `eu-db-1`, `eu-bus-1`.
    pub name: String,
    pub role: Role,
    /// None for what belongs to no region.
    pub region: Option<String>,
    /// What the deployment calls it: `eu-1`.
    pub node: String,
    pub namespace: Option<String>,
    /// Null while it is not running on purpose. Of a database node see also `lab.folder/cluster`.
    pub pid: Option<u32>,
    /// When it was started, in the kernel's ticks: its id may be given to another later.
    pub start_ticks: Option<u64>,
    /// Whether somebody broke it, so that it is no surprise that it is away.
    pub broken: bool,
    /// Where it answers, by what for: `api`, `gateway`, `operator`, `link`, `cql`, `nats`, `monitor`, `dns`, `prometheus`.
    pub addresses: BTreeMap<String, String>,
    /// Its program and arguments. Empty for the nodes of the database, which `tests/cluster` starts.
    pub command: Vec<String>,
    /// Variables that it is given beside its own; changed by who wants it to start otherwise next time.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    pub log: PathBuf,
    /// Where it says that it is ready, if it does so in a file.
    pub ready_file: Option<PathBuf>,
}

impl State {
    /// What a folder holds; none where no lab was brought up, or one was taken down.
    pub fn load(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(FILE);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("{} cannot be read", path.display())),
        };
        let state: Self =
            serde_json::from_slice(&text).with_context(|| format!("{} is not as expected", path.display()))?;
        let version = state.version;
        ensure!(version == VERSION, "{} is of version {version}, and this program's is {VERSION}", path.display());
        Ok(Some(state))
    }

    /// Writes it whole, by rename.
    pub fn save(&self, folder: &Path) -> Result<()> {
        let file = tempfile::NamedTempFile::new_in(folder).with_context(|| format!("{}", folder.display()))?;
        fs::write(file.path(), serde_json::to_vec_pretty(self)?)?;
        file.persist(folder.join(FILE)).with_context(|| format!("{FILE} cannot be written"))?;
        Ok(())
    }

    /// Removes it: there is no lab any more.
    pub fn forget(folder: &Path) -> Result<()> {
        fs::remove_file(folder.join(FILE)).with_context(|| format!("{FILE} cannot be removed"))
    }

    /// The first version of it, before anything runs.
    pub(crate) fn version() -> u32 {
        VERSION
    }

    /// The region of that name, or who there is instead.
    pub fn region(&self, name: &str) -> Result<&RegionState> {
        self.regions.iter().find(|region| region.name == name).with_context(|| {
            let known: Vec<&str> = self.regions.iter().map(|region| region.name.as_str()).collect();
            format!("the lab has no region {name:?}; it has {}", known.join(", "))
        })
    }

    /// The process of that name; a node is found by its own name, too.
    pub fn process(&self, name: &str) -> Result<&ProcessState> {
        let named = self.processes.iter().find(|process| process.name == name);
        let node = || {
            self.processes
                .iter()
                .find(|process| process.node == name && matches!(process.role, Role::Region | Role::Voice | Role::Pop))
        };
        named.or_else(node).with_context(|| {
            let known: Vec<&str> = self.processes.iter().map(|process| process.name.as_str()).collect();
            format!("the lab has no process {name:?}; it has {}", known.join(", "))
        })
    }

    /// How many gateways to other regions a bus has: as many as there are others that nobody broke.
    pub(crate) fn gateways(&self) -> usize {
        let buses = self.processes.iter().filter(|process| process.role == Role::Bus && !process.broken);
        buses.count().saturating_sub(1)
    }

    /// Processes of a region.
    pub fn of_region(&self, region: &str) -> impl Iterator<Item = &ProcessState> {
        self.processes.iter().filter(move |process| process.region.as_deref() == Some(region))
    }
}

/// Keeps other programs from changing the lab as long as it is held.
pub(crate) fn lock(folder: &Path) -> Result<File> {
    let path = folder.join("lock");
    let file = File::create(&path).with_context(|| format!("{} cannot be made", path.display()))?;
    file.lock().with_context(|| format!("{} cannot be locked", path.display()))?;
    Ok(file)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn example() -> State {
        let process = |name: &str, role, region: &str, node: &str| ProcessState {
            name: name.into(),
            role,
            region: Some(region.into()),
            node: node.into(),
            namespace: None,
            pid: None,
            start_ticks: None,
            broken: false,
            addresses: BTreeMap::new(),
            command: Vec::new(),
            environment: BTreeMap::new(),
            log: PathBuf::new(),
            ready_file: None,
        };
        let region = |name: &str, third| RegionState {
            name: name.into(),
            network: Network::new(10, 89, third),
            namespace: None,
            link: "x".into(),
            cut_from: Vec::new(),
        };
        State {
            version: VERSION,
            mode: Mode::Loopback,
            options: Options::default(),
            slot: 0,
            rookery: "rookery".into(),
            deployment_file: "d".into(),
            admin_token_file: "a".into(),
            ca_file: "c".into(),
            all_regions: "10.89.0.0/16".into(),
            regions: vec![region("eu", 1), region("us", 2)],
            processes: vec![
                process("eu-db-1", Role::Database, "eu", "1"),
                process("eu-node-eu-1", Role::Region, "eu", "eu-1"),
                process("us-bus-1", Role::Bus, "us", "1"),
            ],
        }
    }

    #[test]
    fn it_survives_its_file_and_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(State::load(folder.path()).unwrap(), None);
        let state = example();
        state.save(folder.path()).unwrap();
        assert_eq!(State::load(folder.path()).unwrap(), Some(state.clone()));
        State { version: 0, ..state }.save(folder.path()).unwrap();
        assert!(State::load(folder.path()).unwrap_err().to_string().contains("is of version 0"));
        State::forget(folder.path()).unwrap();
        assert_eq!(State::load(folder.path()).unwrap(), None);
        fs::write(folder.path().join(FILE), "{").unwrap();
        assert!(State::load(folder.path()).unwrap_err().to_string().contains("is not as expected"));
    }

    #[test]
    fn who_is_not_there_is_told_who_is() {
        let state = example();
        assert_eq!(state.region("us").unwrap().name, "us");
        let error = state.region("mars").unwrap_err().to_string();
        assert_eq!(error, "the lab has no region \"mars\"; it has eu, us");
        assert_eq!(state.process("eu-1").unwrap().name, "eu-node-eu-1");
        assert_eq!(state.process("us-bus-1").unwrap().role, Role::Bus);
        // "1" names nodes of the database and of the bus in every region.
        assert!(state.process("1").unwrap_err().to_string().contains("it has eu-db-1, eu-node-eu-1, us-bus-1"));
        assert_eq!(state.of_region("eu").count(), 2);
    }
}
