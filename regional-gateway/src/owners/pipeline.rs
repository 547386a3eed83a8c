//! Outcomes that wait to become durable, in the order in which they were decided.
//!
//! Nothing that an outcome causes leaves before its rows and those of every earlier outcome are durable: what is seen is
//! stored, and in the same order.

use std::collections::VecDeque;
use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use rookery_core_db::{Commit, StoreError};

/// A queue of commits, each with what follows it.
pub struct Pipeline<T> {
    waiting: VecDeque<Entry<T>>,
    capacity: usize,
}

struct Entry<T> {
    /// None: nothing to write, only the order to keep.
    commit: Option<Commit>,
    submitted: Instant,
    then: T,
}

impl<T> Pipeline<T> {
    /// A queue that is full with this many entries.
    pub const fn new(capacity: usize) -> Self {
        Self { waiting: VecDeque::new(), capacity }
    }

    /// Whether the owner should decide nothing more until something is durable.
    pub fn is_full(&self) -> bool {
        self.waiting.len() >= self.capacity
    }

    /// Whether everything decided is durable and delivered.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Adds an outcome behind all earlier ones.
    pub fn push(&mut self, commit: Option<Commit>, then: T) {
        self.waiting.push_back(Entry { commit, submitted: Instant::now(), then });
    }

    /// The oldest outcome once its commit is resolved; pending while there is none.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<(Result<(), StoreError>, T)> {
        let Some(first) = self.waiting.front_mut() else { return Poll::Pending };
        let result = match &mut first.commit {
            None => Ok(()),
            Some(commit) => match Pin::new(commit).poll(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(result) => {
                    metrics::histogram!("rookery_owner_commit_seconds").record(first.submitted.elapsed());
                    result
                }
            },
        };
        match self.waiting.pop_front() {
            Some(entry) => Poll::Ready((result, entry.then)),
            None => Poll::Pending,
        }
    }

    /// [`Self::poll_next`] as a future; losing it in a `select!` loses nothing.
    pub async fn next(&mut self) -> (Result<(), StoreError>, T) {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn outcomes_leave_in_order_whatever_the_order_of_commits() {
        let mut pipeline = Pipeline::new(3);
        let (first, commit) = oneshot::channel();
        pipeline.push(Some(Commit::new(commit)), 1);
        pipeline.push(None, 2);
        let (third, commit) = oneshot::channel();
        pipeline.push(Some(Commit::new(commit)), 3);
        assert!(pipeline.is_full());
        third.send(Ok(())).unwrap();
        let early = std::future::poll_fn(|cx| Poll::Ready(pipeline.poll_next(cx).is_ready())).await;
        assert!(!early, "the second and third wait for the first");
        first.send(Ok(())).unwrap();
        for wanted in 1..=3 {
            assert_eq!(pipeline.next().await, (Ok(()), wanted));
        }
        assert!(pipeline.is_empty());
    }

    #[tokio::test]
    async fn a_failed_commit_is_told_with_what_followed_it() {
        let mut pipeline = Pipeline::new(2);
        let (first, commit) = oneshot::channel();
        pipeline.push(Some(Commit::new(commit)), "first");
        first.send(Err(StoreError::Busy)).unwrap();
        assert_eq!(pipeline.next().await, (Err(StoreError::Busy), "first"));
    }
}
