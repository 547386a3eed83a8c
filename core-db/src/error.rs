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
    /// The list of what was deleted and is still being removed is damaged: serving the store could show it again.
    #[error(
        "the store at {} cannot tell what is deleted: {reason}; restore a backup, or save the rest with `rookery admin export --skip-damaged`",
        path.display()
    )]
    Removals {
        /// The store's folder.
        path: PathBuf,
        /// The damaged row.
        reason: String,
    },
    /// The engine refused the folder.
    #[error("the engine cannot open the store at {}: {reason}", path.display())]
    Engine {
        /// The store's folder.
        path: PathBuf,
        /// The engine's words.
        reason: String,
    },
    /// The configuration cannot be right.
    #[error("the store's configuration: {key}: {problem}")]
    Config {
        /// The key that is wrong.
        key: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// No node of the cluster answers, or too few do; worth another try later.
    #[error(
        "no database at {} (data centre {}): {reason}",
        contact_points.join(", "),
        if local_data_centre.is_empty() { "of the first" } else { local_data_centre }
    )]
    Unreachable {
        /// The nodes asked.
        contact_points: Vec<String>,
        /// The data centre looked for.
        local_data_centre: String,
        /// The driver's words.
        reason: String,
    },
    /// The cluster answers and refuses.
    #[error("the database at {} refuses: {reason}", contact_points.join(", "))]
    Refused {
        /// The nodes asked.
        contact_points: Vec<String>,
        /// The cluster's words.
        reason: String,
    },
    /// The schema is not the one that this version works with.
    #[error(
        "keyspace {keyspace} has schema version {found}, this version of rookery works with {expected}: {}",
        schema_advice(*found, *expected)
    )]
    Schema {
        /// The keyspace.
        keyspace: String,
        /// Its version; 0 where there is none.
        found: u32,
        /// The version that this binary brings.
        expected: u32,
    },
    /// Another process has this one's node id, and renews it.
    #[error(
        "node id {node_id} is held by another process ({holder}): stop it, or give each process of the cluster a \
         worker_id of its own"
    )]
    NodeHeld {
        /// The id.
        node_id: u64,
        /// What its holder calls itself.
        holder: String,
    },
    /// Somebody else migrates the schema and does not get done.
    #[error("keyspace {keyspace} is being migrated by {holder} for longer than {waited_ms} ms")]
    SchemaLocked {
        /// The keyspace.
        keyspace: String,
        /// Who holds the lock.
        holder: String,
        /// How long this one waited, milliseconds.
        waited_ms: u64,
    },
}

/// What helps against a schema of another version.
fn schema_advice(found: u32, expected: u32) -> &'static str {
    if found < expected {
        "run `rookery admin schema` with the same store settings"
    } else {
        "use the version of rookery that migrated it, or a later one"
    }
}

impl OpenError {
    /// Whether the same call may succeed later, without anybody changing anything.
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::SchemaLocked { .. } | Self::NodeHeld { .. })
    }
}
