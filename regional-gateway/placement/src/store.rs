//! What is asked of the store of leases, and what it answers.

use std::collections::BTreeMap;

use rookery_model::lease::{LeaseSwap, VirtualShardLease, WorkerLease};

use crate::{RegionName, VirtualShard};

/// The number of a request, which its answer bears.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpId(pub(crate) u64);

/// Something to ask the store.
///
/// The shell gives each request a deadline of [`store_timeout_ms`](crate::Timings::store_timeout_ms) and drops it then: the
/// core counts it as [`StoreAnswer::Unknown`] by itself and makes another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreRequest {
    pub op: OpId,
    pub call: StoreCall,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreCall {
    /// The lease of a worker id, at SERIAL: after everything that was swapped before.
    WorkerLease(u16),
    /// The lease of a virtual shard, at SERIAL.
    VirtualShardLease(RegionName, VirtualShard),
    /// Those of a region; they may have changed since.
    VirtualShardLeases(RegionName),
    /// A compare-and-set at SERIAL.
    Swap(LeaseSwap),
}

/// What the store answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreAnswer {
    /// What a swap was to put there stands there.
    Swapped,
    /// What was read; or what stood there when a swap was refused.
    WorkerLease(Option<WorkerLease>),
    /// The same of a virtual shard.
    VirtualShardLease(Option<VirtualShardLease>),
    /// What was read of a region; of rows that are not there nothing.
    VirtualShardLeases(Vec<VirtualShardLease>),
    /// No answer, or an error: a swap may have been applied, or may be yet.
    Unknown,
}

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    OwnLease,
    /// To see whether a node's lease still changes, or to end it.
    Look(u16),
    Take(usize, VirtualShard),
    Give(usize, VirtualShard),
    Scan(usize),
    Lookup(usize, VirtualShard),
}

/// How many requests of shards are under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct UnderWay {
    pub takes: usize,
    pub looks: usize,
    pub lookups: usize,
}

struct Flight {
    purpose: Purpose,
    deadline_ms: u64,
}

/// Requests under way.
#[derive(Default)]
pub(crate) struct Ops {
    next: u64,
    flights: BTreeMap<OpId, Flight>,
    under_way: UnderWay,
    /// Requests that the shell has not fetched yet.
    pub requests: std::collections::VecDeque<StoreRequest>,
}

impl Ops {
    pub fn begin(&mut self, purpose: Purpose, call: StoreCall, deadline_ms: u64) -> OpId {
        self.next += 1;
        let op = OpId(self.next);
        self.flights.insert(op, Flight { purpose, deadline_ms });
        self.count(purpose, 1);
        self.requests.push_back(StoreRequest { op, call });
        op
    }

    /// What an answer is for; none if it comes too late or twice.
    pub fn end(&mut self, op: OpId) -> Option<Purpose> {
        let flight = self.flights.remove(&op)?;
        self.count(flight.purpose, -1);
        Some(flight.purpose)
    }

    pub const fn under_way(&self) -> UnderWay {
        self.under_way
    }

    /// The oldest request, if it was not answered in time. All have the same time, so that the oldest is the first due.
    pub fn overdue(&self, now_ms: u64) -> Option<OpId> {
        let (op, flight) = self.flights.first_key_value()?;
        (flight.deadline_ms <= now_ms).then_some(*op)
    }

    pub fn deadline_ms(&self) -> Option<u64> {
        self.flights.first_key_value().map(|(_, flight)| flight.deadline_ms)
    }

    const fn count(&mut self, purpose: Purpose, by: isize) {
        let counter = match purpose {
            Purpose::Take(..) => &mut self.under_way.takes,
            Purpose::Look(_) => &mut self.under_way.looks,
            Purpose::Lookup(..) => &mut self.under_way.lookups,
            Purpose::OwnLease | Purpose::Give(..) | Purpose::Scan(_) => return,
        };
        *counter = counter.saturating_add_signed(by);
    }
}
