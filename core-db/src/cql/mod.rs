//! The CQL engine: ScyllaDB or Cassandra, over one data centre or many.
//!
//! Writes are lowered to statements on the caller's thread, each with the timestamp of its place in the order of calls,
//! and executed by a task a batch: batches do not wait for each other, for the highest timestamp wins whichever arrives
//! last. Only what reads stored rows first (deletions of channels, claims) waits for those before it (`lanes`). A batch
//! is acknowledged when every statement of it was, by as many replicas as the durability mode asks for.

mod batches;
mod breaker;
mod buckets;
mod calls;
mod cas;
mod clock;
mod connect;
mod counters;
mod damage;
mod dump;
mod failure;
pub(crate) mod floor;
mod lanes;
mod lease;
mod lookups;
mod lower;
mod outbox;
mod pages;
mod policies;
mod purge;
mod reads;
mod schema;
mod shared;
mod statement;
mod tables;
#[cfg(test)]
mod tests;
mod value;
mod widely;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rookery_model::store::Write;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::info;

use self::counters::Counters;
use self::policies::Purpose;
use self::shared::Shared;
use crate::config::CqlConfig;
use crate::engine::Commit;
use crate::{OpenError, StoreError};

pub(crate) use self::connect::when_reachable;
pub use self::schema::Migrated;
pub(crate) use self::schema::migrate;

/// How often a cluster that did not answer is tried, so that health comes back without a caller.
const PROBE_INTERVAL: Duration = Duration::from_millis(250);

/// The CQL engine.
pub(crate) struct CqlEngine {
    shared: Arc<Shared>,
    /// The tasks of batches and claims.
    tasks: TaskTracker,
    runtime: tokio::runtime::Handle,
    stop: CancellationToken,
    background: TaskTracker,
}

impl CqlEngine {
    /// Opens a store whose schema is there already.
    pub async fn open(config: CqlConfig) -> Result<Self, OpenError> {
        let shared = Arc::new(connect::open(config).await?);
        let engine = Self {
            shared: shared.clone(),
            tasks: TaskTracker::new(),
            runtime: tokio::runtime::Handle::current(),
            stop: CancellationToken::new(),
            background: TaskTracker::new(),
        };
        engine.background.spawn(purge::run(shared.clone(), engine.stop.clone()));
        if engine.shared.config.message_retention {
            engine.background.spawn(until(engine.stop.clone(), purge::retention::run(shared.clone())));
        }
        for circuit in [Purpose::Write, Purpose::CompareAndSet] {
            engine.background.spawn(until(engine.stop.clone(), probe(shared.clone(), circuit)));
        }
        let stop = engine.stop.clone();
        engine.background.spawn(async move { lease::keep(&shared, &stop).await });
        metrics::gauge!("rookery_store_writable").set(1.0);
        metrics::gauge!("rookery_store_breaker_state").set(0.0);
        metrics::gauge!("rookery_store_serial_breaker_state").set(0.0);
        info!(config = ?engine.shared.config, "opened the store");
        Ok(engine)
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    fn submit_batch(&self, batch: Vec<Write>) -> Result<Commit, StoreError> {
        self.shared.check_writable()?;
        let place = Place::take(&self.shared)?;
        let mut plan = Box::new(lower::lower(&self.shared, batch)?);
        let (is_empty, waits, passes) = (plan.is_empty(), plan.waits(), std::mem::take(&mut plan.passes));
        let (ticket, before) = match is_empty {
            // Nothing to write: it is through when everything before it is.
            true => {
                let before = self.shared.lanes.all();
                (self.shared.lanes.enter(lanes::Passes::new()), before)
            }
            false if waits => self.shared.lanes.enter_behind(passes),
            false => (self.shared.lanes.enter(passes), Vec::new()),
        };
        let (done, commit) = oneshot::channel();
        let deadline = self.shared.calls.write_deadline();
        let shared = self.shared.clone();
        let task = async move {
            let _place = place;
            let outcome = batches::execute(&shared, plan, ticket, before, deadline).await;
            // Nobody may be listening any more; the write stands.
            drop(done.send(outcome));
        };
        // Boxed at once: it is large, and would be copied by each layer that it passes.
        self.tasks.spawn_on(Box::pin(task), &self.runtime);
        Ok(Commit::new(commit))
    }

    /// Reads agree with a majority of all replicas for a while.
    fn widen_reads(&self) {
        if let Some(end) = widely::begin(&self.shared) {
            self.background.spawn_on(until(self.stop.clone(), end), &self.runtime);
        }
    }

    /// Runs something to its end even if nobody waits for it any more.
    async fn finish<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        let counters = self.shared.calls.counters.clone();
        let task = self.tasks.spawn_on(work, &self.runtime);
        let outcome = task.await.unwrap_or_else(|error| Err(StoreError::Unknown(error.to_string())));
        match &outcome {
            Ok(_) => Counters::add(&counters.commits, 1),
            Err(error) => {
                Counters::add(&counters.failures, 1);
                if matches!(error, StoreError::Unknown(_)) {
                    counters.unknown();
                }
            }
        }
        outcome
    }

    /// Takes nothing more, ends what is under way, and lets go of the cluster.
    async fn shut_down(&self) {
        let was_closed = self.shared.closed.swap(true, Ordering::AcqRel);
        self.tasks.close();
        self.tasks.wait().await;
        self.stop.cancel();
        self.background.close();
        self.background.wait().await;
        if !was_closed {
            if let Err(error) = lease::give_back(&self.shared).await {
                tracing::warn!(%error, "cannot give the lease of the node id back; the next holder waits until it ends");
            }
            metrics::gauge!("rookery_store_writable").set(0.0);
        }
    }
}

impl Drop for CqlEngine {
    fn drop(&mut self) {
        // What was submitted goes on in its tasks; the background has nobody left to work for.
        self.shared.closed.store(true, Ordering::Release);
        self.stop.cancel();
    }
}

/// A place in the queue.
struct Place(Arc<Shared>);

impl Place {
    fn take(shared: &Arc<Shared>) -> Result<Self, StoreError> {
        let counters = &shared.calls.counters;
        let max = shared.config.queue_batches as u64;
        if counters.queued.fetch_add(1, Ordering::AcqRel) >= max {
            counters.queued.fetch_sub(1, Ordering::AcqRel);
            Counters::add(&counters.refused_busy, 1);
            metrics::counter!("rookery_store_refused_busy_total").increment(1);
            return Err(StoreError::Busy);
        }
        Ok(Self(shared.clone()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.calls.counters.queued.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Runs until stopped.
async fn until(stop: CancellationToken, work: impl Future<Output = ()>) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = work => {}
    }
}

/// Asks a cluster that does not answer such calls whether it is back.
async fn probe(shared: Arc<Shared>, circuit: Purpose) {
    loop {
        tokio::time::sleep(PROBE_INTERVAL).await;
        if !shared.calls.is_closed(circuit) {
            cas::probe(&shared, circuit).await;
        }
    }
}
