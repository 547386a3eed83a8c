//! What can go wrong between a caller and the store.

use std::path::PathBuf;

/// Why a write or read did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The queue of writes is full; nothing was written. Callers answer 503.
    #[error("the store's write queue is full")]
    Busy,
    /// The engine refuses writes (disk full, IO error); nothing of this batch was or will be applied. Callers answer 503.
    #[error("the store refuses writes: {0}")]
    Unwritable(String),
    /// The write may or may not apply later: retry with the same ids, or write what cancels it.
    #[error("the outcome of a write is unknown: {0}")]
    Unknown(String),
    /// A read cannot be answered now.
    #[error("the store cannot be read: {0}")]
    Unavailable(String),
    /// A stored row cannot be understood; it is never served and never silently dropped.
    #[error("corrupt row in table {table}, key {key}: {reason}")]
    Corrupt {
        /// Table as in `schema/`.
        table: &'static str,
        /// The key in hexadecimal.
        key: String,
        /// What the decoder said.
        reason: String,
    },
    /// The write itself cannot be stored: a key too long, a character that keys cannot hold, a row too large.
    #[error("not storable: {0}")]
    Invalid(String),
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has the folder open.
    #[error("another process has the store at {} open; stop it, or use another data folder", path.display())]
    Locked {
        /// The store's folder.
        path: PathBuf,
    },
    /// A file of the store is damaged in the middle: what follows the damage was acknowledged, so it is not cut off.
    #[error("{} is damaged at byte {offset}: {reason}; restore the folder from a backup", path.display())]
    Damaged {
        /// The damaged file.
        path: PathBuf,
        /// Where the damage begins.
        offset: u64,
        /// What was found there.
        reason: String,
    },
    /// The folder was written by a version with another layout.
    #[error("the store at {} has layout {found}, this version reads layout {expected}", path.display())]
    Layout {
        /// The store's folder.
        path: PathBuf,
        /// Layout of the folder.
        found: u64,
        /// Layout of this version.
        expected: u64,
    },
    /// The file system refused something.
    #[error("{} at {}", what, path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file or folder.
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// The engine refused the folder.
    #[error("the engine cannot open the store at {}: {reason}", path.display())]
    Engine {
        /// The store's folder.
        path: PathBuf,
        /// The engine's words.
        reason: String,
    },
}
