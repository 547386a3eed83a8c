//! Executes batches.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::StreamExt as _;
use smallvec::SmallVec;
use tokio_util::sync::CancellationToken;

use super::cas::{self, Release};
use super::counters::Counters;
use super::failure::Failure;
use super::lanes::{self, Ticket};
use super::lookups::{self, Found};
use super::lower::{Lookup, Plan};
use super::shared::Shared;
use super::statement::{Mutation, Partition};
use crate::StoreError;
use crate::tables::Table;

/// Statements of one batch under way at a time.
const CONCURRENT: usize = 64;
/// Look-ups of one batch under way at a time.
const LOOKUPS_CONCURRENT: usize = 16;
/// Mutations of one partition that go together at most.
const GROUP_MAX: usize = 100;
/// Bytes that go together at most; more would hold up a node's stages.
const GROUP_MAX_BYTES: usize = 128 * 1024;

/// Executes a batch behind those it must see.
pub async fn execute(
    shared: &Arc<Shared>,
    plan: Plan,
    ticket: Ticket,
    before: Vec<CancellationToken>,
) -> Result<(), StoreError> {
    lanes::ended(before).await;
    let outcome = run(shared, plan).await;
    match &outcome {
        Ok(()) => {
            Counters::add(&shared.calls.counters.commits, 1);
            metrics::counter!("rookery_store_commits_total").increment(1);
        }
        Err(error) => {
            Counters::add(&shared.calls.counters.failures, 1);
            if let StoreError::Unknown(reason) = error {
                shared.calls.counters.unknown();
                tracing::warn!(reason, "the outcome of a batch is unknown");
            }
        }
    }
    // Those behind go on only now: what was found out above is theirs to see.
    drop(ticket);
    outcome
}

async fn run(shared: &Arc<Shared>, plan: Plan) -> Result<(), StoreError> {
    let Plan { mutations, lookups, releases, buckets, hours, retention_changed, passes: _ } = plan;
    let wrote = !mutations.is_empty();
    write_all(shared, mutations).await?;
    shared.buckets.note_stored(&buckets);
    shared.known_hours.note(&hours);
    if retention_changed {
        shared.retention_changed.notify_one();
    }
    // From here on a failure leaves a part of the batch applied.
    let rest = async {
        look_up_all(shared, lookups).await?;
        release_all(shared, releases).await
    };
    rest.await.map_err(|error| if wrote { as_unknown(error) } else { error })
}

async fn look_up_all(shared: &Arc<Shared>, lookups: Vec<(Lookup, i64)>) -> Result<(), StoreError> {
    match lookups.len() {
        0 => return Ok(()),
        1 => {
            for (lookup, at) in lookups {
                look_up(shared, lookup, at).await?;
            }
            return Ok(());
        }
        _ => {}
    }
    let outcomes: Vec<Result<(), StoreError>> = futures_util::stream::iter(lookups)
        .map(|(lookup, at)| look_up(shared, lookup, at))
        .buffer_unordered(LOOKUPS_CONCURRENT)
        .collect()
        .await;
    joined(outcomes, |error| matches!(error, StoreError::Unwritable(_)), as_unknown)
}

async fn look_up(shared: &Arc<Shared>, lookup: Lookup, at: i64) -> Result<(), StoreError> {
    // Nothing is written yet: that the rows cannot be read refuses the write.
    let found = lookups::look_up(shared, &lookup, at).await.map_err(|error| match error {
        StoreError::Unavailable(reason) => StoreError::Unwritable(reason),
        other => other,
    })?;
    let Found { jobs, mutations, releases, doomed, day } = found;
    write_all(shared, jobs).await?;
    if let Some(day) = day {
        shared.known_days.note(day);
    }
    let outcome = async {
        write_all(shared, mutations).await?;
        release_all(shared, releases).await
    };
    outcome.await.map_err(as_unknown)?;
    if !doomed.is_empty() {
        shared.doom(doomed);
    }
    Ok(())
}

/// Gives keys free; after a batch's other writes, so a failure is never "nothing was written".
async fn release_all(shared: &Shared, releases: SmallVec<[Release; 1]>) -> Result<(), StoreError> {
    if releases.is_empty() {
        return Ok(());
    }
    cas::release(shared, releases).await.map_err(|error| match error {
        StoreError::Unavailable(reason) => StoreError::Unwritable(reason),
        other => other,
    })
}

fn as_unknown(error: StoreError) -> StoreError {
    match error {
        StoreError::Unwritable(reason) | StoreError::Unavailable(reason) | StoreError::Invalid(reason) => {
            StoreError::Unknown(reason)
        }
        other => other,
    }
}

/// Writes mutations, those of a partition together; answers for all of them.
pub async fn write_all(shared: &Shared, mutations: Vec<Mutation>) -> Result<(), StoreError> {
    if mutations.is_empty() {
        return Ok(());
    }
    let counters = &shared.calls.counters;
    let (rows, bytes) = (mutations.len() as u64, mutations.iter().map(|one| one.bytes as u64).sum::<u64>());
    let groups = groups(mutations);
    let number = groups.len() as u64;
    let outcomes: Vec<Result<(), Failure>> = futures_util::stream::iter(groups)
        .map(|group| async move { shared.calls.write(&group).await })
        .buffer_unordered(CONCURRENT)
        .collect()
        .await;
    joined(outcomes, |failure| matches!(failure, Failure::Untouched(_)), Failure::into_uncertain)
        .map_err(Failure::into_write_error)?;
    Counters::add(&counters.groups, number);
    Counters::add(&counters.rows_written, rows);
    Counters::add(&counters.bytes_written, bytes);
    counters.largest_group.fetch_max(rows.div_ceil(number.max(1)), std::sync::atomic::Ordering::Relaxed);
    metrics::counter!("rookery_store_bytes_written_total").increment(bytes);
    Ok(())
}

/// One outcome for all: unless every part was left untouched, a failure leaves the whole uncertain.
fn joined<E>(
    outcomes: Vec<Result<(), E>>,
    is_untouched: impl Fn(&E) -> bool,
    into_uncertain: impl Fn(E) -> E,
) -> Result<(), E> {
    let all_untouched = outcomes.iter().all(|outcome| outcome.as_ref().is_err_and(&is_untouched));
    let is_one = outcomes.len() == 1;
    match outcomes.into_iter().find_map(Result::err) {
        None => Ok(()),
        Some(failure) if is_one || all_untouched => Err(failure),
        Some(failure) => Err(into_uncertain(failure)),
    }
}

/// Puts mutations of one partition together; the order among them is their timestamps'.
fn groups(mutations: Vec<Mutation>) -> Vec<SmallVec<[Mutation; 1]>> {
    if let [_] = &mutations[..] {
        return mutations.into_iter().map(|one| SmallVec::from_iter([one])).collect();
    }
    let mut groups: Vec<(SmallVec<[Mutation; 1]>, usize)> = Vec::with_capacity(mutations.len().min(16));
    let mut open: HashMap<(Table, Partition), usize> = HashMap::new();
    for mutation in mutations {
        let key = (mutation.statement.table, mutation.partition);
        let place = open.get(&key).copied().filter(|place| {
            let (group, bytes) = &groups[*place];
            group.len() < GROUP_MAX && bytes + mutation.bytes <= GROUP_MAX_BYTES
        });
        match place {
            Some(place) if mutation.partition != Partition::Alone => {
                groups[place].1 += mutation.bytes;
                groups[place].0.push(mutation);
            }
            _ => {
                open.insert(key, groups.len());
                groups.push((SmallVec::new(), mutation.bytes));
                let last = groups.len() - 1;
                groups[last].0.push(mutation);
            }
        }
    }
    groups.into_iter().map(|(group, _)| group).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn join(outcomes: Vec<Result<(), Failure>>) -> Result<(), Failure> {
        joined(outcomes, |failure| matches!(failure, Failure::Untouched(_)), Failure::into_uncertain)
    }

    #[test]
    fn a_batch_of_which_a_part_was_written_is_never_called_unwritten() {
        let untouched = || Failure::Untouched("no node".into());
        let refused = || Failure::Refused("no".into());
        assert_eq!(join(vec![Ok(()), Ok(())]), Ok(()));
        assert_eq!(join(vec![Err(refused())]), Err(refused()));
        assert_eq!(join(vec![Err(untouched()), Err(untouched())]), Err(untouched()));
        assert_eq!(join(vec![Ok(()), Err(untouched())]), Err(untouched().into_uncertain()));
        assert_eq!(join(vec![Err(refused()), Ok(())]), Err(refused().into_uncertain()));
        assert_eq!(join(vec![Err(refused()), Err(untouched())]), Err(refused().into_uncertain()));
    }
}
