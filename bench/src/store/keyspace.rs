//! A keyspace of its own in somebody's cluster, gone afterwards.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use rookery_core_db::floor::drop_keyspaces;
use rookery_core_db::{CqlConfig, Store};

/// What a busy machine may take to answer, milliseconds: it is slow, not broken, and CPU is what is measured.
const PATIENCE_MS: u64 = 30_000;

/// Runs something in a keyspace made for it, and drops that, however it ends; also when the operator interrupts it.
pub async fn with<T>(
    contact_points: &str,
    work: impl AsyncFnOnce(CqlConfig) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let config = config(contact_points)?;
    let work = async {
        Store::migrate_cql(config.clone()).await?;
        work(config.clone()).await
    };
    let outcome = tokio::select! {
        outcome = work => outcome,
        interrupted = tokio::signal::ctrl_c() => interrupted.context("waiting for an interrupt").and_then(|()| bail!("interrupted")),
    };
    let left_over = || format!("the keyspaces {} and {} are left over", config.keyspace, config.lease_keyspace());
    match (outcome, drop_keyspaces(config.clone()).await) {
        (outcome, Ok(())) => outcome,
        (Ok(_), Err(error)) => Err(error).with_context(left_over),
        (Err(error), Err(_)) => Err(error.context(left_over())),
    }
}

fn config(contact_points: &str) -> anyhow::Result<CqlConfig> {
    let points = contact_points.split(',').map(|point| point.trim().to_owned()).collect();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock")?.as_secs();
    let mut config = CqlConfig::new(points);
    config.keyspace = format!("rookery_bench_{now}_{}", std::process::id());
    config.connect_timeout_ms = PATIENCE_MS;
    config.read_timeout_ms = PATIENCE_MS;
    // Nor is a second node asked meanwhile: where nodes and load share the cores, that would be most reads.
    config.speculative_after_ms = PATIENCE_MS;
    config.write_attempt_timeout_ms = PATIENCE_MS;
    config.write_timeout_ms = 2 * PATIENCE_MS;
    config.compare_and_set_timeout_ms = PATIENCE_MS;
    Ok(config)
}
