//! Compare-and-set: unique keys and leases, and reading them as the last of those left them.

use std::sync::Arc;
use std::time::Duration;

use scylla::client::execution_profile::{ExecutionProfile, ExecutionProfileHandle};
use scylla::policies::load_balancing::LoadBalancingPolicy;
use scylla::statement::{Consistency, SerialConsistency};

use super::retry::{Again, NextNode};
use crate::config::CqlConfig;
use crate::cql::counters::Counters;

/// Sent once: whether a first attempt that timed out applied is for the caller to find out.
pub fn profile(
    config: &CqlConfig,
    quorum: Consistency,
    serial: SerialConsistency,
    nodes: Arc<dyn LoadBalancingPolicy>,
    counters: &Arc<Counters>,
) -> ExecutionProfileHandle {
    builder(config, nodes, counters)
        .consistency(quorum)
        .serial_consistency(Some(serial))
        .build()
        .into_handle_with_label("compare_and_set".into())
}

/// Reads at the serial level, which finishes what a compare-and-set left half done.
pub fn read_profile(
    config: &CqlConfig,
    serial: SerialConsistency,
    nodes: Arc<dyn LoadBalancingPolicy>,
    counters: &Arc<Counters>,
) -> ExecutionProfileHandle {
    let level = match serial {
        SerialConsistency::Serial => Consistency::Serial,
        SerialConsistency::LocalSerial => Consistency::LocalSerial,
    };
    builder(config, nodes, counters).consistency(level).build().into_handle_with_label("serial_reads".into())
}

fn builder(
    config: &CqlConfig,
    nodes: Arc<dyn LoadBalancingPolicy>,
    counters: &Arc<Counters>,
) -> scylla::client::execution_profile::ExecutionProfileBuilder {
    ExecutionProfile::builder()
        .request_timeout(Some(Duration::from_millis(config.compare_and_set_timeout_ms)))
        .load_balancing_policy(nodes)
        .retry_policy(Arc::new(NextNode::new(Again::Untouched, counters)))
        .speculative_execution_policy(None)
}
