//! A deployment of processes that this program starts itself, on loopback addresses.

mod config;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use rookery_test_cluster::{Lifetime, Runtime, Starts, TemporaryCluster};
use rookery_tests::{NatsServer, Process, Signal, run, run_for};

use super::fixed::{Places, REGIONS_MAX};
use super::{Deployment, Layout, NodeLayout, NotHere, PopLayout, RegionLayout, Role, Target};

/// Forty tables, one after the other.
const SCHEMA_PATIENCE: Duration = Duration::from_secs(240);
/// Regions by the names that their files have.
const NAMES: [&str; 3] = ["eu", "us", "ap"];
/// Where Debian and others keep libfaketime.
const FAKETIME: [&str; 3] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/faketime/libfaketime.so.1",
];
/// The end of a log, for people.
const LOG_SHOWN_BYTES: usize = 4_000;

/// On what the regions keep what they keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Store {
    /// A Cassandra cluster of the deployment's own: one data centre a region, which dies with it.
    OwnCluster,
    /// One that runs already, and that nothing is done to: contact points, separated by commas, one for each data centre.
    Given(String),
    /// In the process, for one region alone.
    Embedded,
}

/// What to start.
#[derive(Clone, Debug)]
pub struct Options {
    pub regions: usize,
    pub nodes_per_region: usize,
    pub store: Store,
    /// `regional` or `global`.
    pub durability: String,
    /// A keyspace of a cluster that runs already, to be gone on with; none for a new one.
    pub keyspace: Option<String>,
    /// The size of the file system that a region's data folder is on; none for that of the test.
    pub disk_bytes: Option<u64>,
}

impl Options {
    /// Regions of one node each, in `regional`, on a cluster of their own.
    pub fn new(regions: usize) -> Self {
        Self {
            regions,
            nodes_per_region: 1,
            store: Store::OwnCluster,
            durability: "regional".into(),
            keyspace: None,
            disk_bytes: None,
        }
    }
}

/// The running deployment; everything ends when it is dropped.
///
/// Its database nodes end with the thread that started it, so that one keeps it.
pub struct Started {
    // Dropped from the top: processes before the bus, the database and the folder.
    processes: HashMap<Target, Process>,
    buses: HashMap<usize, NatsServer>,
    cluster: Option<TemporaryCluster>,
    mounts: Vec<Mount>,
    places: Places,
    layout: Layout,
    options: Options,
    contact_points: Vec<String>,
    keyspace: String,
    folder: tempfile::TempDir,
}

/// A file system of its own; unmounted when dropped.
struct Mount(PathBuf);

impl Drop for Mount {
    fn drop(&mut self) {
        // Nobody to tell here; the folder then stays.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

impl Started {
    /// Starts everything; `None`, with a word to the caller, where database clusters are left out.
    pub async fn start(options: Options) -> anyhow::Result<Option<Self>> {
        ensure!(options.regions <= NAMES.len().min(REGIONS_MAX), "at most {} regions have names", NAMES.len());
        let folder = tempfile::tempdir()?;
        let (cluster, contact_points) = match &options.store {
            Store::OwnCluster => {
                let Some(runtime) = Runtime::from_env()? else { return Ok(None) };
                let regions = u8::try_from(options.regions)?;
                // `global` asks for three data centres; without it every region has one.
                let place = folder.path().join("database");
                let cluster =
                    TemporaryCluster::start(&place, regions, 1, Lifetime::OfStartingThread, Starts::Again, &runtime)?;
                let points = cluster.contact_points().iter().map(ToString::to_string).collect();
                (Some(cluster), points)
            }
            Store::Given(points) => (None, points.split(',').map(str::to_owned).collect()),
            Store::Embedded => {
                ensure!(options.regions == 1, "the embedded store is one region's");
                (None, Vec::new())
            }
        };
        let places = match &cluster {
            Some(cluster) => Places::beside(cluster.topology().subnet().to_string()),
            None => Places::find()?,
        };
        let layout = layout(&options, &places, folder.path());
        let own = || format!("rookery_test_{}_{}", std::process::id(), unique());
        let keyspace = options.keyspace.clone().unwrap_or_else(own);
        let (processes, buses, mounts) = (HashMap::new(), HashMap::new(), Vec::new());
        let mut started =
            Self { processes, buses, cluster, mounts, places, layout, options, contact_points, keyspace, folder };
        started.prepare().await?;
        for target in started.targets() {
            started.start(target).await?;
        }
        Ok(Some(started))
    }

    /// Every process in the order in which they start.
    fn targets(&self) -> Vec<Target> {
        let regions = 0..self.options.regions;
        let bus = regions.clone().filter(|_| self.has_deployment_file()).map(Target::bus);
        let per_region = self.options.nodes_per_region;
        let nodes = regions.clone().flat_map(|region| (0..per_region).map(move |index| Target::node(region, index)));
        bus.chain(nodes).chain(regions.map(|region| Target::pop(region, 0))).collect()
    }

    /// One region alone needs none.
    fn has_deployment_file(&self) -> bool {
        self.options.store != Store::Embedded
    }

    async fn prepare(&mut self) -> anyhow::Result<()> {
        for target in self.targets().into_iter().filter(|target| target.role != Role::Bus) {
            let role = if target.role == Role::Node { "region" } else { "pop" };
            let (ca, out) = (self.path("ca"), self.path(&self.name(target)));
            let args =
                ["ca".into(), "--dir".into(), ca, "issue".into(), "--role".into(), role.into(), "--out".into(), out];
            let ended = run(self.folder.path(), args).await?;
            ensure!(ended.code == Some(0), "{ended:?}");
        }
        for region in 0..self.options.regions {
            for index in 0..self.options.nodes_per_region {
                let data = self.data_dir(region, index);
                std::fs::create_dir_all(&data)?;
                if let Some(bytes) = self.options.disk_bytes {
                    self.mounts.push(mount(&data, bytes)?);
                }
            }
        }
        if !self.has_deployment_file() {
            return Ok(());
        }
        std::fs::write(self.path("deployment.json"), self.deployment_file().to_string())?;
        let keyspace = format!("store.cql.keyspace={}", self.keyspace);
        let args = ["admin", "schema", "--cql", &self.contact_points.join(","), "--set", &keyspace];
        let ended = run_for(SCHEMA_PATIENCE, self.folder.path(), args).await?;
        ensure!(ended.code == Some(0), "{ended:?}");
        Ok(())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn data_dir(&self, region: usize, index: usize) -> PathBuf {
        data_dir(self.folder.path(), region, index)
    }

    /// What its files are called, and what its node is called in the deployment's file.
    fn name(&self, target: Target) -> String {
        let (region, number) = (NAMES[target.region], target.index + 1);
        match target.role {
            Role::Node => format!("{region}-{number}"),
            Role::Pop => format!("{region}-pop-{number}"),
            Role::Database => format!("{region}-database"),
            Role::Bus => format!("{region}-bus"),
        }
    }

    async fn start_process(&mut self, target: Target, variables: &[(String, String)]) -> anyhow::Result<()> {
        let role = if target.role == Role::Node { "region" } else { "pop" };
        if target.role == Role::Node && (target.region, target.index) != (0, 0) {
            // The whole deployment signs and checks with the same keys.
            for secret in ["token.key", "admin.token"] {
                let own = self.data_dir(target.region, target.index).join(secret);
                std::fs::copy(self.data_dir(0, 0).join(secret), own)?;
            }
        }
        let config = self.path(&self.name(target)).with_extension("toml");
        std::fs::write(&config, self.config(target))?;
        let base = self.path(&self.name(target));
        let args = [Path::new(role), Path::new("--config"), &config];
        let process = Process::start_with(&base, args, variables).await?;
        self.processes.insert(target, process);
        Ok(())
    }

    fn process(&mut self, target: Target) -> anyhow::Result<Process> {
        self.processes.remove(&target).with_context(|| format!("{target} does not run"))
    }

    fn running(&self, target: Target) -> anyhow::Result<&Process> {
        self.processes.get(&target).with_context(|| format!("{target} does not run"))
    }

    /// A region's nodes in the database, by name.
    fn database(&self, region: usize) -> anyhow::Result<(&TemporaryCluster, Vec<String>)> {
        let Some(cluster) = &self.cluster else { bail!(NotHere("the database is not this deployment's own".into())) };
        let dc = self.data_centre(region);
        let names = cluster.topology().nodes().into_iter().filter(|node| node.dc == dc).map(|node| node.name);
        Ok((cluster, names.collect()))
    }

    fn bus_urls(&self, region: usize) -> [String; 1] {
        [format!("nats://{}:4222", self.places.bus(region))]
    }

    async fn start_bus(&mut self, region: usize) -> anyhow::Result<()> {
        let route = |region: usize| format!("nats://{}:6222", self.places.bus(region));
        let routes: Vec<_> = (0..self.options.regions).map(route).collect();
        let folder = self.path(&self.name(Target::bus(region)));
        std::fs::create_dir_all(&folder)?;
        let (address, own, routes) = (self.places.bus(region), route(region), routes.join(","));
        let args = ["-a", &address, "-p", "4222", "--cluster_name", "rookery", "--cluster", &own, "--routes", &routes];
        let server = NatsServer::start_with(&folder, &args).await?;
        self.buses.insert(region, server);
        Ok(())
    }
}

impl Deployment for Started {
    fn layout(&self) -> &Layout {
        &self.layout
    }

    async fn kill(&mut self, target: Target) -> anyhow::Result<()> {
        match target.role {
            Role::Database => {
                let (cluster, names) = self.database(target.region)?;
                names.iter().try_for_each(|name| cluster.kill(name))
            }
            Role::Bus => self.buses.remove(&target.region).context("the bus does not run")?.kill().await,
            Role::Node | Role::Pop => self.process(target)?.kill().await,
        }
    }

    async fn end(&mut self, target: Target) -> anyhow::Result<()> {
        match target.role {
            Role::Database => {
                let (cluster, names) = self.database(target.region)?;
                names.iter().try_for_each(|name| cluster.stop(name))
            }
            Role::Bus => self.kill(target).await,
            Role::Node | Role::Pop => {
                let process = self.process(target)?;
                let code = process.terminate().await?;
                ensure!(code == Some(0), "{target} ended with {code:?} after SIGTERM");
                Ok(())
            }
        }
    }

    async fn start(&mut self, target: Target) -> anyhow::Result<()> {
        match target.role {
            Role::Database => {
                let (cluster, names) = self.database(target.region)?;
                names.iter().try_for_each(|name| cluster.start(name))
            }
            Role::Bus => self.start_bus(target.region).await,
            Role::Node | Role::Pop => self.start_process(target, &[]).await,
        }
    }

    async fn halt(&mut self, target: Target) -> anyhow::Result<()> {
        match target.role {
            Role::Database => {
                let (cluster, names) = self.database(target.region)?;
                names.iter().try_for_each(|name| cluster.freeze(name))
            }
            Role::Bus => self.buses.get(&target.region).context("the bus does not run")?.send(Signal::Halt),
            Role::Node | Role::Pop => self.running(target)?.send(Signal::Halt),
        }
    }

    async fn go_on(&mut self, target: Target) -> anyhow::Result<()> {
        match target.role {
            Role::Database => {
                let (cluster, names) = self.database(target.region)?;
                names.iter().try_for_each(|name| cluster.thaw(name))
            }
            Role::Bus => self.buses.get(&target.region).context("the bus does not run")?.send(Signal::GoOn),
            Role::Node | Role::Pop => self.running(target)?.send(Signal::GoOn),
        }
    }

    async fn cut(&mut self, _region: usize) -> anyhow::Result<()> {
        bail!(NotHere("processes on one machine's loopback addresses cannot be cut off: use a lab".into()))
    }

    async fn heal(&mut self, _region: usize) -> anyhow::Result<()> {
        Ok(())
    }

    async fn start_skewed(&mut self, target: Target, skew_s: i64) -> anyhow::Result<()> {
        let Some(library) = FAKETIME.iter().find(|path| Path::new(path).exists()) else {
            bail!(NotHere("libfaketime is not installed (Debian: libfaketime)".into()))
        };
        let variables = [
            ("LD_PRELOAD", (*library).to_owned()),
            ("FAKETIME", format!("{skew_s:+}s")),
            // Clocks that count from a start are not what is wrong.
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("DONT_FAKE_MONOTONIC", "1".to_owned()),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value));
        self.start_process(target, &variables).await
    }

    async fn fill_disk(&mut self, region: usize) -> anyhow::Result<()> {
        if self.mounts.is_empty() {
            bail!(NotHere("the data folder has no file system of its own".into()))
        }
        fill(&ballast(&self.data_dir(region, 0)))
    }

    async fn empty_disk(&mut self, region: usize) -> anyhow::Result<()> {
        std::fs::remove_file(ballast(&self.data_dir(region, 0))).context("the disk cannot be emptied")
    }

    fn log(&self, target: Target) -> String {
        let text = std::fs::read(self.path(&self.name(target)).with_extension("log")).unwrap_or_default();
        let from = text.len().saturating_sub(LOG_SHOWN_BYTES);
        String::from_utf8_lossy(&text[from..]).into_owned()
    }
}

/// What takes the room on a disk that is full.
fn ballast(data_dir: &Path) -> PathBuf {
    data_dir.join("ballast")
}

/// Writes until nothing more fits.
fn fill(file: &Path) -> anyhow::Result<()> {
    use std::io::Write as _;
    let mut file = std::fs::File::create(file)?;
    for size in [1 << 20, 1 << 12, 1] {
        let block = vec![0_u8; size];
        loop {
            match file.write(&block) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::StorageFull => break,
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}

/// Mounts a file system of this size on a folder.
fn mount(folder: &Path, bytes: u64) -> anyhow::Result<Mount> {
    let options = format!("size={bytes}");
    let output = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(folder).output();
    match output {
        Ok(output) if output.status.success() => Ok(Mount(folder.to_owned())),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            bail!(NotHere(format!("no file system can be mounted here: {said}")))
        }
        Err(error) => bail!(NotHere(format!("no file system can be mounted here: {error}"))),
    }
}

/// Tells the keyspaces of one process's deployments apart.
fn unique() -> usize {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    COUNT.fetch_add(1, Ordering::Relaxed)
}

fn data_dir(folder: &Path, region: usize, index: usize) -> PathBuf {
    folder.join(format!("{}-{}-data", NAMES[region], index + 1))
}

fn layout(options: &Options, places: &Places, folder: &Path) -> Layout {
    let region = |region: usize| RegionLayout {
        name: NAMES[region].into(),
        nodes: (0..options.nodes_per_region)
            .map(|index| NodeLayout {
                name: format!("{}-{}", NAMES[region], index + 1),
                gateway: format!("ws://{}:8081", places.node(region, index)),
                operator: format!("http://{}:8091", places.node(region, index)),
            })
            .collect(),
        pops: vec![PopLayout {
            name: format!("{}-pop-1", NAMES[region]),
            api: format!("http://{}:8080/api", places.pop(region, 0)),
            operator: format!("http://{}:8090", places.pop(region, 0)),
        }],
        admin_token_file: data_dir(folder, 0, 0).join("admin.token"),
    };
    Layout { regions: (0..options.regions).map(region).collect() }
}
