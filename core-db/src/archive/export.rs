//! From a store to an archive.

use std::hash::{BuildHasher, Hasher};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rookery_model::store::ImportRow;
use tokio::sync::mpsc;

use super::digest::{PAGE_ROWS, StoreDigest};
use super::error::ArchiveError;
use super::folder::Folder;
use super::manifest::{FORMAT, Manifest};
use super::moment::{Moment, difference};
use super::progress::{Event, Report};
use super::row::ROW_ENCODING;
use super::segment::SegmentWriter;
use crate::dump::{DamagedRow, DumpCursor, DumpPage, DumpRow, Section};
use crate::engine::LeaseRow;
use crate::row::hex;
use crate::{Store, StoreError};

/// Pages read and not yet written.
const PAGES_AHEAD: usize = 4;
/// How often the removal of what is deleted is looked at.
const PURGE_POLL: Duration = Duration::from_millis(50);
/// How long it may stand still.
const PURGE_PATIENCE: Duration = Duration::from_secs(15);

/// How to export.
#[derive(Clone, Debug)]
pub struct ExportOptions {
    /// Goes on with an unfinished export.
    pub resume: bool,
    /// Leaves damaged rows out and lists them, instead of stopping at the first.
    pub skip_damaged: bool,
    /// The archive is to be of one moment: nobody else uses the store, from the first run of the export to its end.
    pub exclusive: bool,
    /// Rows of so many bytes, before compression, make a segment.
    pub segment_bytes: u64,
    /// The program and version, for the manifest.
    pub written_by: String,
}

impl Default for ExportOptions {
    fn default() -> Self {
        Self {
            resume: false,
            skip_damaged: false,
            exclusive: true,
            segment_bytes: 16 * 1024 * 1024,
            written_by: concat!("rookery-core-db ", env!("CARGO_PKG_VERSION")).into(),
        }
    }
}

/// A page on its way to the writer.
struct Page {
    section: Section,
    page: DumpPage,
}

/// Exports a store into a folder; ends with the finished archive's manifest.
pub async fn export(
    store: &Store,
    folder: &Path,
    options: ExportOptions,
    report: Report,
) -> Result<Manifest, ArchiveError> {
    let beside = damaged_beside(store, &options, &report).await?;
    refuse_half_imported(store, &options).await?;
    wait_for_purges(store, &report).await;
    let moment = begin_moment(store, &options).await?;
    let beginning = begin(&options, store.identity(), moment.leases(), beside);
    let (path, opening) = (folder.to_path_buf(), options.clone());
    let (folder, manifest) = blocking(move || open(path, &opening, beginning)).await?;
    let (folder, manifest) = match manifest.next() {
        Some(from) => write(store, (folder, manifest), from, &options, &report).await?,
        None => (folder, manifest),
    };
    if options.exclusive {
        moment.end(store).await?;
    }
    blocking(move || complete(&folder, manifest)).await
}

/// Damage in tables that no section shows: named in the archive, or the end of the export.
async fn damaged_beside(
    store: &Store,
    options: &ExportOptions,
    report: &Report,
) -> Result<Vec<DamagedRow>, ArchiveError> {
    let damaged = store.damaged_beside().await?;
    match damaged.first() {
        Some(row) if !options.skip_damaged => return Err(ArchiveError::DamagedRow(row.clone())),
        _ => damaged.iter().for_each(|row| report(Event::Damaged(row.clone()))),
    }
    Ok(damaged)
}

/// A store that holds a part of an archive must not become a whole one that looks complete.
async fn refuse_half_imported(store: &Store, options: &ExportOptions) -> Result<(), ArchiveError> {
    match store.import_under_way().await {
        Ok(None) => Ok(()),
        Ok(Some(ImportRow { archive_id, segments_done })) => {
            Err(ArchiveError::HalfImported { archive_id, segments_done })
        }
        Err(error) => options.skips(error),
    }
}

async fn begin_moment(store: &Store, options: &ExportOptions) -> Result<Moment, ArchiveError> {
    let looked = if options.exclusive { Moment::begin(store).await } else { Moment::look(store).await };
    match looked {
        Err(ArchiveError::Store(error)) => options.skips(error).map(|()| Moment::without_leases()),
        answer => answer,
    }
}

impl ExportOptions {
    /// Goes on without what cannot be read, if that is asked for: it is named already.
    fn skips(&self, error: StoreError) -> Result<(), ArchiveError> {
        match error {
            StoreError::Corrupt { .. } | StoreError::Unavailable(_) if self.skip_damaged => Ok(()),
            other => Err(other.into()),
        }
    }
}

/// What is deleted is better removed first; what is not removed yet is hidden, and is not exported either.
///
/// A removal that stands still, or a store that takes no writes, has met damage, and an export is the way out of damage.
async fn wait_for_purges(store: &Store, report: &Report) {
    let mut last = (0, 0, Instant::now());
    loop {
        let stats = store.stats();
        if stats.purges_pending == 0 || last.2.elapsed() > PURGE_PATIENCE || !store.health().writable {
            return;
        }
        if (last.0, last.1) != (stats.purges_pending, stats.purged_rows) {
            last = (stats.purges_pending, stats.purged_rows, Instant::now());
        }
        report(Event::Waiting { purges: stats.purges_pending });
        tokio::time::sleep(PURGE_POLL).await;
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ArchiveError> + Send + 'static,
) -> Result<T, ArchiveError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| ArchiveError::CutOff(error.to_string()))?
}

/// Reads the store and writes segments, side by side.
async fn write(
    store: &Store,
    (folder, manifest): (Folder, Manifest),
    (section, cursor, number): (Section, Option<String>, u32),
    options: &ExportOptions,
    report: &Report,
) -> Result<(Folder, Manifest), ArchiveError> {
    let cursor = cursor.map(|text| parse_cursor(folder.path(), &text)).transpose()?;
    let rows = manifest.digest.total().rows;
    let (pages, receiver) = mpsc::channel(PAGES_AHEAD);
    let writer = Writer { folder, manifest, number, options: options.clone(), report: report.clone() };
    let writing = tokio::task::spawn_blocking(move || writer.run(receiver));
    let read = read(store, (section, cursor), rows, &pages, report).await;
    // The writer ends when there are no more pages; a failed read leaves the last segment unfinished.
    if read.is_ok() {
        drop(pages);
    } else {
        let _ = pages.send(None).await;
    }
    let written = writing.await.map_err(|error| ArchiveError::CutOff(error.to_string()))?;
    read?;
    written
}

/// Reads pages until the last section's end, or until the writer stopped; `rows` are in the archive already.
async fn read(
    store: &Store,
    (from, mut cursor): (Section, Option<DumpCursor>),
    mut rows: u64,
    pages: &mpsc::Sender<Option<Page>>,
    report: &Report,
) -> Result<(), ArchiveError> {
    let rows_total = store.dump_estimate().await?;
    report(Event::Rows { doing: "exported", section: from.name(), rows, rows_total });
    for section in Section::ALL.into_iter().filter(|section| *section >= from) {
        loop {
            let page = store.dump(section, cursor.take(), PAGE_ROWS).await?;
            cursor.clone_from(&page.next);
            rows += page.rows.len() as u64;
            if pages.send(Some(Page { section, page })).await.is_err() {
                // Its own outcome says why.
                return Ok(());
            }
            report(Event::Rows { doing: "exported", section: section.name(), rows, rows_total });
            if cursor.is_none() {
                break;
            }
        }
    }
    Ok(())
}

/// Begins an archive, or finds the one that is gone on with.
fn open(path: PathBuf, options: &ExportOptions, beginning: Manifest) -> Result<(Folder, Manifest), ArchiveError> {
    let folder = Folder::lock(&path)?;
    let manifest = match Manifest::find(&path)? {
        Some(manifest) if manifest.complete && !options.resume => return Err(ArchiveError::Finished { path }),
        Some(_) if !options.resume => return Err(ArchiveError::Unfinished { path }),
        Some(manifest) => {
            check_resumed(&path, options, &manifest, &beginning)?;
            manifest
        }
        None => {
            beginning.write(&folder)?;
            beginning
        }
    };
    Ok((folder, manifest))
}

/// Refuses to go on with an archive of another store, of another moment, or of other rows.
fn check_resumed(
    path: &Path,
    options: &ExportOptions,
    found: &Manifest,
    beginning: &Manifest,
) -> Result<(), ArchiveError> {
    let path = path.to_path_buf();
    if found.row_encoding != ROW_ENCODING {
        return Err(ArchiveError::RowEncoding { path, found: found.row_encoding, expected: ROW_ENCODING });
    }
    if found.source != beginning.source {
        let (then, now) = (found.source.clone(), beginning.source.clone());
        return Err(ArchiveError::OtherSource { path, then, now });
    }
    if !options.exclusive {
        return Ok(());
    }
    if found.ceiling_of_rows != beginning.ceiling_of_rows {
        let what = "its id ceiling was damaged, or is now".into();
        return Err(ArchiveError::SourceChanged { what });
    }
    difference(&found.leases, &beginning.leases).map_or(Ok(()), |what| Err(ArchiveError::SourceChanged { what }))
}

fn begin(options: &ExportOptions, source: String, leases: &[LeaseRow], damaged: Vec<DamagedRow>) -> Manifest {
    // Random enough to tell archives apart: each state is seeded by the system.
    let random = || std::hash::RandomState::new().build_hasher().finish();
    Manifest {
        format: FORMAT,
        row_encoding: ROW_ENCODING,
        archive_id: format!("{:016x}{:016x}", random(), random()),
        written_by: options.written_by.clone(),
        source,
        id_ceiling_ms: leases.iter().map(|lease| lease.id_ceiling_ms).max().unwrap_or(0),
        ceiling_of_rows: leases.is_empty(),
        leases: leases.to_vec(),
        live: !options.exclusive,
        complete: false,
        digest: StoreDigest::default(),
        segments: Vec::new(),
        damaged,
    }
}

fn complete(folder: &Folder, mut manifest: Manifest) -> Result<Manifest, ArchiveError> {
    if !manifest.complete {
        if manifest.ceiling_of_rows {
            // Ids are given out by the clock: none is above it by now, unless a row says so.
            let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_millis() as u64);
            manifest.id_ceiling_ms = manifest.id_ceiling_ms.max(now);
        }
        manifest.complete = true;
        manifest.write(folder)?;
    }
    Ok(manifest)
}

fn parse_cursor(folder: &Path, text: &str) -> Result<DumpCursor, ArchiveError> {
    let digits = text.as_bytes().chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let bytes: Option<Vec<u8>> = digits.map(byte).collect();
    bytes.map(DumpCursor).ok_or_else(|| ArchiveError::Damaged {
        path: folder.to_path_buf(),
        offset: 0,
        reason: "the manifest's place to go on is not hexadecimal".into(),
    })
}

/// The side that writes segments.
struct Writer {
    folder: Folder,
    manifest: Manifest,
    /// Of the next segment of the section.
    number: u32,
    options: ExportOptions,
    report: Report,
}

impl Writer {
    /// Writes pages until there are no more; none instead of a page means that they end too early.
    fn run(mut self, mut pages: mpsc::Receiver<Option<Page>>) -> Result<(Folder, Manifest), ArchiveError> {
        let mut segment: Option<SegmentWriter> = None;
        let mut damaged: Vec<DamagedRow> = Vec::new();
        while let Some(page) = pages.blocking_recv() {
            let Some(Page { section, page }) = page else {
                return Err(ArchiveError::CutOff("the store could not be read on".into()));
            };
            for row in page.damaged {
                if !self.options.skip_damaged {
                    return Err(ArchiveError::DamagedRow(row));
                }
                (self.report)(Event::Damaged(row.clone()));
                damaged.push(row);
            }
            let mut writer = match segment.take() {
                Some(writer) => writer,
                None => SegmentWriter::create(&self.folder, section, self.number)?,
            };
            page.rows.iter().try_for_each(|row| writer.push(row))?;
            if self.manifest.ceiling_of_rows {
                let newest_ms = page.rows.iter().map(DumpRow::issued_ms).max().unwrap_or(0);
                self.manifest.id_ceiling_ms = self.manifest.id_ceiling_ms.max(newest_ms);
            }
            if page.next.is_some() && writer.raw_bytes() < self.options.segment_bytes {
                segment = Some(writer);
            } else {
                self.finish(section, writer, page.next, std::mem::take(&mut damaged))?;
            }
        }
        match self.manifest.next() {
            None => Ok((self.folder, self.manifest)),
            Some(_) => Err(ArchiveError::CutOff("the store could not be read to its end".into())),
        }
    }

    fn finish(
        &mut self,
        section: Section,
        writer: SegmentWriter,
        next: Option<DumpCursor>,
        damaged: Vec<DamagedRow>,
    ) -> Result<(), ArchiveError> {
        self.number = if next.is_some() { self.number + 1 } else { 1 };
        let entry = writer.finish(&self.folder, next.map(|DumpCursor(bytes)| hex(&bytes)))?;
        let (file, rows) = (entry.file.clone(), entry.rows.rows);
        self.manifest.digest.merge(section, entry.rows);
        self.manifest.segments.push(entry);
        self.manifest.damaged.extend(damaged);
        self.manifest.write(&self.folder)?;
        (self.report)(Event::Segment { file, rows, done: self.manifest.segments.len() as u32 });
        Ok(())
    }
}
