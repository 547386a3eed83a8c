//! How many requests the API works on at once, and how many may wait for their turn.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::handler::HandleError;

/// Places for requests, with a bounded queue in front.
pub(crate) struct Admission {
    places: Semaphore,
    queued: AtomicU32,
    max_queued: u32,
    queue_timeout: Duration,
}

/// One more in the queue, until dropped.
struct Queued<'a>(&'a AtomicU32);

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Admission {
    pub fn new(places: u32, max_queued: u32, queue_timeout: Duration) -> Self {
        Self { places: Semaphore::new(places as usize), queued: AtomicU32::new(0), max_queued, queue_timeout }
    }

    /// Takes a place, waiting for one if the queue is not full. The place is free again when the permit is dropped.
    pub async fn enter(&self) -> Result<SemaphorePermit<'_>, HandleError> {
        if let Ok(place) = self.places.try_acquire() {
            return Ok(place);
        }
        let waiting = self.queued.fetch_add(1, Ordering::AcqRel);
        let _queued = Queued(&self.queued);
        if waiting >= self.max_queued {
            return Err(HandleError::Overloaded);
        }
        match tokio::time::timeout(self.queue_timeout, self.places.acquire()).await {
            Ok(Ok(place)) => Ok(place),
            // The semaphore is never closed, so what remains is that the wait was too long.
            Ok(Err(_)) | Err(_) => Err(HandleError::Overloaded),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[tokio::test]
    async fn beyond_places_and_queue_is_refused_at_once_and_the_queue_moves_up() {
        let admission = Admission::new(1, 1, Duration::from_secs(5));
        let first = admission.enter().await.unwrap();
        let mut second = std::pin::pin!(admission.enter());
        assert!(second.as_mut().now_or_never().is_none());
        assert_eq!(admission.enter().await.unwrap_err(), HandleError::Overloaded);
        drop(first);
        drop(second.await.unwrap());
        assert_eq!(admission.queued.load(Ordering::Acquire), 0);
    }

    #[tokio::test]
    async fn waiting_ends_with_a_refusal() {
        let admission = Admission::new(1, 1, Duration::from_millis(20));
        let _first = admission.enter().await.unwrap();
        assert_eq!(admission.enter().await.unwrap_err(), HandleError::Overloaded);
    }
}
