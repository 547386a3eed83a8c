//! Which node should own a virtual shard: rendezvous hashing.
//!
//! Each node has a weight for each shard, a hash of both, and the heaviest of those that are there owns it (Thaler and
//! Ravishankar, "Using name-based mappings to increase hit rates", 1998). A node that leaves gives up its own shards and
//! moves no other; one that joins takes its share from all alike. Nodes are told apart by worker id and not by
//! incarnation: one that starts anew gets the shards that it had.

use crate::VirtualShard;
use crate::mix::mix_pair;

/// The worker id, of those given, whose node should own the shard; none where none is given.
pub fn owner_of(shard: VirtualShard, worker_ids: &[u16]) -> Option<u16> {
    let weight = |worker_id: u16| mix_pair(worker_id.into(), shard.number().into());
    worker_ids.iter().copied().max_by_key(|worker_id| (weight(*worker_id), *worker_id))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rookery_model::lease::VIRTUAL_SHARDS;

    use super::*;

    fn owners(worker_ids: &[u16]) -> Vec<Option<u16>> {
        VirtualShard::first(VIRTUAL_SHARDS).map(|shard| owner_of(shard, worker_ids)).collect()
    }

    #[test]
    fn nobody_owns_where_nobody_is() {
        assert_eq!(owner_of(VirtualShard::new(9).unwrap(), &[]), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]

        /// What moves when a node joins is its share and nothing else; the same when it leaves.
        #[test]
        fn a_change_of_one_node_moves_its_share(
            worker_ids in prop::collection::btree_set(0_u16..1_024, 1..40),
            other in 0_u16..1_024,
        ) {
            prop_assume!(!worker_ids.contains(&other));
            let fewer: Vec<u16> = worker_ids.iter().copied().collect();
            let more: Vec<u16> = fewer.iter().copied().chain([other]).collect();
            let (before, after) = (owners(&fewer), owners(&more));
            let mut moved = 0_u32;
            for (before, after) in before.iter().zip(&after) {
                if before != after {
                    prop_assert_eq!(*after, Some(other));
                    moved += 1;
                }
            }
            let share = f64::from(VIRTUAL_SHARDS) / more.len() as f64;
            // Six standard deviations of a binomial distribution.
            prop_assert!((f64::from(moved) - share).abs() < 6.0 * share.sqrt(), "{} of a share of {}", moved, share);
        }

        /// Everybody gets about as much, and the order in which nodes are known does not matter.
        #[test]
        fn shares_are_even(worker_ids in prop::collection::btree_set(0_u16..1_024, 1..20)) {
            let mut list: Vec<u16> = worker_ids.into_iter().collect();
            let all = owners(&list);
            let share = f64::from(VIRTUAL_SHARDS) / list.len() as f64;
            for worker_id in &list {
                let own = all.iter().filter(|owner| **owner == Some(*worker_id)).count() as f64;
                prop_assert!((own - share).abs() < 6.0 * share.sqrt() + 1.0, "{} of a share of {}", own, share);
            }
            list.reverse();
            prop_assert_eq!(all, owners(&list));
        }
    }
}
