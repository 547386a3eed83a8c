//! The owner's side of mirrors.

use std::collections::{BTreeMap, VecDeque};

use super::{Follow, MirrorTimings, ToMirror, Watermark};
use crate::NodeId;

/// What the shell is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceEvent<C> {
    Send {
        to: NodeId,
        message: ToMirror<C>,
    },
    /// The mirror needs the whole state: send it as it is at this moment, with [`Source::tail`].
    SendSnapshot {
        to: NodeId,
    },
    /// No mirror answers any more from what was before this change: whoever made it may be told.
    Acknowledge {
        seq: u64,
    },
}

/// Too many changes wait for confirmation: nothing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many changes wait until mirrors confirm them")]
pub struct Full;

#[derive(Clone, Copy, Debug)]
struct Follower {
    confirmed_seq: u64,
    /// By the source's clock, later than the mirror counts it.
    lease_until_ms: u64,
}

/// The owner of a guild at one epoch, as its mirrors know it.
///
/// The shell calls it only while the node may acknowledge for the guild: a lease must not be granted by one that is no
/// owner any more.
pub struct Source<C> {
    timings: MirrorTimings,
    tail: Watermark,
    /// Changes by number, with whether they take something away.
    ring: VecDeque<(u64, C, bool)>,
    followers: BTreeMap<NodeId, Follower>,
    /// What takes something away and is not acknowledged yet, by number, with when it was made.
    pending: BTreeMap<u64, u64>,
    /// Until when mirrors of the owner before may answer reads.
    before_until_ms: u64,
    events: VecDeque<SourceEvent<C>>,
}

impl<C: Clone> Source<C> {
    /// An owner that was activated at that moment.
    pub fn new(epoch: u64, timings: MirrorTimings, now_ms: u64) -> Self {
        Self {
            before_until_ms: now_ms + timings.lease_ms + timings.slack_ms,
            timings,
            tail: Watermark { epoch, seq: 0 },
            ring: VecDeque::new(),
            followers: BTreeMap::new(),
            pending: BTreeMap::new(),
            events: VecDeque::new(),
        }
    }

    /// How far the stream has come: what a write's answer bears, so that its author reads it anywhere.
    pub const fn tail(&self) -> Watermark {
        self.tail
    }

    /// Something changed, and is durable. If it takes a permission away, [`SourceEvent::Acknowledge`] follows, at once or when
    /// all mirrors know.
    ///
    /// # Errors
    /// Too many changes wait; nothing was done. To be asked beforehand by [`has_room`](Self::has_room).
    pub fn change(&mut self, now_ms: u64, change: C, is_revocation: bool) -> Result<Watermark, Full> {
        if is_revocation && !self.has_room() {
            return Err(Full);
        }
        self.forget_expired(now_ms);
        self.tail.seq += 1;
        let at = self.tail;
        for to in self.followers.keys() {
            let message = ToMirror::Change { at, change: change.clone(), is_awaited: is_revocation };
            self.events.push_back(SourceEvent::Send { to: *to, message });
        }
        self.ring.push_back((at.seq, change, is_revocation));
        if self.ring.len() > self.timings.ring_max {
            self.ring.pop_front();
        }
        if is_revocation {
            self.pending.insert(at.seq, now_ms);
        }
        self.acknowledge(now_ms);
        Ok(at)
    }

    /// Whether something may be taken away now.
    pub fn has_room(&self) -> bool {
        self.pending.len() < self.timings.pending_max
    }

    /// A mirror says where it is.
    pub fn handle_follow(&mut self, now_ms: u64, follow: &Follow) {
        self.forget_expired(now_ms);
        match follow.at {
            Some(at) if at.epoch == self.tail.epoch && at.seq <= self.tail.seq => self.followed(now_ms, follow, at.seq),
            // It follows an owner of the past, or nobody yet.
            at if at.is_none_or(|at| at.epoch < self.tail.epoch) => {
                self.events.push_back(SourceEvent::SendSnapshot { to: follow.mirror });
            }
            // It knows of a later owner than this one.
            _ => {}
        }
        self.acknowledge(now_ms);
    }

    fn followed(&mut self, now_ms: u64, follow: &Follow, seq: u64) {
        let to = follow.mirror;
        if !self.followers.contains_key(&to) && self.followers.len() >= self.timings.mirrors_max {
            return;
        }
        let lease_until_ms = now_ms + self.timings.lease_ms + self.timings.slack_ms;
        let known = self.followers.get(&to).copied();
        let confirmed_seq = known.map_or(seq, |known| known.confirmed_seq.max(seq));
        let is_slow = self
            .pending
            .range(confirmed_seq + 1..)
            .any(|(_, made_ms)| now_ms >= made_ms.saturating_add(self.timings.patience_ms));
        if !is_slow {
            self.followers.insert(to, Follower { confirmed_seq, lease_until_ms });
            let message = ToMirror::Grant { tail: self.tail, echo_ms: follow.sent_ms, lease_ms: self.timings.lease_ms };
            self.events.push_back(SourceEvent::Send { to, message });
        } else if let Some(follower) = self.followers.get_mut(&to) {
            follower.confirmed_seq = confirmed_seq;
        }
        self.resend(to, confirmed_seq);
    }

    /// Sends a mirror what it misses.
    fn resend(&mut self, to: NodeId, from_seq: u64) {
        if from_seq >= self.tail.seq {
            return;
        }
        if self.ring.front().is_none_or(|(first, ..)| *first > from_seq + 1) {
            self.events.push_back(SourceEvent::SendSnapshot { to });
            return;
        }
        let epoch = self.tail.epoch;
        let missed = self.ring.iter().filter(|(seq, ..)| *seq > from_seq).take(self.timings.resend_max);
        let messages = missed.map(|(seq, change, is_awaited)| {
            let at = Watermark { epoch, seq: *seq };
            SourceEvent::Send { to, message: ToMirror::Change { at, change: change.clone(), is_awaited: *is_awaited } }
        });
        self.events.extend(messages);
    }

    /// The time that [`poll_timeout`](Self::poll_timeout) named has come.
    pub fn handle_timeout(&mut self, now_ms: u64) {
        self.forget_expired(now_ms);
        self.acknowledge(now_ms);
    }

    fn forget_expired(&mut self, now_ms: u64) {
        self.followers.retain(|_, follower| follower.lease_until_ms > now_ms);
    }

    fn acknowledge(&mut self, now_ms: u64) {
        if now_ms < self.before_until_ms {
            return;
        }
        let confirmed_seq = self.followers.values().map(|follower| follower.confirmed_seq).min();
        while let Some(entry) = self.pending.first_entry()
            && confirmed_seq.is_none_or(|confirmed_seq| confirmed_seq >= *entry.key())
        {
            let (seq, _) = entry.remove_entry();
            self.events.push_back(SourceEvent::Acknowledge { seq });
        }
    }

    /// Something for the shell to do, if there is.
    pub fn poll_event(&mut self) -> Option<SourceEvent<C>> {
        self.events.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called: only while somebody waits.
    pub fn poll_timeout(&self) -> Option<u64> {
        let (oldest, _) = self.pending.first_key_value()?;
        let behind = self.followers.values().filter(|follower| follower.confirmed_seq < *oldest);
        let last = behind.map(|follower| follower.lease_until_ms).min();
        Some(last.unwrap_or(self.before_until_ms).max(self.before_until_ms))
    }
}
