//! The workers: each drives the sessions that were assigned to it, in one task.
//!
//! Owners hand one entry to a worker for an event and all of its sessions there. The worker gives it to the sessions'
//! cores, and then writes to each socket once whatever waits for it by then. Everything for a session comes through its
//! worker's one queue, in order. An idle session has no task, no timer and no queue of its own.

mod leaving;
mod outbox;
mod pending;
mod place;
mod slots;
mod task;
mod timers;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Waker;

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use rookery_model::gateway::SubscriberId;
use rookery_session::{Freezer, FrozenPayloads, Payload};
use tokio::sync::{mpsc, oneshot};

use super::input::Input;
use super::kept::KeptSession;
use super::registry::SessionHandle;
use super::session_task::SessionTask;
use crate::placement::{ShardEpochs, ShardSet};
pub use leaving::Leaving;
pub use outbox::Outbox;
use place::{FIRST_REMOTE, Place, WORKER_IDS};
pub use place::{WORKERS_MAX, remote_of, worker_of};
use slots::Slots;
pub use task::WorkerTask;

/// Something for a worker to do.
pub enum Entry {
    /// A session begins.
    Start(Box<SessionTask>),
    /// An event for those of the audience that are this worker's.
    FanOut { payload: Arc<Payload>, audience: Arc<[SubscriberId]> },
    /// Something for one session.
    To(SubscriberId, Input),
    /// The owners of these shards are out of reach: what they said last may be missing.
    CutOff(Arc<ShardSet>),
    /// The owners of these shards ended, and have told everything.
    Ended(Arc<ShardEpochs>),
    /// The owners of these shards begin. They go on with what is handed to them until all that is held is let go.
    Began(Arc<ShardEpochs>, Held),
    /// The process ends: every session is to be written down, and is over here.
    Keep { freezer: Arc<Mutex<Freezer>>, kept: oneshot::Sender<Vec<KeptSession>> },
}

/// Somebody waits until it is let go.
#[derive(Clone)]
pub struct Held(#[expect(dead_code, reason = "it is only held")] mpsc::Sender<()>);

/// A worker as the rest of the region holds it.
pub struct Worker {
    index: u8,
    pub(super) inbox: mpsc::Sender<Entry>,
    /// Sessions whose socket or signals want a look; each is in here once at most.
    ready: Mutex<Vec<Arc<SessionHandle>>>,
    waker: AtomicWaker,
    slots: Mutex<Slots>,
    /// Slots that are taken.
    sessions: AtomicUsize,
}

impl Worker {
    fn new(index: u8, inbox_capacity: usize) -> (Arc<Self>, WorkerInbox) {
        let (inbox, receiver) = mpsc::channel(inbox_capacity);
        let worker = Self {
            index,
            inbox,
            ready: Mutex::default(),
            waker: AtomicWaker::new(),
            slots: Mutex::default(),
            sessions: AtomicUsize::new(0),
        };
        (Arc::new(worker), receiver)
    }

    /// Its number, as the ids of its sessions have it.
    pub const fn index(&self) -> u8 {
        self.index
    }

    /// Whoever is to be woken when a session wants a look.
    pub fn register_waker(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    /// Asks the worker to look at a session; there is always room for that.
    pub(super) fn wake(&self, session: Arc<SessionHandle>) {
        self.ready.lock().push(session);
        self.waker.wake();
    }

    /// The sessions to look at.
    pub fn take_ready(&self) -> Vec<Arc<SessionHandle>> {
        std::mem::take(&mut *self.ready.lock())
    }

    pub(super) fn take_slot(&self) -> Option<SubscriberId> {
        let place = self.slots.lock().take(self.index)?;
        self.sessions.fetch_add(1, Ordering::Relaxed);
        Some(place.into())
    }

    /// Gives the slot of a session back that is no more.
    pub(super) fn release(&self, id: SubscriberId) {
        self.slots.lock().release(Place::from(id));
        self.sessions.fetch_sub(1, Ordering::AcqRel);
        // One that ends waits for the last of them.
        self.waker.wake();
    }
}

/// All workers of a region.
pub struct Workers {
    workers: Box<[Arc<Worker>]>,
    /// Those in whose slots sessions of other regions are: tasks that send on what they get.
    remote: Vec<Arc<Worker>>,
}

/// Where the session of an id lives.
pub fn place_of(id: SubscriberId) -> Place {
    Place::from(id)
}

/// The receiving end of a worker's queue.
pub type WorkerInbox = mpsc::Receiver<Entry>;

impl Workers {
    /// So many workers, each with a queue of this size; [`WorkerTask`] makes them run.
    pub fn new(count: usize, inbox_capacity: usize) -> (Self, Vec<WorkerInbox>) {
        let made = (0..FIRST_REMOTE).take(count.max(1)).map(|index| Worker::new(index, inbox_capacity));
        let (workers, inboxes): (Vec<_>, Vec<_>) = made.unzip();
        (Self { workers: workers.into(), remote: Vec::new() }, inboxes)
    }

    /// Adds a worker for the sessions of another region, which no session here is assigned to.
    pub fn add_remote(&mut self, inbox_capacity: usize) -> (Arc<Worker>, WorkerInbox) {
        let index = FIRST_REMOTE.saturating_add(u8::try_from(self.remote.len()).unwrap_or(u8::MAX));
        let (worker, inbox) = Worker::new(index, inbox_capacity);
        self.remote.push(Arc::clone(&worker));
        (worker, inbox)
    }

    /// Takes all sessions out, written down behind everything that was handed over before.
    pub async fn keep(&self) -> (FrozenPayloads, Vec<KeptSession>) {
        let freezer = Arc::new(Mutex::new(Freezer::new()));
        let mut sessions = Vec::new();
        for worker in &self.workers {
            let (kept, receiver) = oneshot::channel();
            let entry = Entry::Keep { freezer: Arc::clone(&freezer), kept };
            // A worker that ended has no sessions.
            if worker.inbox.send(entry).await.is_ok()
                && let Ok(kept) = receiver.await
            {
                sessions.extend(kept);
            }
        }
        let payloads = std::mem::take(&mut *freezer.lock()).finish();
        (payloads, sessions)
    }

    /// Tells all sessions of this node that owners are out of reach, behind everything that those said.
    pub async fn cut_off(&self, shards: &Arc<ShardSet>) {
        for worker in &self.workers {
            // A worker that ended has no sessions.
            let _ = worker.inbox.send(Entry::CutOff(Arc::clone(shards))).await;
        }
    }

    /// Likewise that owners ended, of which others may go on; sessions of other nodes too where the owners were here.
    pub async fn ended(&self, shards: &Arc<ShardEpochs>, is_here: bool) {
        for worker in self.workers.iter().chain(self.remote.iter().filter(|_| is_here)) {
            let _ = worker.inbox.send(Entry::Ended(Arc::clone(shards))).await;
        }
    }

    /// Likewise that owners begin; returns when all have handed over what those are to go on with.
    pub async fn began(&self, shards: &Arc<ShardEpochs>, is_here: bool) {
        let (held, mut all) = mpsc::channel(1);
        for worker in self.workers.iter().chain(self.remote.iter().filter(|_| is_here)) {
            let _ = worker.inbox.send(Entry::Began(Arc::clone(shards), Held(held.clone()))).await;
        }
        drop(held);
        while all.recv().await.is_some() {}
    }

    /// Tells the tasks of other nodes that what was owned here is lost.
    pub async fn lost(&self, shards: &Arc<ShardSet>) {
        for worker in &self.remote {
            let _ = worker.inbox.send(Entry::CutOff(Arc::clone(shards))).await;
        }
    }

    /// All that drive sessions of this region.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Worker>> {
        self.workers.iter()
    }

    /// A place for a new session, with the worker that has the fewest; none if there is none.
    pub(super) fn assign(&self) -> Option<(Arc<Worker>, SubscriberId)> {
        let worker = self.workers.iter().min_by_key(|worker| worker.sessions.load(Ordering::Relaxed))?;
        Some((Arc::clone(worker), worker.take_slot()?))
    }

    /// The worker of this number; ids that the guild's core gives back name no others.
    fn get(&self, index: u8) -> &Worker {
        let worker = match index.checked_sub(FIRST_REMOTE) {
            Some(remote) => self.remote.get(usize::from(remote)),
            None => self.workers.get(usize::from(index)),
        };
        worker.unwrap_or(&self.workers[0])
    }

    /// The workers that have some of an audience.
    fn of(&self, audience: &[SubscriberId]) -> impl Iterator<Item = u8> + use<> {
        let (mut of, mut missing) = ([0_u64; WORKER_IDS / 64], self.workers.len() + self.remote.len());
        for id in audience {
            let worker = worker_of(*id);
            let (word, bit) = (&mut of[usize::from(worker / 64)], 1 << (worker % 64));
            if *word & bit == 0 {
                *word |= bit;
                missing -= 1;
                // Mostly after a few: nobody looks at a large audience as a whole.
                if missing == 0 {
                    break;
                }
            }
        }
        (0..=u8::MAX).filter(move |worker| of[usize::from(worker / 64)] & 1 << (worker % 64) != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_audience_goes_to_the_workers_that_have_some_of_it() {
        let (workers, _inboxes) = Workers::new(100, 1);
        let id = |worker| SubscriberId::from(Place { worker, slot: 7, generation: 1 });
        assert_eq!(workers.of(&[id(3), id(3), id(64), id(99)]).collect::<Vec<_>>(), [3, 64, 99]);
        assert_eq!(workers.of(&[]).count(), 0);
        let (two, _inboxes) = Workers::new(2, 1);
        assert_eq!(two.of(&[id(1), id(0), id(1)]).collect::<Vec<_>>(), [0, 1]);
    }

    #[test]
    fn sessions_go_where_the_fewest_are() {
        let (workers, _inboxes) = Workers::new(2, 1);
        let assigned: Vec<_> = (0..4).map(|_| workers.assign().unwrap()).collect();
        assert_eq!(assigned.iter().map(|(_, id)| worker_of(*id)).collect::<Vec<_>>(), [0, 1, 0, 1]);
        assigned[2].0.release(assigned[2].1);
        assert_eq!(worker_of(workers.assign().unwrap().1), 0);
    }
}
