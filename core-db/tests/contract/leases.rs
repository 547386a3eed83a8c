//! Leases of worker ids and virtual shards: compare-and-set.

use std::sync::Arc;

use rookery_core_db::faults::{FaultEngine, FaultPlan};
use rookery_core_db::{Store, StoreError};
use rookery_model::Timestamp;
use rookery_model::lease::{VirtualShardLease, WorkerLease};

use crate::Factory;
use crate::lifecycle::restart;

fn worker(worker_id: u16, node_id: u64, epoch: u64) -> WorkerLease {
    WorkerLease {
        worker_id,
        node_id,
        epoch,
        id_ceiling_ms: 1_750_000_000_000 + epoch,
        write_timestamp_ceiling_us: 5,
        expires_at: Timestamp(7),
    }
}

fn shard(region: &str, virtual_shard: u16, node_id: u64, epoch: u64) -> VirtualShardLease {
    VirtualShardLease {
        region: region.into(),
        virtual_shard,
        node_id,
        epoch,
        id_ceiling_ms: epoch,
        write_timestamp_ceiling_us: -1,
    }
}

pub async fn a_swap_expects_what_stands_there(factory: impl Factory) {
    let store = factory.open().await;
    let (first, renewed, next) = (worker(3, 1, 1), worker(3, 1, 2), worker(3, 2, 3));
    assert_eq!(store.worker_lease(3).await, Ok(None));
    assert_eq!(store.swap_worker_lease(Some(first.clone()), renewed.clone()).await, Ok(Err(None)));
    assert_eq!(store.swap_worker_lease(None, first.clone()).await, Ok(Ok(())));
    // It may be repeated; another one may not take the place.
    assert_eq!(store.swap_worker_lease(None, first.clone()).await, Ok(Ok(())));
    assert_eq!(store.swap_worker_lease(None, next.clone()).await, Ok(Err(Some(first.clone()))));
    assert_eq!(store.swap_worker_lease(Some(first.clone()), renewed.clone()).await, Ok(Ok(())));
    // Any field that differs counts.
    let almost = WorkerLease { expires_at: Timestamp(8), ..renewed.clone() };
    assert_eq!(store.swap_worker_lease(Some(almost), next.clone()).await, Ok(Err(Some(renewed.clone()))));
    assert_eq!(store.swap_worker_lease(Some(renewed.clone()), next.clone()).await, Ok(Ok(())));
    assert_eq!(store.swap_worker_lease(None, worker(1_023, 1, 1)).await, Ok(Ok(())));

    let store = restart(&factory, store).await;
    assert_eq!(store.worker_lease(3).await, Ok(Some(next.clone())));
    assert_eq!(store.worker_leases().await, Ok(vec![next.clone(), worker(1_023, 1, 1)]));
    // Nothing of the kind.
    for (before, after) in [(None, worker(1_024, 1, 1)), (Some(next), worker(4, 2, 4))] {
        assert!(matches!(store.swap_worker_lease(before, after).await, Err(StoreError::Invalid(_))));
    }
    assert_eq!(store.worker_leases().await.unwrap().len(), 2);
}

pub async fn virtual_shards_are_those_of_their_region(factory: impl Factory) {
    let store = factory.open().await;
    let take = async |lease: VirtualShardLease| store.swap_virtual_shard_lease(None, lease).await;
    for number in [4_095, 0, 77] {
        assert_eq!(take(shard("north", number, 1, 1)).await, Ok(Ok(())));
    }
    assert_eq!(take(shard("nort", 77, 9, 1)).await, Ok(Ok(())));
    assert_eq!(take(shard("north", 77, 2, 1)).await, Ok(Err(Some(shard("north", 77, 1, 1)))));
    let handed_over = store.swap_virtual_shard_lease(Some(shard("north", 77, 1, 1)), shard("north", 77, 2, 2)).await;
    assert_eq!(handed_over, Ok(Ok(())));
    assert_eq!(store.virtual_shard_lease("north", 77).await, Ok(Some(shard("north", 77, 2, 2))));
    assert_eq!(store.virtual_shard_lease("south", 77).await, Ok(None));
    let all = vec![shard("north", 0, 1, 1), shard("north", 77, 2, 2), shard("north", 4_095, 1, 1)];
    assert_eq!(store.virtual_shard_leases("north").await, Ok(all));
    assert_eq!(store.virtual_shard_leases("nort").await, Ok(vec![shard("nort", 77, 9, 1)]));
    for wrong in [shard("north", 4_096, 1, 1), shard("", 1, 1, 1), shard("no\0rth", 1, 1, 1)] {
        assert!(matches!(take(wrong).await, Err(StoreError::Invalid(_))));
    }
    let of_another = store.swap_virtual_shard_lease(Some(shard("south", 77, 2, 2)), shard("north", 77, 3, 3)).await;
    assert!(matches!(of_another, Err(StoreError::Invalid(_))));
    assert_eq!(store.virtual_shard_lease("no\0rth", 1).await, Ok(None));
    assert_eq!(store.virtual_shard_leases("").await, Ok(vec![]));
}

pub async fn only_one_of_many_takes_a_lease(factory: impl Factory) {
    let store = factory.open().await;
    for (before, epoch) in [(None, 1), (Some(()), 2)] {
        let before = match before {
            None => None,
            Some(()) => store.worker_lease(9).await.unwrap(),
        };
        let racers = (1..=8).map(|node| {
            let (store, before) = (store.clone(), before.clone());
            tokio::spawn(async move { store.swap_worker_lease(before, worker(9, node, epoch)).await })
        });
        let (mut winners, mut losers) = (Vec::new(), Vec::new());
        for (node, racer) in (1..).zip(racers.collect::<Vec<_>>()) {
            match racer.await.unwrap().unwrap() {
                Ok(()) => winners.push(worker(9, node, epoch)),
                Err(stands) => losers.push(stands),
            }
        }
        assert_eq!((winners.len(), losers.len()), (1, 7), "epoch {epoch}");
        assert!(losers.iter().all(|stands| stands.as_ref() == winners.first()), "{losers:?}");
        assert_eq!(store.worker_lease(9).await.unwrap(), winners.pop());
    }
}

/// A chain of owners through swaps of which every third has an unknown outcome: each link is won by one.
pub async fn swaps_whose_outcome_was_unknown_can_be_repeated(factory: impl Factory) {
    let inner = factory.open().await;
    let plan = FaultPlan { seed: 11, applied_unknown: 200, lost_unknown: 200, ..FaultPlan::default() };
    let faults = Arc::new(FaultEngine::new(inner.engine(), plan));
    let store = Store::new(faults.clone());
    let mut stands = None;
    for epoch in 1..=30 {
        let next = worker(1, epoch, epoch);
        loop {
            match store.swap_worker_lease(stands.clone(), next.clone()).await {
                Ok(outcome) => break assert_eq!(outcome, Ok(()), "epoch {epoch}"),
                Err(StoreError::Unknown(_)) => {}
                Err(other) => panic!("{other}"),
            }
        }
        // Whoever comes late does not undo it.
        let late = inner.swap_worker_lease(stands, worker(1, 99, epoch)).await;
        assert_eq!(late, Ok(Err(Some(next.clone()))));
        stands = Some(next);
    }
    assert!(faults.injected() > 5, "{}", faults.injected());
    assert_eq!(inner.worker_lease(1).await, Ok(stands));
}
