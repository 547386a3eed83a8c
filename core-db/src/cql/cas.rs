//! Compare-and-set: what it answered, and what to do when it did not.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use rookery_model::lease::LeaseSwap;
use rookery_model::store::UniqueKey;
use scylla::response::query_result::QueryResult;
use scylla::value::{CqlValue, Row};
use smallvec::{SmallVec, smallvec};

use super::batches::joined;
use super::calls::chain;
use super::failure::{Attempts, Failure};
use super::lanes::{self, Lane};
use super::policies::Purpose;
use super::shared::Shared;
use super::tables::unique_keys::Key;
use crate::StoreError;
use crate::leases::check_swap;

/// The pause before another try; others may be claiming the same key.
const PAUSE_MIN: Duration = Duration::from_millis(10);
/// The longest.
const PAUSE_MAX: Duration = Duration::from_millis(320);
/// An invite code that is never made.
const NO_CODE: &str = "-";
/// Keys that one batch gives free at a time.
const RELEASES_CONCURRENT: usize = 16;

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
pub async fn certain<T, F>(shared: &Shared, purpose: Purpose, mut attempt: impl FnMut() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, Failure>>,
{
    let mut attempts = Attempts::new(shared.calls.write_deadline(), PAUSE_MIN, PAUSE_MAX);
    loop {
        let failure = match attempt().await {
            Ok(answer) => return Ok(answer),
            Err(failure) => failure,
        };
        match attempts.failed(failure, shared.calls.is_closed(purpose), Instant::now()) {
            ControlFlow::Break(failure) => return Err(failure.into_write_error()),
            ControlFlow::Continue(pause) => {
                shared.calls.counters.retried();
                tokio::time::sleep(pause).await;
            }
        }
    }
}

/// Claims a key behind everything that was submitted before and may give it free.
pub fn claim(
    shared: &Arc<Shared>,
    unique: UniqueKey,
    owner: u64,
) -> Result<impl Future<Output = Result<Result<(), u64>, StoreError>> + Send + 'static, StoreError> {
    let key = Key::of(&unique)?;
    // Deletions under way do not say yet which keys they give free: it matters only if this one is held.
    let releasing = match unique {
        UniqueKey::InviteCode(_) | UniqueKey::DmPair(..) => shared.lanes.on(&Lane::Released),
        UniqueKey::Email(_) | UniqueKey::Username(_) => Vec::new(),
    };
    let (ticket, before) = shared.lanes.enter_behind(smallvec![Lane::Unique(unique)]);
    let shared = shared.clone();
    Ok(async move {
        let _ticket = ticket;
        lanes::ended(before).await;
        let claim = || shared.tables.unique_keys.claim(&shared.calls, &key, owner.cast_signed());
        let mut applied = certain(&shared, Purpose::CompareAndSet, claim).await?;
        if applied != Applied::Yes && !releasing.is_empty() {
            // Even if it is held by this owner: one of those may be about to take it away.
            lanes::ended(releasing).await;
            applied = certain(&shared, Purpose::CompareAndSet, claim).await?;
        }
        holder(applied, owner)
    })
}

/// What a claim came to.
fn holder(applied: Applied, owner: u64) -> Result<Result<(), u64>, StoreError> {
    match applied {
        Applied::Yes => Ok(Ok(())),
        // Ours already: the claim is repeated, or its first attempt was applied without our hearing of it.
        Applied::No(Some(holder)) if holder.cast_unsigned() == owner => Ok(Ok(())),
        Applied::No(Some(holder)) => Ok(Err(holder.cast_unsigned())),
        Applied::No(None) => Err(StoreError::Unknown("a claim was refused without a holder".into())),
    }
}

/// Gives keys free, each only if its holder is the one expected.
///
/// Hence the condition, never `IF EXISTS`: somebody else may hold it by the time that a second attempt arrives.
pub async fn release(shared: &Shared, releases: SmallVec<[Release; 1]>) -> Result<(), StoreError> {
    let keyed = releases.into_iter().map(|release| Ok((Key::of(&release.key)?, release.owner.cast_signed())));
    let keyed: Vec<(Key, i64)> = keyed.collect::<Result<_, StoreError>>()?;
    let outcomes: Vec<Result<(), StoreError>> = futures_util::stream::iter(keyed)
        .map(|(key, owner)| async move {
            let release = || shared.tables.unique_keys.release(&shared.calls, &key, owner);
            certain(shared, Purpose::CompareAndSet, release).await.map(drop)
        })
        .buffer_unordered(RELEASES_CONCURRENT)
        .collect()
        .await;
    joined(outcomes)
}

/// A key to give free.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    pub key: UniqueKey,
    /// Who must hold it.
    pub owner: u64,
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
    Ok(certain(&shared, Purpose::SharedLease, attempt).await? == Applied::Yes)
}

/// Reads a shared lease, again while it gets no answer and the time is not up.
///
/// A read at SERIAL takes part in the agreement on its partition, so that it may lose its turn to those who write there.
pub async fn read_lease<T, F>(shared: &Shared, mut attempt: impl FnMut() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let deadline = shared.calls.write_deadline();
    let mut pause = PAUSE_MIN;
    loop {
        let outcome = attempt().await;
        let is_over = !shared.calls.is_closed(Purpose::SharedLeaseRead) || Instant::now() + pause >= deadline;
        if is_over || !matches!(outcome, Err(StoreError::Unavailable(_))) {
            return outcome;
        }
        shared.calls.counters.retried();
        tokio::time::sleep(pause.mul_f64(rand::random_range(0.5..1.5))).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Asks the cluster something that needs a majority, to see whether it is back.
pub async fn probe(shared: &Shared, purpose: Purpose) {
    // Whatever it answers is noted where calls are made.
    if matches!(purpose, Purpose::Read | Purpose::Write) {
        drop(shared.tables.purges.days(&shared.calls).await);
    } else if let Ok(key) = Key::of(&UniqueKey::InviteCode(NO_CODE.into())) {
        drop(shared.tables.unique_keys.release(&shared.calls, &key, 0).await);
    }
}
