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
mod damage;
pub(crate) mod db;
mod dump;
mod group;
mod journal;
mod message_retention;
mod open;
mod pages;
mod purge;
mod reads;
mod refusal;
mod repair;
mod retention;
mod shared;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use parking_lot::{Mutex, RwLock};
use tokio::sync::oneshot;
use tracing::info;

use self::committer::{Committer, Job};
use self::db::Db;
use self::open::Folder;
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
        let pending = purges::all(&db);
        let pending: Pending = pending
            .map_err(|error| OpenError::Engine { path: config.path.clone(), reason: error.to_string() })?
            .into_iter()
            .collect();
        info!(path = %config.path.display(), purges = pending.len(), "opened the store");
        let shared = Arc::new(Shared::new(db, pending));
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
