//! `rookery admin schema`: makes or migrates the schema of the cluster that a region's store is in.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use rookery_core_db::Store;
use serde_json::json;

use crate::config::RegionRoleConfig;
use crate::store::StoreConfig;

#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// The configuration of a region whose store is in the cluster, TOML.
    #[arg(long, value_name = "FILE", env = "ROOKERY_CONFIG")]
    config: Option<PathBuf>,
    /// A node of the cluster; with --config, instead of those that the file names.
    #[arg(long, value_name = "HOST[:PORT]")]
    cql: Option<String>,
    /// Changes one setting of the file: `--set store.cql.keyspace=chat`.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
}

/// Brings the schema to this binary's version, and says from which.
pub async fn run(args: SchemaArgs, as_json: bool) -> anyhow::Result<()> {
    let mut store = match &args.config {
        Some(file) => rookery_service::load::<RegionRoleConfig>(Some(file), &args.sets)?.store,
        None if args.sets.is_empty() => StoreConfig::default(),
        None => bail!("--set changes a setting of the file that --config names"),
    };
    if let Some(contact_points) = &args.cql {
        store.at_cluster(contact_points);
    }
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
