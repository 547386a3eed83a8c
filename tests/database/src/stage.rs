//! A cluster for one scenario.

use std::fs::{self, File};
use std::future::Future;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rookery_core_db::{CoalesceConfig, CqlConfig, Durability, OpenError, Store};
use rookery_test_cluster::{Cluster, Lifetime, Runtime, SKIP_VARIABLE, Starts, TemporaryCluster};

/// The keyspace of a scenario; its cluster has no other.
const KEYSPACE: &str = "rookery_faults";

/// A cluster with a schema, a runtime for those who use it, and the turn: scenarios run one after the other.
///
/// The nodes end with the thread that set the stage, however it ends; it is the one that calls the cluster.
pub struct Stage {
    // Dropped from the top: those who use the cluster, the cluster, the turn.
    runtime: tokio::runtime::Runtime,
    cluster: TemporaryCluster,
    folder: PathBuf,
    stores: AtomicU64,
    _turn: File,
}

impl Stage {
    /// Brings a cluster up in a folder below `place`; `None`, with a word, where tests with clusters are left out.
    pub fn set(place: &Path, scenario: &str, dcs: u8, nodes_per_dc: u8) -> Option<Self> {
        let Some(programs) = Runtime::from_env().unwrap() else {
            say(&format!("SKIPPED: {scenario}, because {SKIP_VARIABLE} is set"));
            return None;
        };
        fs::create_dir_all(place).unwrap();
        let turn = File::create(place.join("turn")).unwrap();
        turn.lock().unwrap();
        let folder = place.join(scenario);
        let cluster = TemporaryCluster::start(
            &folder.join("cluster"),
            dcs,
            nodes_per_dc,
            Lifetime::OfStartingThread,
            Starts::Again,
            &programs,
        );
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let stage = Self { runtime, cluster: cluster.unwrap(), folder, stores: AtomicU64::new(0), _turn: turn };
        // Nodes that have just met may take a minute to agree on a schema: the way of a program that starts.
        let waiting = |error: &OpenError, _: Duration| say(&format!("{scenario}: {error}; trying again"));
        let migrated = Store::migrate_cql_when_reachable(stage.config("dc1", Durability::Regional), waiting);
        stage.block_on(migrated).unwrap();
        Some(stage)
    }

    /// The cluster; called by the thread that set the stage, for nodes end with the thread that starts them.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Where the scenario may keep files.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Runs something of the clients to its end.
    pub fn block_on<F: Future>(&self, work: F) -> F::Output {
        self.runtime.block_on(work)
    }

    /// Runs something beside the scenario.
    pub fn spawn<F>(&self, work: F) -> tokio::task::JoinHandle<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        self.runtime.spawn(work)
    }

    /// A process of its own on the cluster, at home in a data centre.
    ///
    /// Deadlines of whole calls are longer than the defaults: a loaded machine is slow, not broken. When another node is
    /// tried, which is what scenarios are about, is as in production.
    pub fn config(&self, dc: &str, durability: Durability) -> CqlConfig {
        let nodes = self.cluster.topology().nodes();
        let (home, abroad): (Vec<_>, Vec<_>) = nodes.into_iter().partition(|node| node.dc == dc);
        let mut config = CqlConfig::new(home.iter().chain(&abroad).map(|node| node.cql().to_string()).collect());
        config.keyspace = KEYSPACE.into();
        config.local_data_centre = dc.into();
        config.durability = durability;
        config.node_id = self.stores.fetch_add(1, Ordering::Relaxed);
        config.connect_timeout_ms = 20_000;
        config.read_timeout_ms = 20_000;
        config.write_timeout_ms = 60_000;
        config.schema_timeout_ms = 120_000;
        config
    }

    /// A store of a process that is the only one to write its channels.
    pub fn open(&self, dc: &str, durability: Durability) -> Store {
        self.block_on(Store::open_cql(self.config(dc, durability))).unwrap()
    }

    /// A store for channels that others write: it shares no reads and keeps no pages.
    ///
    /// With `Regional` it says what this data centre's own nodes hold.
    pub fn observe(&self, dc: &str, durability: Durability) -> Store {
        let mut config = self.config(dc, durability);
        config.coalesce = CoalesceConfig { enabled: false, page_cache_bytes: 0, ..CoalesceConfig::default() };
        self.block_on(Store::open_cql(config)).unwrap()
    }

    /// Ends all nodes of a data centre at once.
    pub fn kill_dc(&self, dc: &str) {
        for node in self.cluster.topology().nodes().iter().filter(|node| node.dc == dc) {
            self.cluster.kill(&node.name).unwrap();
        }
    }

    /// Makes every replica hold what any holds.
    pub fn repair(&self) {
        let leases = format!("{KEYSPACE}_leases");
        for keyspace in [KEYSPACE, &leases] {
            self.cluster.nodetool("dc1-1", &["repair", "--full", keyspace]).unwrap();
        }
    }
}

/// Says something past the capture of test output: figures of a run that passed are its result.
pub fn say(words: &str) {
    // Nobody to tell when this fails.
    let _ = std::io::stderr().write_all(format!("{words}\n").as_bytes());
}
