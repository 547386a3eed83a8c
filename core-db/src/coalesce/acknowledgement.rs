//! Commits that end the epochs of what they change.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::epochs::{Epochs, Stripes};
use crate::{Commit, StoreError};

/// The end of an epoch, at the latest when this is dropped.
pub struct EpochEnd {
    epochs: Arc<Epochs>,
    stripes: Stripes,
}

impl EpochEnd {
    pub fn new(epochs: Arc<Epochs>, stripes: Stripes) -> Self {
        Self { epochs, stripes }
    }
}

impl Drop for EpochEnd {
    fn drop(&mut self) {
        self.epochs.raise(&self.stripes);
    }
}

/// A commit that begins a new epoch before its caller learns the outcome, whatever that is.
pub struct Acknowledgement {
    waiting: Option<(Commit, EpochEnd)>,
}

impl Acknowledgement {
    pub fn new(commit: Commit, end: EpochEnd) -> Self {
        Self { waiting: Some((commit, end)) }
    }
}

impl Future for Acknowledgement {
    type Output = Result<(), StoreError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some((commit, _)) = &mut self.waiting else { return Poll::Pending };
        let outcome = std::task::ready!(Pin::new(commit).poll(cx));
        // Before the outcome is out.
        self.waiting = None;
        Poll::Ready(outcome)
    }
}

impl Drop for Acknowledgement {
    fn drop(&mut self) {
        // Nobody waits for the outcome, yet the batch is written: what was read in the meantime must not be served for
        // longer. Outside a runtime the pages' age is what ends it.
        if let (Some((commit, end)), Ok(runtime)) = (self.waiting.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(async move {
                let _outcome = commit.await;
                drop(end);
            });
        }
    }
}
