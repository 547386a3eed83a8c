//! What an owner has for sessions and their workers have no room for yet.

use std::collections::VecDeque;
use std::sync::Arc;

use rookery_model::gateway::SubscriberId;
use rookery_session::Payload;
use tokio::sync::mpsc::error::TrySendError;

use super::place::worker_of;
use super::{Entry, Workers};
use crate::gateway::input::Input;

/// The way from one owner to all sessions. Everything arrives in the order in which it was handed over, and nothing is
/// lost: when a worker has no room, what is for it waits here, and its owner takes no more work until it is gone.
pub struct Outbox {
    workers: Arc<Workers>,
    /// Bounded by what its owner still does while something waits: settle nothing, take nothing.
    waiting: VecDeque<(u8, Entry)>,
}

impl Outbox {
    /// An empty one.
    pub const fn new(workers: Arc<Workers>) -> Self {
        Self { workers, waiting: VecDeque::new() }
    }

    /// Hands an event to many sessions: one entry for each worker that has some of them.
    pub fn fan_out(&mut self, payload: &Arc<Payload>, audience: &Arc<[SubscriberId]>) {
        for worker in self.workers.of(audience) {
            let entry = Entry::FanOut { payload: Arc::clone(payload), audience: Arc::clone(audience) };
            self.push(worker, entry);
        }
    }

    /// Hands something to one session; nothing happens if it is gone.
    pub fn send(&mut self, to: SubscriberId, input: Input) {
        self.push(worker_of(to), Entry::To(to, input));
    }

    /// Whether everything is on its way.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Waits until everything is on its way; losing the future in a `select!` loses nothing.
    pub async fn flush(&mut self) {
        while let Some((worker, _)) = self.waiting.front() {
            // A worker that ended has no sessions.
            let place = self.workers.get(*worker).inbox.reserve().await;
            let Some((_, entry)) = self.waiting.pop_front() else { return };
            if let Ok(place) = place {
                place.send(entry);
            }
        }
        self.waiting = VecDeque::new();
    }

    fn push(&mut self, worker: u8, entry: Entry) {
        if !self.waiting.is_empty() {
            return self.waiting.push_back((worker, entry));
        }
        if let Err(TrySendError::Full(entry)) = self.workers.get(worker).inbox.try_send(entry) {
            metrics::counter!("rookery_worker_inbox_full_total").increment(1);
            self.waiting.push_back((worker, entry));
        }
    }
}
