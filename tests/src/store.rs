//! The store that servers under test run on: the embedded one, or a cluster where the environment asks for it.
//!
//! The tests do not know which; so the same ones run on both.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex};

/// `cql` for a cluster; anything else, or nothing, is the embedded store.
const ENGINE: &str = "ROOKERY_TEST_STORE";
/// Contact points of the cluster, separated by commas.
const CONTACT_POINTS: &str = "ROOKERY_TEST_CQL";

/// What a folder of data is in the cluster: a keyspace, the same for every start on that folder.
static KEYSPACES: LazyLock<Mutex<HashMap<PathBuf, String>>> = LazyLock::new(Default::default);

/// The arguments of `rookery dev` that choose the store.
pub fn args(data_dir: &Path) -> Vec<String> {
    if std::env::var(ENGINE).is_ok_and(|engine| engine == "cql") {
        // Without it the program says that no node is named, and the test fails: it does not run on another store.
        let points = std::env::var(CONTACT_POINTS).unwrap_or_default();
        let keyspace = format!("store.cql.keyspace={}", keyspace(data_dir));
        return vec!["--cql".into(), points, "--set".into(), keyspace];
    }
    Vec::new()
}

/// A name that the store's own tests know how to clean up after: it holds the process's id.
fn keyspace(data_dir: &Path) -> String {
    let mut keyspaces = KEYSPACES.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let number = keyspaces.len();
    let name = || format!("rookery_test_{}_{number}", std::process::id());
    keyspaces.entry(data_dir.to_owned()).or_insert_with(name).clone()
}
