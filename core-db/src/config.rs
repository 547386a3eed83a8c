//! Configuration of the embedded engine.

use std::path::PathBuf;

use serde::Deserialize;

use crate::CoalesceConfig;

/// Where the embedded engine keeps its data, and its bounds.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmbeddedConfig {
    /// Folder of the store; made if it does not exist.
    pub path: PathBuf,
    /// Block cache, bytes.
    #[serde(default = "defaults::cache_bytes")]
    pub cache_bytes: u64,
    /// Batches that may wait; beyond, `submit` answers `Busy`.
    #[serde(default = "defaults::queue_batches")]
    pub queue_batches: usize,
    /// Bytes of rows made durable together at most (a single larger batch still goes through).
    #[serde(default = "defaults::group_max_bytes")]
    pub group_max_bytes: usize,
    /// How long an operation's outcome is kept, milliseconds.
    #[serde(default = "defaults::operation_retention_ms")]
    pub operation_retention_ms: u64,
    /// Free space that must be writable before a store that ran out of disk takes writes again, bytes.
    #[serde(default = "defaults::recovery_free_bytes")]
    pub recovery_free_bytes: u64,
    /// How reads are shared.
    #[serde(default)]
    pub coalesce: CoalesceConfig,
}

impl EmbeddedConfig {
    /// Batches that may wait, unless configured otherwise.
    pub const QUEUE_BATCHES: usize = 16_384;

    /// The defaults, at a folder.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            cache_bytes: defaults::cache_bytes(),
            queue_batches: defaults::queue_batches(),
            group_max_bytes: defaults::group_max_bytes(),
            operation_retention_ms: defaults::operation_retention_ms(),
            recovery_free_bytes: defaults::recovery_free_bytes(),
            coalesce: CoalesceConfig::default(),
        }
    }
}

mod defaults {
    pub const fn cache_bytes() -> u64 {
        64 * 1024 * 1024
    }
    pub const fn queue_batches() -> usize {
        super::EmbeddedConfig::QUEUE_BATCHES
    }
    pub const fn group_max_bytes() -> usize {
        4 * 1024 * 1024
    }
    pub const fn operation_retention_ms() -> u64 {
        15 * 60 * 1000
    }
    pub const fn recovery_free_bytes() -> u64 {
        8 * 1024 * 1024
    }
}
