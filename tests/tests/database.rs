//! A server whose store is in a cluster: what it says while that does not answer, and who may run on it.

use std::ffi::OsString;
use std::path::Path;

use anyhow::{Context as _, ensure};
use rookery_tests::{Ended, Process, Proxy, cluster, free_address, http_client, run};
use serde_json::Value;

fn dev(data_dir: &Path, operator: &str, more: &[&str]) -> Vec<OsString> {
    let ports = [
        "dev",
        "--http",
        "127.0.0.1:0",
        "--gateway",
        "127.0.0.1:0",
        "--operator",
        operator,
        "--webtransport",
        "127.0.0.1:0",
        "--voice",
        "127.0.0.1:0",
        "--data-dir",
    ];
    ports.iter().map(OsString::from).chain([data_dir.into()]).chain(more.iter().map(OsString::from)).collect()
}

async fn readiness(operator: &str) -> anyhow::Result<(u16, String)> {
    let response = http_client().get(format!("http://{operator}/readyz")).send().await?;
    Ok((response.status().as_u16(), response.text().await?))
}

fn says(ended: &Ended, code: i32, words: &[&str]) -> anyhow::Result<()> {
    let said = ended.said();
    ensure!(ended.code == Some(code), "{ended:?}");
    words.iter().try_for_each(|word| {
        ensure!(said.contains(word), "{word:?} is not in: {said}");
        Ok(())
    })
}

#[tokio::test]
async fn a_cluster_that_does_not_answer_is_named_and_waited_for() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let data_dir = folder.path().join("data");
    let operator = free_address()?;
    let set = ["--cql", "127.0.0.1:1", "--set", "store.cql.local_data_centre=fra"];
    let mut process =
        Process::start_until(&data_dir, dev(&data_dir, &operator, &set), "cannot open the store yet").await?;
    let (status, why) = readiness(&operator).await?;
    ensure!(status == 503, "{status} {why}");
    for text in [why, process.log()] {
        ensure!(text.contains("127.0.0.1:1") && text.contains("fra"), "{text}");
    }
    process.ask_to_end()?;
    ensure!(process.ended().await? == Some(0), "{}", process.log());
    Ok(())
}

#[tokio::test]
async fn what_names_no_cluster_is_told() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let home = folder.path();
    let ended = run(home, ["dev", "--cql", "one,,two"]).await?;
    says(&ended, 2, &["store.cql.contact_points"])?;
    let ended = run(home, ["dev", "--cql", "one", "--set", "store.cql.keyspace=No Name"]).await?;
    says(&ended, 2, &["store.cql.keyspace", "No Name"])?;
    let three = "store.cql.replication={fra=3, ams=1, par=1}";
    let global = "store.cql.durability=\"global\"";
    let ended = run(home, ["dev", "--cql", "one", "--set", global, "--set", three]).await?;
    says(&ended, 2, &["store.cql.durability", "fra: 3"])?;
    says(&run(home, ["admin", "schema"]).await?, 1, &["--cql HOST"])?;
    says(&run(home, ["admin", "export", "archive"]).await?, 2, &["--data-dir"])?;
    says(&run(home, ["admin", "export", "archive", "--data-dir", "nowhere"]).await?, 1, &["nowhere holds no store"])?;
    says(&run(home, ["admin", "export", "archive", "--data-dir", "a", "--cql", "b"]).await?, 2, &["--cql"])?;
    Ok(())
}

#[tokio::test]
async fn a_cluster_that_comes_later_is_used() -> anyhow::Result<()> {
    let Some(cluster) = cluster("later") else { return Ok(()) };
    let folder = tempfile::tempdir()?;
    let data_dir = folder.path().join("data");
    let operator = free_address()?;
    // The nodes of a cluster have one port, and the driver takes that of the first for all.
    let [_, _, high, low] = std::process::id().to_be_bytes();
    let address = format!("127.200.{high}.{}:{}", low.max(1), cluster.first()?.port()).parse()?;
    let (proxy, target) = Proxy::start_at(address).await?;
    let (keyspace, proxied) = (format!("store.cql.keyspace={}", cluster.keyspace), proxy.address.to_string());
    let more = [
        "--cql",
        &proxied,
        "--set",
        &keyspace,
        "--set",
        &format!("store.cql.local_data_centre={}", cluster.data_centre),
        "--set",
        "store.cql.connect_timeout_ms=500",
    ];
    let mut process =
        Process::start_until(&data_dir, dev(&data_dir, &operator, &more), "cannot open the store yet").await?;
    ensure!(readiness(&operator).await?.0 == 503);
    target.send_replace(Some(cluster.first()?));
    process.ready().await?;
    let (status, text) = readiness(&operator).await?;
    ensure!(status == 200, "{status} {text}");

    // The folder is this process's, and says where its store is.
    let again = run(folder.path(), dev(&data_dir, "127.0.0.1:0", &more)).await?;
    says(&again, 1, &["another process runs on the data folder"])?;
    process.ask_to_end()?;
    ensure!(process.ended().await? == Some(0), "{}", process.log());
    let export = ["admin", "export", "archive", "--data-dir"].map(OsString::from);
    let export = run(folder.path(), export.into_iter().chain([data_dir.clone().into()])).await?;
    says(&export, 1, &["is in the cluster at", &cluster.keyspace])?;

    // A second migration finds nothing to do.
    let schema = ["admin", "--json", "schema", "--cql", &cluster.contact_points, "--set", &keyspace];
    let schema = run(folder.path(), schema).await?;
    let answer: Value = serde_json::from_str(&schema.stdout).context("JSON")?;
    ensure!(answer["from"] == answer["to"] && answer["to"].as_u64() > Some(0), "{schema:?}");
    Ok(())
}
