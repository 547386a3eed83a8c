//! Waiting for a condition, with an end.

use std::time::{Duration, Instant};

/// How long nodes may take from their start to their place in everybody's ring. Each costs five seconds of a
/// processor; the limit is for machines that are busy with other things. A node that dies is noticed at once.
pub(crate) const START_LIMIT: Duration = Duration::from_secs(600);
/// How long a node may take to flush and leave when asked to.
pub(crate) const STOP_LIMIT: Duration = Duration::from_secs(90);
/// How long the kernel may take to end a process.
pub(crate) const KILL_LIMIT: Duration = Duration::from_secs(30);
/// How often conditions are looked at that nothing tells about.
pub(crate) const PACE: Duration = Duration::from_millis(50);

/// The moment by which a condition must hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    start: Instant,
    limit: Duration,
}

impl Deadline {
    pub(crate) fn after(limit: Duration) -> Self {
        Self { start: Instant::now(), limit }
    }

    pub(crate) fn has_passed(&self) -> bool {
        self.left().is_zero()
    }

    pub(crate) fn left(&self) -> Duration {
        self.limit.saturating_sub(self.start.elapsed())
    }
}
