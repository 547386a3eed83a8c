//! The store of leases: compare-and-set at SERIAL, and a way to read many rows that may be of the past.

use std::collections::BTreeMap;

use rookery_model::lease::{LeaseSwap, VirtualShardLease, WorkerLease};
use rookery_placement::{StoreAnswer, StoreCall};

/// Rows of both tables.
#[derive(Default)]
pub struct LeaseStore {
    workers: BTreeMap<u16, WorkerLease>,
    shards: BTreeMap<(String, u16), VirtualShardLease>,
    /// What stood there before.
    former_shards: BTreeMap<(String, u16), VirtualShardLease>,
    /// Whether swaps compare nothing.
    pub is_unconditional: bool,
    /// Epochs that were put in place of ones that are not one less.
    pub broken_epochs: Vec<String>,
    pub swaps: u64,
    pub refused: u64,
}

impl LeaseStore {
    /// Does what is asked, at this moment.
    pub fn carry_out(&mut self, call: &StoreCall, is_stale: impl FnMut() -> bool) -> StoreAnswer {
        match call {
            StoreCall::WorkerLease(worker_id) => StoreAnswer::WorkerLease(self.workers.get(worker_id).cloned()),
            StoreCall::VirtualShardLease(region, shard) => {
                let key = (region.as_str().to_owned(), shard.number());
                StoreAnswer::VirtualShardLease(self.shards.get(&key).cloned())
            }
            StoreCall::VirtualShardLeases(region) => self.all(region.as_str(), is_stale),
            StoreCall::Swap(LeaseSwap::Worker { before, after }) => self.swap_worker(before.as_ref(), after),
            StoreCall::Swap(LeaseSwap::VirtualShard { before, after }) => self.swap_shard(before.as_ref(), after),
        }
    }

    fn all(&self, region: &str, mut is_stale: impl FnMut() -> bool) -> StoreAnswer {
        let rows = self.shards.iter().filter(|((of, _), _)| of == region);
        let rows = rows.filter_map(|(key, row)| match is_stale() {
            true => self.former_shards.get(key).cloned(),
            false => Some(row.clone()),
        });
        StoreAnswer::VirtualShardLeases(rows.collect())
    }

    fn swap_worker(&mut self, before: Option<&WorkerLease>, after: &WorkerLease) -> StoreAnswer {
        let stands = self.workers.get(&after.worker_id);
        if stands == Some(after) {
            return StoreAnswer::Swapped;
        }
        if stands != before && !self.is_unconditional {
            self.refused += 1;
            return StoreAnswer::WorkerLease(stands.cloned());
        }
        self.swaps += 1;
        self.workers.insert(after.worker_id, after.clone());
        StoreAnswer::Swapped
    }

    fn swap_shard(&mut self, before: Option<&VirtualShardLease>, after: &VirtualShardLease) -> StoreAnswer {
        let key = (after.region.clone(), after.virtual_shard);
        let stands = self.shards.get(&key);
        if stands == Some(after) {
            return StoreAnswer::Swapped;
        }
        if stands != before && !self.is_unconditional {
            self.refused += 1;
            return StoreAnswer::VirtualShardLease(stands.cloned());
        }
        let epoch = stands.map_or(0, |row| row.epoch);
        if after.epoch != epoch + 1 {
            self.broken_epochs.push(format!("{key:?} from {epoch} to {}", after.epoch));
        }
        self.swaps += 1;
        if let Some(former) = self.shards.insert(key.clone(), after.clone()) {
            self.former_shards.insert(key, former);
        }
        StoreAnswer::Swapped
    }
}
