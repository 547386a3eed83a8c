//! A store moved through archives, every step killed twice, and compared by count and digest.
//!
//! What an operator does with `rookery admin`, with the same commands: this binary runs itself. Without a cluster the way
//! is embedded to embedded; with one it is embedded to the cluster and back.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, bail, ensure};
use rookery_core_db::fill::{FillPlan, fill};
use rookery_core_db::floor::drop_keyspaces;
use rookery_core_db::{CqlConfig, EmbeddedConfig, Store};
use serde_json::{Value, json};

use crate::store::disk_bytes;

/// About how many bytes a message has in an archive, before compression.
const MESSAGE_BYTES: usize = 300;
/// Segments that the messages shall make: enough to be killed among them.
const SEGMENTS: usize = 20;
/// Segments of other sections come first; then some of messages.
const KILLED_AT: [u32; 2] = [18, 26];

/// Fills a store with so many messages and what belongs to them, and moves it, by way of a cluster if one is named.
pub async fn run(messages: usize, contact_points: Option<&str>) -> anyhow::Result<Value> {
    let folder = tempfile::tempdir()?;
    let source = Place::folder(folder.path().join("source"));
    let begun = Instant::now();
    let store = Store::open_embedded(EmbeddedConfig::new(source.path.join("store")))?;
    fill(&store, FillPlan::new(messages as u64)).await?;
    store.close().await?;
    drop(store);
    let filled = begun.elapsed().as_secs_f64();

    let target = Place::folder(folder.path().join("target"));
    let cluster = contact_points.map(|points| Place::cluster(&folder.path().join("node"), points)).transpose()?;
    let config = cluster.as_ref().and_then(|place| place.cluster.clone());
    let segment_mib = (messages * MESSAGE_BYTES / SEGMENTS / (1024 * 1024)).clamp(1, 64);
    let size = format!("--segment-mib={segment_mib}");
    let path = folder.path().to_owned();
    let moved = tokio::task::spawn_blocking(move || {
        let wanted = source.digest()?;
        let places: Vec<&Place> = [&source].into_iter().chain(&cluster).chain([&target]).collect();
        let mut steps = Vec::new();
        for (number, pair) in places.windows(2).enumerate() {
            let archive = path.join(format!("archive{number}"));
            let export = interrupted("export", &archive, pair[0], &[&size])?;
            let import = interrupted("import", &archive, pair[1], &[])?;
            let found = pair[1].digest()?;
            ensure!(wanted["sections"] == found["sections"], "the stores differ: {wanted} and {found}");
            steps.push(json!({
                "from": pair[0].engine(),
                "to": pair[1].engine(),
                "digest_after": found["digest"],
                "export": export,
                "import": import,
                "archive_bytes": disk_bytes(&archive)?,
            }));
            // The next archive needs the room.
            std::fs::remove_dir_all(&archive)?;
        }
        anyhow::Ok(json!({
            "bench": "move",
            "messages": messages,
            "rows": wanted["rows"],
            "digest": wanted["digest"],
            "equal": true,
            "killed_each_command": KILLED_AT.len(),
            "fill_messages_per_second": (messages as f64 / filled).round(),
            "steps": steps,
            "source_disk_bytes": disk_bytes(&source.path)?,
            "target_disk_bytes": disk_bytes(&target.path)?,
        }))
    });
    let moved = moved.await.context("the move")?;
    if let Some(config) = config {
        drop_keyspaces(config).await.context("dropping the keyspaces of the benchmark")?;
    }
    moved
}

/// Where a store is, and how `rookery admin` is told so.
struct Place {
    path: PathBuf,
    /// None for a store in the folder.
    cluster: Option<CqlConfig>,
}

impl Place {
    fn folder(path: PathBuf) -> Self {
        Self { path, cluster: None }
    }

    /// A keyspace of its own, named in a configuration file beside the folder of the node.
    fn cluster(path: &Path, contact_points: &str) -> anyhow::Result<Self> {
        let points: Vec<String> = contact_points.split(',').map(|point| point.trim().to_owned()).collect();
        let mut config = CqlConfig::new(points.clone());
        config.keyspace = format!("rookery_bench_{}", std::process::id());
        std::fs::create_dir_all(path)?;
        let text = format!(
            "data_dir = {:?}\n[store]\nengine = \"cql\"\n[store.cql]\ncontact_points = {points:?}\nkeyspace = {:?}\n",
            path, config.keyspace
        );
        std::fs::write(path.with_extension("toml"), text)?;
        Ok(Self { path: path.to_owned(), cluster: Some(config) })
    }

    fn engine(&self) -> &'static str {
        if self.cluster.is_some() { "cql" } else { "embedded" }
    }

    /// `rookery admin` on this store.
    fn admin(&self, command: &[&str], archive: Option<&Path>) -> anyhow::Result<Command> {
        let mut admin = Command::new(std::env::current_exe()?);
        admin.args(["admin", "--json"]).args(command).args(archive);
        match &self.cluster {
            Some(_) => admin.arg("--config").arg(self.path.with_extension("toml")),
            None => admin.arg("--data-dir").arg(&self.path),
        };
        admin.stdin(Stdio::null());
        Ok(admin)
    }

    fn digest(&self) -> anyhow::Result<Value> {
        let output = self.admin(&["store", "digest"], None)?.stderr(Stdio::inherit()).output()?;
        ensure!(output.status.success(), "the digest of {} failed", self.path.display());
        Ok(serde_json::from_slice(&output.stdout)?)
    }
}

/// Runs a command, killed twice at a segment and then to its end; says how long each run took.
fn interrupted(command: &str, archive: &Path, place: &Place, more: &[&str]) -> anyhow::Result<Value> {
    let words: Vec<&str> = [command, "--resume"].iter().chain(more).copied().collect();
    let mut seconds = Vec::new();
    for segment in KILLED_AT {
        let begun = Instant::now();
        kill_at(place.admin(&words, Some(archive))?, segment)?;
        seconds.push(begun.elapsed().as_secs_f64());
    }
    let begun = Instant::now();
    let output = place.admin(&words, Some(archive))?.stderr(Stdio::inherit()).output()?;
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
