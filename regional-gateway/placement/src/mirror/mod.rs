//! Mirrors: nodes of other regions that answer reads from a copy of an owner's state, and never from one that lost a
//! permission without their knowledge.
//!
//! The owner is the [`Source`] of one ordered stream of changes, a [`Mirror`] follows it. A mirror *fails closed*: it
//! answers only while it missed nothing that it knows of, and while its lease runs; otherwise reads go to the owner. A
//! change that takes something away is acknowledged once every mirror confirmed it or has no lease any more. So nobody
//! reads at a mirror what was taken away before, if the one who took it away was told so.
//!
//! Leases are counted without comparing clocks: a mirror counts from when it asked, the source from when it heard, and a
//! little more. A source that follows another one (a new epoch) waits until all leases of that one's mirrors are over.
//!
//! All messages may be lost, repeated, late or out of order. A [`Follow`] says all that a mirror has to say, whatever it is
//! an answer to: where it is, and what its clock shows.

mod follower;
mod source;

use serde::{Deserialize, Serialize};

pub use follower::{Mirror, MirrorEvent, NotHere};
pub use source::{Full, Source, SourceEvent};

use crate::NodeId;

/// A place in the stream of a guild: everything up to it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Watermark {
    /// Of the owner.
    pub epoch: u64,
    pub seq: u64,
}

/// The times of mirrors; the same for all processes of a deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MirrorTimings {
    /// How long a mirror answers reads without hearing from the owner.
    pub lease_ms: u64,
    /// How often it asks.
    pub follow_interval_ms: u64,
    /// How soon a mirror asks again for what it misses.
    pub retry_ms: u64,
    /// How much longer the owner counts a lease: for clocks of different speed.
    pub slack_ms: u64,
    /// A mirror that did not confirm what was taken away after so long gets no new lease, so that the wait ends.
    pub patience_ms: u64,
    /// Changes that are kept for mirrors that missed some; beyond, they get a snapshot.
    pub ring_max: usize,
    /// Changes that one [`Follow`] is answered with.
    pub resend_max: usize,
    /// Mirrors of one owner; others get no lease, and forward.
    pub mirrors_max: usize,
    /// Changes that wait for confirmation; beyond, [`Source::change`] refuses.
    pub pending_max: usize,
}

impl Default for MirrorTimings {
    fn default() -> Self {
        Self {
            lease_ms: 3_000,
            follow_interval_ms: 750,
            retry_ms: 100,
            slack_ms: 200,
            patience_ms: 500,
            ring_max: 256,
            resend_max: 64,
            mirrors_max: 64,
            pending_max: 1_024,
        }
    }
}

/// What a mirror tells the owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Follow {
    /// Its incarnation: one that starts anew is another mirror.
    pub mirror: NodeId,
    /// What its monotonic clock shows; comes back in [`ToMirror::Grant`].
    pub sent_ms: u64,
    /// How far it applied the stream; none before its first snapshot.
    pub at: Option<Watermark>,
}

/// What the owner tells a mirror.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToMirror<C> {
    /// The change with which the stream reaches this place, and whether somebody waits until mirrors say that they have it.
    Change { at: Watermark, change: C, is_awaited: bool },
    /// The mirror may answer reads until `lease_ms` after it sent what this answers; so far the stream has come.
    Grant { tail: Watermark, echo_ms: u64, lease_ms: u64 },
}
