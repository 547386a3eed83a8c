//! A store moved through an archive, both ways killed twice, and compared by count and digest.
//!
//! What an operator does with `rookery admin`, with the same commands: this binary runs itself.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, bail, ensure};
use rookery_core_db::fill::{FillPlan, fill};
use rookery_core_db::{EmbeddedConfig, Store};
use serde_json::{Value, json};

use crate::store::disk_bytes;

/// About how many bytes a message has in an archive, before compression.
const MESSAGE_BYTES: usize = 300;
/// Segments that the messages shall make: enough to be killed among them.
const SEGMENTS: usize = 20;
/// Segments of other sections come first; then some of messages.
const KILLED_AT: [u32; 2] = [18, 26];

/// Fills a store with so many messages and what belongs to them, and moves it.
pub async fn run(messages: usize) -> anyhow::Result<Value> {
    let folder = tempfile::tempdir()?;
    let (source, archive, target) =
        (folder.path().join("source"), folder.path().join("archive"), folder.path().join("target"));
    let begun = Instant::now();
    let store = Store::open_embedded(EmbeddedConfig::new(source.join("store")))?;
    fill(&store, FillPlan::new(messages as u64)).await?;
    store.close().await?;
    drop(store);
    let filled = begun.elapsed().as_secs_f64();
    tokio::task::spawn_blocking(move || {
        let wanted = digest(&source)?;
        let segment_mib = (messages * MESSAGE_BYTES / SEGMENTS / (1024 * 1024)).clamp(1, 64);
        let size = format!("--segment-mib={segment_mib}");
        let export = interrupted("export", &archive, &source, &[&size])?;
        let import = interrupted("import", &archive, &target, &[])?;
        let found = digest(&target)?;
        ensure!(wanted["sections"] == found["sections"], "the stores differ: {wanted} and {found}");
        Ok(json!({
            "bench": "move",
            "from": "embedded",
            "to": "embedded",
            "messages": messages,
            "rows": wanted["rows"],
            "digest": wanted["digest"],
            "digest_after": found["digest"],
            "equal": true,
            "killed_each_way": KILLED_AT.len(),
            "fill_messages_per_second": (messages as f64 / filled).round(),
            "export": export,
            "import": import,
            "archive_bytes": disk_bytes(&archive)?,
            "source_disk_bytes": disk_bytes(&source)?,
            "target_disk_bytes": disk_bytes(&target)?,
        }))
    })
    .await
    .context("the move")?
}

fn admin(command: &[&str], archive: Option<&Path>, data_dir: &Path) -> anyhow::Result<Command> {
    let mut admin = Command::new(std::env::current_exe()?);
    admin.args(["admin", "--json"]).args(command).args(archive).arg("--data-dir").arg(data_dir);
    admin.stdin(Stdio::null());
    Ok(admin)
}

fn digest(data_dir: &Path) -> anyhow::Result<Value> {
    let output = admin(&["store", "digest"], None, data_dir)?.stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "the digest of {} failed", data_dir.display());
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Runs a command, killed twice at a segment and then to its end; says how long each run took.
fn interrupted(command: &str, archive: &Path, data_dir: &Path, more: &[&str]) -> anyhow::Result<Value> {
    let mut seconds = Vec::new();
    for segment in KILLED_AT {
        let begun = Instant::now();
        let words: Vec<&str> = [command, "--resume"].iter().chain(more).copied().collect();
        kill_at(admin(&words, Some(archive), data_dir)?, segment)?;
        seconds.push(begun.elapsed().as_secs_f64());
    }
    let begun = Instant::now();
    let words: Vec<&str> = [command, "--resume"].iter().chain(more).copied().collect();
    let output = admin(&words, Some(archive), data_dir)?.stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "{command} did not end well after it was killed");
    seconds.push(begun.elapsed().as_secs_f64());
    let answer: Value = serde_json::from_slice(&output.stdout)?;
    let round = |seconds: &f64| (seconds * 10.0).round() / 10.0;
    Ok(json!({
        "seconds_of_runs": seconds.iter().map(round).collect::<Vec<_>>(),
        "rows_per_second": answer["rows_per_second"],
        "segments": answer["segments"],
    }))
}

/// Runs a command until it says that so many segments are done, and kills it.
fn kill_at(mut command: Command, segment: u32) -> anyhow::Result<()> {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let lines = BufReader::new(child.stderr.take().context("no standard error")?).lines();
    let mut last = String::new();
    for line in lines {
        last = line?;
        let done = last.strip_prefix("segment ").and_then(|rest| rest.split_once(':')?.0.parse::<u32>().ok());
        if done.is_some_and(|done| done >= segment) {
            child.kill()?;
            child.wait()?;
            return Ok(());
        }
    }
    bail!("it ended before segment {segment}: {last}")
}
