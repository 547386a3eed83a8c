//! What waits for the committer, and who waits for it.

use rookery_model::lease::LeaseSwap;
use tokio::sync::oneshot;

use crate::key::Key;
use crate::{StoreError, lower};

/// Answers a submitted batch.
pub type Done = oneshot::Sender<Result<(), StoreError>>;
/// Answers a claim.
pub type ClaimDone = oneshot::Sender<Result<Result<(), u64>, StoreError>>;

/// Answers a swap of a lease: whether it was applied.
pub type SwapDone = oneshot::Sender<Result<bool, StoreError>>;

/// What waits in the queue.
pub enum Job {
    Batch { steps: Vec<lower::Step>, done: Done },
    Claim { key: Key, owner: u64, done: ClaimDone },
    RaiseCeiling { ceiling_ms: u64, done: Done },
    Swap { swap: LeaseSwap, done: SwapDone },
}

impl Job {
    /// Answers that nothing was written.
    pub fn refuse(self, error: StoreError) {
        match self {
            Self::Batch { done, .. } | Self::RaiseCeiling { done, .. } => drop(done.send(Err(error))),
            Self::Claim { done, .. } => drop(done.send(Err(error))),
            Self::Swap { done, .. } => drop(done.send(Err(error))),
        }
    }
}

/// Somebody who hears when the group is durable.
pub enum Waiter {
    Batch(Done),
    Claim(ClaimDone, Result<(), u64>),
    Swap(SwapDone, bool),
}

impl Waiter {
    /// Answers.
    pub fn answer(self, outcome: Result<(), StoreError>) {
        // Nobody may be listening any more; the write stands.
        match self {
            Self::Batch(done) => drop(done.send(outcome)),
            Self::Claim(done, claim) => drop(done.send(outcome.map(|()| claim))),
            Self::Swap(done, applied) => drop(done.send(outcome.map(|()| applied))),
        }
    }
}
