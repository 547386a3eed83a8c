//! What the engine did, for [`StoreStats`] and `/metrics`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::policies::{Hedge, Purpose};
use crate::StoreStats;
use crate::embedded::damage::KnownDamage;

/// Counters since the engine was opened.
#[derive(Debug, Default)]
pub struct Counters {
    pub commits: AtomicU64,
    pub failures: AtomicU64,
    pub refused_busy: AtomicU64,
    pub rows_written: AtomicU64,
    pub bytes_written: AtomicU64,
    pub largest_group: AtomicU64,
    pub groups: AtomicU64,
    pub queued: AtomicU64,
    pub purged_rows: AtomicU64,
    /// Rows that cannot be understood.
    pub damage: KnownDamage,
    /// Which reads are slow.
    pub hedge: Hedge,
    queries: AtomicU64,
    retries: AtomicU64,
    speculative: AtomicU64,
    unknown_outcomes: AtomicU64,
}

impl Counters {
    /// Adds to a counter.
    pub fn add(counter: &AtomicU64, amount: u64) {
        counter.fetch_add(amount, Ordering::Relaxed);
    }

    /// A call ended.
    pub fn called(&self, purpose: Purpose, took: Duration) {
        Self::add(&self.queries, 1);
        if purpose == Purpose::Read {
            self.hedge.took(took);
        }
        metrics::counter!("rookery_store_queries_total", "purpose" => purpose.name()).increment(1);
        metrics::histogram!("rookery_store_query_seconds", "purpose" => purpose.name()).record(took.as_secs_f64());
    }

    /// A call was sent again.
    pub fn retried(&self) {
        Self::add(&self.retries, 1);
        metrics::counter!("rookery_store_retries_total").increment(1);
    }

    /// A second node was asked while the first was still thinking.
    pub fn speculated(&self) {
        Self::add(&self.speculative, 1);
        self.hedge.asked();
        metrics::counter!("rookery_store_speculative_reads_total").increment(1);
    }

    /// A batch ended without certainty.
    pub fn unknown(&self) {
        Self::add(&self.unknown_outcomes, 1);
        metrics::counter!("rookery_store_unknown_outcomes_total").increment(1);
    }

    /// Queries sent so far.
    #[cfg(test)]
    pub fn queries(&self) -> u64 {
        self.queries.load(Ordering::Relaxed)
    }

    /// The figures now.
    pub fn snapshot(&self) -> StoreStats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        StoreStats {
            commits: get(&self.commits),
            failures: get(&self.failures),
            refused_busy: get(&self.refused_busy),
            groups: get(&self.groups),
            rows_written: get(&self.rows_written),
            bytes_written: get(&self.bytes_written),
            largest_group: get(&self.largest_group),
            queued: get(&self.queued),
            purged_rows: get(&self.purged_rows),
            corrupt_rows: self.damage.count(),
            queries: get(&self.queries),
            retries: get(&self.retries),
            speculative_reads: get(&self.speculative),
            unknown_outcomes: get(&self.unknown_outcomes),
            ..StoreStats::default()
        }
    }
}
