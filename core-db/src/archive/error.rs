//! Why an export or import did not succeed.

use std::path::{Path, PathBuf};

use crate::StoreError;
use crate::dump::DamagedRow;

/// What is wrong with an archive, a store, or what was asked of them.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{} at {}", what, path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{} is not an archive: it has no manifest.json", path.display())]
    NotAnArchive { path: PathBuf },
    /// The folder was made by something else, or by a version that writes another format.
    #[error("{} has archive format {found}, this version reads format {expected}", path.display())]
    Format { path: PathBuf, found: u64, expected: u64 },
    #[error("{} is damaged at byte {offset}: {reason}", path.display())]
    Damaged { path: PathBuf, offset: u64, reason: String },
    #[error("{} is missing from the archive: the manifest names it", path.display())]
    MissingSegment { path: PathBuf },
    #[error("another process works on the archive {}", path.display())]
    Locked { path: PathBuf },
    /// An archive holds what everybody wrote, and whoever writes to its folder decides what an import brings in.
    #[error("others may write to the folder {} (mode {mode:o}): make it private with chmod 700", path.display())]
    OpenToOthers { path: PathBuf, mode: u32 },
    #[error("{} holds a finished archive; export into another folder", path.display())]
    Finished { path: PathBuf },
    #[error("{} holds an unfinished export; --resume goes on with it", path.display())]
    Unfinished { path: PathBuf },
    #[error("the archive {} is unfinished: end the export with --resume first", path.display())]
    Incomplete { path: PathBuf },
    #[error("the store was used after the export began ({what}): begin anew in an empty folder")]
    SourceChanged { what: String },
    #[error("{} holds an export of another store ({then}; this is {now}): use the store that it was begun from", path.display())]
    OtherSource { path: PathBuf, then: String, now: String },
    /// What is copied while somebody writes is of no moment.
    #[error("node {node_id} writes to the store meanwhile: stop every process that uses it, then begin anew")]
    StoreInUse { node_id: u64 },
    #[error(
        "the store holds a part of archive {archive_id} only ({segments_done} segments): end that with import --resume first"
    )]
    HalfImported { archive_id: String, segments_done: u32 },
    /// A later version has tables that this one does not.
    #[error("{} has a section {section:?}, which this version does not know: use {written_by} or a later one", path.display())]
    UnknownSection { path: PathBuf, section: String, written_by: String },
    #[error("{} has rows of encoding {found}, and this version writes {expected}: begin anew in an empty folder", path.display())]
    RowEncoding { path: PathBuf, found: u32, expected: u32 },
    /// Fields that this version does not know would be lost without a word.
    #[error("{} has rows of encoding {found}, this version knows {expected}: use {written_by} or a later one", path.display())]
    LaterRows { path: PathBuf, found: u32, expected: u32, written_by: String },
    #[error(
        "a damaged row in table {}, key {}: {}; --skip-damaged leaves such rows out and lists them",
        .0.table, .0.key, .0.reason
    )]
    DamagedRow(DamagedRow),
    #[error("the store is not empty (it has {section}): import into a new one")]
    NotEmpty { section: &'static str },
    #[error("an import of this archive is under way ({done} of {total} segments are in): --resume goes on with it")]
    ImportUnderWay { done: u32, total: u32 },
    #[error("the store holds an unfinished import of archive {running}, and this is archive {this}")]
    OtherImport { running: String, this: String },
    #[error("{key} is held by {holder} in this store, and by {owner} in the archive")]
    Conflict { key: String, owner: u64, holder: u64 },
    /// Everything was written, and what is read back is not what was exported.
    #[error(
        "{section} differ after the import: the archive has {rows} rows with digest {digest}, the store {found_rows} with {found_digest}"
    )]
    Mismatch { section: &'static str, rows: u64, digest: String, found_rows: u64, found_digest: String },
    /// A part of the work ended without an answer.
    #[error("the work was cut off: {0}")]
    CutOff(String),
}

impl ArchiveError {
    /// Wraps the file system's errors with what was tried.
    pub(super) fn io(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { what, path, source }
    }
}
