//! Executes batches.

use std::collections::HashMap;
use std::mem::take;
use std::sync::Arc;
use std::time::Instant;

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
    plan: Box<Plan>,
    ticket: Ticket,
    before: Vec<CancellationToken>,
    deadline: Instant,
) -> Result<(), StoreError> {
    lanes::ended(before).await;
    let outcome = run(shared, plan, deadline).await;
    match &outcome {
        Ok(()) => {
            Counters::add(&shared.calls.counters.commits, 1);
            metrics::counter!("rookery_store_commits_total").increment(1);
        }
        Err(error) => {
            Counters::add(&shared.calls.counters.failures, 1);
            if let StoreError::Unknown(reason) = error {
                shared.calls.counters.unknown();
                shared.doubts.note(ticket.passes());
                tracing::warn!(reason, "the outcome of a batch is unknown");
            }
        }
    }
    // Those behind go on only now: what was found out above is theirs to see.
    drop(ticket);
    outcome
}

/// How far a batch got.
///
/// A stage that fails with anything but `Unknown` changed nothing. That is the batch's answer only where no earlier
/// stage changed anything either.
#[derive(Debug, Default)]
struct Progress {
    wrote: bool,
}

impl Progress {
    /// Takes what came of a stage that had something to write.
    ///
    /// Its outcome and not its future: a future that is handed on is kept twice, and these are large.
    fn stage(&mut self, outcome: Result<(), StoreError>) -> Result<(), StoreError> {
        outcome.map_err(|error| if self.wrote { as_unknown(error) } else { error })?;
        self.wrote = true;
        Ok(())
    }
}

async fn run(shared: &Arc<Shared>, mut plan: Box<Plan>, deadline: Instant) -> Result<(), StoreError> {
    // By reference, and each stage taken when it begins: the plan is large, and what is held while it waits is copied.
    let Plan { indexes, rows, lookups, releases, trailing, operations, buckets, hours, retention_changed, passes: _ } =
        &mut *plan;
    let write = |mutations| write_until(shared, mutations, deadline);
    let mut progress = Progress::default();
    if !indexes.is_empty() {
        progress.stage(write(take(indexes)).await)?;
        shared.buckets.note_stored(buckets);
        shared.known_hours.note(hours);
    }
    if !rows.is_empty() {
        progress.stage(write(take(rows)).await)?;
    }
    if *retention_changed {
        shared.retention_changed.notify_one();
    }
    if !lookups.is_empty() {
        progress.stage(Box::pin(look_up_all(shared, take(lookups), deadline)).await)?;
    }
    if !releases.is_empty() {
        progress.stage(Box::pin(release_all(shared, take(releases))).await)?;
    }
    if !trailing.is_empty() {
        progress.stage(write(take(trailing)).await)?;
    }
    if !operations.is_empty() {
        progress.stage(write(take(operations)).await)?;
    }
    Ok(())
}

async fn look_up_all(shared: &Arc<Shared>, lookups: Vec<(Lookup, i64)>, deadline: Instant) -> Result<(), StoreError> {
    let outcomes: Vec<Result<(), StoreError>> = futures_util::stream::iter(lookups)
        .map(|(lookup, at)| look_up(shared, lookup, at, deadline))
        .buffer_unordered(LOOKUPS_CONCURRENT)
        .collect()
        .await;
    joined(outcomes)
}

async fn look_up(shared: &Arc<Shared>, lookup: Lookup, at: i64, deadline: Instant) -> Result<(), StoreError> {
    let found = lookups::look_up(shared, &lookup, at).await.map_err(as_unwritable)?;
    let Found { jobs, rows, releases, indexes, doomed, day } = found;
    let write = |mutations| write_until(shared, mutations, deadline);
    let mut progress = Progress::default();
    if !jobs.is_empty() {
        progress.stage(write(jobs).await)?;
    }
    if let Some(day) = day {
        shared.known_days.note(day);
    }
    if !rows.is_empty() {
        progress.stage(write(rows).await)?;
    }
    if !releases.is_empty() {
        progress.stage(release_all(shared, releases).await)?;
    }
    if !indexes.is_empty() {
        progress.stage(write(indexes).await)?;
    }
    if !doomed.is_empty() {
        shared.doom(doomed);
    }
    Ok(())
}

async fn release_all(shared: &Shared, releases: SmallVec<[Release; 1]>) -> Result<(), StoreError> {
    cas::release(shared, releases).await.map_err(as_unwritable)
}

/// That rows cannot be read refuses the write that depends on them.
fn as_unwritable(error: StoreError) -> StoreError {
    match error {
        StoreError::Unavailable(reason) => StoreError::Unwritable(reason),
        other => other,
    }
}

/// Whatever the error is: something was written before.
fn as_unknown(error: StoreError) -> StoreError {
    match error {
        StoreError::Unwritable(reason)
        | StoreError::Unavailable(reason)
        | StoreError::Invalid(reason)
        | StoreError::Unknown(reason) => StoreError::Unknown(reason),
        other => StoreError::Unknown(other.to_string()),
    }
}

/// Writes mutations, those of a partition together; answers for all of them.
pub async fn write_all(shared: &Shared, mutations: Vec<Mutation>) -> Result<(), StoreError> {
    write_until(shared, mutations, shared.calls.write_deadline()).await
}

async fn write_until(shared: &Shared, mutations: Vec<Mutation>, deadline: Instant) -> Result<(), StoreError> {
    let write = async |group: &[Mutation]| shared.calls.write(group, deadline).await.map_err(Failure::into_write_error);
    let (rows, bytes) = (mutations.len() as u64, mutations.iter().map(|one| one.bytes as u64).sum::<u64>());
    let number = match &mutations[..] {
        [] => return Ok(()),
        // Most stages are of one statement.
        one @ [_] => {
            write(one).await?;
            1
        }
        _ => {
            let groups = groups(mutations);
            let number = groups.len() as u64;
            let outcomes = futures_util::stream::iter(groups)
                .map(|group| async move { write(&group).await })
                .buffer_unordered(CONCURRENT)
                .collect::<Vec<Result<(), StoreError>>>();
            joined(outcomes.await)?;
            number
        }
    };
    note_written(&shared.calls.counters, number, rows, bytes);
    Ok(())
}

fn note_written(counters: &Counters, groups: u64, rows: u64, bytes: u64) {
    Counters::add(&counters.groups, groups);
    Counters::add(&counters.rows_written, rows);
    Counters::add(&counters.bytes_written, bytes);
    counters.largest_group.fetch_max(rows.div_ceil(groups.max(1)), std::sync::atomic::Ordering::Relaxed);
    metrics::counter!("rookery_store_bytes_written_total").increment(bytes);
}

/// One outcome for all parts of a stage: `Unknown` unless all of them were done, or none changed anything.
pub fn joined(outcomes: Vec<Result<(), StoreError>>) -> Result<(), StoreError> {
    let is_untouched = |outcome: &Result<(), StoreError>| match outcome {
        Ok(()) | Err(StoreError::Unknown(_)) => false,
        Err(_) => true,
    };
    let all_untouched = outcomes.iter().all(is_untouched);
    match outcomes.into_iter().find_map(Result::err) {
        None => Ok(()),
        Some(error) if all_untouched => Err(error),
        Some(error) => Err(as_unknown(error)),
    }
}

/// Puts mutations of one partition together; the order among them is their timestamps'.
pub fn groups(mutations: Vec<Mutation>) -> Vec<SmallVec<[Mutation; 1]>> {
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

    fn words() -> String {
        "words".into()
    }

    #[test]
    fn a_stage_of_which_a_part_was_written_is_never_called_unwritten() {
        let untouched = || StoreError::Unwritable(words());
        let refused = || StoreError::Invalid(words());
        let unknown = || StoreError::Unknown(words());
        assert_eq!(joined(vec![Ok(()), Ok(())]), Ok(()));
        assert_eq!(joined(vec![Err(refused())]), Err(refused()));
        assert_eq!(joined(vec![Err(untouched()), Err(untouched())]), Err(untouched()));
        assert_eq!(joined(vec![Err(refused()), Err(untouched())]), Err(refused()));
        assert_eq!(joined(vec![Ok(()), Err(untouched())]), Err(unknown()));
        assert_eq!(joined(vec![Err(refused()), Ok(())]), Err(unknown()));
        assert_eq!(joined(vec![Err(untouched()), Err(unknown())]), Err(unknown()));
    }

    #[test]
    fn after_a_stage_that_wrote_every_failure_is_unknown() {
        let corrupt = || StoreError::Corrupt { table: "pins", key: "1".into(), reason: words() };
        let failures = [StoreError::Unwritable(words()), StoreError::Invalid(words()), corrupt()];
        for failure in failures {
            let mut progress = Progress::default();
            assert_eq!(progress.stage(Err(failure.clone())), Err(failure.clone()));
            assert_eq!(progress.stage(Ok(())), Ok(()));
            let later = progress.stage(Err(failure));
            assert!(matches!(later, Err(StoreError::Unknown(reason)) if reason.contains("words")));
        }
    }
}
