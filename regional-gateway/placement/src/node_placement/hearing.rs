//! What nodes say of themselves and of each other: heartbeats, and who owns what.

use std::collections::HashMap;

use super::NodePlacement;
use crate::config::REGIONS_MAX;
use crate::members::News;
use crate::shards::Shards;
use crate::{Heartbeat, Message, NodeId, Now, Owner, RegionName, To, VirtualShard};

/// From so many heartbeats in a row on that do not fit what is known of a node's shards, it is asked for all of them.
const MISMATCHES_BEFORE_ASKING: u32 = 2;

/// What is known of a node's shards does not fit what it says.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mismatch {
    count: u32,
    since_ms: u64,
    asked_ms: Option<u64>,
}

impl NodePlacement {
    pub(super) fn run_heartbeat(&mut self, now: Now) {
        let (Some(node), Some(row)) = (self.shared.lease.held(), self.shared.lease.row()) else { return };
        if now.monotonic_ms < self.heartbeat_ms {
            return;
        }
        self.heartbeat_ms = now.monotonic_ms + self.shared.config.timings.heartbeat_interval_ms;
        self.heartbeat_sequence += 1;
        let serves = self.regions.iter().flatten().filter(|region| !region.is_leaving());
        let stands_by = self.regions.iter().flatten().filter(|region| region.stands_by());
        let heartbeat = Heartbeat {
            node,
            sequence: self.heartbeat_sequence,
            lease_expires_at_us: row.expires_at.0,
            is_draining: self.shared.draining_since_ms.is_some(),
            home: self.shared.config.region.clone(),
            serves: serves.map(|region| (self.shared.routes.name(region.index()).clone(), region.digest())).collect(),
            stands_by_for: stands_by.map(|region| self.shared.routes.name(region.index()).clone()).collect(),
        };
        self.shared.outbox.send(To::All, Message::Heartbeat(heartbeat));
    }

    pub(super) fn heard(&mut self, now: Now, heartbeat: &Heartbeat) {
        let node = heartbeat.node;
        let Some(home) = self.index(&heartbeat.home) else { return };
        if node.worker_id() == self.shared.config.worker_id {
            return;
        }
        let served = heartbeat.serves.iter().take(REGIONS_MAX);
        let served: Vec<(usize, u64)> =
            served.filter_map(|(name, digest)| Some((self.index(name)?, *digest))).collect();
        let serves = served.iter().fold(0, |bits, (index, _)| bits | 1 << index);
        let standing_by = heartbeat.stands_by_for.iter().take(REGIONS_MAX).filter_map(|name| self.index(name));
        let stands_by = standing_by.fold(0, |bits, index| bits | 1 << index);
        match self.shared.members.hear(heartbeat, home, serves, stands_by, now) {
            News::OfThePast => return,
            News::NoChange => {}
            News::Change => self.must_refresh = true,
        }
        for (index, digest) in served {
            self.compare(now, node, index, digest);
        }
    }

    /// Asks a node for its shards if what is known of them has not fitted for a while.
    fn compare(&mut self, now: Now, node: NodeId, index: usize, digest: u64) {
        let key = (node.worker_id(), index);
        if self.shared.routes.digest(index, node) == digest {
            self.mismatches.remove(&key);
            return;
        }
        let pause_ms = self.shared.config.timings.retry_max_ms;
        let mismatch =
            self.mismatches.entry(key).or_insert(Mismatch { since_ms: now.monotonic_ms, ..Mismatch::default() });
        // Two may come close upon each other, with what they tell of in between still on its way.
        let lasts = now.monotonic_ms >= mismatch.since_ms + self.shared.config.timings.heartbeat_interval_ms / 2;
        mismatch.count = mismatch.count.saturating_add(1);
        let is_due = mismatch.asked_ms.is_none_or(|asked_ms| now.monotonic_ms >= asked_ms + pause_ms);
        if let Some(from) = self.shared.lease.held()
            && is_due
            && lasts
            && mismatch.count >= MISMATCHES_BEFORE_ASKING
        {
            mismatch.asked_ms = Some(now.monotonic_ms);
            let region = self.shared.routes.name(index).clone();
            self.shared.outbox.send(To::Node(node), Message::AskOwned { from, region });
        }
    }

    pub(super) fn tell_owned(&mut self, to: NodeId, region: &RegionName) {
        let Some(from) = self.shared.lease.held() else { return };
        let owned: Vec<(VirtualShard, u64)> = self.owned(region).collect();
        let part_max = self.shared.config.limits.shards_of_message_max;
        let count = owned.len().div_ceil(part_max).max(1);
        let mut next = VirtualShard::new(0);
        for part in 0..count {
            let shards: Vec<_> = owned.iter().skip(part * part_max).take(part_max).copied().collect();
            let is_last = part + 1 == count;
            let end = shards.last().map(|(shard, _)| *shard).filter(|_| !is_last);
            let last = end.or_else(|| VirtualShard::new(rookery_model::lease::VIRTUAL_SHARDS - 1));
            let (Some(first), Some(last)) = (next, last) else { return };
            next = VirtualShard::new(last.number() + 1);
            let message = Message::Owned { from, region: region.clone(), first, last, shards };
            self.shared.outbox.send(To::Node(to), message);
        }
    }

    pub(super) fn told_owned(
        &mut self,
        now: Now,
        index: usize,
        from: NodeId,
        first: VirtualShard,
        last: VirtualShard,
        shards: &[(VirtualShard, u64)],
    ) {
        for (shard, epoch) in shards {
            self.moved(now, index, *shard, Owner { node: from, epoch: *epoch });
        }
        let owned: HashMap<VirtualShard, u64> = shards.iter().copied().collect();
        self.shared.routes.owns_only(index, from, first..=last, &owned);
    }

    pub(super) fn moved(&mut self, now: Now, index: usize, shard: VirtualShard, owner: Owner) {
        let is_known = shard.number() < self.shared.config.virtual_shards;
        if !is_known {
            return;
        }
        let is_news = self.shared.routes.learn(index, shard, owner, now.monotonic_ms);
        let is_own = self.shared.lease.held() == Some(owner.node);
        if is_news || !is_own || self.regions[index].is_some() {
            self.changed(now, index, shard, owner.epoch, is_own);
        }
    }

    /// A shard has another owner, or none, since an epoch.
    pub(super) fn changed(&mut self, now: Now, index: usize, shard: VirtualShard, epoch: u64, is_own: bool) {
        if is_own {
            self.serve_leaving(now, index);
        }
        if let Some(region) = &mut self.regions[index] {
            region.changed(&self.shared, now, shard, epoch, is_own);
        }
    }

    /// Somebody thinks that this node owns shards, and wants them.
    pub(super) fn asked(&mut self, now: Now, index: usize, from: NodeId, shards: &[(VirtualShard, u64)]) {
        if self.shared.lease.held().is_none() {
            return;
        }
        self.serve_leaving(now, index);
        if let Some(region) = &mut self.regions[index] {
            for (shard, epoch) in shards {
                region.asked(&mut self.shared, now, from, *shard, *epoch);
            }
        }
    }

    /// A shard may have been given to the node after it had ended a take-over of that region, or by an attempt that was
    /// applied so late: to give it away it must own it first, and nobody else can.
    fn serve_leaving(&mut self, now: Now, index: usize) {
        let count = self.shared.config.virtual_shards;
        if let region @ None = &mut self.regions[index] {
            region.insert(Shards::new(index, count, false, now)).set_leaving(true, now);
            self.must_refresh = true;
        }
    }

    pub(super) fn released(&mut self, now: Now, index: usize, shard: VirtualShard, epoch: u64) {
        let is_known = shard.number() < self.shared.config.virtual_shards;
        if !is_known {
            return;
        }
        self.shared.routes.released(index, shard, epoch, now.monotonic_ms);
        self.changed(now, index, shard, epoch, false);
    }
}
