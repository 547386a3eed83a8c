//! Nodes that answer nothing are asked last.
//!
//! A node that hangs keeps its connections, and the driver goes on asking it: a third of the writes of three nodes would
//! wait for their attempt's deadline, and each of their repetitions may meet it again. So what was asked and what was
//! answered is noted for each node. The driver's own latency awareness learns from answers only, and here there are none.
//!
//! What is silence depends on what is usual: over a wide area a compare-and-set takes half a second of a node that is well, and
//! whoever took that for silence would ask the far ones first, which take longer still.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use scylla::cluster::{ClusterState, Node, NodeRef};
use scylla::errors::RequestAttemptError;
use scylla::policies::load_balancing::{FallbackPlan, LoadBalancingPolicy, RoutingInfo};
use scylla::routing::Shard;

/// How long a node may owe an answer and give none before the others are asked first, at least.
const SILENT_AFTER: Duration = Duration::from_millis(250);
/// And at most, whatever is usual.
const SILENT_AFTER_MAX: Duration = Duration::from_secs(3);
/// So many times its slowest answers of late.
const SLOWEST_TIMES: u32 = 3;
/// What is left of the slowest answer with each one that comes after it, of a thousand.
const FADES_PERMILLE: u32 = 995;
/// How often it is asked all the same, to see whether it is back.
const TRIED_EVERY: Duration = Duration::from_secs(1);

/// Which nodes owe answers.
#[derive(Debug, Default)]
pub struct Silence {
    nodes: Mutex<HashMap<SocketAddr, Known>>,
}

/// What is known of a node.
#[derive(Debug, Default)]
struct Known {
    debt: Option<Debt>,
    /// How long its slowest answers of late took.
    slowest: Duration,
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
        let mut nodes = self.nodes.lock();
        nodes.entry(node).or_default().debt.get_or_insert(Debt { since: now, tried: now, is_told: false });
    }

    /// An answer came, or an error, which is one too; the time that it took counts only of good ones.
    fn answered(&self, node: SocketAddr, took: Option<Duration>) {
        let mut nodes = self.nodes.lock();
        let known = nodes.entry(node).or_default();
        if let Some(took) = took {
            known.slowest = took.max(known.slowest * FADES_PERMILLE / 1_000);
        }
        if known.debt.take().is_some_and(|debt| debt.is_told) {
            tracing::info!(%node, "a node of the database answers again");
        }
    }

    fn is_silent(&self, now: Instant, node: SocketAddr) -> bool {
        self.nodes.lock().get(&node).is_some_and(|known| known.is_silent(now))
    }

    /// Whether a node may be asked first; with `tries`, a silent one from time to time.
    fn may_be_first(&self, now: Instant, node: SocketAddr, tries: bool) -> bool {
        let mut nodes = self.nodes.lock();
        let Some(known) = nodes.get_mut(&node).filter(|known| known.is_silent(now)) else { return true };
        let Some(debt) = &mut known.debt else { return true };
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

impl Known {
    fn is_silent(&self, now: Instant) -> bool {
        let after = (self.slowest * SLOWEST_TIMES).clamp(SILENT_AFTER, SILENT_AFTER_MAX);
        self.debt.as_ref().is_some_and(|debt| now.saturating_duration_since(debt.since) >= after)
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
        self.silence.answered(address(node), Some(latency));
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
        self.silence.answered(address(node), None);
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
        silence.answered(node(1), None);
        assert!(silence.may_be_first(begin + SILENT_AFTER, node(1), false));
    }

    #[test]
    fn what_is_usual_for_a_node_is_no_silence() {
        let (silence, begin) = (Silence::default(), Instant::now());
        let ms = Duration::from_millis;
        silence.answered(node(1), Some(ms(500)));
        silence.asked(begin, node(1));
        assert!(silence.may_be_first(begin + ms(1_400), node(1), false));
        assert!(!silence.may_be_first(begin + ms(1_500), node(1), false));
        // One that took very long is no excuse for ever, and none to begin with.
        silence.answered(node(1), Some(ms(60_000)));
        silence.asked(begin, node(1));
        assert!(!silence.may_be_first(begin + SILENT_AFTER_MAX, node(1), false));
        for _ in 0..2_000 {
            silence.answered(node(1), Some(ms(5)));
        }
        silence.asked(begin, node(1));
        assert!(!silence.may_be_first(begin + SILENT_AFTER, node(1), false));
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
