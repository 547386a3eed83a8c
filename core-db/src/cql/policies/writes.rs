//! Writes: each carries its timestamp, so that it can be sent again to whoever answers.

use std::sync::Arc;
use std::time::Duration;

use scylla::client::execution_profile::{ExecutionProfile, ExecutionProfileHandle};
use scylla::policies::load_balancing::LoadBalancingPolicy;

use super::Levels;
use super::retry::{Again, NextNode};
use crate::config::CqlConfig;
use crate::cql::counters::Counters;

/// No speculative execution: a write is sent to all replicas anyhow, and a second copy would only add load where there
/// is too much already.
pub fn profile(
    config: &CqlConfig,
    levels: Levels,
    nodes: Arc<dyn LoadBalancingPolicy>,
    counters: &Arc<Counters>,
) -> ExecutionProfileHandle {
    ExecutionProfile::builder()
        .consistency(levels.quorum)
        .request_timeout(Some(Duration::from_millis(config.write_attempt_timeout_ms)))
        .load_balancing_policy(nodes)
        .retry_policy(Arc::new(NextNode::new(Again::Untouched, counters)))
        .speculative_execution_policy(None)
        .build()
        .into_handle_with_label("writes".into())
}
