//! How calls are made, one execution profile a purpose.

mod compare_and_set;
pub mod everywhere;
mod hedge;
mod observe;
mod reads;
mod retry;
mod schema;
mod silence;
mod writes;

use std::sync::Arc;

use scylla::client::execution_profile::ExecutionProfileHandle;
use scylla::policies::load_balancing::{DefaultPolicy, LoadBalancingPolicy};
use scylla::statement::{Consistency, SerialConsistency};

pub use self::hedge::Hedge;
pub use self::observe::Observer;
use self::silence::{Silence, SilentLast};
use crate::config::{CqlConfig, Durability};
use crate::cql::counters::Counters;

/// What a call is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Rows for somebody who waits.
    Read,
    /// Rows with an explicit timestamp.
    Write,
    /// Compare-and-set of unique keys.
    CompareAndSet,
    /// Their current value.
    SerialRead,
    /// Compare-and-set of the leases of node ids.
    Lease,
    /// Their current value.
    LeaseRead,
    /// Compare-and-set of leases that the nodes of all data centres compete for.
    SharedLease,
    /// Their current value.
    SharedLeaseRead,
}

impl Purpose {
    /// Its name in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::CompareAndSet => "compare_and_set",
            Self::SerialRead => "serial_read",
            Self::Lease => "lease",
            Self::LeaseRead => "lease_read",
            Self::SharedLease => "shared_lease",
            Self::SharedLeaseRead => "shared_lease_read",
        }
    }

    /// Whether a call changes rows on a condition.
    pub const fn is_compare_and_set(self) -> bool {
        matches!(self, Self::CompareAndSet | Self::Lease | Self::SharedLease)
    }

    /// Whether a call may be sent again without another effect.
    ///
    /// A write carries its own timestamp, so the second is the first. A compare-and-set is repeated only by those who
    /// look at its outcome first.
    pub const fn is_idempotent(self) -> bool {
        !self.is_compare_and_set()
    }
}

/// The profiles of an engine.
#[derive(Debug)]
pub struct Profiles {
    read: ExecutionProfileHandle,
    write: ExecutionProfileHandle,
    /// Reads that a majority of all replicas answers; none where all reads are such.
    far: Option<ExecutionProfileHandle>,
    unique: Serial,
    lease: Serial,
    /// Of reads, where those near by suffice.
    near: Consistency,
}

/// Compare-and-set at one level, and reading what it left.
#[derive(Debug)]
struct Serial {
    compare_and_set: ExecutionProfileHandle,
    read: ExecutionProfileHandle,
}

/// The consistency levels that a durability mode means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Levels {
    /// Of reads and writes.
    pub quorum: Consistency,
    /// Of unique keys and of leases that nodes compete for. A name, a worker id or a shard's owner must be unique over all data centres, now and after another one was added: so it is
    /// always a majority of all replicas.
    pub unique: SerialConsistency,
    /// Of leases of node ids. A node's row is its own, so what survives with its writes is enough.
    pub lease: SerialConsistency,
}

impl Levels {
    pub const fn of(durability: Durability) -> Self {
        let (quorum, lease) = match durability {
            Durability::Regional => (Consistency::LocalQuorum, SerialConsistency::LocalSerial),
            Durability::Global => (Consistency::Quorum, SerialConsistency::Serial),
        };
        Self { quorum, unique: SerialConsistency::Serial, lease }
    }
}

impl Profiles {
    /// The profiles that a configuration means.
    pub fn new(config: &CqlConfig, levels: Levels, counters: &Arc<Counters>) -> Self {
        let silence = Arc::new(Silence::default());
        let order = |tries| -> Arc<dyn LoadBalancingPolicy> {
            Arc::new(SilentLast::new(nodes(config), silence.clone(), tries))
        };
        // A read asks a second node soon, so it may find out whether a silent one is back.
        let (nodes, trying) = (order(false), order(true));
        let serial = |level| Serial {
            compare_and_set: compare_and_set::profile(config, levels.quorum, level, nodes.clone(), counters),
            read: compare_and_set::read_profile(config, level, nodes.clone(), counters),
        };
        let far =
            (config.durability == Durability::Regional).then(|| reads::far_profile(config, nodes.clone(), counters));
        Self {
            far,
            read: reads::profile(config, levels, trying, counters),
            write: writes::profile(config, levels, nodes.clone(), counters),
            unique: serial(levels.unique),
            lease: serial(levels.lease),
            near: levels.quorum,
        }
    }

    /// Has reads agree with a majority of all replicas, or with as many as the durability asks for: also those whose
    /// statements are prepared already.
    pub fn read_widely(&self, widely: bool) {
        let mut read = self.read.clone();
        let consistency = if widely { Consistency::Quorum } else { self.near };
        let profile = read.pointee_to_builder().consistency(consistency).build();
        read.map_to_another_profile(profile);
    }

    /// The profile of reads that a majority of all replicas answers, where others do not.
    pub fn far(&self) -> Option<ExecutionProfileHandle> {
        self.far.clone()
    }

    /// The profile of a purpose.
    pub fn of(&self, purpose: Purpose) -> ExecutionProfileHandle {
        match purpose {
            Purpose::Read => self.read.clone(),
            Purpose::Write => self.write.clone(),
            Purpose::CompareAndSet | Purpose::SharedLease => self.unique.compare_and_set.clone(),
            Purpose::SerialRead | Purpose::SharedLeaseRead => self.unique.read.clone(),
            Purpose::Lease => self.lease.compare_and_set.clone(),
            Purpose::LeaseRead => self.lease.read.clone(),
        }
    }
}

/// The profile of what is sent before statements are prepared: the schema.
pub fn schema_profile(config: &CqlConfig) -> ExecutionProfileHandle {
    schema::profile(config, nodes(config))
}

/// Which nodes are asked: those that hold the partition first, in the local data centre.
///
/// `regional` stays there. LOCAL_QUORUM is local to the node that is asked, so a write that fell over to another data
/// centre would be durable in the wrong one; when the local one is gone, calls fail at once. `global` needs a majority of
/// all, whoever coordinates it.
pub fn nodes(config: &CqlConfig) -> Arc<dyn LoadBalancingPolicy> {
    let policy = DefaultPolicy::builder().token_aware(true);
    if config.local_data_centre.is_empty() {
        // Before it is known.
        return policy.build();
    }
    let policy = policy.prefer_datacenter(config.local_data_centre.clone());
    policy.permit_dc_failover(config.durability == Durability::Global).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durability_says_how_many_must_agree() {
        let regional = Levels::of(Durability::Regional);
        assert_eq!((regional.quorum, regional.lease), (Consistency::LocalQuorum, SerialConsistency::LocalSerial));
        let global = Levels::of(Durability::Global);
        assert_eq!((global.quorum, global.lease), (Consistency::Quorum, SerialConsistency::Serial));
        assert_eq!((regional.unique, global.unique), (SerialConsistency::Serial, SerialConsistency::Serial));
    }
}
