//! Names of nodes, which tell one incarnation of a process from the next.

use std::fmt;

use rookery_model::lease::WORKER_IDS;
use serde::{Deserialize, Serialize};

const WORKER_BITS: u32 = 10;
const INCARNATION_BITS: u32 = 30;
const NONCE_BITS: u32 = 23;

/// One incarnation of a node: what stands as `node_id` in rows of leases.
///
/// A process has a worker id, and holds its lease. Each time that the lease changes hands, or its holder could not renew
/// it in time and takes it anew, the lease's epoch rises: that epoch is the incarnation. So a node id is never used
/// again, rows that name an incarnation that is over are not confused with the one that runs, and from the node id one
/// finds the lease. The nonce is the process's own and tells apart two that take one lease at the same time.
///
/// From the highest bit: 0, nonce (23 bits), incarnation (30 bits, from 1 on), worker id (10 bits). 0 is nobody.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct NodeId(u64);

/// A number that names no node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is no node id")]
pub struct NoNodeId(pub u64);

impl NodeId {
    /// From its parts; of the nonce the low 23 bits count.
    pub(crate) const fn from_parts(worker_id: u16, incarnation: u32, nonce: u32) -> Self {
        let nonce = (nonce as u64) & ((1 << NONCE_BITS) - 1);
        let incarnation = (incarnation as u64) & ((1 << INCARNATION_BITS) - 1);
        let worker_id = (worker_id as u64) & (WORKER_IDS as u64 - 1);
        Self((nonce << (INCARNATION_BITS + WORKER_BITS)) | (incarnation << WORKER_BITS) | worker_id)
    }

    /// As a row has it; none where it names nobody.
    pub const fn from_row(node_id: u64) -> Option<Self> {
        let node = Self(node_id);
        if node_id >> 63 == 0 && node.incarnation() > 0 { Some(node) } else { None }
    }

    /// As rows have it.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Whose lease of a worker id it is.
    pub const fn worker_id(self) -> u16 {
        (self.0 & (WORKER_IDS as u64 - 1)) as u16
    }

    /// The epoch of that lease.
    pub const fn incarnation(self) -> u32 {
        ((self.0 >> WORKER_BITS) & ((1 << INCARNATION_BITS) - 1)) as u32
    }
}

impl TryFrom<u64> for NodeId {
    type Error = NoNodeId;

    fn try_from(number: u64) -> Result<Self, NoNodeId> {
        Self::from_row(number).ok_or(NoNodeId(number))
    }
}

impl From<NodeId> for u64 {
    fn from(node: NodeId) -> Self {
        node.0
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}.{}", self.worker_id(), self.incarnation())
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_id_has_its_parts_and_stays_positive() {
        let node = NodeId::from_parts(1_023, (1 << 30) - 1, u32::MAX);
        assert_eq!((node.worker_id(), node.incarnation()), (1_023, (1 << 30) - 1));
        assert!(node.get().cast_signed() > 0);
        assert_eq!(NodeId::from_row(node.get()), Some(node));
        assert_eq!(format!("{:?}", NodeId::from_parts(7, 3, 9)), "n7.3");
    }

    #[test]
    fn numbers_without_an_incarnation_name_nobody() {
        for number in [0, 7, 1 << 40, u64::MAX] {
            assert_eq!(NodeId::from_row(number), None, "{number}");
            assert!(serde_json::from_str::<NodeId>(&number.to_string()).is_err());
        }
    }
}
