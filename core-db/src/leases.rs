//! Leases of worker ids and virtual shards: read and changed by compare-and-set.

use rookery_model::lease::{LeaseSwap, VIRTUAL_SHARDS, VirtualShardLease, WORKER_IDS, WorkerLease};

use crate::key::check_text;
use crate::{Store, StoreError};

/// Refuses a region that keys cannot hold.
pub(crate) fn check_region(region: &str) -> Result<(), StoreError> {
    if region.is_empty() {
        return Err(StoreError::Invalid("a region without a name".into()));
    }
    check_text("a region", region)
}

/// Refuses numbers that are none, and swaps of one lease for another one.
pub(crate) fn check_swap(swap: &LeaseSwap) -> Result<(), StoreError> {
    match swap {
        LeaseSwap::Worker { before, after } => {
            let same = before.as_ref().is_none_or(|before| before.worker_id == after.worker_id);
            check_number("worker id", after.worker_id, WORKER_IDS, same)
        }
        LeaseSwap::VirtualShard { before, after } => {
            check_region(&after.region)?;
            let key = |lease: &VirtualShardLease| (lease.region.clone(), lease.virtual_shard);
            let same = before.as_ref().is_none_or(|before| key(before) == key(after));
            check_number("virtual shard", after.virtual_shard, VIRTUAL_SHARDS, same)
        }
    }
}

fn check_number(what: &str, number: u16, end: u16, same: bool) -> Result<(), StoreError> {
    if number >= end {
        return Err(StoreError::Invalid(format!("{what} {number} is not below {end}")));
    }
    if !same {
        return Err(StoreError::Invalid(format!("the lease of a {what} cannot become that of {what} {number}")));
    }
    Ok(())
}

impl Store {
    /// Puts a lease of a worker id in the place of `before`, durably; else says what stands there.
    ///
    /// None as `before` where there must be no row yet. A swap that was applied already answers `Ok(Ok(()))`, so that one
    /// whose outcome was unknown can be repeated. That holds because no two swaps lead to equal rows: node, epoch and
    /// expiry tell them apart.
    pub async fn swap_worker_lease(
        &self,
        before: Option<WorkerLease>,
        after: WorkerLease,
    ) -> Result<Result<(), Option<WorkerLease>>, StoreError> {
        if self.engine.swap_lease(LeaseSwap::Worker { before, after: after.clone() }).await? {
            return Ok(Ok(()));
        }
        let stands = self.engine.worker_lease(after.worker_id).await?;
        Ok(if stands.as_ref() == Some(&after) { Ok(()) } else { Err(stands) })
    }

    /// The lease of a worker id, after everything that was swapped before.
    pub async fn worker_lease(&self, worker_id: u16) -> Result<Option<WorkerLease>, StoreError> {
        self.engine.worker_lease(worker_id).await
    }

    /// All leases of worker ids that were ever taken, by worker id: to choose one. They may have changed since.
    pub async fn worker_leases(&self) -> Result<Vec<WorkerLease>, StoreError> {
        self.engine.worker_leases().await
    }

    /// Likewise of a virtual shard; see [`Store::swap_worker_lease`].
    pub async fn swap_virtual_shard_lease(
        &self,
        before: Option<VirtualShardLease>,
        after: VirtualShardLease,
    ) -> Result<Result<(), Option<VirtualShardLease>>, StoreError> {
        if self.engine.swap_lease(LeaseSwap::VirtualShard { before, after: after.clone() }).await? {
            return Ok(Ok(()));
        }
        let stands = self.engine.virtual_shard_lease(&after.region, after.virtual_shard).await?;
        Ok(if stands.as_ref() == Some(&after) { Ok(()) } else { Err(stands) })
    }

    /// The lease of a virtual shard, after everything that was swapped before.
    pub async fn virtual_shard_lease(
        &self,
        region: &str,
        virtual_shard: u16,
    ) -> Result<Option<VirtualShardLease>, StoreError> {
        self.engine.virtual_shard_lease(region, virtual_shard).await
    }

    /// The leases of a region's virtual shards, by number; those that nobody ever took are not there. They may have
    /// changed since.
    pub async fn virtual_shard_leases(&self, region: &str) -> Result<Vec<VirtualShardLease>, StoreError> {
        self.engine.virtual_shard_leases(region).await
    }
}
