//! How calls are made, one execution profile a purpose.

mod compare_and_set;
mod observe;
mod reads;
mod retry;
mod schema;
mod writes;

use std::sync::Arc;

use scylla::client::execution_profile::ExecutionProfileHandle;
use scylla::policies::load_balancing::{DefaultPolicy, LoadBalancingPolicy};
use scylla::statement::{Consistency, SerialConsistency};

pub use self::observe::Observer;
use crate::config::{CqlConfig, Durability};
use crate::cql::counters::Counters;

/// What a call is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Rows for somebody who waits.
    Read,
    /// Rows with an explicit timestamp.
    Write,
    /// Compare-and-set: unique keys, leases.
    CompareAndSet,
    /// The current value of what is written by compare-and-set.
    SerialRead,
}

impl Purpose {
    /// Its name in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::CompareAndSet => "compare_and_set",
            Self::SerialRead => "serial_read",
        }
    }

    /// Whether a call may be sent again without another effect.
    ///
    /// A write carries its own timestamp, so the second is the first. A compare-and-set is repeated only by those who
    /// look at its outcome first.
    pub const fn is_idempotent(self) -> bool {
        !matches!(self, Self::CompareAndSet)
    }
}

/// The profiles of an engine.
#[derive(Debug)]
pub struct Profiles {
    read: ExecutionProfileHandle,
    write: ExecutionProfileHandle,
    compare_and_set: ExecutionProfileHandle,
    serial_read: ExecutionProfileHandle,
}

/// The consistency levels that a durability mode means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Levels {
    /// Of reads and writes.
    pub quorum: Consistency,
    /// Of compare-and-set.
    pub serial: SerialConsistency,
}

impl Levels {
    /// `data_centres` is how many hold replicas.
    ///
    /// A name must be unique over all data centres, so compare-and-set asks a majority of all replicas as soon as there
    /// is more than one; with one, the local majority is the same and needs no second look.
    pub fn of(durability: Durability, data_centres: usize) -> Self {
        Self {
            quorum: match durability {
                Durability::Regional => Consistency::LocalQuorum,
                Durability::Global => Consistency::Quorum,
            },
            serial: if data_centres > 1 { SerialConsistency::Serial } else { SerialConsistency::LocalSerial },
        }
    }
}

impl Profiles {
    /// The profiles that a configuration means.
    pub fn new(config: &CqlConfig, levels: Levels, counters: &Arc<Counters>) -> Self {
        let nodes = nodes(config);
        Self {
            read: reads::profile(config, levels, nodes.clone(), counters),
            write: writes::profile(config, levels, nodes.clone(), counters),
            compare_and_set: compare_and_set::profile(config, levels, nodes.clone(), counters),
            serial_read: compare_and_set::read_profile(config, levels, nodes, counters),
        }
    }

    /// The profile of a purpose.
    pub fn of(&self, purpose: Purpose) -> ExecutionProfileHandle {
        match purpose {
            Purpose::Read => self.read.clone(),
            Purpose::Write => self.write.clone(),
            Purpose::CompareAndSet => self.compare_and_set.clone(),
            Purpose::SerialRead => self.serial_read.clone(),
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
        let regional = Levels::of(Durability::Regional, 3);
        assert_eq!((regional.quorum, regional.serial), (Consistency::LocalQuorum, SerialConsistency::Serial));
        let global = Levels::of(Durability::Global, 3);
        assert_eq!((global.quorum, global.serial), (Consistency::Quorum, SerialConsistency::Serial));
        assert_eq!(Levels::of(Durability::Regional, 1).serial, SerialConsistency::LocalSerial);
    }
}
