//! A node's process: the core, and what the region's shell does around it.

use std::collections::BTreeMap;

use rookery_placement::{Marks, NodePlacement, Now, VirtualShard};

use crate::clock::Clock;

/// A virtual shard of a region.
pub type Place = (usize, VirtualShard);

/// A shard that the process owns, as its shell sees it.
#[derive(Clone, Copy, Debug)]
pub struct Owned {
    pub epoch: u64,
    pub floors: Marks,
    /// Whether what is stored was read.
    pub is_loaded: bool,
    pub is_draining: bool,
    pub last_id: u64,
    pub last_timestamp_us: i64,
    /// Writes under way.
    pub in_flight: u32,
}

/// Bits of an id below its milliseconds.
pub const SEQUENCE_BITS: u32 = 12;

impl Owned {
    /// A shard that was just activated.
    pub const fn new(epoch: u64, floors: Marks) -> Self {
        Self { epoch, floors, is_loaded: false, is_draining: false, last_id: 0, last_timestamp_us: 0, in_flight: 0 }
    }

    /// The next id and write timestamp.
    pub fn next(&self, now: Now) -> (u64, i64) {
        let wall_ms = (now.wall_us / 1_000).cast_unsigned();
        let id = wall_ms.max(self.floors.id_ms + 1) << SEQUENCE_BITS;
        let timestamp_us = now.wall_us.max(self.floors.write_timestamp_us + 1);
        (id.max(self.last_id + 1), timestamp_us.max(self.last_timestamp_us + 1))
    }

    /// How far it came.
    pub const fn used(&self) -> Marks {
        Marks { id_ms: self.last_id >> SEQUENCE_BITS, write_timestamp_us: self.last_timestamp_us }
    }
}

/// A process.
pub struct Process {
    pub machine: usize,
    pub core: NodePlacement,
    pub clock: Clock,
    pub is_alive: bool,
    pub is_draining: bool,
    pub paused_until_ms: u64,
    pub owned: BTreeMap<Place, Owned>,
    pub used: Marks,
    /// When the timer is set to.
    pub timer_ms: Option<u64>,
}

impl Process {
    /// Whether it does anything now.
    pub const fn is_running(&self, time_ms: u64) -> bool {
        self.is_alive && self.paused_until_ms <= time_ms
    }
}

/// A machine, which has a process most of the time.
pub struct Machine {
    pub region: usize,
    pub worker_id: u16,
    pub clock: Clock,
    pub process: Option<usize>,
    /// Whether another process starts when this one ended.
    pub comes_back: bool,
}
