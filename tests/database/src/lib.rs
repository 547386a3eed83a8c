//! Faults of a real database cluster: load on it, and the verdict on what it did.
//!
//! A scenario ([`Stage`]) has a cluster of its own. [`Load`] writes, reads and claims through `Store` as regions do, and
//! notes every operation twice: in a history (`rookery-test-history`), which knows what readers may see, and in a
//! [`Ledger`], which knows what was acknowledged and when. [`Verdict`] compares both with what the cluster holds in the
//! end: each acknowledged write is replayed into an embedded store, and its digest is the one that every data centre
//! must have.

#![allow(clippy::unwrap_used, reason = "what tests share fails like a test")]

mod claimer;
mod ledger;
mod load;
mod reader;
mod stage;
mod verdict;
mod writer;

pub use ledger::{Kind, Ledger, Post, Trouble};
pub use load::{Home, Load, Plan};
pub use stage::{Stage, say};
pub use verdict::{Verdict, differences, digest_of};
