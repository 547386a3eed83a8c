//! Which store a region uses, and how it is opened.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use rookery_core_db::{CqlConfig, EmbeddedConfig, OpenError, Store};
use rookery_service::{ConfigErrors, Drain, Mistakes, Part, Validate};
use serde::Deserialize;

use crate::node::{self, Node};

/// How often the store is asked how it is.
const HEALTH_INTERVAL: Duration = Duration::from_secs(1);

/// The engine behind the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StoreEngine {
    /// In this process, in the data folder.
    #[default]
    Embedded,
    /// A ScyllaDB or Cassandra cluster.
    Cql,
}

/// `[store]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreConfig {
    pub engine: StoreEngine,
    /// `[store.cql]`, for the engine of that name.
    pub cql: Option<CqlConfig>,
}

impl StoreConfig {
    /// The cluster, if the store is in one.
    pub fn cluster(&self) -> Option<&CqlConfig> {
        self.cql.as_ref().filter(|_| self.engine == StoreEngine::Cql)
    }

    /// How many batches the store's queue holds.
    pub fn queue_batches(&self) -> usize {
        self.cluster().map_or(EmbeddedConfig::QUEUE_BATCHES, |cluster| cluster.queue_batches)
    }

    /// The same for a process: its row of leases is the worker's own.
    pub fn of_worker(mut self, worker_id: u16) -> Self {
        if let Some(cql) = self.cql.as_mut().filter(|cql| cql.node_id == 0) {
            cql.node_id = worker_id.into();
        }
        self
    }

    /// Tells what is wrong.
    pub fn validate(&self, mistakes: &mut Mistakes) {
        let is_given = self.engine == StoreEngine::Embedded || self.cql.is_some();
        mistakes.require(is_given, "store.cql", "is not set", "contact_points of the cluster");
        for (key, problem) in self.cql.iter().flat_map(CqlConfig::mistakes) {
            mistakes.push(&format!("store.cql.{key}"), &problem, "");
        }
    }
}

/// A cluster on the command line; says the same as `[store]` in a file, and wins over it.
#[derive(Debug, Default, Args)]
pub struct ClusterArgs {
    /// A node of a ScyllaDB or Cassandra cluster that holds the data; several are separated by commas.
    #[arg(long, value_name = "HOST[:PORT]")]
    cql: Option<String>,
}

impl ClusterArgs {
    /// The cluster as settings, to stand before those of `--set`.
    pub fn before(&self, sets: &[String]) -> Vec<String> {
        let cluster = self.cql.iter().flat_map(|text| {
            let points: Vec<&str> = text.split(',').map(str::trim).collect();
            ["store.engine=\"cql\"".to_owned(), format!("store.cql.contact_points={points:?}")]
        });
        cluster.chain(sets.iter().cloned()).collect()
    }
}

/// What a configuration file of any role says of its store; the rest of the file is not looked at.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct StoreOfFile {
    pub data_dir: PathBuf,
    worker_id: u16,
    store: StoreConfig,
}

impl Validate for StoreOfFile {
    fn validate(&self, mistakes: &mut Mistakes) {
        self.store.validate(mistakes);
    }
}

impl StoreOfFile {
    /// Reads it from a file, if there is one, and from the command line.
    pub fn load(file: Option<&Path>, cluster: &ClusterArgs, sets: &[String]) -> Result<Self, ConfigErrors> {
        rookery_service::load(file, &cluster.before(sets))
    }

    /// The store, as the process of that file opens it.
    pub fn store(&self) -> StoreConfig {
        self.store.clone().of_worker(self.worker_id)
    }
}

/// An open store, and the folder's part in it.
pub struct Opened {
    pub store: Store,
    /// Where the store is in a cluster: keeps other processes off the folder.
    pub node: Option<Node>,
}

/// What becomes of a cluster's schema that is missing or older.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schema {
    /// It is made or migrated.
    Migrated,
    /// It is refused: `rookery admin schema` is the operator's to run.
    Expected,
}

/// Opens the store; none when the drain began before a cluster could be reached.
///
/// While a cluster cannot be reached, `part` says why the process is not ready, and it is tried again.
pub async fn open(
    config: &StoreConfig,
    schema: Schema,
    data_dir: &Path,
    part: &Part,
    drain: &Drain,
) -> anyhow::Result<Option<Opened>> {
    let (store, node) = match config.cluster() {
        None => {
            let store = embedded(EmbeddedConfig::new(folder(data_dir))).await?;
            node::forget(data_dir)?;
            (store, None)
        }
        Some(cluster) => {
            let node = Node::take(data_dir, cluster)?;
            let waiting = |error: &OpenError, _| part.not_ready(error.to_string());
            let opening = async {
                if schema == Schema::Migrated {
                    let migrated = Store::migrate_cql_when_reachable(cluster.clone(), waiting).await?;
                    let (from, to) = (migrated.from, migrated.to);
                    tracing::info!(from, to, keyspace = cluster.keyspace, "the schema is there");
                }
                Store::open_cql_when_reachable(node.on(cluster), waiting).await
            };
            tokio::select! {
                store = opening => (store?, Some(node)),
                () = drain.begun() => return Ok(None),
            }
        }
    };
    if let Some(import) = store.import_under_way().await? {
        bail!(
            "the store holds a part of archive {} only: end the import with `rookery admin import --resume`",
            import.archive_id
        );
    }
    Ok(Some(Opened { store, node }))
}

/// Keeps the process's readiness in step with whether the store takes writes.
pub fn keep_up(store: Store, part: Part, drain: &Drain) {
    let stop = drain.token();
    let tell = move || match store.health() {
        health if health.writable => part.ready(),
        health => part.not_ready(health.reason),
    };
    tell();
    drain.spawn(async move {
        loop {
            tell();
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(HEALTH_INTERVAL) => {}
            }
        }
    });
}

/// Where the embedded store of a data folder lies.
pub fn folder(data_dir: &Path) -> PathBuf {
    data_dir.join("store")
}

/// Opens an embedded store; reading its journal may take a moment.
async fn embedded(config: EmbeddedConfig) -> anyhow::Result<Store> {
    Ok(tokio::task::spawn_blocking(move || Store::open_embedded(config)).await.context("opening the store")??)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster_of(points: &str, sets: &[&str]) -> Result<CqlConfig, ConfigErrors> {
        let args = ClusterArgs { cql: Some(points.into()) };
        let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
        Ok(StoreOfFile::load(None, &args, &sets)?.store().cluster().unwrap().clone())
    }

    #[test]
    fn a_cluster_on_the_command_line_goes_with_settings() {
        let cluster = cluster_of("one, two:19042", &["store.cql.keyspace=mine", "worker_id=7"]).unwrap();
        assert_eq!(cluster.contact_points, ["one", "two:19042"]);
        assert_eq!((cluster.keyspace.as_str(), cluster.node_id), ("mine", 7));
    }

    #[test]
    fn a_cluster_on_the_command_line_wins_over_the_file_and_keeps_its_other_settings() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, "name = \"eu\"\n[store.cql]\ncontact_points = [\"three\"]\nkeyspace = \"mine\"\n")
            .unwrap();
        let load = |args: &ClusterArgs| StoreOfFile::load(Some(file.path()), args, &[]).unwrap().store();
        assert!(load(&ClusterArgs::default()).cluster().is_none());
        let store = load(&ClusterArgs { cql: Some("one".into()) });
        let cluster = store.cluster().unwrap();
        assert_eq!((cluster.contact_points.as_slice(), cluster.keyspace.as_str()), (&["one".to_owned()][..], "mine"));
    }

    #[test]
    fn an_empty_name_among_the_nodes_is_a_mistake() {
        let mistakes = cluster_of("one,", &[]).unwrap_err().to_string();
        assert!(mistakes.contains("store.cql.contact_points"), "{mistakes}");
    }
}
