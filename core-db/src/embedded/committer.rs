//! The one thread that writes: takes whatever waits, makes it durable with one fsync, and answers everybody.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use tracing::{error, info, warn};

use super::background::{Background, Step};
use super::db::Db;
use super::group::{Group, KnownBuckets, Layers};
use super::open::Folder;
use super::queue::{Job, Waiter};
use super::shared::{Counters, Phase, Shared};
use crate::lower::{self, look_up};
use crate::tables::{Table, leases, unique_keys};
use crate::{EmbeddedConfig, StoreError, StoreHealth};

/// How often the committer looks after things when nothing is written; also the pause between attempts to recover.
const TICK: Duration = Duration::from_secs(1);
/// Under load, how often a step of background work joins a group.
const BACKGROUND_INTERVAL: Duration = Duration::from_millis(250);

/// The committer's state.
pub struct Committer {
    shared: Arc<Shared>,
    queue: Receiver<Job>,
    folder: Folder,
    config: EmbeddedConfig,
    known_buckets: KnownBuckets,
    background: Background,
    last_background: Instant,
    /// When the next attempt to recover is due; none while writes are taken.
    broken_until: Option<Instant>,
}

impl Committer {
    pub fn new(shared: Arc<Shared>, queue: Receiver<Job>, folder: Folder, config: EmbeddedConfig) -> Self {
        Self {
            shared,
            queue,
            folder,
            background: Background::new(&config),
            config,
            known_buckets: KnownBuckets::default(),
            last_background: Instant::now(),
            broken_until: None,
        }
    }

    /// Runs until every sender of the queue is gone and all that was sent is answered.
    pub fn run(mut self) {
        let _closed = Closing(self.shared.clone());
        loop {
            let has_work = self.broken_until.is_none() && self.background.is_due(&self.shared.doomed);
            match self.queue.recv_timeout(if has_work { Duration::ZERO } else { TICK }) {
                Ok(job) if self.broken_until.is_none() => self.group(Some(job)),
                Ok(job) => {
                    self.received();
                    job.refuse(StoreError::Unwritable(self.shared.health.read().reason.clone()));
                    Counters::add(&self.shared.counters.failures, 1);
                }
                Err(RecvTimeoutError::Timeout) => self.idle(has_work),
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.recover_when_due();
        }
    }

    fn received(&self) {
        self.shared.counters.queued.fetch_sub(1, Ordering::Relaxed);
    }

    fn idle(&mut self, has_work: bool) {
        if has_work {
            self.group(None);
        } else if self.broken_until.is_none() {
            let poisoned = self.shared.db.read().as_ref().is_some_and(Db::is_poisoned);
            if poisoned {
                self.break_down("a background write failed");
            }
        }
    }

    /// Makes one group durable: the job given, all that wait behind it, and a step of background work.
    fn group(&mut self, first: Option<Job>) {
        let shared = self.shared.clone();
        let slot = shared.db.read();
        let Some(db) = &*slot else {
            if let Some(job) = first {
                self.received();
                job.refuse(StoreError::Unwritable("the store is being opened".into()));
            }
            return;
        };
        let mut group = Group::default();
        let mut waiters = Vec::new();
        let is_idle = first.is_none();
        // Whoever is about to submit gets to do so first: on a fast disk groups would else hold one batch each, and the
        // sync, the wake-ups and the memtable's work are paid by group.
        std::thread::yield_now();
        let mut next = first;
        while let Some(job) = next.take() {
            self.received();
            self.admit(job, db, &mut group, &mut waiters);
            if group.bytes() < self.config.group_max_bytes {
                next = self.queue.try_recv().ok();
            }
        }
        let (purged_rows, is_seen) = if is_idle || self.last_background.elapsed() >= BACKGROUND_INTERVAL {
            self.add_background(db, &mut group)
        } else {
            (0, false)
        };
        let outcome = self.commit(db, group, waiters.len() as u64);
        drop(slot);
        match outcome {
            Ok(()) => {
                Counters::add(&shared.counters.commits, waiters.len() as u64);
                Counters::add(&shared.counters.purged_rows, purged_rows);
                if purged_rows > 0 {
                    metrics::counter!("rookery_store_purged_rows_total").increment(purged_rows);
                }
                if is_seen {
                    // Readers see it by now: pages that were kept before are not served any more.
                    shared.removals.fetch_add(1, Ordering::AcqRel);
                }
                waiters.into_iter().for_each(|waiter| waiter.answer(Ok(())));
            }
            Err(Failure { error, reason }) => {
                Counters::add(&shared.counters.failures, waiters.len() as u64);
                // Health first: who hears of the failure shall find it there.
                self.break_down(&reason);
                waiters.into_iter().for_each(|waiter| waiter.answer(Err(error.clone())));
            }
        }
    }

    /// Adds a job to the group, or answers it when it cannot be part of it.
    fn admit(&mut self, job: Job, db: &Db, group: &mut Group, waiters: &mut Vec<Waiter>) {
        match job {
            Job::Batch { steps, done } => {
                let mut changes = Vec::with_capacity(steps.len());
                for step in steps {
                    match step {
                        lower::Step::Change(change) => changes.push(change),
                        lower::Step::Lookup(lookup) => match look_up(&lookup, &Layers { db, group, batch: &changes }) {
                            Ok(found) => changes.extend(found),
                            // Only this batch is refused, as a whole.
                            Err(error) => {
                                db.damage().note(&error);
                                Counters::add(&self.shared.counters.failures, 1);
                                return Waiter::Batch(done).answer(Err(error));
                            }
                        },
                    }
                }
                changes.into_iter().for_each(|change| group.add(change, &self.known_buckets));
                waiters.push(Waiter::Batch(done));
            }
            Job::Claim { key, owner, done } => {
                let claim = match unique_keys::get(&Layers { db, group, batch: &[] }, &key) {
                    Ok(None) => {
                        let mut changes = Vec::new();
                        unique_keys::put(&mut changes, key, owner);
                        changes.into_iter().for_each(|change| group.add(change, &self.known_buckets));
                        Ok(())
                    }
                    Ok(Some(holder)) if holder == owner => Ok(()),
                    Ok(Some(holder)) => Err(holder),
                    Err(error) => {
                        db.damage().note(&error);
                        return drop(done.send(Err(error)));
                    }
                };
                // Even a refusal waits: the claim it lost against may be in this very group.
                waiters.push(Waiter::Claim(done, claim));
            }
            Job::RaiseCeiling { ceiling_ms, done } => {
                match leases::id_ceiling(&Layers { db, group, batch: &[] }) {
                    Ok(ceiling) if ceiling >= ceiling_ms => {}
                    Ok(_) => {
                        let mut changes = Vec::new();
                        leases::put_id_ceiling(&mut changes, ceiling_ms);
                        changes.into_iter().for_each(|change| group.add(change, &self.known_buckets));
                    }
                    Err(error) => {
                        db.damage().note(&error);
                        return drop(done.send(Err(error)));
                    }
                }
                waiters.push(Waiter::Batch(done));
            }
            Job::Swap { swap, done } => match leases::swap(&Layers { db, group, batch: &[] }, &swap) {
                // Even a refusal waits: what it lost against may be in this very group.
                Ok(change) => {
                    waiters.push(Waiter::Swap(done, change.is_some()));
                    change.into_iter().for_each(|change| group.add(change, &self.known_buckets));
                }
                Err(error) => {
                    db.damage().note(&error);
                    drop(done.send(Err(error)));
                }
            },
        }
    }

    /// Adds a step of background work; says how many rows it removes, and whether readers saw some of them.
    fn add_background(&mut self, db: &Db, group: &mut Group) -> (u64, bool) {
        self.last_background = Instant::now();
        let step = self.background.step(&Layers { db, group, batch: &[] }, &self.shared.doomed);
        let Step { changes, is_seen } = step;
        let rows = changes.len() as u64;
        changes.into_iter().for_each(|change| group.add(change, &self.known_buckets));
        (rows, is_seen)
    }

    fn commit(&mut self, db: &Db, group: Group, batches: u64) -> Result<(), Failure> {
        if group.is_empty() {
            return Ok(());
        }
        while db.is_behind() {
            if db.is_poisoned() {
                return Err(Failure::untouched("a background write failed"));
            }
            std::thread::park_timeout(Duration::from_millis(2));
        }
        let (rows, bytes) = (group.rows() as u64, group.bytes() as u64);
        let purges: Vec<_> = group.purges().collect();
        let retention_changed = group.touches(Table::Retentions);
        // Only this thread writes batches: the group's sequence number is this one or a higher one, all earlier
        // groups' are lower.
        let seqno = db.database().seqno();
        let begin = Instant::now();
        if let Err(error) = group.commit(db, &mut self.known_buckets) {
            return Err(self.refuse(seqno, &error));
        }
        let counters = &self.shared.counters;
        Counters::add(&counters.groups, 1);
        Counters::add(&counters.fsyncs, 1);
        Counters::add(&counters.rows_written, rows);
        Counters::add(&counters.bytes_written, bytes);
        counters.largest_group.fetch_max(batches, Ordering::Relaxed);
        metrics::counter!("rookery_store_fsyncs_total").increment(1);
        metrics::counter!("rookery_store_commits_total").increment(batches);
        metrics::counter!("rookery_store_bytes_written_total").increment(bytes);
        metrics::histogram!("rookery_store_group_batches").record(batches as f64);
        metrics::histogram!("rookery_store_commit_seconds").record(begin.elapsed().as_secs_f64());
        if !purges.is_empty() {
            self.known_buckets.clear();
            self.shared.doomed.apply(purges.into_iter());
        }
        if retention_changed {
            self.background.retention_changed();
        }
        Ok(())
    }

    /// Notes that a group is refused, so that nobody finds it in the journal later.
    fn refuse(&self, seqno: u64, error: &fjall::Error) -> Failure {
        let reason = describe(error);
        if matches!(error, fjall::Error::Poisoned) {
            return Failure::untouched(&reason);
        }
        match self.folder.refusal().write(Some(seqno)) {
            Ok(()) => Failure::untouched(&reason),
            Err(mark_error) => {
                error!(error = %mark_error, "cannot note that a write was refused; its outcome is unknown");
                Failure { error: StoreError::Unknown(reason.clone()), reason }
            }
        }
    }

    /// Stops taking writes; reads go on.
    fn break_down(&mut self, reason: &str) {
        // The file system's own words say more than what the engine made of them.
        let reason = match self.probe() {
            Err(error) => format!("{reason}: {error}"),
            Ok(()) => reason.to_owned(),
        };
        error!(reason, path = %self.folder.path().display(), "the store refuses writes; reads go on");
        self.background.reset();
        *self.shared.health.write() = StoreHealth::unwritable(reason);
        metrics::gauge!("rookery_store_writable").set(0.0);
        self.broken_until = Some(Instant::now());
    }

    fn recover_when_due(&mut self) {
        if self.broken_until.is_none_or(|due| Instant::now() < due) {
            return;
        }
        match self.probe().map_err(|error| error.to_string()).and_then(|()| self.reopen()) {
            Ok(()) => {
                info!(path = %self.folder.path().display(), "the store takes writes again");
                *self.shared.health.write() = StoreHealth::writable();
                metrics::gauge!("rookery_store_writable").set(1.0);
                Counters::add(&self.shared.counters.reopens, 1);
                self.broken_until = None;
            }
            Err(reason) => {
                self.shared.health.write().reason = reason;
                self.broken_until = Some(Instant::now() + TICK);
            }
        }
    }

    /// Whether there is room to write.
    fn probe(&self) -> std::io::Result<()> {
        let path = self.folder.path().join("probe");
        let write = || {
            let mut file = std::fs::File::create(&path)?;
            let block = [0x5a; 64 * 1024];
            for _ in 0..self.config.recovery_free_bytes.div_ceil(block.len() as u64) {
                file.write_all(&block)?;
            }
            file.sync_all()
        };
        let outcome = write();
        if let Err(error) = std::fs::remove_file(&path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            warn!(%error, "cannot remove the probe file");
        }
        outcome
    }

    /// Closes the engine, which takes no more writes after an error, and opens it anew.
    fn reopen(&mut self) -> Result<(), String> {
        self.shared.phase.send_replace(Phase::Reopening);
        // Waits for the reads under way, which are short. The engine's workers are waited for without the lock: readers
        // that come meanwhile shall wait on the phase, as tasks, and not on a lock, as threads.
        let closing = self.shared.db.write().take();
        drop(closing);
        self.known_buckets.clear();
        match self.folder.open() {
            Ok(db) => {
                *self.shared.db.write() = Some(db);
                self.shared.phase.send_replace(Phase::Open);
                Ok(())
            }
            Err(error) => {
                error!(error = &error as &dyn std::error::Error, "cannot open the store anew");
                self.shared.phase.send_replace(Phase::Unreadable(error.to_string()));
                Err(error.to_string())
            }
        }
    }
}

/// Why a group was not committed.
struct Failure {
    error: StoreError,
    reason: String,
}

impl Failure {
    /// Nothing of the group is or will be stored.
    fn untouched(reason: &str) -> Self {
        Self { error: StoreError::Unwritable(reason.into()), reason: reason.into() }
    }
}

fn describe(error: &fjall::Error) -> String {
    match error {
        fjall::Error::Io(error) => error.to_string(),
        fjall::Error::Poisoned => "a background write failed".into(),
        other => other.to_string(),
    }
}

/// Leaves the store closed however the committer ends.
struct Closing(Arc<Shared>);

impl Drop for Closing {
    fn drop(&mut self) {
        // Readers wait until it is settled what became of the database; `Closed` says that its folder is free.
        self.0.phase.send_replace(Phase::Reopening);
        let closing = self.0.db.write().take();
        drop(closing);
        *self.0.health.write() = StoreHealth::unwritable("the store is closed");
        self.0.phase.send_replace(Phase::Closed);
    }
}
