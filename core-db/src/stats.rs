//! Counters and health of a store.

/// Whether writes are taken now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreHealth {
    /// Whether writes are taken.
    pub writable: bool,
    /// Why not; empty when writable.
    pub reason: String,
}

impl StoreHealth {
    /// A store that takes writes.
    pub fn writable() -> Self {
        Self { writable: true, reason: String::new() }
    }
    /// A store that refuses writes.
    pub fn unwritable(reason: impl Into<String>) -> Self {
        Self { writable: false, reason: reason.into() }
    }
}

/// What a store did since it was opened; the same figures are in `/metrics` as `rookery_store_*`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Batches and claims acknowledged as durable.
    pub commits: u64,
    /// Batches and claims that failed.
    pub failures: u64,
    /// Batches refused because the queue was full.
    pub refused_busy: u64,
    /// Groups of batches made durable together.
    pub groups: u64,
    /// `fdatasync` calls on the way of an acknowledgement (one per group).
    pub fsyncs: u64,
    /// Rows put or deleted, index rows included.
    pub rows_written: u64,
    /// Bytes of keys and values of those rows.
    pub bytes_written: u64,
    /// The largest group so far, batches.
    pub largest_group: u64,
    /// Batches waiting now.
    pub queued: u64,
    /// How often the engine was opened anew after a write error.
    pub reopens: u64,
    /// Rows removed in the background: old operations, contents of deleted channels and guilds, messages of erased users
    /// and those older than their guild keeps them.
    pub purged_rows: u64,
    /// Reads that asked the engine; those that are never shared are not counted.
    pub engine_reads: u64,
    /// Reads answered by an equal read's call of the engine.
    pub coalesced_reads: u64,
    /// Newest pages served from those kept.
    pub page_cache_hits: u64,
    /// Newest pages that were not kept.
    pub page_cache_misses: u64,
    /// Bytes of the pages kept, as far as the cache has counted them.
    pub page_cache_bytes: u64,
    /// Pages that had to go for others.
    pub page_cache_evictions: u64,
    /// Deleted channels and guilds and erased users whose contents are still being removed.
    pub purges_pending: u64,
    /// Rows, or stretches of rows, that were found damaged and left out of pages; each counts once.
    pub corrupt_rows: u64,
    /// CQL: calls to the cluster.
    pub queries: u64,
    /// CQL: calls sent again, to another node or after a pause.
    pub retries: u64,
    /// CQL: slow reads for which a second node was asked.
    pub speculative_reads: u64,
    /// CQL: batches and claims that ended without certainty.
    pub unknown_outcomes: u64,
}
