//! What readers, writers and the committer share.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::RwLock;
use rookery_model::{ChannelId, GuildId, MessageId, UserId};
use tokio::sync::watch;

use super::db::Db;
use crate::tables::purges::Purge;
use crate::{StoreError, StoreHealth, StoreStats};

/// Whether the database can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    Open,
    /// Being opened anew after a write error; readers wait.
    Reopening,
    /// Could not be opened anew.
    Unreadable(String),
    Closed,
}

/// The state of a store.
pub struct Shared {
    /// The database; taken out only by the committer, to open it anew or to close it.
    pub db: RwLock<Option<Db>>,
    pub phase: watch::Sender<Phase>,
    pub health: RwLock<StoreHealth>,
    pub doomed: Doomed,
    pub counters: Counters,
}

impl Shared {
    /// A store around an open database.
    pub fn new(db: Db, pending: BTreeMap<Purge, MessageId>) -> Self {
        Self {
            db: RwLock::new(Some(db)),
            phase: watch::Sender::new(Phase::Open),
            health: RwLock::new(StoreHealth::writable()),
            doomed: Doomed::new(pending),
            counters: Counters::default(),
        }
    }

    /// Runs a read, or gives it back when the database is not there.
    pub fn try_read<T, F>(&self, read: F) -> Result<Result<T, StoreError>, F>
    where
        F: FnOnce(&Db) -> Result<T, StoreError>,
    {
        match &*self.db.read() {
            Some(db) => Ok(read(db)),
            None => Err(read),
        }
    }

    /// Waits until the database is there again.
    pub async fn readable(&self) -> Result<(), StoreError> {
        let mut phase = self.phase.subscribe();
        loop {
            match &*phase.borrow_and_update() {
                Phase::Open => return Ok(()),
                Phase::Closed => return Err(StoreError::Closed),
                Phase::Unreadable(reason) => return Err(StoreError::Unavailable(reason.clone())),
                Phase::Reopening => {}
            }
            if phase.changed().await.is_err() {
                return Err(StoreError::Closed);
            }
        }
    }
}

/// Channels and guilds that were deleted, and users who were erased, and whose contents are still being removed: nobody
/// sees those any more.
pub struct Doomed {
    any: AtomicBool,
    /// Whether a user is among them: then a page must look at the author of each message.
    any_user: AtomicBool,
    /// Each with the message id up to which it goes.
    pending: RwLock<BTreeMap<Purge, MessageId>>,
}

impl Doomed {
    fn new(pending: BTreeMap<Purge, MessageId>) -> Self {
        let doomed =
            Self { any: AtomicBool::new(false), any_user: AtomicBool::new(false), pending: RwLock::new(pending) };
        doomed.note(&doomed.pending.read());
        doomed
    }
    fn note(&self, pending: &BTreeMap<Purge, MessageId>) {
        let any_user = pending.keys().any(|purge| matches!(purge, Purge::User(_)));
        self.any_user.store(any_user, Ordering::Release);
        self.any.store(!pending.is_empty(), Ordering::Release);
        metrics::gauge!("rookery_store_purges_pending").set(pending.len() as f64);
    }
    /// Begins purges, up to a message id, or ends them.
    pub fn apply(&self, purges: impl Iterator<Item = (Purge, Option<MessageId>)>) {
        let mut pending = self.pending.write();
        for (purge, through) in purges {
            match through {
                Some(through) => pending.insert(purge, through),
                None => pending.remove(&purge),
            };
        }
        self.note(&pending);
    }
    /// Whether there is anything to remove.
    pub fn any(&self) -> bool {
        self.any.load(Ordering::Acquire)
    }
    /// Whether messages of some users are to be removed.
    pub fn any_user(&self) -> bool {
        self.any_user.load(Ordering::Acquire)
    }
    /// How much is to be removed: channels, guilds and users.
    pub fn len(&self) -> usize {
        if self.any() { self.pending.read().len() } else { 0 }
    }
    /// The first purge of those that may go on now.
    pub fn first(&self, may_go_on: impl Fn(Purge) -> bool) -> Option<Purge> {
        if !self.any() {
            return None;
        }
        self.pending.read().keys().copied().find(|purge| may_go_on(*purge))
    }
    fn through(&self, purge: Purge) -> Option<MessageId> {
        if self.any() { self.pending.read().get(&purge).copied() } else { None }
    }
    pub fn channel(&self, id: ChannelId) -> bool {
        self.through(Purge::Channel(id)).is_some()
    }
    pub fn guild(&self, id: GuildId) -> bool {
        self.through(Purge::Guild(id)).is_some()
    }
    /// Whether a message of a user is being erased.
    pub fn message_of(&self, author_id: UserId, id: MessageId) -> bool {
        self.any_user() && self.through(Purge::User(author_id)).is_some_and(|through| id <= through)
    }
}

/// Counters behind [`StoreStats`].
#[derive(Debug, Default)]
pub struct Counters {
    pub commits: AtomicU64,
    pub failures: AtomicU64,
    pub refused_busy: AtomicU64,
    pub groups: AtomicU64,
    pub fsyncs: AtomicU64,
    pub rows_written: AtomicU64,
    pub bytes_written: AtomicU64,
    pub largest_group: AtomicU64,
    pub queued: AtomicU64,
    pub reopens: AtomicU64,
    pub purged_rows: AtomicU64,
}

impl Counters {
    /// Adds to a counter.
    pub fn add(counter: &AtomicU64, amount: u64) {
        counter.fetch_add(amount, Ordering::Relaxed);
    }

    /// The figures now.
    pub fn snapshot(&self) -> StoreStats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        StoreStats {
            commits: get(&self.commits),
            failures: get(&self.failures),
            refused_busy: get(&self.refused_busy),
            groups: get(&self.groups),
            fsyncs: get(&self.fsyncs),
            rows_written: get(&self.rows_written),
            bytes_written: get(&self.bytes_written),
            largest_group: get(&self.largest_group),
            queued: get(&self.queued),
            reopens: get(&self.reopens),
            purged_rows: get(&self.purged_rows),
            purges_pending: 0,
            corrupt_rows: 0,
        }
    }
}
