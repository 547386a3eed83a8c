//! One virtual shard as a node sees it.

use rookery_model::lease::VirtualShardLease;

use crate::store::OpId;
use crate::{Marks, NodeId};

/// What the node has to do with a shard.
#[derive(Debug, Default)]
pub enum State {
    /// Nothing, or it waits to take it.
    #[default]
    Idle,
    /// Its row is read.
    Reading { op: OpId, asked_ms: u64 },
    /// Its row is changed to name the node.
    Taking { op: OpId, asked_ms: u64, after: VirtualShardLease },
    /// The row names the node, whose own ceilings must rise above the shard's floors first.
    Raising(VirtualShardLease),
    /// The node owns it.
    Active(VirtualShardLease),
    /// The shell is to end what it began.
    Draining { row: VirtualShardLease, to: Option<NodeId> },
    /// It did, and the row is changed to name another, or nobody.
    Giving(Give),
}

/// A hand-over.
#[derive(Debug)]
pub struct Give {
    /// As it stands in the store.
    pub row: VirtualShardLease,
    /// Above which the next owner begins.
    pub floors: Marks,
    pub to: Option<NodeId>,
    pub op: Option<OpId>,
    pub asked_ms: u64,
    pub after: Option<VirtualShardLease>,
    /// Whether the row must be read before the next attempt.
    pub must_read: bool,
}

/// What is known of a shard's row.
#[derive(Debug, Default)]
pub enum Known {
    #[default]
    Nothing,
    Row {
        /// None where there is none.
        row: Option<VirtualShardLease>,
        /// Whether it was read at SERIAL.
        is_serial: bool,
    },
}

/// A shard.
#[derive(Debug, Default)]
pub struct Slot {
    pub state: State,
    pub known: Known,
    /// The highest epoch at which the node had it: none is had twice.
    pub last_epoch: u64,
    /// The newest change of the row that the node tried on its own behalf: the epoch, and at which it was owned before by
    /// somebody who gave it back.
    pub tried: Option<(u64, Option<u64>)>,
    /// How often its owner was asked for it.
    pub asks: u32,
    pub failures: u32,
    /// When it is looked after again.
    pub due_ms: Option<u64>,
    /// Who should own it instead.
    pub asked_by: Option<NodeId>,
    /// Somebody thinks that the node owns it.
    pub is_called_on: bool,
}

impl Slot {
    /// The row under which the node owns it, whether or not it is giving it away.
    pub const fn owned(&self) -> Option<&VirtualShardLease> {
        match &self.state {
            State::Active(row) | State::Draining { row, .. } => Some(row),
            _ => None,
        }
    }

    pub const fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle)
    }

    /// Whether its row is not about to be read.
    pub const fn is_untouched(&self) -> bool {
        self.is_idle() && !self.is_called_on
    }
}

/// At which epoch a shard with this row was given back; 0 if it was never owned, none if its owner did not give it back.
///
/// A shard that is nobody's was given back by its owner of the epoch before: nobody else changes a row to nobody.
pub const fn given_back_at(row: Option<&VirtualShardLease>) -> Option<u64> {
    match row {
        None => Some(0),
        Some(row) if NodeId::from_row(row.node_id).is_some() => None,
        Some(row) => Some(row.epoch.saturating_sub(1)),
    }
}

/// How far the owners before may have come, by a shard's row.
pub const fn floors(row: &VirtualShardLease) -> Marks {
    Marks { id_ms: row.id_ceiling_ms, write_timestamp_us: row.write_timestamp_ceiling_us }
}

/// A row with the next epoch.
pub fn next_row(row: &VirtualShardLease, node: Option<NodeId>, floors: Marks) -> VirtualShardLease {
    VirtualShardLease {
        node_id: node.map_or(0, NodeId::get),
        epoch: row.epoch + 1,
        id_ceiling_ms: floors.id_ms,
        write_timestamp_ceiling_us: floors.write_timestamp_us,
        ..row.clone()
    }
}
