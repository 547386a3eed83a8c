//! What nodes tell each other. All of it may be lost, repeated, late or out of order, and nothing that is safe hangs on it.

use serde::{Deserialize, Serialize};

use crate::{NodeId, RegionName, VirtualShard};

/// Who owns a virtual shard, as of an epoch; the newest epoch is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    pub node: NodeId,
    pub epoch: u64,
}

/// A call came to a node that does not own its shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("virtual shard {shard} is not owned here")]
pub struct NotOwner {
    pub shard: VirtualShard,
    /// Who owns it, as far as is known.
    pub owner: Option<Owner>,
}

/// To whom a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum To {
    /// Every node of every region.
    All,
    Node(NodeId),
}

/// A message to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    pub to: To,
    pub message: Message,
}

/// What a node tells others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    Heartbeat(Heartbeat),
    /// Shards that the sender should own, with the epochs at which the receiver is thought to.
    Ask {
        from: NodeId,
        region: RegionName,
        shards: Vec<(VirtualShard, u64)>,
    },
    /// Who owns shards, as far as the sender knows.
    Moved {
        region: RegionName,
        owners: Vec<(VirtualShard, Owner)>,
    },
    /// Nobody owns shards since these epochs: whoever should may take them.
    Released {
        region: RegionName,
        shards: Vec<(VirtualShard, u64)>,
    },
    /// The node owns nothing: it gave its lease back, or the sender ended that when it was over. Nobody need wait to find that
    /// out.
    Left {
        node: NodeId,
    },
    /// Wants [`Message::Owned`].
    AskOwned {
        from: NodeId,
        region: RegionName,
    },
    /// All shards that the sender owns, in parts: those of each part between its `first` and `last`.
    Owned {
        from: NodeId,
        region: RegionName,
        first: VirtualShard,
        last: VirtualShard,
        shards: Vec<(VirtualShard, u64)>,
    },
}

/// What a node says of itself, every [`heartbeat_interval_ms`](crate::Timings::heartbeat_interval_ms) and when it changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// With its incarnation.
    pub node: NodeId,
    /// Numbers the heartbeats of an incarnation.
    pub sequence: u64,
    /// The end of its lease as its row has it, microseconds by its own clock: tells one renewal from the next, and is
    /// compared with no clock.
    pub lease_expires_at_us: i64,
    /// It gives its shards away, and takes none.
    pub is_draining: bool,
    /// Its own region.
    pub home: RegionName,
    /// Regions whose shards it may own, with a [digest](crate::digest) of those that it does.
    pub serves: Vec<(RegionName, u64)>,
    /// Those of them of which it takes only the shards of the dead.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stands_by_for: Vec<RegionName>,
}
