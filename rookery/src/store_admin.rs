//! `rookery admin export | import | store`: a store as a whole, while no server has it open.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use rookery_core_db::archive::{
    self, ArchiveError, Event, ExportOptions, ImportOptions, Manifest, Report, StoreDigest,
};
use rookery_core_db::dump::DamagedRow;
use rookery_core_db::{CqlConfig, EmbeddedConfig, OpenError, Store};
use serde_json::{Value, json};

use crate::admin;
use crate::store::{self, ClusterArgs, StoreOfFile};

/// Between two lines of progress on a terminal, and where there is none.
const TERMINAL_INTERVAL: Duration = Duration::from_millis(200);
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Which store.
#[derive(Debug, Args)]
pub struct StoreArgs {
    /// Data folder of a server that is stopped.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["config", "cql"])]
    data_dir: Option<PathBuf>,
    /// Configuration of a process that is stopped.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    cluster: ClusterArgs,
    /// Changes one setting: `--set store.cql.keyspace=chat`.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
}

#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Folder of the archive; made if it does not exist.
    archive: PathBuf,
    #[command(flatten)]
    store: StoreArgs,
    /// Goes on with an export that was interrupted.
    #[arg(long)]
    resume: bool,
    /// Leaves rows out that cannot be read, and lists them, instead of stopping at the first.
    #[arg(long)]
    skip_damaged: bool,
    /// Rows of so many MiB, before compression, make a segment: what an interruption costs at most.
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..=4_096))]
    segment_mib: u64,
}

#[derive(Debug, Args)]
pub struct ImportArgs {
    /// Folder of the archive.
    archive: PathBuf,
    #[command(flatten)]
    store: StoreArgs,
    /// Goes on with an import that was interrupted.
    #[arg(long)]
    resume: bool,
}

#[derive(Debug, Subcommand)]
pub enum StoreAct {
    /// Counts and digests of a store: equal for equal stores, whatever engine they are on. Names damaged rows.
    Digest {
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Reads a whole archive and checks it, without a store.
    Check {
        /// Folder of the archive.
        archive: PathBuf,
    },
}

/// What a command does with a store.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    /// It must be there.
    Existing,
    /// Likewise, and what cannot be read of it is named.
    Salvaged,
    /// It is made if it is not.
    New,
}

/// `rookery admin export`.
pub async fn export(args: ExportArgs, json: bool) -> anyhow::Result<()> {
    let store = open(&args.store, if args.skip_damaged { Use::Salvaged } else { Use::Existing }).await?;
    let options = ExportOptions {
        resume: args.resume,
        skip_damaged: args.skip_damaged,
        segment_bytes: args.segment_mib * 1024 * 1024,
        written_by: concat!("rookery ", env!("CARGO_PKG_VERSION")).into(),
        ..ExportOptions::default()
    };
    let progress = Arc::new(Progress::new());
    let exported = archive::export(&store, &args.archive, options, progress.report()).await;
    progress.end();
    let manifest = closed(&store, exported).await?;
    admin::print(&with_rate(of_manifest(&args.archive, &manifest), &progress), json)
}

/// `rookery admin import`.
pub async fn import(args: ImportArgs, json: bool) -> anyhow::Result<()> {
    let store = open(&args.store, Use::New).await?;
    let progress = Arc::new(Progress::new());
    let options = ImportOptions { resume: args.resume };
    let imported = archive::import(&store, &args.archive, options, progress.report()).await;
    progress.end();
    let manifest = closed(&store, imported).await?;
    admin::print(&with_rate(of_manifest(&args.archive, &manifest), &progress), json)
}

/// Closes a store behind work; the work's error comes first, for it says more.
async fn closed<T>(store: &Store, work: Result<T, ArchiveError>) -> anyhow::Result<T> {
    let closed = store.close().await;
    let answer = work?;
    closed.context("closing the store")?;
    Ok(answer)
}

/// `rookery admin store`.
pub async fn act(act: StoreAct, json: bool) -> anyhow::Result<()> {
    match act {
        StoreAct::Digest { store } => digest(&store, json).await,
        StoreAct::Check { archive } => check(archive, json).await,
    }
}

async fn check(archive: PathBuf, json: bool) -> anyhow::Result<()> {
    let progress = Arc::new(Progress::new());
    let (folder, report) = (archive.clone(), progress.report());
    let checked = tokio::task::spawn_blocking(move || archive::check(&folder, &report)).await;
    progress.end();
    admin::print(&of_manifest(&archive, &checked.context("the check")??), json)
}

/// Prints what a store holds; fails when that is not all that it should hold.
async fn digest(args: &StoreArgs, json: bool) -> anyhow::Result<()> {
    let store = open(args, Use::Salvaged).await?;
    let progress = Arc::new(Progress::new());
    let report = progress.report();
    let digested = async {
        let (digest, damaged) = archive::digest(&store, &report).await?;
        // Where that cannot be read, it is among the damaged rows.
        let import = store.import_under_way().await.unwrap_or_default();
        Ok::<_, ArchiveError>((digest, damaged, import))
    };
    let digested = digested.await;
    progress.end();
    let (digest, damaged, import) = closed(&store, digested).await?;
    let mut answer = of_digest(&digest, &damaged);
    if let Some(import) = &import {
        answer["import_under_way"] = json!({ "archive_id": import.archive_id, "segments_done": import.segments_done });
    }
    admin::print(&answer, json)?;
    if let Some(import) = import {
        bail!("the store holds a part of archive {} only: end the import with --resume", import.archive_id);
    }
    if !damaged.is_empty() {
        bail!("{} rows or stretches of rows are damaged, and not in the digest", damaged.len());
    }
    Ok(())
}

/// Opens the store that the arguments name: the one place that knows which engines there are.
///
/// A copy is of one moment: nothing grows too old meanwhile.
async fn open(args: &StoreArgs, wanted: Use) -> anyhow::Result<Store> {
    let data_dir = match &args.data_dir {
        Some(data_dir) => data_dir.clone(),
        None if args.config.is_none() && !args.cluster.is_given() => {
            bail!("which store: --data-dir DIR, --config FILE or --cql HOST")
        }
        None => {
            let of_file = StoreOfFile::load(args.config.as_deref(), &args.cluster, &args.sets)?;
            if let Some(cluster) = of_file.store().cluster() {
                return in_cluster(cluster.clone(), wanted).await;
            }
            if of_file.data_dir.as_os_str().is_empty() {
                bail!("the configuration names neither a data_dir nor a cluster");
            }
            of_file.data_dir
        }
    };
    let folder = store::folder(&data_dir);
    if wanted != Use::New && !folder.join("embedded").is_dir() {
        bail!("{} holds no store", data_dir.display());
    }
    let salvage = wanted == Use::Salvaged;
    let config = EmbeddedConfig { message_retention: false, salvage, ..EmbeddedConfig::new(folder) };
    let opened = tokio::task::spawn_blocking(move || Store::open_embedded(config)).await;
    match opened.context("opening the store")? {
        Ok(store) => Ok(store),
        Err(error @ OpenError::Locked { .. }) => {
            Err(error).context("a server runs on this store: stop it first, and start it again afterwards")
        }
        Err(error) => Err(error.into()),
    }
}

/// Opens a store in a cluster; nothing there says whether a server runs on it.
async fn in_cluster(cluster: CqlConfig, wanted: Use) -> anyhow::Result<Store> {
    if wanted == Use::New {
        Store::migrate_cql(cluster.clone()).await?;
    }
    Ok(Store::open_cql(CqlConfig { message_retention: false, ..cluster }).await?)
}

fn of_digest(digest: &StoreDigest, damaged: &[DamagedRow]) -> Value {
    let total = digest.total();
    json!({ "rows": total.rows, "digest": total.digest, "sections": digest.sections, "damaged": damaged })
}

fn of_manifest(archive: &std::path::Path, manifest: &Manifest) -> Value {
    let mut answer = of_digest(&manifest.digest, &manifest.damaged);
    answer["archive"] = json!(archive.display().to_string());
    answer["archive_id"] = json!(manifest.archive_id);
    answer["segments"] = json!(manifest.segments.len());
    answer["file_bytes"] = json!(manifest.segments.iter().map(|segment| segment.file_bytes).sum::<u64>());
    answer
}

fn with_rate(mut answer: Value, progress: &Progress) -> Value {
    let (seconds, rows) = progress.spent();
    answer["seconds"] = json!((seconds * 1_000.0).round() / 1_000.0);
    answer["rows_this_run"] = json!(rows);
    answer["rows_per_second"] = json!((rows as f64 / seconds.max(0.001)).round());
    answer
}

/// Progress on standard error: a line that is written over on a terminal, else one now and then.
struct Progress {
    begun: Instant,
    is_terminal: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What is counted, and since when.
    doing: &'static str,
    since: Option<Instant>,
    first_rows: u64,
    rows: u64,
    /// Rows exported or imported, for the rate at the end.
    moved: u64,
    moved_seconds: f64,
    shown: Option<Instant>,
}

impl Progress {
    fn new() -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        Self { begun: Instant::now(), is_terminal, state: Mutex::new(State::default()) }
    }

    fn report(self: &Arc<Self>) -> Report {
        let progress = Arc::clone(self);
        Arc::new(move |event| progress.tell(event))
    }

    fn tell(&self, event: Event) {
        // A panic while a line was written does not make the counts wrong.
        let mut state = self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        match event {
            Event::Rows { doing, section, rows, rows_total } => {
                let line = state.count(doing, section, rows, rows_total);
                self.show(&mut state, &line, false);
            }
            Event::Checked { segments, segments_total } => {
                self.show(&mut state, &format!("checked {segments} of {segments_total} segments"), false);
            }
            Event::Waiting { purges } => {
                self.show(&mut state, &format!("waiting until what was deleted is removed: {purges} left"), false);
            }
            Event::Segment { file, rows, done } if !self.is_terminal => {
                self.show(&mut state, &format!("segment {done}: {file}, {rows} rows"), true);
            }
            Event::Segment { .. } => {}
            Event::Damaged(DamagedRow { table, key, reason }) => {
                self.show(&mut state, &format!("left out a damaged row: table {table}, key {key}: {reason}"), true);
                if self.is_terminal {
                    let _ = writeln!(std::io::stderr());
                }
            }
        }
    }

    fn show(&self, state: &mut State, line: &str, always: bool) {
        let interval = if self.is_terminal { TERMINAL_INTERVAL } else { LOG_INTERVAL };
        if !always && state.shown.is_some_and(|shown| shown.elapsed() < interval) {
            return;
        }
        state.shown = Some(Instant::now());
        let mut err = std::io::stderr().lock();
        // Nobody looks on if standard error is gone; the work goes on.
        let _ = if self.is_terminal { write!(err, "\r\x1b[K{line}") } else { writeln!(err, "{line}") };
    }

    /// Leaves the last line standing.
    fn end(&self) {
        if self.is_terminal {
            let _ = writeln!(std::io::stderr());
        }
    }

    /// Seconds and rows of this run.
    fn spent(&self) -> (f64, u64) {
        let state = self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let seconds = if state.moved > 0 { state.moved_seconds } else { self.begun.elapsed().as_secs_f64() };
        (seconds, state.moved)
    }
}

impl State {
    /// Counts rows; says how many a second they are and how long the rest takes.
    fn count(&mut self, doing: &'static str, section: &str, rows: u64, rows_total: u64) -> String {
        if self.doing != doing {
            // The first event of a kind tells what an earlier run did.
            *self = Self { doing, since: Some(Instant::now()), first_rows: rows, shown: self.shown, ..*self };
        }
        self.rows = rows;
        let seconds = self.since.map_or(0.0, |since| since.elapsed().as_secs_f64());
        let counted = rows - self.first_rows.min(rows);
        if doing != "digested" {
            (self.moved, self.moved_seconds) = (counted, seconds);
        }
        let rate = counted as f64 / seconds.max(0.001);
        let left = match rows_total.checked_sub(rows) {
            Some(left) if rate >= 1.0 => format!(", about {} s left", (left as f64 / rate).ceil()),
            _ => String::new(),
        };
        format!("{doing} {rows} of about {} rows ({section}), {rate:.0}/s{left}", rows_total.max(rows))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_counts_what_this_run_did() {
        let mut state = State::default();
        state.count("imported", "accounts", 1_000, 5_000);
        let line = state.count("imported", "messages", 3_000, 5_000);
        assert!(line.starts_with("imported 3000 of about 5000 rows (messages), "), "{line}");
        assert_eq!(state.moved, 2_000);
        state.count("digested", "messages", 4_000, 5_000);
        assert_eq!(state.moved, 2_000);
        // One page is all of a small store.
        let mut small = State::default();
        small.count("exported", "accounts", 0, 5);
        small.count("exported", "accounts", 5, 5);
        assert_eq!(small.moved, 5);
        // An estimate may be too low.
        assert!(state.count("digested", "messages", 6_000, 5_000).contains("6000 of about 6000"));
    }
}
