//! The store that servers under test run on: the embedded one, or a cluster where the environment asks for it.
//!
//! The tests do not know which; so the same ones run on both.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};

use anyhow::Context as _;

/// `cql` for a cluster; anything else, or nothing, is the embedded store.
const ENGINE: &str = "ROOKERY_TEST_STORE";
/// Contact points of the cluster, separated by commas.
const CONTACT_POINTS: &str = "ROOKERY_TEST_CQL";

/// How the keyspaces of tests begin; the process's id follows, by which the store's own tests drop what a run left.
const PREFIX: &str = "rookery_test_";

/// What a folder of data is in the cluster: a keyspace, the same for every start on that folder.
static KEYSPACES: LazyLock<Mutex<HashMap<PathBuf, String>>> = LazyLock::new(Default::default);

/// A cluster for one test.
pub struct Cluster {
    /// Nodes of all data centres, separated by commas.
    pub contact_points: String,
    /// The data centre of the first.
    pub data_centre: String,
    /// A keyspace of the test's own.
    pub keyspace: String,
}

impl Cluster {
    /// The first node's address.
    pub fn first(&self) -> anyhow::Result<std::net::SocketAddr> {
        let first = self.contact_points.split(',').next().unwrap_or_default();
        first.parse().with_context(|| format!("{CONTACT_POINTS} begins with {first:?}, which is no address"))
    }
}

/// The cluster that the environment names; says so where it names none.
pub fn cluster(test: &str) -> Option<Cluster> {
    let Ok(contact_points) = std::env::var(CONTACT_POINTS) else {
        // Past the capture of test output: a run without a cluster must say so.
        let words = format!("SKIPPED: {test}, because {CONTACT_POINTS} names no cluster\n");
        std::io::stderr().write_all(words.as_bytes()).ok()?;
        return None;
    };
    let keyspace = format!("rookery_test_{}_{test}", std::process::id());
    Some(Cluster { contact_points, data_centre: "dc1".into(), keyspace })
}

/// Whether servers under test run on a cluster.
fn is_cql() -> bool {
    std::env::var(ENGINE).is_ok_and(|engine| engine == "cql")
}

/// The arguments of `rookery dev` that choose the store.
pub fn args(data_dir: &Path) -> Vec<String> {
    if is_cql() {
        // Without it the program says that no node is named, and the test fails: it does not run on another store.
        let points = std::env::var(CONTACT_POINTS).unwrap_or_default();
        let keyspace = format!("store.cql.keyspace={}", keyspace(data_dir));
        return vec!["--cql".into(), points, "--set".into(), keyspace];
    }
    Vec::new()
}

fn keyspace(data_dir: &Path) -> String {
    let mut keyspaces = KEYSPACES.lock().unwrap_or_else(PoisonError::into_inner);
    let number = keyspaces.len();
    let name = || format!("{PREFIX}{}_{number}", std::process::id());
    keyspaces.entry(data_dir.to_owned()).or_insert_with(name).clone()
}
