//! A store that moves to a cluster and back, as an operator moves it, with every command killed twice.

use anyhow::ensure;
use rookery_tests::{cluster, run_for};
use serde_json::Value;

/// The figures of five million come from the same command; see `docs/performance.md`.
const MESSAGES: &str = "200000";
/// On a machine that does other things beside.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(1_800);

#[tokio::test]
async fn a_store_moves_to_a_cluster_and_back() -> anyhow::Result<()> {
    let Some(cluster) = cluster("moving") else { return Ok(()) };
    let folder = tempfile::tempdir()?;
    let command = ["bench", "move", "--json", "--size", MESSAGES, "--cql", &cluster.contact_points];
    let ended = run_for(PATIENCE, folder.path(), command).await?;
    ensure!(ended.code == Some(0), "{ended:?}");
    let moved: Value = serde_json::from_str(&ended.stdout)?;
    println!("{moved}");
    ensure!(moved["equal"] == true && moved["rows"].as_u64() > Some(200_000), "{moved}");
    let steps: Vec<_> = moved["steps"].as_array().into_iter().flatten().collect();
    ensure!(steps.len() == 2 && steps[0]["to"] == "cql" && steps[1]["to"] == "embedded", "{moved}");
    ensure!(steps.iter().all(|step| step["digest_after"] == moved["digest"]), "{moved}");
    ensure!(moved["killed_each_command"] == 2, "{moved}");
    Ok(())
}
