//! Compare-and-set: what it answered, and what to do when it did not.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rookery_model::lease::LeaseSwap;
use rookery_model::store::UniqueKey;
use scylla::response::query_result::QueryResult;
use scylla::value::{CqlValue, Row};
use smallvec::{SmallVec, smallvec};

use super::calls::chain;
use super::clock::now_us;
use super::failure::Failure;
use super::lanes::{self, Lane, Passes};
use super::shared::Shared;
use super::tables::unique_keys::Key;
use crate::StoreError;
use crate::leases::check_swap;

/// The pause before another try; others may be claiming the same key.
const PAUSE_MIN: Duration = Duration::from_millis(10);
/// The longest.
const PAUSE_MAX: Duration = Duration::from_millis(320);
/// How far ahead the ceiling of write timestamps is kept.
const TIMESTAMP_AHEAD: Duration = Duration::from_secs(10);

/// What a compare-and-set answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    Yes,
    /// Not applied; with the value that the column has instead, if there is a row.
    No(Option<i64>),
}

impl Applied {
    /// Reads the answer; `column` is the one to tell of when it was not applied.
    pub fn read(result: QueryResult, column: Option<&str>) -> Result<Self, Failure> {
        // An answer that cannot be read may still have been applied.
        let broken = |reason: String| Failure::Uncertain(format!("the answer to a compare-and-set: {reason}"));
        let rows = result.into_rows_result().map_err(|error| broken(chain(&error)))?;
        // Which columns there are depends on the outcome, and on whether it is Cassandra or ScyllaDB.
        let place = |name: &str| rows.column_specs().get_by_name(name).map(|(place, _)| place);
        let row: Row = rows.first_row().map_err(|error| broken(chain(&error)))?;
        let value = |name: &str| place(name).and_then(|place| row.columns.get(place)?.as_ref());
        match value("[applied]") {
            Some(CqlValue::Boolean(true)) => Ok(Self::Yes),
            Some(CqlValue::Boolean(false)) => match column.and_then(value) {
                Some(CqlValue::BigInt(current)) => Ok(Self::No(Some(*current))),
                _ => Ok(Self::No(None)),
            },
            _ => Err(broken("no [applied] in it".into())),
        }
    }
}

/// Tries a compare-and-set until its outcome is certain or the time is up.
///
/// The call must be one whose repetition does no harm: it sees by its own condition whether it was applied before.
pub async fn certain<T, F>(shared: &Shared, mut attempt: impl FnMut() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, Failure>>,
{
    let deadline = Instant::now() + Duration::from_millis(shared.config.write_timeout_ms);
    let (mut pause, mut uncertain) = (PAUSE_MIN, false);
    loop {
        let failure = match attempt().await {
            Ok(answer) => return Ok(answer),
            Err(Failure::Refused(reason)) => return Err(StoreError::Invalid(reason)),
            Err(failure) => failure,
        };
        uncertain |= matches!(failure, Failure::Uncertain(_));
        let give_up = !uncertain && !shared.calls.is_closed();
        if give_up || Instant::now() + pause >= deadline {
            let failure = if uncertain { failure.into_uncertain() } else { failure };
            return Err(failure.into_write_error());
        }
        shared.calls.counters.retried();
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Claims a key behind everything that was submitted before and may give it free.
pub fn claim(
    shared: &Arc<Shared>,
    unique: UniqueKey,
    owner: u64,
) -> Result<impl Future<Output = Result<Result<(), u64>, StoreError>> + Send + 'static, StoreError> {
    let key = Key::of(&unique)?;
    let mut passes: Passes = smallvec![Lane::Unique(unique.clone())];
    if matches!(unique, UniqueKey::InviteCode(_) | UniqueKey::DmPair(..)) {
        passes.push(Lane::Released);
    }
    let (ticket, before) = shared.lanes.enter_behind(passes);
    let shared = shared.clone();
    Ok(async move {
        let _ticket = ticket;
        lanes::ended(before).await;
        let owner = owner.cast_signed();
        let claim = || shared.tables.unique_keys.claim(&shared.calls, &key, owner);
        Ok(match certain(&shared, claim).await? {
            Applied::Yes => Ok(()),
            // Ours already: the claim is repeated, or its first attempt was applied without our hearing of it.
            Applied::No(Some(holder)) if holder == owner => Ok(()),
            Applied::No(Some(holder)) => Err(holder.cast_unsigned()),
            Applied::No(None) => return Err(StoreError::Unknown("a claim was refused without a holder".into())),
        })
    })
}

/// Gives keys free; only those whose holder is the one expected, where one is.
pub async fn release(shared: &Shared, releases: SmallVec<[Release; 1]>) -> Result<(), StoreError> {
    for release in releases {
        let key = Key::of(&release.key)?;
        let owner = match release.owner {
            Some(owner) => Some(owner),
            None => shared.tables.unique_keys.get_serial(&shared.calls, &key).await?.map(i64::cast_unsigned),
        };
        // Nobody else may hold it by the time that a second attempt arrives: hence the condition, never `IF EXISTS`.
        if let Some(owner) = owner {
            certain(shared, || shared.tables.unique_keys.release(&shared.calls, &key, owner.cast_signed())).await?;
        }
    }
    Ok(())
}

/// A key to give free.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    pub key: UniqueKey,
    /// Who must hold it; none where the caller vouches that it is whoever does.
    pub owner: Option<u64>,
}

/// Puts a lease in the place of what is expected; says whether it did, or whether an attempt before may have.
///
/// Whoever hears that it did not looks at what stands there: it may be an earlier attempt's work.
pub async fn swap_lease(shared: Arc<Shared>, swap: LeaseSwap) -> Result<bool, StoreError> {
    check_swap(&swap)?;
    let tables = &shared.tables;
    let attempt = || async {
        match &swap {
            LeaseSwap::Worker { before, after } => {
                tables.worker_leases.swap(&shared.calls, before.as_ref(), after).await
            }
            LeaseSwap::VirtualShard { before, after } => {
                tables.virtual_shard_leases.swap(&shared.calls, before.as_ref(), after).await
            }
        }
    };
    Ok(certain(&shared, attempt).await? == Applied::Yes)
}

/// Reads what is written by compare-and-set, again while it gets no answer and the time is not up.
///
/// A read at SERIAL takes part in the agreement on its partition, so that it may lose its turn to those who write there.
pub async fn read<T, F>(shared: &Shared, mut attempt: impl FnMut() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let deadline = Instant::now() + Duration::from_millis(shared.config.write_timeout_ms);
    let mut pause = PAUSE_MIN;
    loop {
        let outcome = attempt().await;
        let is_over = !shared.calls.is_closed() || Instant::now() + pause >= deadline;
        if is_over || !matches!(outcome, Err(StoreError::Unavailable(_))) {
            return outcome;
        }
        shared.calls.counters.retried();
        tokio::time::sleep(pause.mul_f64(rand::random_range(0.5..1.5))).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// No id was ever issued above this moment.
pub async fn id_ceiling(shared: &Shared) -> Result<u64, StoreError> {
    let lease = shared.tables.leases.get(&shared.calls, shared.config.node_id.cast_signed()).await?;
    Ok(lease.unwrap_or_default().id_ceiling_ms.max(0).cast_unsigned())
}

/// Raises the ceiling of ids.
pub async fn raise_id_ceiling(shared: &Shared, ceiling_ms: u64) -> Result<(), StoreError> {
    let ceiling = i64::try_from(ceiling_ms).unwrap_or(i64::MAX);
    raise(shared, || shared.tables.leases.raise_ids(&shared.calls, shared.node_id(), ceiling)).await
}

/// Keeps the stored ceiling of write timestamps ahead of those in use: the next start begins above it, whatever its
/// clock says.
pub async fn keep_timestamp_ceiling(shared: &Shared) -> Result<(), StoreError> {
    let ahead = i64::try_from(TIMESTAMP_AHEAD.as_micros()).unwrap_or(i64::MAX);
    let used = shared.clock.last_us().max(now_us());
    if used + ahead / 2 <= shared.timestamp_ceiling_us.load(Ordering::Acquire) {
        return Ok(());
    }
    let ceiling = used + ahead;
    raise(shared, || shared.tables.leases.raise_timestamps(&shared.calls, shared.node_id(), ceiling)).await?;
    shared.timestamp_ceiling_us.store(ceiling, Ordering::Release);
    Ok(())
}

/// Lowers it to what was used: a clean start afterwards need not begin in the future.
pub async fn settle_timestamp_ceiling(shared: &Shared) -> Result<(), StoreError> {
    let (last, ceiling) = (shared.clock.last_us(), shared.timestamp_ceiling_us.load(Ordering::Acquire));
    let leases = &shared.tables.leases;
    // Not applied where another process with this node's id raised it meanwhile: then that one's stands.
    certain(shared, || leases.settle_timestamps(&shared.calls, shared.node_id(), ceiling, last)).await.map(drop)
}

/// Asks the cluster something that needs a majority, to see whether it is back.
pub async fn probe(shared: &Shared) {
    // Whatever it answers is noted where calls are made.
    drop(shared.tables.purges.days(&shared.calls).await);
}

/// Raises a ceiling of the node's row, making the row first where there is none.
async fn raise<F>(shared: &Shared, mut attempt: impl FnMut() -> F) -> Result<(), StoreError>
where
    F: Future<Output = Result<Applied, Failure>>,
{
    loop {
        match certain(shared, &mut attempt).await? {
            // As high already, perhaps by an attempt of ours that nobody answered.
            Applied::Yes | Applied::No(Some(_)) => return Ok(()),
            Applied::No(None) => {
                certain(shared, || shared.tables.leases.begin(&shared.calls, shared.node_id())).await?;
            }
        }
    }
}
