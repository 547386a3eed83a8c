//! What readers, writers and the committer share.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;
use tokio::sync::watch;

use super::db::Db;
use crate::doomed::{Doomed, Pending};
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
    /// How often background work took messages away that readers saw until then.
    pub removals: AtomicU64,
    pub counters: Counters,
    /// What tells this store from others.
    pub identity: String,
}

impl Shared {
    /// A store around an open database.
    pub fn new(db: Db, pending: Pending, identity: String) -> Self {
        Self {
            db: RwLock::new(Some(db)),
            phase: watch::Sender::new(Phase::Open),
            health: RwLock::new(StoreHealth::writable()),
            doomed: Doomed::new(pending),
            removals: AtomicU64::new(0),
            counters: Counters::default(),
            identity,
        }
    }

    /// Runs a read, or gives it back when the database is not there; damage that it meets is noted here.
    pub fn try_read<T, F>(&self, read: F) -> Result<Result<T, StoreError>, F>
    where
        F: FnOnce(&Db) -> Result<T, StoreError>,
    {
        match &*self.db.read() {
            Some(db) => Ok(read(db).inspect_err(|error| db.damage().note(error))),
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
            ..StoreStats::default()
        }
    }
}
