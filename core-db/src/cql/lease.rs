//! The lease of a node id: while a process holds it no other has it, so its ids and write timestamps are its own.
//!
//! A lease is renewed long before it ends; a holder that cannot renew takes no writes once its own clock says that the
//! lease is over. Its row keeps what may have been used up, so that the next holder begins above that.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::cas::{self, Applied};
use super::clock::now_us;
use super::policies::Purpose;
use super::shared::Shared;
use super::tables::leases::Lease;
use crate::engine::LeaseRow;
use crate::{OpenError, StoreError};

/// How long a lease lasts from its last renewal.
const LASTS: Duration = Duration::from_secs(15);
/// How often it is renewed.
const RENEW_INTERVAL: Duration = Duration::from_secs(3);
/// How far the clocks of two machines may be apart.
const CLOCKS_DIFFER: Duration = Duration::from_secs(2);
/// Between two looks at a lease that another process has.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// How far ahead of the clock the ceiling of write timestamps is kept.
const TIMESTAMPS_AHEAD: Duration = Duration::from_secs(10);
/// How far above the last timestamp it lies at least: a clock that was set back is no reason to leap ahead again.
const TIMESTAMPS_ABOVE: Duration = Duration::from_secs(1);

/// The lease that a process holds.
#[derive(Debug, Default)]
pub struct Held {
    epoch: AtomicI64,
    /// When it ends by this process's own clock; none before it was taken.
    ends: Mutex<Option<Instant>>,
    /// Why it is no longer this process's: another has it, or it was given back.
    lost: OnceLock<String>,
    /// What its row was last told to last until, Unix milliseconds. Whoever changes the row waits for a turn: two
    /// compare-and-sets of one partition only hold each other up.
    told: tokio::sync::Mutex<i64>,
}

impl Held {
    /// Refuses when the node id may be another's.
    pub fn check(&self, node_id: i64) -> Result<(), StoreError> {
        if let Some(reason) = self.lost.get() {
            return Err(StoreError::Unwritable(reason.clone()));
        }
        match *self.ends.lock() {
            Some(ends) if Instant::now() < ends => Ok(()),
            _ => Err(StoreError::Unwritable(format!("the lease of node id {node_id} ended, and was not renewed yet"))),
        }
    }

    fn epoch(&self) -> i64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// How long it lasts still.
    fn lasts_for(&self) -> Duration {
        self.ends.lock().map_or(Duration::ZERO, |ends| ends.saturating_duration_since(Instant::now()))
    }

    /// It lasts, counted from before the cluster was asked.
    fn lasts_from(&self, begin: Instant) {
        *self.ends.lock() = Some(begin + LASTS - CLOCKS_DIFFER);
    }
}

/// Takes the lease of this process's node id, waiting for another's to end; answers the floor of write timestamps.
pub async fn take(shared: &Shared) -> Result<(), OpenError> {
    let error = |error: StoreError| super::connect::store_error(&shared.config, &error);
    let deadline = Instant::now() + LASTS + CLOCKS_DIFFER * 2;
    let mut told = false;
    loop {
        let found = shared.tables.leases.get(&shared.calls, shared.node_id()).await.map_err(error)?;
        match found {
            Some(lease) if is_anothers(&lease, &shared.config.holder, now_us() / 1_000) => {
                if Instant::now() >= deadline {
                    return Err(OpenError::NodeHeld { node_id: shared.config.node_id, holder: lease.holder });
                }
                if !told {
                    info!(node_id = shared.node_id(), holder = lease.holder, "waiting for the lease of the node id");
                    told = true;
                }
                tokio::time::sleep(LOOK_INTERVAL).await;
            }
            found => {
                if try_take(shared, found).await.map_err(error)? {
                    return Ok(());
                }
            }
        }
    }
}

/// Whether a lease runs and is not this holder's own of before.
fn is_anothers(lease: &Lease, holder: &str, now_ms: i64) -> bool {
    let margin = i64::try_from(CLOCKS_DIFFER.as_millis()).unwrap_or(i64::MAX);
    lease.holder != holder && lease.expires_at_ms.saturating_add(margin) > now_ms && lease.expires_at_ms > 0
}

/// Whether a row of the epoch that was to be taken is as that attempt left it.
///
/// The holder alone does not tell: the process before may have the same name, and gives back into that epoch.
fn is_left_by(now: &Lease, attempt: &Lease) -> bool {
    now.holder == attempt.holder && now.expires_at_ms == attempt.expires_at_ms
}

/// Takes it as it was found; false when somebody was faster.
async fn try_take(shared: &Shared, found: Option<Lease>) -> Result<bool, StoreError> {
    let (leases, calls, node_id) = (&shared.tables.leases, &shared.calls, shared.node_id());
    let mut told = shared.lease.told.lock().await;
    let begin = Instant::now();
    shared.clock.raise_floor(found.as_ref().map_or(0, |found| found.write_timestamp_ceiling_us));
    let epoch = found.as_ref().map_or(0, |found| found.epoch) + 1;
    let lease = next(shared, epoch, 0);
    let applied = match &found {
        Some(found) => cas::certain(shared, Purpose::Lease, || leases.take(calls, node_id, &lease, found)).await?,
        None => cas::certain(shared, Purpose::Lease, || leases.insert(calls, node_id, &lease)).await?,
    };
    let is_taken = match applied {
        Applied::Yes => true,
        // An attempt that nobody answered may have taken it.
        Applied::No(Some(current)) if current == epoch => {
            leases.get(calls, node_id).await?.is_some_and(|now| is_left_by(&now, &lease))
        }
        Applied::No(_) => false,
    };
    if is_taken {
        shared.lease.epoch.store(epoch, Ordering::Release);
        *told = lease.expires_at_ms;
        shared.lease.lasts_from(begin);
    }
    Ok(is_taken)
}

/// The row as a renewal leaves it, which lasts longer than the one before by any clock.
fn next(shared: &Shared, epoch: i64, told_ms: i64) -> Lease {
    let now_us = now_us();
    let ahead = |by: Duration| i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
    Lease {
        epoch,
        holder: shared.config.holder.clone(),
        expires_at_ms: (now_us.saturating_add(ahead(LASTS)) / 1_000).max(told_ms.saturating_add(1)),
        id_ceiling_ms: 0,
        write_timestamp_ceiling_us: timestamp_ceiling_us(now_us, shared.clock.last_us()),
    }
}

/// Above this no write timestamp is used before the next renewal.
fn timestamp_ceiling_us(now_us: i64, last_us: i64) -> i64 {
    let micros = |duration: Duration| i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
    now_us.saturating_add(micros(TIMESTAMPS_AHEAD)).max(last_us.saturating_add(micros(TIMESTAMPS_ABOVE)))
}

/// Renews the lease until stopped.
pub async fn keep(shared: &Shared, stop: &CancellationToken) {
    let mut interval = tokio::time::interval(RENEW_INTERVAL);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = interval.tick() => {}
        }
        // Whoever raised the ceiling of ids meanwhile renewed it too.
        if shared.lease.lasts_for() > LASTS - CLOCKS_DIFFER - RENEW_INTERVAL / 2 {
            continue;
        }
        if let Err(error) = renew(shared).await {
            warn!(%error, node_id = shared.node_id(), "cannot renew the lease of the node id");
        }
    }
}

/// Renews it once, and keeps the ceiling of write timestamps ahead of those in use.
pub async fn renew(shared: &Shared) -> Result<(), StoreError> {
    let mut told = shared.lease.told.lock().await;
    if shared.lease.lost.get().is_some() {
        return Ok(());
    }
    let begin = Instant::now();
    let lease = next(shared, shared.lease.epoch(), *told);
    *told = lease.expires_at_ms;
    let (leases, calls) = (&shared.tables.leases, &shared.calls);
    match cas::certain(shared, Purpose::Lease, || leases.renew(calls, shared.node_id(), &lease)).await? {
        Applied::Yes => shared.lease.lasts_from(begin),
        // It lasts that long already: by an attempt of ours that nobody answered.
        Applied::No(Some(current)) if current == lease.epoch => shared.lease.lasts_from(begin),
        Applied::No(_) => lose(shared),
    }
    Ok(())
}

/// Another process has the node id: this one writes nothing more.
fn lose(shared: &Shared) {
    let reason = format!(
        "another process took node id {} over; give each process of a cluster a worker_id of its own",
        shared.config.node_id
    );
    if shared.lease.lost.set(reason.clone()).is_ok() {
        tracing::error!("{reason}");
    }
}

/// Gives it back with what was used, so that the next holder need neither wait nor begin in the future.
///
/// The epoch ends with it: an attempt that nobody waits for any more may still be on its way to the replicas.
pub async fn give_back(shared: &Shared) -> Result<(), StoreError> {
    let _turn = shared.lease.told.lock().await;
    // Whoever waits for a turn does not renew it again. One that another took over before stays lost to that one.
    drop(shared.lease.lost.set(format!("the lease of node id {} was given back", shared.config.node_id)));
    let (leases, calls) = (&shared.tables.leases, &shared.calls);
    let (epoch, last_us) = (shared.lease.epoch(), shared.clock.last_us());
    let attempt = || leases.give_back(calls, shared.node_id(), epoch, last_us);
    cas::certain(shared, Purpose::Lease, attempt).await.map(drop)
}

/// No id was ever issued above this moment.
pub async fn id_ceiling(shared: &Shared) -> Result<u64, StoreError> {
    let lease = shared.tables.leases.get(&shared.calls, shared.node_id()).await?;
    Ok(lease.unwrap_or_default().id_ceiling_ms.max(0).cast_unsigned())
}

/// What each node has used; nothing of this one, whose lease keeps everybody else from writing as it.
pub async fn all(shared: &Shared) -> Result<Vec<LeaseRow>, StoreError> {
    let leases = shared.tables.leases.all(&shared.calls).await?;
    let row = |(node_id, lease): (i64, Lease)| {
        let is_own = node_id == shared.node_id() && lease.epoch == shared.lease.epoch();
        LeaseRow {
            node_id: node_id.cast_unsigned(),
            id_ceiling_ms: lease.id_ceiling_ms.max(0).cast_unsigned(),
            write_timestamp_ceiling_us: if is_own { 0 } else { lease.write_timestamp_ceiling_us },
        }
    };
    Ok(leases.into_iter().map(row).collect())
}

/// Raises the ceiling of ids, and renews the lease with it.
pub async fn raise_id_ceiling(shared: &Shared, ceiling_ms: u64) -> Result<(), StoreError> {
    let mut told = shared.lease.told.lock().await;
    // Here and not before: it may have been given back while this waited.
    shared.lease.check(shared.node_id())?;
    let begin = Instant::now();
    let lease = Lease {
        id_ceiling_ms: i64::try_from(ceiling_ms).unwrap_or(i64::MAX),
        ..next(shared, shared.lease.epoch(), *told)
    };
    *told = lease.expires_at_ms;
    let (leases, calls) = (&shared.tables.leases, &shared.calls);
    match cas::certain(shared, Purpose::Lease, || leases.raise_ids(calls, shared.node_id(), &lease)).await? {
        Applied::Yes => shared.lease.lasts_from(begin),
        // As high already, perhaps by an attempt of ours that nobody answered. It cannot be that the lease lasts as long
        // without that: nothing else was told to last until then.
        Applied::No(Some(current)) if current == lease.epoch => {}
        Applied::No(_) => lose(shared),
    }
    shared.lease.check(shared.node_id())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(holder: &str, expires_at_ms: i64) -> Lease {
        Lease { holder: holder.into(), expires_at_ms, ..Lease::default() }
    }

    #[test]
    fn a_lease_is_anothers_while_it_runs_by_a_clock_that_is_behind() {
        let now_ms = 1_000_000;
        assert!(is_anothers(&lease("a", now_ms + 1), "b", now_ms));
        assert!(is_anothers(&lease("a", now_ms - 1_999), "b", now_ms));
        assert!(!is_anothers(&lease("a", now_ms - 2_000), "b", now_ms));
        assert!(!is_anothers(&lease("a", now_ms + 1), "a", now_ms), "a restart of the same process");
        assert!(!is_anothers(&lease("a", 0), "b", 1), "it was given back");
    }

    #[test]
    fn a_row_that_the_process_before_gave_back_was_not_taken() {
        let taken = Lease { epoch: 6, ..lease("a", 16_000) };
        assert!(is_left_by(&taken.clone(), &taken));
        assert!(!is_left_by(&Lease { expires_at_ms: 0, ..taken.clone() }, &taken), "given back, under the same name");
        assert!(!is_left_by(&Lease { holder: "b".into(), ..taken.clone() }, &taken));
    }

    #[test]
    fn restarts_after_crashes_do_not_drive_timestamps_ahead() {
        // Each start begins at the ceiling of the one before, a second later.
        let (mut now_us, mut last_us) = (1_000_000_000, 0);
        for _ in 0..1_000 {
            last_us = timestamp_ceiling_us(now_us, last_us);
            now_us += 1_000_000;
        }
        assert!(last_us - now_us <= 11_000_000, "{} us ahead", last_us - now_us);
    }

    #[test]
    fn a_lease_that_was_not_taken_or_not_renewed_takes_no_writes() {
        let held = Held::default();
        assert!(matches!(held.check(7), Err(StoreError::Unwritable(reason)) if reason.contains("node id 7")));
        held.lasts_from(Instant::now());
        assert_eq!(held.check(7), Ok(()));
        held.lasts_from(Instant::now().checked_sub(LASTS).unwrap());
        assert!(matches!(held.check(7), Err(StoreError::Unwritable(_))));
    }
}
