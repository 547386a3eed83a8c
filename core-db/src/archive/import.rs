//! From an archive to a store.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rookery_model::store::{ImportRow, UniqueKey, Write};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::digest::digest;
use super::error::ArchiveError;
use super::manifest::{Depth, Manifest};
use super::moment::Moment;
use super::progress::{Event, Report};
use super::row::ROW_ENCODING;
use super::segment::SegmentReader;
use crate::dump::{DumpRow, Section};
use crate::{Commit, Store, StoreError};

/// Frames read and not yet submitted.
const FRAMES_AHEAD: usize = 4;
/// Rows in a batch.
const BATCH_ROWS: usize = 500;
/// Batches on their way at once.
const BATCHES_UNDER_WAY: usize = 16;
/// Claims of unique keys on their way at once.
const CLAIMS_UNDER_WAY: usize = 128;
/// How long a write is tried again; every row may be written twice.
const PATIENCE: Duration = Duration::from_secs(60);
/// The first pause before another try; it doubles.
const PAUSE_MIN: Duration = Duration::from_millis(20);
/// The longest.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// How to import.
#[derive(Clone, Copy, Debug, Default)]
pub struct ImportOptions {
    /// Goes on with an unfinished import.
    pub resume: bool,
}

/// What the reader has for the store.
enum Part {
    Rows(Section, Vec<DumpRow>),
    /// All rows of a segment were handed over.
    End(usize),
}

/// Imports an archive into an empty store, reads everything back and compares; ends with the archive's manifest.
pub async fn import(
    store: &Store,
    folder: &Path,
    options: ImportOptions,
    report: Report,
) -> Result<Manifest, ArchiveError> {
    let path = folder.to_path_buf();
    let reading = path.clone();
    let manifest = blocking(move || Manifest::read(&reading)).await?;
    if manifest.row_encoding > ROW_ENCODING {
        let (found, written_by) = (manifest.row_encoding, manifest.written_by);
        return Err(ArchiveError::LaterRows { path, found, expected: ROW_ENCODING, written_by });
    }
    let moment = Moment::begin(store).await?;
    let done = begun(store, &manifest, options).await?;
    // Before a row is written: a damaged archive must not leave half a store.
    let (checking, checked, telling) = (path.clone(), manifest.clone(), report.clone());
    blocking(move || checked.check_segments(&checking, done, Depth::Bytes, &telling)).await?;
    if done == 0 {
        store.write(vec![Write::PutImport(mark(&manifest, 0))]).await?;
    }
    store.raise_id_ceiling(manifest.id_ceiling_ms).await?;
    load(store, path, &manifest, done, &report).await?;
    verify(store, &manifest, &report).await?;
    moment.end(store).await?;
    store.write(vec![Write::DeleteImport]).await?;
    Ok(manifest)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ArchiveError> + Send + 'static,
) -> Result<T, ArchiveError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| ArchiveError::CutOff(error.to_string()))?
}

fn mark(manifest: &Manifest, segments_done: usize) -> ImportRow {
    ImportRow { archive_id: manifest.archive_id.clone(), segments_done: segments_done as u32 }
}

/// How many segments an earlier run brought in; refuses a store that holds anything else.
async fn begun(store: &Store, manifest: &Manifest, options: ImportOptions) -> Result<usize, ArchiveError> {
    match store.import_under_way().await? {
        Some(import) if import.archive_id != manifest.archive_id => {
            Err(ArchiveError::OtherImport { running: import.archive_id, this: manifest.archive_id.clone() })
        }
        Some(import) if !options.resume => {
            let total = manifest.segments.len() as u32;
            Err(ArchiveError::ImportUnderWay { done: import.segments_done, total })
        }
        Some(import) => Ok(import.segments_done as usize),
        // What is still being removed is hidden, and would take what is imported along.
        None if store.stats().purges_pending > 0 => Err(ArchiveError::NotEmpty { section: "purges" }),
        None => {
            for section in Section::ALL {
                let mut cursor = None;
                loop {
                    let page = store.dump(section, cursor, 100).await?;
                    if !page.rows.is_empty() || !page.damaged.is_empty() {
                        return Err(ArchiveError::NotEmpty { section: section.name() });
                    }
                    cursor = page.next;
                    if cursor.is_none() {
                        break;
                    }
                }
            }
            Ok(0)
        }
    }
}

/// Writes the rows of all segments that are not in yet.
async fn load(
    store: &Store,
    folder: PathBuf,
    manifest: &Manifest,
    done: usize,
    report: &Report,
) -> Result<(), ArchiveError> {
    let (parts, mut receiver) = mpsc::channel(FRAMES_AHEAD);
    let segments = manifest.clone();
    let reading = tokio::task::spawn_blocking(move || read(&folder, &segments, done, &parts));
    let rows_total = manifest.digest.total().rows;
    let mut rows: u64 = manifest.segments.iter().take(done).map(|segment| segment.rows.rows).sum();
    let section = manifest.segments.get(done).map_or(Section::ALL[0], |segment| segment.section());
    report(Event::Rows { doing: "imported", section: section.name(), rows, rows_total });
    let mut loader = Loader { store, under_way: VecDeque::new() };
    while let Some(part) = receiver.recv().await {
        match part {
            Part::Rows(section, part) => {
                rows += part.len() as u64;
                loader.put(part).await?;
                report(Event::Rows { doing: "imported", section: section.name(), rows, rows_total });
            }
            Part::End(index) => {
                loader.settle().await?;
                store.write(vec![Write::PutImport(mark(manifest, index + 1))]).await?;
                let segment = &manifest.segments[index];
                let (file, rows) = (segment.file.clone(), segment.rows.rows);
                report(Event::Segment { file, rows, done: index as u32 + 1 });
            }
        }
    }
    reading.await.map_err(|error| ArchiveError::CutOff(error.to_string()))?
}

fn read(folder: &Path, manifest: &Manifest, done: usize, parts: &mpsc::Sender<Part>) -> Result<(), ArchiveError> {
    for (index, entry) in manifest.segments.iter().enumerate().skip(done) {
        let mut segment = SegmentReader::open(&folder.join(&entry.file), entry)?;
        while let Some(rows) = segment.next_frame()? {
            // Whoever took the parts has a reason of its own to stop.
            if parts.blocking_send(Part::Rows(segment.section(), rows)).is_err() {
                return Ok(());
            }
        }
        if parts.blocking_send(Part::End(index)).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// Writes on their way.
struct Loader<'a> {
    store: &'a Store,
    under_way: VecDeque<(Vec<Write>, Commit)>,
}

impl Loader<'_> {
    async fn put(&mut self, rows: Vec<DumpRow>) -> Result<(), ArchiveError> {
        let (mut batch, mut claims) = (Vec::with_capacity(BATCH_ROWS), JoinSet::new());
        for row in rows {
            match row {
                DumpRow::Write(write) => batch.push(write),
                DumpRow::Claim { key, owner } => {
                    if claims.len() >= CLAIMS_UNDER_WAY {
                        joined(claims.join_next().await)?;
                    }
                    claims.spawn(claim(self.store.clone(), key, owner));
                }
            }
            if batch.len() >= BATCH_ROWS {
                self.submit(std::mem::replace(&mut batch, Vec::with_capacity(BATCH_ROWS))).await?;
            }
        }
        self.submit(batch).await?;
        while let Some(outcome) = claims.join_next().await {
            joined(Some(outcome))?;
        }
        Ok(())
    }

    async fn submit(&mut self, batch: Vec<Write>) -> Result<(), ArchiveError> {
        while self.under_way.len() >= BATCHES_UNDER_WAY {
            self.first().await?;
        }
        loop {
            match self.store.submit(batch.clone()) {
                Ok(commit) => {
                    self.under_way.push_back((batch, commit));
                    return Ok(());
                }
                Err(StoreError::Busy) if !self.under_way.is_empty() => self.first().await?,
                Err(error) if is_passing(&error) => return Ok(retry(self.store, batch).await?),
                Err(other) => return Err(other.into()),
            }
        }
    }

    /// Waits for the oldest batch.
    async fn first(&mut self) -> Result<(), ArchiveError> {
        let Some((batch, commit)) = self.under_way.pop_front() else { return Ok(()) };
        match commit.await {
            Err(error) if is_passing(&error) => Ok(retry(self.store, batch).await?),
            outcome => Ok(outcome?),
        }
    }

    /// Waits until everything submitted is durable.
    async fn settle(&mut self) -> Result<(), ArchiveError> {
        while !self.under_way.is_empty() {
            self.first().await?;
        }
        Ok(())
    }
}

/// What another try may mend: a copy is the same rows with the same ids, however often they are written.
const fn is_passing(error: &StoreError) -> bool {
    matches!(error, StoreError::Unknown(_) | StoreError::Busy | StoreError::Unwritable(_))
}

/// Writes a batch again until its outcome is certain.
async fn retry(store: &Store, batch: Vec<Write>) -> Result<(), StoreError> {
    let mut tries = Tries::new();
    loop {
        match store.write(batch.clone()).await {
            Err(error) if is_passing(&error) && tries.again().await => {}
            outcome => return outcome,
        }
    }
}

async fn claim(store: Store, key: UniqueKey, owner: u64) -> Result<(), ArchiveError> {
    let mut tries = Tries::new();
    loop {
        match store.claim(key.clone(), owner).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(holder)) => return Err(ArchiveError::Conflict { key: format!("{key:?}"), owner, holder }),
            Err(error) if is_passing(&error) && tries.again().await => {}
            Err(other) => return Err(other.into()),
        }
    }
}

/// Tries of one write, with growing pauses, for as long as a store that is written to its limit may stand still.
struct Tries {
    deadline: Instant,
    pause: Duration,
}

impl Tries {
    fn new() -> Self {
        Self { deadline: Instant::now() + PATIENCE, pause: PAUSE_MIN }
    }

    /// Pauses; false when the time is up.
    async fn again(&mut self) -> bool {
        if Instant::now() + self.pause >= self.deadline {
            return false;
        }
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        true
    }
}

fn joined(outcome: Option<Result<Result<(), ArchiveError>, tokio::task::JoinError>>) -> Result<(), ArchiveError> {
    outcome.unwrap_or(Ok(Ok(()))).map_err(|error| ArchiveError::CutOff(error.to_string()))?
}

/// Reads everything back and compares counts and digests.
async fn verify(store: &Store, manifest: &Manifest, report: &Report) -> Result<(), ArchiveError> {
    let (found, damaged) = digest(store, report).await?;
    if let Some(row) = damaged.into_iter().next() {
        return Err(ArchiveError::DamagedRow(row));
    }
    for section in Section::ALL {
        let (expected, found) = (manifest.digest.of(section), found.of(section));
        let is_comparable = manifest.row_encoding == ROW_ENCODING;
        if found.rows != expected.rows || (is_comparable && found.digest != expected.digest) {
            return Err(ArchiveError::Mismatch {
                section: section.name(),
                rows: expected.rows,
                digest: expected.digest.to_string(),
                found_rows: found.rows,
                found_digest: found.digest.to_string(),
            });
        }
    }
    Ok(())
}
