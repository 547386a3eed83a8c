//! Reads: a second node is asked when the first is slow.

use std::sync::Arc;
use std::time::Duration;

use scylla::client::execution_profile::{ExecutionProfile, ExecutionProfileHandle};
use scylla::policies::load_balancing::LoadBalancingPolicy;
use scylla::policies::speculative_execution::SimpleSpeculativeExecutionPolicy;

use super::Levels;
use super::retry::{Again, NextNode};
use crate::config::CqlConfig;
use crate::cql::counters::Counters;

pub fn profile(
    config: &CqlConfig,
    levels: Levels,
    nodes: Arc<dyn LoadBalancingPolicy>,
    counters: &Arc<Counters>,
) -> ExecutionProfileHandle {
    let speculative = SimpleSpeculativeExecutionPolicy {
        max_retry_count: 1,
        retry_interval: Duration::from_millis(config.speculative_after_ms),
    };
    ExecutionProfile::builder()
        .consistency(levels.quorum)
        .request_timeout(Some(Duration::from_millis(config.read_timeout_ms)))
        .load_balancing_policy(nodes)
        .retry_policy(Arc::new(NextNode::new(Again::Always, counters)))
        .speculative_execution_policy(Some(Arc::new(speculative)))
        .build()
        .into_handle_with_label("reads".into())
}
