//! A server whose store is in a cluster: what it says while that does not answer.

use std::ffi::OsString;
use std::path::Path;

use anyhow::ensure;
use rookery_tests::{Ended, Process, http_client, run};

/// An address where nobody listened a moment ago.
fn free_address() -> anyhow::Result<String> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

fn dev(data_dir: &Path, operator: &str, more: &[&str]) -> Vec<OsString> {
    let ports = ["dev", "--http", "127.0.0.1:0", "--gateway", "127.0.0.1:0", "--operator", operator, "--data-dir"];
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
