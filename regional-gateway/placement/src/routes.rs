//! Who owns which virtual shard, as far as a process has heard: the newest epoch wins.
//!
//! Nothing that is safe hangs on it: a call that goes to the wrong node is refused with the right one.

use std::collections::{BTreeSet, HashMap};

use rookery_model::lease::{VIRTUAL_SHARDS, VirtualShardLease};

use crate::{NodeId, Owner, RegionName, VirtualShard, digest};

/// What is known of one shard.
#[derive(Clone, Copy, Debug)]
struct Route {
    /// None where nobody owns it since the epoch: news of owners before that may come yet.
    node: Option<NodeId>,
    epoch: u64,
    learnt_ms: u64,
    /// Read in the store, not told by somebody.
    is_read: bool,
}

impl Route {
    fn owner(self) -> Option<Owner> {
        self.node.map(|node| Owner { node, epoch: self.epoch })
    }
}

#[derive(Debug, Default)]
struct Region {
    /// Empty until something is known.
    routes: Vec<Option<Route>>,
    /// Of what each node owns, with how much that is.
    digests: HashMap<NodeId, (u64, usize)>,
}

/// The owners of all shards of all regions. A point of presence may have one by itself.
#[derive(Debug)]
pub struct RouteTable {
    names: Vec<RegionName>,
    regions: Vec<Region>,
    /// Shards whose owner, as far as is known, is another since that was asked for last.
    changed: BTreeSet<(usize, VirtualShard)>,
}

impl RouteTable {
    /// Nothing is known of these regions yet, and others are not heard of.
    pub fn new(names: Vec<RegionName>) -> Self {
        let regions = names.iter().map(|_| Region::default()).collect();
        Self { names, regions, changed: BTreeSet::new() }
    }

    /// Who owns a shard, if it is known.
    pub fn route(&self, region: &RegionName, shard: VirtualShard) -> Option<Owner> {
        self.index(region).and_then(|index| self.get(index, shard))
    }

    /// Hears from somebody who owns a shard; whether it was news.
    pub fn hear(&mut self, region: &RegionName, shard: VirtualShard, owner: Owner, now_ms: u64) -> bool {
        self.index(region).is_some_and(|index| self.learn(index, shard, owner, now_ms))
    }

    /// A shard whose owner is another than when this was asked last, by its region's place among all; each once.
    pub fn poll_changed(&mut self) -> Option<(usize, VirtualShard)> {
        self.changed.pop_first()
    }

    /// A node said that it does not own a shard and does not know who does: what is known of it is forgotten if that is
    /// what was tried.
    pub fn forget(&mut self, region: &RegionName, shard: VirtualShard, tried: Owner) {
        if let Some(index) = self.index(region)
            && self.get(index, shard) == Some(tried)
        {
            self.put(index, shard, None);
        }
    }

    pub(crate) fn index(&self, region: &RegionName) -> Option<usize> {
        self.names.iter().position(|name| name == region)
    }

    pub(crate) fn name(&self, index: usize) -> &RegionName {
        &self.names[index]
    }

    pub(crate) fn get(&self, index: usize, shard: VirtualShard) -> Option<Owner> {
        self.known(index, shard).and_then(Route::owner)
    }

    /// Whether a shard is known to be nobody's.
    pub(crate) fn is_released(&self, index: usize, shard: VirtualShard) -> bool {
        self.known(index, shard).is_some_and(|known| known.node.is_none())
    }

    /// The newest epoch of a shard that is known, also where nobody owns it since; 0 where none is.
    pub(crate) fn epoch(&self, index: usize, shard: VirtualShard) -> u64 {
        self.known(index, shard).map_or(0, |known| known.epoch)
    }

    fn known(&self, index: usize, shard: VirtualShard) -> Option<Route> {
        self.regions[index].routes.get(shard.index()).copied().flatten()
    }

    pub(crate) fn learn(&mut self, index: usize, shard: VirtualShard, owner: Owner, now_ms: u64) -> bool {
        self.told(index, shard, Route { node: Some(owner.node), epoch: owner.epoch, learnt_ms: now_ms, is_read: false })
    }

    /// Hears that nobody owns a shard since an epoch.
    pub(crate) fn released(&mut self, index: usize, shard: VirtualShard, epoch: u64, now_ms: u64) {
        self.told(index, shard, Route { node: None, epoch, learnt_ms: now_ms, is_read: false });
    }

    fn told(&mut self, index: usize, shard: VirtualShard, route: Route) -> bool {
        let is_news = self.known(index, shard).is_none_or(|known| route.epoch > known.epoch);
        if is_news {
            self.put(index, shard, Some(route));
        }
        is_news
    }

    /// Takes in a row that was read at SERIAL, asked for at that moment. It is right about everything that was only said
    /// before, whatever the epoch.
    pub(crate) fn read(&mut self, index: usize, shard: VirtualShard, row: Option<&VirtualShardLease>, asked_ms: u64) {
        let known = self.known(index, shard);
        let row_epoch = row.map_or(0, |row| row.epoch);
        let is_right =
            known.is_none_or(|known| row_epoch >= known.epoch || (!known.is_read && known.learnt_ms < asked_ms));
        if is_right {
            let route = |row: &VirtualShardLease| {
                let node = NodeId::from_row(row.node_id);
                Route { node, epoch: row.epoch, learnt_ms: asked_ms, is_read: true }
            };
            self.put(index, shard, row.map(route));
        }
    }

    /// Who owns nothing of these any more is known no longer as their owner.
    pub(crate) fn owns_only(
        &mut self,
        index: usize,
        node: NodeId,
        range: std::ops::RangeInclusive<VirtualShard>,
        owned: &HashMap<VirtualShard, u64>,
    ) {
        let (first, last) = (range.start().number(), range.end().number());
        for shard in (first..=last).filter_map(VirtualShard::new) {
            if self.get(index, shard).is_some_and(|owner| owner.node == node && !owned.contains_key(&shard)) {
                self.put(index, shard, None);
            }
        }
    }

    /// The digest of what a node owns.
    pub(crate) fn digest(&self, index: usize, node: NodeId) -> u64 {
        self.regions[index].digests.get(&node).map_or(0, |(digest, _)| *digest)
    }

    fn put(&mut self, index: usize, shard: VirtualShard, route: Option<Route>) {
        let region = &mut self.regions[index];
        if region.routes.is_empty() {
            region.routes.resize(VIRTUAL_SHARDS.into(), None);
        }
        let before = std::mem::replace(&mut region.routes[shard.index()], route);
        if before.and_then(Route::owner) != route.and_then(Route::owner) {
            self.changed.insert((index, shard));
        }
        if let Some(owner) = before.and_then(Route::owner)
            && let Some((digest, count)) = region.digests.get_mut(&owner.node)
        {
            *digest ^= digest::of(shard, owner.epoch);
            *count -= 1;
            if *count == 0 {
                region.digests.remove(&owner.node);
            }
        }
        if let Some(owner) = route.and_then(Route::owner) {
            let (digest, count) = region.digests.entry(owner.node).or_default();
            *digest ^= digest::of(shard, owner.epoch);
            *count += 1;
        }
    }
}

/// Who owns a shard by its row.
pub fn owner_of(row: &VirtualShardLease) -> Option<Owner> {
    NodeId::from_row(row.node_id).map(|node| Owner { node, epoch: row.epoch })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(worker_id: u16, epoch: u64) -> Owner {
        Owner { node: NodeId::from_parts(worker_id, 1, 0), epoch }
    }

    fn row(owner: Option<Owner>, epoch: u64) -> VirtualShardLease {
        VirtualShardLease {
            region: "eu".into(),
            virtual_shard: 7,
            node_id: owner.map_or(0, |owner| owner.node.get()),
            epoch,
            id_ceiling_ms: 0,
            write_timestamp_ceiling_us: 0,
        }
    }

    fn table() -> (RouteTable, RegionName, VirtualShard) {
        let eu = RegionName::new("eu").unwrap();
        (RouteTable::new(vec![eu.clone()]), eu, VirtualShard::new(7).unwrap())
    }

    #[test]
    fn the_newest_epoch_wins_in_whatever_order_it_is_heard() {
        let (mut table, eu, shard) = table();
        assert!(table.hear(&eu, shard, owner(1, 5), 0));
        assert!(!table.hear(&eu, shard, owner(2, 4), 1));
        assert!(!table.hear(&eu, shard, owner(2, 5), 1));
        assert_eq!(table.route(&eu, shard), Some(owner(1, 5)));
        assert!(table.hear(&eu, shard, owner(2, 6), 1));
        assert_eq!(table.route(&eu, shard), Some(owner(2, 6)));
        assert!(!table.hear(&RegionName::new("mars").unwrap(), shard, owner(2, 6), 1));
    }

    #[test]
    fn a_row_puts_right_what_was_only_said_before_it_was_read() {
        let (mut table, eu, shard) = table();
        table.hear(&eu, shard, owner(1, u64::MAX), 100);
        table.read(0, shard, Some(&row(Some(owner(2, 6)), 6)), 100);
        assert_eq!(table.route(&eu, shard), Some(owner(1, u64::MAX)), "it may have been read before");
        table.read(0, shard, Some(&row(Some(owner(2, 6)), 6)), 101);
        assert_eq!(table.route(&eu, shard), Some(owner(2, 6)));
        table.read(0, shard, Some(&row(None, 5)), 200);
        assert_eq!(table.route(&eu, shard), Some(owner(2, 6)), "a row that came late");
        table.read(0, shard, Some(&row(None, 7)), 200);
        assert_eq!(table.route(&eu, shard), None);
    }

    #[test]
    fn who_owned_a_shard_before_it_was_released_is_no_news_however_late() {
        let (mut table, eu, shard) = table();
        table.released(0, shard, 6, 100);
        assert!(!table.hear(&eu, shard, owner(1, 5), 101));
        assert_eq!((table.route(&eu, shard), table.epoch(0, shard)), (None, 6));
        assert!(table.hear(&eu, shard, owner(2, 7), 102));
        table.released(0, shard, 6, 103);
        assert_eq!(table.route(&eu, shard), Some(owner(2, 7)));
        assert_eq!(table.digest(0, owner(2, 7).node), digest::of(shard, 7));
    }

    #[test]
    fn what_was_tried_in_vain_is_forgotten_and_nothing_newer() {
        let (mut table, eu, shard) = table();
        table.hear(&eu, shard, owner(1, 5), 0);
        table.forget(&eu, shard, owner(1, 4));
        assert_eq!(table.route(&eu, shard), Some(owner(1, 5)));
        table.forget(&eu, shard, owner(1, 5));
        assert_eq!(table.route(&eu, shard), None);
    }

    #[test]
    fn digests_follow_what_is_known() {
        let (mut table, eu, shard) = table();
        let other = VirtualShard::new(8).unwrap();
        let node = owner(1, 0).node;
        table.hear(&eu, shard, owner(1, 5), 0);
        table.hear(&eu, other, owner(1, 6), 0);
        assert_eq!(table.digest(0, node), digest::of(shard, 5) ^ digest::of(other, 6));
        table.hear(&eu, shard, owner(2, 7), 0);
        assert_eq!(table.digest(0, node), digest::of(other, 6));
        table.owns_only(0, node, shard..=other, &HashMap::new());
        assert_eq!((table.digest(0, node), table.route(&eu, other)), (0, None));
        assert_eq!(table.route(&eu, shard), Some(owner(2, 7)));
    }
}
