//! Nodes that answer nothing are asked last.
//!
//! A node that hangs keeps its connections, and the driver goes on asking it: a third of the writes of three nodes would
//! wait for their attempt's deadline, and each of their repetitions may meet it again. So what was asked and what was
//! answered is noted for each node. The driver's own latency awareness learns from answers only, and here there are none.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use scylla::cluster::{ClusterState, Node, NodeRef};
use scylla::errors::RequestAttemptError;
use scylla::policies::load_balancing::{FallbackPlan, LoadBalancingPolicy, RoutingInfo};
use scylla::routing::Shard;

/// How long a node may owe an answer and give none before the others are asked first.
const SILENT_AFTER: Duration = Duration::from_millis(250);
/// How often it is asked all the same, to see whether it is back.
const TRIED_EVERY: Duration = Duration::from_secs(1);

/// Which nodes owe answers.
#[derive(Debug, Default)]
pub struct Silence {
    nodes: Mutex<HashMap<SocketAddr, Debt>>,
}

/// What a node has not answered yet.
#[derive(Debug)]
struct Debt {
    /// When it was asked first since its last answer.
    since: Instant,
    /// When it was asked last in spite of its silence.
    tried: Instant,
    is_told: bool,
}

impl Silence {
    fn asked(&self, now: Instant, node: SocketAddr) {
        self.nodes.lock().entry(node).or_insert(Debt { since: now, tried: now, is_told: false });
    }

    fn answered(&self, node: SocketAddr) {
        if self.nodes.lock().remove(&node).is_some_and(|debt| debt.is_told) {
            tracing::info!(%node, "a node of the database answers again");
        }
    }

    fn is_silent(&self, now: Instant, node: SocketAddr) -> bool {
        self.nodes.lock().get(&node).is_some_and(|debt| debt.is_silent(now))
    }

    /// Whether a node may be asked first; with `tries`, a silent one from time to time.
    fn may_be_first(&self, now: Instant, node: SocketAddr, tries: bool) -> bool {
        let mut nodes = self.nodes.lock();
        let Some(debt) = nodes.get_mut(&node).filter(|debt| debt.is_silent(now)) else { return true };
        if !debt.is_told {
            debt.is_told = true;
            tracing::warn!(%node, "a node of the database does not answer; the others are asked first");
        }
        let is_due = tries && now.saturating_duration_since(debt.tried) >= TRIED_EVERY;
        if is_due {
            debt.tried = now;
        }
        is_due
    }
}

impl Debt {
    fn is_silent(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= SILENT_AFTER
    }
}

/// A policy with the silent nodes last.
#[derive(Debug)]
pub struct SilentLast {
    inner: Arc<dyn LoadBalancingPolicy>,
    silence: Arc<Silence>,
    /// Whether silent nodes are tried: by calls that ask a second node soon.
    tries: bool,
}

impl SilentLast {
    pub fn new(inner: Arc<dyn LoadBalancingPolicy>, silence: Arc<Silence>, tries: bool) -> Self {
        Self { inner, silence, tries }
    }
}

fn address(node: &Node) -> SocketAddr {
    SocketAddr::new(node.address.ip(), node.address.port())
}

impl LoadBalancingPolicy for SilentLast {
    fn pick<'a>(
        &'a self,
        request: &'a RoutingInfo<'_>,
        cluster: &'a ClusterState,
    ) -> Option<(NodeRef<'a>, Option<Shard>)> {
        let now = Instant::now();
        let first = self.inner.pick(request, cluster)?;
        let chosen = match self.silence.may_be_first(now, address(first.0), self.tries) {
            true => first,
            // If all are silent, the order is as good as any.
            false => self.fallback(request, cluster).next().unwrap_or(first),
        };
        self.silence.asked(now, address(chosen.0));
        Some(chosen)
    }

    fn fallback<'a>(&'a self, request: &'a RoutingInfo<'_>, cluster: &'a ClusterState) -> FallbackPlan<'a> {
        let now = Instant::now();
        let is_silent = |(node, _): &(NodeRef<'a>, Option<Shard>)| self.silence.is_silent(now, address(node));
        let (silent, answering): (Vec<_>, Vec<_>) = self.inner.fallback(request, cluster).partition(is_silent);
        Box::new(answering.into_iter().chain(silent))
    }

    fn on_request_success(&self, request: &RoutingInfo<'_>, latency: Duration, node: NodeRef<'_>) {
        self.silence.answered(address(node));
        self.inner.on_request_success(request, latency, node);
    }

    fn on_request_failure(
        &self,
        request: &RoutingInfo<'_>,
        latency: Duration,
        node: NodeRef<'_>,
        error: &RequestAttemptError,
    ) {
        // An error is an answer; a broken connection is known to the driver.
        self.silence.answered(address(node));
        self.inner.on_request_failure(request, latency, node, error);
    }

    fn name(&self) -> String {
        format!("SilentLast({})", self.inner.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(last: u8) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, last], 9042))
    }

    #[test]
    fn a_node_that_owes_an_answer_is_first_until_it_is_silent() {
        let (silence, begin) = (Silence::default(), Instant::now());
        silence.asked(begin, node(1));
        // Asked again, its debt is as old as before.
        silence.asked(begin + SILENT_AFTER / 2, node(1));
        let just_before = begin + SILENT_AFTER - Duration::from_millis(1);
        assert!(silence.may_be_first(just_before, node(1), false));
        assert!(!silence.may_be_first(begin + SILENT_AFTER, node(1), false));
        assert!(silence.is_silent(begin + SILENT_AFTER, node(1)));
        assert!(silence.may_be_first(begin + SILENT_AFTER, node(2), false));
    }

    #[test]
    fn an_answer_ends_the_silence() {
        let (silence, begin) = (Silence::default(), Instant::now());
        silence.asked(begin, node(1));
        assert!(!silence.may_be_first(begin + SILENT_AFTER, node(1), false));
        silence.answered(node(1));
        assert!(silence.may_be_first(begin + SILENT_AFTER, node(1), false));
    }

    #[test]
    fn a_silent_node_is_tried_from_time_to_time_by_those_who_may() {
        let (silence, begin) = (Silence::default(), Instant::now());
        silence.asked(begin, node(1));
        let due = begin + TRIED_EVERY;
        assert!(!silence.may_be_first(due, node(1), false));
        assert!(silence.may_be_first(due, node(1), true));
        // One at a time.
        assert!(!silence.may_be_first(due, node(1), true));
        assert!(silence.may_be_first(due + TRIED_EVERY, node(1), true));
    }
}
