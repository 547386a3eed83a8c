//! Leases: which node may do what, until when.

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// Worker ids are the 10 bits of a snowflake: below this.
pub const WORKER_IDS: u16 = 1 << 10;
/// How many virtual shards a region has.
pub const VIRTUAL_SHARDS: u16 = 4_096;

/// A worker id with the node that holds it; its row is never removed, so that the next holder begins above its ceilings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerLease {
    pub worker_id: u16,
    pub node_id: u64,
    /// Raised whenever another node takes the worker id.
    pub epoch: u64,
    /// No id of this worker lies above this moment, Unix milliseconds.
    pub id_ceiling_ms: u64,
    /// No write of the node carries a higher timestamp, microseconds.
    pub write_timestamp_ceiling_us: i64,
    /// From then on others may take it.
    pub expires_at: Timestamp,
}

/// A virtual shard with the node that owns its guilds and users; changed only on hand-over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VirtualShardLease {
    pub region: String,
    pub virtual_shard: u16,
    pub node_id: u64,
    /// Raised with each hand-over.
    pub epoch: u64,
    /// The owner's ids lie above this moment, Unix milliseconds: the ceiling of the owners before it.
    pub id_ceiling_ms: u64,
    /// Likewise its write timestamps, microseconds.
    pub write_timestamp_ceiling_us: i64,
}

/// A lease to be put in the place of what stands there, if that is what is expected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LeaseSwap {
    Worker {
        /// None where there must be no row yet.
        before: Option<WorkerLease>,
        after: WorkerLease,
    },
    VirtualShard {
        before: Option<VirtualShardLease>,
        after: VirtualShardLease,
    },
}
