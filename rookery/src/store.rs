//! Which store a region uses, and how it is opened.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use rookery_core_db::{CqlConfig, EmbeddedConfig, Store};
use rookery_service::{Drain, Mistakes, Part};
use serde::Deserialize;

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
    /// A cluster, as a command line names it: `host` or `host:port`, several separated by commas.
    pub fn at_cluster(&mut self, contact_points: &str) {
        let points: Vec<String> = contact_points.split(',').map(|point| point.trim().to_owned()).collect();
        self.engine = StoreEngine::Cql;
        match &mut self.cql {
            Some(config) => config.contact_points = points,
            none => *none = Some(CqlConfig::new(points)),
        }
    }

    /// The cluster, if the store is in one.
    pub fn cluster(&self) -> Option<&CqlConfig> {
        self.cql.as_ref().filter(|_| self.engine == StoreEngine::Cql)
    }

    /// How many batches the store's queue holds.
    pub fn queue_batches(&self) -> usize {
        self.cluster().map_or(EmbeddedConfig::QUEUE_BATCHES, |cluster| cluster.queue_batches)
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

/// Opens the store; none when the drain began before a cluster could be reached.
///
/// While a cluster cannot be reached, `part` says why the process is not ready, and it is tried again.
pub async fn open(config: &StoreConfig, data_dir: &Path, part: &Part, drain: &Drain) -> anyhow::Result<Option<Store>> {
    let store = match config.cluster() {
        None => embedded(EmbeddedConfig::new(folder(data_dir))).await?,
        Some(cluster) => {
            let opening = Store::open_cql_when_reachable(cluster.clone(), |error, _| part.not_ready(error.to_string()));
            tokio::select! {
                store = opening => store?,
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
    Ok(Some(store))
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

/// Makes or migrates the schema where the store is in a cluster, trying again while that cannot be reached.
pub async fn migrate(config: &StoreConfig, part: &Part, drain: &Drain) -> anyhow::Result<()> {
    let Some(cluster) = config.cluster() else { return Ok(()) };
    let migrating = Store::migrate_cql_when_reachable(cluster.clone(), |error, _| part.not_ready(error.to_string()));
    tokio::select! {
        migrated = migrating => {
            let migrated = migrated?;
            tracing::info!(from = migrated.from, to = migrated.to, keyspace = cluster.keyspace, "the schema is there");
            Ok(())
        }
        () = drain.begun() => bail!("stopped while waiting for the database"),
    }
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

    #[test]
    fn a_cluster_on_the_command_line_keeps_the_other_settings() {
        let mut config = StoreConfig::default();
        assert!(config.cluster().is_none());
        config.at_cluster("one, two:19042");
        config.cql.as_mut().unwrap().keyspace = "mine".into();
        config.at_cluster("three");
        let cluster = config.cluster().unwrap();
        assert_eq!((cluster.contact_points.as_slice(), cluster.keyspace.as_str()), (&["three".to_owned()][..], "mine"));
    }
}
