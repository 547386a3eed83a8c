//! What no data centre may be left out of: the removal of what was deleted.

use std::sync::Arc;
use std::time::Duration;

use scylla::client::execution_profile::{ExecutionProfile, ExecutionProfileBuilder, ExecutionProfileHandle};
use scylla::policies::load_balancing::DefaultPolicy;
use scylla::statement::Consistency;

use super::retry::{Again, NextNode};
use crate::config::CqlConfig;
use crate::cql::counters::Counters;

/// Reads as one data centre sees it: a majority of its replicas, asked of a node of its own.
///
/// CQL has no EACH_QUORUM for reads. Asked of every data centre in turn, LOCAL_QUORUM sees all that any of them ever
/// acknowledged, and one dead node in each is no obstacle, as it would be at ALL.
pub fn read_at(config: &CqlConfig, data_centre: &str, counters: &Arc<Counters>) -> ExecutionProfileHandle {
    let nodes = DefaultPolicy::builder().token_aware(true).prefer_datacenter(data_centre.to_owned());
    builder(config.read_timeout_ms, Again::Always, counters)
        .consistency(Consistency::LocalQuorum)
        .load_balancing_policy(nodes.permit_dc_failover(false).build())
        .build()
        .into_handle_with_label(format!("reads_at_{data_centre}"))
}

/// Writes that a majority of every data centre acknowledges.
pub fn write_each(config: &CqlConfig, counters: &Arc<Counters>) -> ExecutionProfileHandle {
    builder(config.write_attempt_timeout_ms, Again::Untouched, counters)
        .consistency(Consistency::EachQuorum)
        .load_balancing_policy(super::nodes(config))
        .build()
        .into_handle_with_label("writes_to_each".into())
}

fn builder(timeout_ms: u64, again: Again, counters: &Arc<Counters>) -> ExecutionProfileBuilder {
    ExecutionProfile::builder()
        .request_timeout(Some(Duration::from_millis(timeout_ms)))
        .retry_policy(Arc::new(NextNode::new(again, counters)))
        .speculative_execution_policy(None)
}
