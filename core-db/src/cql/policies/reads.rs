//! Reads: a second node is asked when the first is slow.

use std::sync::Arc;
use std::time::Duration;

use scylla::client::execution_profile::{ExecutionProfile, ExecutionProfileHandle};
use scylla::policies::load_balancing::LoadBalancingPolicy;
use scylla::policies::speculative_execution::{Context, SpeculativeExecutionPolicy};
use scylla::statement::Consistency;

use super::Levels;
use super::retry::{Again, NextNode};
use crate::config::CqlConfig;
use crate::cql::counters::Counters;

/// How long a second look may take: several round trips between regions.
const FAR_TIMEOUT: Duration = Duration::from_secs(1);

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

/// Of a second look, which must not hold up for long those who have an answer already.
pub fn far_profile(
    config: &CqlConfig,
    nodes: Arc<dyn LoadBalancingPolicy>,
    counters: &Arc<Counters>,
) -> ExecutionProfileHandle {
    ExecutionProfile::builder()
        .consistency(Consistency::Quorum)
        .request_timeout(Some(FAR_TIMEOUT.min(Duration::from_millis(config.read_timeout_ms))))
        .load_balancing_policy(nodes)
        .retry_policy(Arc::new(NextNode::new(Again::Always, counters)))
        .build()
        .into_handle_with_label("far reads".into())
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
