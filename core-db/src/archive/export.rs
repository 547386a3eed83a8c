//! From a store to an archive.

use std::hash::{BuildHasher, Hasher};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::digest::{PAGE_ROWS, StoreDigest};
use super::error::ArchiveError;
use super::folder::Folder;
use super::manifest::{FORMAT, Manifest};
use super::progress::{Event, Report};
use super::row::ROW_ENCODING;
use super::segment::SegmentWriter;
use crate::dump::{DamagedRow, DumpCursor, DumpPage, Section};
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
    /// Nobody else uses the store: what a resumed export finds must be what the first one left.
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
    wait_for_purges(store, &report).await?;
    let ceiling = store.id_ceiling().await?;
    let path = folder.to_path_buf();
    let opening = options.clone();
    let (folder, manifest) = blocking(move || open(path, &opening, ceiling)).await?;
    let Some((section, cursor, number)) = manifest.next() else {
        return blocking(move || complete(&folder, manifest)).await;
    };
    let cursor = cursor.map(|text| parse_cursor(folder.path(), &text)).transpose()?;
    let (pages, receiver) = mpsc::channel(PAGES_AHEAD);
    let writer = Writer { folder, manifest, number, options, report: report.clone() };
    let writing = tokio::task::spawn_blocking(move || writer.run(receiver));
    let read = read(store, section, cursor, &pages, &report).await;
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

/// What is deleted is not exported, and its rows must not outlive it as rows of nothing.
///
/// A removal that stands still has met damage; what it should remove is hidden, and an export is the way out of damage.
async fn wait_for_purges(store: &Store, report: &Report) -> Result<(), ArchiveError> {
    let mut last = (0, 0, Instant::now());
    loop {
        let stats = store.stats();
        if stats.purges_pending == 0 || last.2.elapsed() > PURGE_PATIENCE {
            return Ok(());
        }
        if (last.0, last.1) != (stats.purges_pending, stats.purged_rows) {
            last = (stats.purges_pending, stats.purged_rows, Instant::now());
        }
        let health = store.health();
        if !health.writable {
            return Err(StoreError::Unwritable(health.reason).into());
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

/// Reads pages until the last section's end, or until the writer stopped.
async fn read(
    store: &Store,
    from: Section,
    mut cursor: Option<DumpCursor>,
    pages: &mpsc::Sender<Option<Page>>,
    report: &Report,
) -> Result<(), ArchiveError> {
    let rows_total = store.dump_estimate().await?;
    let mut rows = 0;
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

fn open(path: PathBuf, options: &ExportOptions, ceiling: u64) -> Result<(Folder, Manifest), ArchiveError> {
    let folder = Folder::lock(&path)?;
    let manifest = match Manifest::find(&path)? {
        Some(manifest) if manifest.complete && !options.resume => return Err(ArchiveError::Finished { path }),
        Some(_) if !options.resume => return Err(ArchiveError::Unfinished { path }),
        Some(manifest) => {
            if options.exclusive && manifest.id_ceiling_ms != ceiling {
                return Err(ArchiveError::SourceChanged { then: manifest.id_ceiling_ms, now: ceiling });
            }
            manifest
        }
        None => begin(&folder, options, ceiling)?,
    };
    Ok((folder, manifest))
}

fn begin(folder: &Folder, options: &ExportOptions, ceiling: u64) -> Result<Manifest, ArchiveError> {
    // Random enough to tell archives apart: each state is seeded by the system.
    let random = || std::hash::RandomState::new().build_hasher().finish();
    let manifest = Manifest {
        format: FORMAT,
        row_encoding: ROW_ENCODING,
        archive_id: format!("{:016x}{:016x}", random(), random()),
        written_by: options.written_by.clone(),
        id_ceiling_ms: ceiling,
        complete: false,
        digest: StoreDigest::default(),
        segments: Vec::new(),
        damaged: Vec::new(),
    };
    manifest.write(folder)?;
    Ok(manifest)
}

fn complete(folder: &Folder, mut manifest: Manifest) -> Result<Manifest, ArchiveError> {
    if !manifest.complete {
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
    fn run(mut self, mut pages: mpsc::Receiver<Option<Page>>) -> Result<Manifest, ArchiveError> {
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
            if page.next.is_some() && writer.raw_bytes() < self.options.segment_bytes {
                segment = Some(writer);
            } else {
                self.finish(section, writer, page.next, std::mem::take(&mut damaged))?;
            }
        }
        match self.manifest.next() {
            None => complete(&self.folder, self.manifest),
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
