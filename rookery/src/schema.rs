//! `rookery admin schema`: makes or migrates the schema of the cluster that a region's store is in.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use rookery_core_db::Store;
use serde_json::json;

use crate::store::{ClusterArgs, StoreOfFile};

#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// The configuration of a process whose store is in the cluster, TOML.
    #[arg(long, value_name = "FILE", env = "ROOKERY_CONFIG")]
    config: Option<PathBuf>,
    #[command(flatten)]
    cluster: ClusterArgs,
    /// Changes one setting: `--set store.cql.keyspace=chat`.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
}

/// Brings the schema to this binary's version, and says from which.
pub async fn run(args: SchemaArgs, as_json: bool) -> anyhow::Result<()> {
    let store = StoreOfFile::load(args.config.as_deref(), &args.cluster, &args.sets)?.store();
    let Some(cluster) = store.cluster() else {
        bail!("the embedded store needs no schema; name a cluster with --cql HOST, or a file with engine = \"cql\"");
    };
    let migrated = Store::migrate_cql(cluster.clone()).await?;
    let mut out = std::io::stdout().lock();
    if as_json {
        writeln!(out, "{}", json!({ "keyspace": cluster.keyspace, "from": migrated.from, "to": migrated.to }))?;
    } else if migrated.from == migrated.to {
        writeln!(out, "keyspace {} has version {} already", cluster.keyspace, migrated.to)?;
    } else {
        writeln!(out, "keyspace {}: from version {} to {}", cluster.keyspace, migrated.from, migrated.to)?;
    }
    Ok(())
}
