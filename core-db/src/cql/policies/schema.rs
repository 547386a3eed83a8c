//! The schema: few statements, slow ones, by whoever starts first.

use std::sync::Arc;
use std::time::Duration;

use scylla::client::execution_profile::{ExecutionProfile, ExecutionProfileHandle};
use scylla::policies::load_balancing::LoadBalancingPolicy;
use scylla::policies::retry::FallthroughRetryPolicy;
use scylla::statement::{Consistency, SerialConsistency};

use crate::config::CqlConfig;

/// All data centres must agree who migrates, and what has been migrated is read from a majority of all.
pub fn profile(config: &CqlConfig, nodes: Arc<dyn LoadBalancingPolicy>) -> ExecutionProfileHandle {
    ExecutionProfile::builder()
        .consistency(Consistency::Quorum)
        .serial_consistency(Some(SerialConsistency::Serial))
        .request_timeout(Some(Duration::from_millis(config.schema_timeout_ms)))
        .load_balancing_policy(nodes)
        .retry_policy(Arc::new(FallthroughRetryPolicy::new()))
        .speculative_execution_policy(None)
        .build()
        .into_handle_with_label("schema".into())
}
