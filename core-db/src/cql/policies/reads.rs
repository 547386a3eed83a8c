//! Reads: a second node is asked when the first is slow.

use std::sync::Arc;
use std::time::Duration;

use scylla::client::execution_profile::{ExecutionProfile, ExecutionProfileHandle};
use scylla::policies::load_balancing::LoadBalancingPolicy;
use scylla::policies::speculative_execution::{Context, SpeculativeExecutionPolicy};

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
    let speculative =
        SlowReads { counters: counters.clone(), after: Duration::from_millis(config.speculative_after_ms) };
    ExecutionProfile::builder()
        .consistency(levels.quorum)
        .request_timeout(Some(Duration::from_millis(config.read_timeout_ms)))
        .load_balancing_policy(nodes)
        .retry_policy(Arc::new(NextNode::new(Again::Always, counters)))
        .speculative_execution_policy(Some(Arc::new(speculative)))
        .build()
        .into_handle_with_label("reads".into())
}

/// One second node for a read that is slow, while the budget lasts.
#[derive(Debug)]
struct SlowReads {
    counters: Arc<Counters>,
    /// No read is slow before this.
    after: Duration,
}

impl SpeculativeExecutionPolicy for SlowReads {
    fn max_retry_count(&self, _: &Context) -> usize {
        usize::from(self.counters.hedge.begins())
    }

    fn retry_interval(&self, _: &Context) -> Duration {
        self.counters.hedge.slow_after(self.after)
    }
}
