//! What the shards of all regions of a node share.

use crate::lease::OwnLease;
use crate::members::{Fate, Members};
use crate::outbox::Outbox;
use crate::store::Ops;
use crate::{Config, Marks, NodeId, Now, RouteTable};

/// The node as its shards see it.
pub struct Shared {
    pub config: Config,
    pub lease: OwnLease,
    pub members: Members,
    pub routes: RouteTable,
    pub ops: Ops,
    pub outbox: Outbox,
    /// Since when the node gives everything away, if it does.
    pub draining_since_ms: Option<u64>,
    /// Shards that are drained or handed over.
    pub gives: usize,
}

impl Shared {
    /// Whether an incarnation that a row names may still own something.
    pub fn fate(&mut self, node: NodeId, now: Now) -> Fate {
        if node.worker_id() != self.config.worker_id {
            return self.members.fate(node, now);
        }
        // An incarnation of this node, or of the one that had the worker id before: over since the lease is this one's.
        match (self.lease.held(), self.lease.ceilings()) {
            (Some(held), Some(ceilings)) if node.incarnation() < held.incarnation() => Fate::Over(ceilings),
            _ => Fate::Running,
        }
    }

    /// Another node that may be given a shard of a region.
    pub fn is_taker(&self, node: NodeId, region: usize) -> bool {
        self.members.live_node(node).is_some_and(|heard| !heard.is_draining && heard.serves(region))
    }

    pub const fn deadline_ms(&self, now: Now) -> u64 {
        now.monotonic_ms + self.config.timings.store_timeout_ms
    }

    /// The floors of a shard that nobody had before.
    pub const fn first_floors(&self) -> Marks {
        self.config.first_floors
    }
}
