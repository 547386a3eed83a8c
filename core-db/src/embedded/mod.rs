//! The embedded engine: fjall in this process, one committer thread, group commit.
//!
//! Writes are lowered to rows on the caller's thread, wait in one bounded queue, and are made durable by the committer:
//! all that waits becomes one atomic batch of the engine with one `fdatasync`. Rows become visible to readers only after
//! that, batch by batch; a reader may see some rows of a batch a moment before the others.
//!
//! Reads of single rows and of pages run on the caller's task: they take microseconds out of memory, and out of the
//! file system's cache not much more than a hand-over to another thread would. Reads of unbounded length (a guild's
//! channels, pages of members) go to the blocking pool.

mod background;
mod committer;
pub(crate) mod damage;
pub(crate) mod db;
mod dump;
mod group;
mod journal;
mod message_page;
mod message_retention;
mod open;
mod operation_retention;
mod purge;
mod queue;
mod reads;
mod refusal;
mod repair;
mod shared;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use parking_lot::{Mutex, RwLock};
use tokio::sync::oneshot;
use tracing::info;

use self::committer::Committer;
use self::db::Db;
use self::open::Folder;
use self::queue::Job;
use self::shared::{Counters, Shared};
use crate::doomed::Pending;
use crate::tables::purges;
use crate::{EmbeddedConfig, OpenError, StoreError};

/// The embedded engine.
pub(crate) struct EmbeddedEngine {
    shared: Arc<Shared>,
    queue: RwLock<Option<SyncSender<Job>>>,
    committer: Mutex<Option<JoinHandle<()>>>,
}

impl EmbeddedEngine {
    /// Opens a store, making or repairing it first.
    pub fn open(config: EmbeddedConfig) -> Result<Self, OpenError> {
        let folder = Folder::lock(&config)?;
        let db = folder.open()?;
        let identity = format!("embedded:{}", folder.store_id()?);
        let pending = pending(&db, &config)?;
        info!(path = %config.path.display(), purges = pending.len(), "opened the store");
        let shared = Arc::new(Shared::new(db, pending, identity));
        let (sender, receiver) = sync_channel(config.queue_batches.max(1));
        let path = config.path.clone();
        let committer = Committer::new(shared.clone(), receiver, folder, config);
        let thread = std::thread::Builder::new().name("store-committer".into()).spawn(|| committer.run());
        let thread = thread.map_err(repair::io_error("cannot start the committer", &path))?;
        metrics::gauge!("rookery_store_writable").set(1.0);
        Ok(Self { shared, queue: RwLock::new(Some(sender)), committer: Mutex::new(Some(thread)) })
    }

    fn send(&self, job: Job) -> Result<(), StoreError> {
        let queue = self.queue.read();
        let Some(queue) = &*queue else { return Err(StoreError::Closed) };
        let counters = &self.shared.counters;
        Counters::add(&counters.queued, 1);
        queue.try_send(job).map_err(|error| {
            counters.queued.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
            match error {
                TrySendError::Full(_) => {
                    Counters::add(&counters.refused_busy, 1);
                    metrics::counter!("rookery_store_refused_busy_total").increment(1);
                    StoreError::Busy
                }
                TrySendError::Disconnected(_) => StoreError::Closed,
            }
        })
    }

    /// Runs a read on the caller's task.
    async fn read<T, F>(&self, mut read: F) -> Result<T, StoreError>
    where
        F: FnOnce(&Db) -> Result<T, StoreError>,
    {
        loop {
            match self.shared.try_read(read) {
                Ok(answer) => return answer,
                Err(again) => read = again,
            }
            self.shared.readable().await?;
        }
    }

    /// Runs a read that may be long on the blocking pool.
    async fn scan<T, F>(&self, mut read: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Db) -> Result<T, StoreError> + Send + 'static,
    {
        // Outside a runtime there is no pool, and nobody to hold up.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return self.read(read).await };
        loop {
            let shared = self.shared.clone();
            let tried = runtime.spawn_blocking(move || shared.try_read(read)).await;
            match tried.map_err(|error| StoreError::Unavailable(error.to_string()))? {
                Ok(answer) => return answer,
                Err(again) => read = again,
            }
            self.shared.readable().await?;
        }
    }

    async fn answer<T>(receiver: oneshot::Receiver<Result<T, StoreError>>) -> Result<T, StoreError> {
        receiver.await.unwrap_or_else(|_| Err(StoreError::Unknown("the store stopped".into())))
    }
}

/// What was being removed when the store was closed.
///
/// A store is not served that cannot say what must stay hidden; who copies what is left of it takes that into account.
fn pending(db: &Db, config: &EmbeddedConfig) -> Result<Pending, OpenError> {
    let mut damaged = Vec::new();
    let pending = purges::all(db, &mut damaged).or_else(|error| {
        damaged.push(error);
        Ok(Vec::new())
    })?;
    match damaged.into_iter().next() {
        Some(error) if !config.salvage => {
            Err(OpenError::Removals { path: config.path.clone(), reason: error.to_string() })
        }
        _ => Ok(pending.into_iter().collect()),
    }
}

impl Drop for EmbeddedEngine {
    fn drop(&mut self) {
        // What was submitted is still made durable, and the folder is free when this returns.
        self.queue.write().take();
        if let Some(committer) = self.committer.lock().take()
            && committer.join().is_err()
        {
            tracing::error!("the store's committer panicked");
        }
    }
}
