//! What waits for one subscriber: bounded, and never in anybody's way.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::config::BusConfig;
use crate::events::{self, Dropped};

/// What a subscriber gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    Message(Bytes),
    /// Here so many messages are missing: the subscriber was too slow.
    Lost(u64),
    /// The connection was lost: about here an unknown number of messages is missing.
    Interrupted,
}

/// The messages of one subject, in the order in which they came; ends its subscription when it is dropped.
#[derive(Debug)]
pub struct Subscription {
    queue: Arc<Queue>,
    /// The task that fills the queue, where there is one.
    pump: Option<AbortHandle>,
}

/// The bounded queue behind a [`Subscription`].
#[derive(Debug)]
pub(crate) struct Queue {
    state: Mutex<State>,
    changed: Notify,
    messages_max: usize,
    bytes_max: usize,
}

#[derive(Debug, Default)]
struct State {
    /// Marks of loss stand between messages and are never next to one of their kind, so they are bounded with them.
    entries: VecDeque<Received>,
    messages: usize,
    bytes: usize,
    closed: bool,
}

impl Queue {
    pub(crate) fn new(config: &BusConfig) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            changed: Notify::new(),
            messages_max: config.subscription_queue_messages,
            bytes_max: config.subscription_queue_bytes,
        })
    }

    /// Puts a message in, or notes that it is lost.
    pub(crate) fn push(&self, payload: Bytes) {
        let size = payload.len();
        let fits = {
            let mut state = self.state.lock();
            if state.closed {
                return;
            }
            let fits = state.messages < self.messages_max && state.bytes + size <= self.bytes_max;
            if fits {
                state.messages += 1;
                state.bytes += size;
                state.entries.push_back(Received::Message(payload));
            } else if let Some(Received::Lost(count)) = state.entries.back_mut() {
                *count += 1;
            } else {
                state.entries.push_back(Received::Lost(1));
            }
            fits
        };
        self.changed.notify_one();
        if fits {
            events::received(size);
        } else {
            Dropped { reason: "slow_subscriber", count: 1 }.emit();
        }
    }

    /// Notes that messages may be missing.
    pub(crate) fn interrupt(&self) {
        let mut state = self.state.lock();
        if state.closed {
            return;
        }
        // It says what every mark beside it says; so marks cannot pile up.
        while matches!(state.entries.back(), Some(Received::Interrupted | Received::Lost(_))) {
            state.entries.pop_back();
        }
        state.entries.push_back(Received::Interrupted);
        drop(state);
        self.changed.notify_one();
    }

    /// Nothing more comes.
    pub(crate) fn close(&self) {
        self.state.lock().closed = true;
        self.changed.notify_one();
    }

    /// The next entry; `Err` when there is none and will be none.
    fn pop(&self) -> Result<Option<Received>, ()> {
        let mut state = self.state.lock();
        let Some(entry) = state.entries.pop_front() else {
            return if state.closed { Err(()) } else { Ok(None) };
        };
        if let Received::Message(payload) = &entry {
            state.messages -= 1;
            state.bytes -= payload.len();
        }
        Ok(Some(entry))
    }
}

impl Subscription {
    pub(crate) fn new(queue: Arc<Queue>, pump: Option<AbortHandle>) -> Self {
        Self { queue, pump }
    }

    /// Waits for the next message or mark of loss; `None` when the bus is closed and all was read.
    ///
    /// Nothing is lost when the future is dropped.
    pub async fn recv(&mut self) -> Option<Received> {
        loop {
            match self.queue.pop() {
                Ok(Some(received)) => return Some(received),
                Ok(None) => self.queue.changed.notified().await,
                Err(()) => return None,
            }
        }
    }

    /// What is there now.
    pub fn try_recv(&mut self) -> Option<Received> {
        self.queue.pop().ok().flatten()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut state = self.queue.state.lock();
        *state = State { closed: true, ..State::default() };
        drop(state);
        if let Some(pump) = &self.pump {
            pump.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subscription(messages: usize, bytes: usize) -> (Arc<Queue>, Subscription) {
        let config = BusConfig {
            subscription_queue_messages: messages,
            subscription_queue_bytes: bytes,
            ..BusConfig::default()
        };
        let queue = Queue::new(&config);
        (Arc::clone(&queue), Subscription::new(queue, None))
    }

    #[test]
    fn marks_of_loss_stand_where_messages_are_missing_and_do_not_pile_up() {
        let (queue, mut subscription) = subscription(2, 100);
        for size in [1, 2, 3, 4] {
            queue.push(Bytes::from(vec![0; size]));
        }
        assert_eq!(subscription.try_recv(), Some(Received::Message(Bytes::from_static(&[0]))));
        queue.push(Bytes::from_static(b"after"));
        for _ in 0..10 {
            queue.interrupt();
            queue.push(Bytes::from_static(b"no room"));
        }
        assert_eq!(subscription.try_recv(), Some(Received::Message(Bytes::from_static(&[0, 0]))));
        assert_eq!(subscription.try_recv(), Some(Received::Lost(2)));
        assert_eq!(subscription.try_recv(), Some(Received::Message(Bytes::from_static(b"after"))));
        let mut marks = 0;
        while subscription.try_recv().is_some() {
            marks += 1;
        }
        assert!((1..=2).contains(&marks), "{marks}");
    }

    #[test]
    fn bytes_are_bounded_too() {
        let (queue, mut subscription) = subscription(100, 10);
        queue.push(Bytes::from_static(&[0; 10]));
        queue.push(Bytes::from_static(&[0; 1]));
        assert!(matches!(subscription.try_recv(), Some(Received::Message(_))));
        assert_eq!(subscription.try_recv(), Some(Received::Lost(1)));
        queue.push(Bytes::from_static(&[0; 10]));
        assert!(matches!(subscription.try_recv(), Some(Received::Message(_))));
    }

    #[tokio::test]
    async fn what_came_before_the_end_is_read() {
        let (queue, mut subscription) = subscription(10, 100);
        queue.push(Bytes::from_static(b"last"));
        queue.close();
        queue.push(Bytes::from_static(b"too late"));
        assert_eq!(subscription.recv().await, Some(Received::Message(Bytes::from_static(b"last"))));
        assert_eq!(subscription.recv().await, None);
    }
}
