//! The mirror's side.

use std::collections::{BTreeMap, VecDeque};

use super::{Follow, MirrorTimings, ToMirror, Watermark};
use crate::NodeId;

/// What the shell is to do, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MirrorEvent<C> {
    /// To whoever owns the guild now.
    Send(Follow),
    /// Changes the copy, before anything else is read from it or said.
    Apply(C),
}

/// The mirror does not answer: the read is forwarded to the owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotHere {
    #[error("the copy is not complete")]
    Gap,
    #[error("nothing was heard of the owner for too long")]
    Lease,
    #[error("the copy does not reach what the reader wrote")]
    Behind,
}

/// A copy of an owner's state at another node. The shell fetches all events before it reads.
pub struct Mirror<C> {
    node: NodeId,
    timings: MirrorTimings,
    /// How far the copy has come.
    at: Option<Watermark>,
    /// How far the stream is known to have come.
    tail: Option<Watermark>,
    lease_until_ms: u64,
    follow_ms: u64,
    followed_ms: u64,
    /// Changes that overtook others, of the epoch of `at`, with whether the owner awaits word of them. Without them a bus
    /// that reorders what is sent again would keep a mirror behind for as long as the guild is busy.
    early: BTreeMap<u64, (C, bool)>,
    events: VecDeque<MirrorEvent<C>>,
}

impl<C> Mirror<C> {
    /// A mirror that has nothing yet.
    pub fn new(node: NodeId, timings: MirrorTimings, now_ms: u64) -> Self {
        let mut mirror = Self {
            node,
            timings,
            at: None,
            tail: None,
            lease_until_ms: 0,
            follow_ms: now_ms,
            followed_ms: now_ms,
            early: BTreeMap::new(),
            events: VecDeque::new(),
        };
        mirror.follow(now_ms);
        mirror
    }

    /// Whether a read may be answered from the copy, and from which state of it: one that reaches what the reader wrote
    /// last, if anything.
    ///
    /// # Errors
    /// It may not, and is forwarded.
    pub fn read(&self, now_ms: u64, at_least: Option<Watermark>) -> Result<Watermark, NotHere> {
        let at = self.at.filter(|at| self.tail.is_none_or(|tail| *at >= tail)).ok_or(NotHere::Gap)?;
        if now_ms >= self.lease_until_ms {
            return Err(NotHere::Lease);
        }
        if at_least.is_some_and(|at_least| at_least > at) { Err(NotHere::Behind) } else { Ok(at) }
    }

    /// The whole state came, as it was at that place; whether the shell is to put it in the place of its copy, before it
    /// fetches events.
    pub fn handle_snapshot(&mut self, now_ms: u64, at: Watermark) -> bool {
        let is_newer = self.at.is_none_or(|known| at > known);
        if is_newer {
            if self.at.is_none_or(|known| known.epoch < at.epoch) {
                // A lease counts for the owner that granted it.
                self.lease_until_ms = 0;
                self.early.clear();
            }
            self.at = Some(at);
            self.reach(at);
            self.take_early(at);
            self.follow(now_ms);
        }
        is_newer
    }

    /// The owner said something.
    pub fn handle_message(&mut self, now_ms: u64, message: ToMirror<C>) {
        match message {
            ToMirror::Change { at, change, is_awaited } => self.changed(now_ms, at, change, is_awaited),
            ToMirror::Grant { tail, echo_ms, lease_ms } => {
                self.reach(tail);
                if self.at.is_some_and(|at| at.epoch == tail.epoch) && echo_ms <= now_ms {
                    let until_ms = echo_ms.saturating_add(lease_ms.min(self.timings.lease_ms));
                    self.lease_until_ms = self.lease_until_ms.max(until_ms);
                }
            }
        }
    }

    fn changed(&mut self, now_ms: u64, at: Watermark, change: C, is_awaited: bool) {
        self.reach(at);
        let Some(known) = self.at else { return };
        if at.epoch != known.epoch || at.seq <= known.seq {
            return;
        }
        if at.seq > known.seq + 1 {
            if self.early.len() < self.timings.ring_max {
                self.early.insert(at.seq, (change, is_awaited));
            }
            // Something is missing before it. Of many that overtook it, one asks.
            let again_ms = self.followed_ms + self.timings.retry_ms;
            if now_ms >= again_ms {
                self.follow(now_ms);
            } else {
                self.follow_ms = self.follow_ms.min(again_ms);
            }
            return;
        }
        self.at = Some(at);
        self.events.push_back(MirrorEvent::Apply(change));
        if self.take_early(at) || is_awaited {
            self.follow(now_ms);
        }
    }

    /// Applies what came early and follows on that place; whether the owner awaits word of any of it.
    fn take_early(&mut self, mut at: Watermark) -> bool {
        let mut is_awaited = false;
        while let Some(entry) = self.early.first_entry().filter(|entry| *entry.key() <= at.seq + 1) {
            let (seq, (change, awaited)) = entry.remove_entry();
            if seq > at.seq {
                at.seq = seq;
                is_awaited |= awaited;
                self.events.push_back(MirrorEvent::Apply(change));
            }
        }
        self.at = Some(at);
        is_awaited
    }

    /// The stream is known to have come so far.
    fn reach(&mut self, place: Watermark) {
        self.tail = self.tail.max(Some(place));
    }

    fn follow(&mut self, now_ms: u64) {
        self.followed_ms = now_ms;
        self.follow_ms = now_ms + self.timings.follow_interval_ms;
        self.events.push_back(MirrorEvent::Send(Follow { mirror: self.node, sent_ms: now_ms, at: self.at }));
    }

    /// The time that [`poll_timeout`](Self::poll_timeout) named has come.
    pub fn handle_timeout(&mut self, now_ms: u64) {
        if now_ms >= self.follow_ms {
            self.follow(now_ms);
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called.
    pub const fn poll_timeout(&self) -> u64 {
        self.follow_ms
    }

    /// Something for the shell to do, if there is.
    pub fn poll_event(&mut self) -> Option<MirrorEvent<C>> {
        self.events.pop_front()
    }
}
