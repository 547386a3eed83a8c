//! What the shell is to do, and to know.

use crate::{Marks, NodeId, Owner, RegionName, VirtualShard};

/// Something that the shell is to do, or to know. They are carried out in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The node has its lease and is this incarnation. Its ids and write timestamps lie above the floors, and never above
    /// [`ceilings`](crate::NodePlacement::ceilings).
    LeaseTaken { node: NodeId, floors: Marks },
    /// Another process has the lease of this worker id and renews it: one of the two is configured wrongly.
    WorkerIdHeld { by: NodeId },
    /// The lease could not be renewed in time: nothing is acknowledged until further notice, whatever becomes durable.
    Suspended,
    /// It was renewed just in time: everything goes on.
    Resumed,
    /// The lease ended: the node owns no shard any more. What it knows of their owners is worthless, and nothing of it is
    /// to be written any more.
    Lost,
    /// The node owns the shard. Ids of its owners lie above the floor, as their write timestamps do; what is stored is to
    /// be read now.
    Activate {
        region: RegionName,
        shard: VirtualShard,
        epoch: u64,
        /// At which epoch it was owned before by somebody who gave it away, if that is certain; 0 if it never was owned.
        predecessor: Option<u64>,
        id_floor_ms: u64,
        write_timestamp_floor_us: i64,
    },
    /// The shard is to be given away: its owners take no more commands and end what they began; then
    /// [`handle_drained`](crate::NodePlacement::handle_drained).
    Drain { region: RegionName, shard: VirtualShard, epoch: u64 },
    /// The shard was given away, so that calls which wait for it can go on.
    Released {
        region: RegionName,
        shard: VirtualShard,
        /// Who has it, if somebody has.
        owner: Option<Owner>,
    },
    /// The row that [`handle_lookup`](crate::NodePlacement::handle_lookup) asked for was read.
    LookedUp { region: RegionName, shard: VirtualShard, owner: Option<Owner> },
    /// A node that drained owns nothing any more and gave its lease back: once what it says is sent, the process may end.
    Ended,
}
