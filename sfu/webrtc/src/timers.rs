//! When each peer is to be looked at.

use std::collections::BTreeSet;

/// One time for each peer, soonest first.
#[derive(Debug, Default)]
pub(crate) struct Timers(BTreeSet<(u64, usize)>);

impl Timers {
    /// Moves a peer's time; `scheduled` is what the peer remembers of it.
    pub(crate) fn schedule(&mut self, peer: usize, scheduled: &mut u64, at_ms: u64) {
        if *scheduled != at_ms {
            self.cancel(peer, *scheduled);
            self.0.insert((at_ms, peer));
            *scheduled = at_ms;
        }
    }
    /// Forgets a peer.
    pub(crate) fn cancel(&mut self, peer: usize, scheduled: u64) {
        self.0.remove(&(scheduled, peer));
    }
    /// The soonest time.
    pub(crate) fn next(&self) -> Option<u64> {
        self.0.first().map(|first| first.0)
    }
    /// A peer whose time has come. It is scheduled anew or cancelled then.
    pub(crate) fn due(&self, now_ms: u64) -> Option<usize> {
        self.0.first().filter(|first| first.0 <= now_ms).map(|first| first.1)
    }
}
