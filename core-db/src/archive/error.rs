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
    #[error("{} holds a finished archive; export into another folder", path.display())]
    Finished { path: PathBuf },
    #[error("{} holds an unfinished export; --resume goes on with it", path.display())]
    Unfinished { path: PathBuf },
    #[error("the archive {} is unfinished: end the export with --resume first", path.display())]
    Incomplete { path: PathBuf },
    #[error(
        "the store was used after the export began (its id ceiling is {now}, it was {then}): begin anew in an empty folder"
    )]
    SourceChanged { then: u64, now: u64 },
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
