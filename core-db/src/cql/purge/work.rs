//! Who does what stands on the board, a few jobs at a time.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::watch;
use tokio::time::Instant;

use super::everywhere::Everywhere;
use super::{POLL, contents, erasure, grace, is_due, marked};
use crate::StoreError;
use crate::cql::clock::now_ms;
use crate::cql::shared::Shared;
use crate::cql::tables::purges::{Job, Noted};
use crate::tables::purges::Purge;

/// Jobs under way at a time: one that is long does not hold up the others.
const CONCURRENT: usize = 4;
/// The pause after a job that failed; it doubles.
const AFTER_FAILURE_MIN: Duration = Duration::from_secs(1);
/// The longest.
const AFTER_FAILURE_MAX: Duration = Duration::from_secs(60);
/// How often it is looked whether a day is over.
const DAY_INTERVAL: Duration = Duration::from_secs(60);

/// A job in this process.
#[derive(Clone, Copy, Debug)]
struct State {
    /// When it may begin, or begin again.
    due: Instant,
    is_under_way: bool,
    failures: u32,
}

/// Does what is noted until it is dropped.
pub async fn run(shared: &Shared, mut jobs: watch::Receiver<Vec<Noted>>) {
    warn_of_short_grace(shared);
    let mut states: HashMap<Noted, State> = HashMap::new();
    let mut under_way = FuturesUnordered::new();
    loop {
        let now = Instant::now();
        while under_way.len() < CONCURRENT
            && let Some((noted, state)) = next(&mut states).filter(|(_, state)| state.due <= now)
        {
            state.is_under_way = true;
            let noted = *noted;
            under_way.push(async move { (noted, remove(shared, noted).await) });
        }
        let wake = next(&mut states).filter(|_| under_way.len() < CONCURRENT).map(|(_, state)| state.due);
        let sleep = tokio::time::sleep_until(wake.unwrap_or_else(|| now + DAY_INTERVAL));
        tokio::select! {
            Some((noted, outcome)) = under_way.next() => ended(&mut states, noted, outcome),
            Ok(()) = jobs.changed() => {
                let noted = jobs.borrow_and_update().clone();
                take_over(&mut states, &noted, grace(&shared.config));
            }
            () = sleep => {}
        }
        let waiting = states.values().filter(|state| state.failures > 0).count();
        metrics::gauge!("rookery_store_purges_waiting").set(waiting as f64);
    }
}

/// The job that is next to begin.
fn next(states: &mut HashMap<Noted, State>) -> Option<(&Noted, &mut State)> {
    states.iter_mut().filter(|(_, state)| !state.is_under_way).min_by_key(|(_, state)| state.due)
}

/// Takes over what stands on the board: new jobs rest first, those struck off by others are forgotten.
fn take_over(states: &mut HashMap<Noted, State>, noted: &[Noted], grace: Duration) {
    let known: std::collections::HashSet<Noted> = noted.iter().copied().collect();
    states.retain(|noted, state| state.is_under_way || known.contains(noted));
    for noted in known {
        let rest = match noted.job {
            Job::Contents(..) => grace,
            // Of a day that is over for every clock.
            Job::Day(_) => Duration::ZERO,
        };
        states.entry(noted).or_insert_with(|| State { due: Instant::now() + rest, is_under_way: false, failures: 0 });
    }
}

fn ended(states: &mut HashMap<Noted, State>, noted: Noted, outcome: Result<Outcome, StoreError>) {
    let Some(state) = states.get_mut(&noted) else { return };
    state.is_under_way = false;
    let pause = match outcome {
        // If it still stands on the board by then it was noted anew.
        Ok(Outcome::Done) => POLL * 3,
        Ok(Outcome::NotYet) => DAY_INTERVAL,
        Err(error) => {
            if state.failures == 0 {
                tracing::warn!(job = ?noted.job, %error, "what was deleted stays hidden and cannot be removed yet");
            }
            state.failures = state.failures.saturating_add(1);
            metrics::counter!("rookery_store_purge_passes_total", "outcome" => "failed").increment(1);
            state.due = Instant::now() + pause_after(state.failures);
            return;
        }
    };
    if state.failures > 0 {
        tracing::info!(job = ?noted.job, "what was deleted can be removed again");
    }
    state.failures = 0;
    state.due = Instant::now() + pause;
}

fn pause_after(failures: u32) -> Duration {
    AFTER_FAILURE_MIN.saturating_mul(1 << (failures - 1).min(16)).min(AFTER_FAILURE_MAX)
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Done,
    /// Its day is not over.
    NotYet,
}

/// Does a job and strikes it off.
async fn remove(shared: &Shared, noted: Noted) -> Result<Outcome, StoreError> {
    let everywhere = &Everywhere::of(shared);
    let at = shared.clock.take(1);
    match noted.job {
        Job::Contents(Purge::Channel(id), _) => contents::channel(everywhere, id).await?,
        Job::Contents(Purge::Guild(id), _) => contents::guild(everywhere, id).await?,
        Job::Contents(Purge::User(id), through) => erasure::run(everywhere, id, through).await?,
        Job::Day(day) if is_due(day, now_ms()) => marked::day(everywhere, day).await?,
        Job::Day(_) => return Ok(Outcome::NotYet),
    }
    // As of its beginning: one that was asked for since stands, by its later timestamp.
    everywhere.write(vec![shared.tables.purges.delete(noted, at)]).await?;
    if let Job::Contents(purge, through) = noted.job {
        shared.doomed.end(purge, through);
    }
    metrics::counter!("rookery_store_purge_passes_total", "outcome" => "done").increment(1);
    Ok(Outcome::Done)
}

/// Other processes' writes are tried for as long as ours, and hear of a job a moment later.
fn warn_of_short_grace(shared: &Shared) {
    let config = &shared.config;
    let needed = config.write_timeout_ms + config.write_attempt_timeout_ms + POLL.as_millis() as u64;
    if config.removal_grace_ms < needed {
        tracing::warn!(
            removal_grace_ms = config.removal_grace_ms,
            needed_ms = needed,
            "removal may begin while another process still writes; what it writes then may stay"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rookery_model::{ChannelId, MessageId, UserId};

    #[tokio::test(start_paused = true)]
    async fn a_job_rests_first_and_is_taken_up_again_when_it_failed_or_was_noted_anew() {
        let user = Job::Contents(Purge::User(UserId::new(1)), MessageId::new(9)).noted(5);
        let channel = Job::all_of(Purge::Channel(ChannelId::new(2))).noted(5);
        let mut states = HashMap::new();
        let grace = Duration::from_secs(30);
        take_over(&mut states, &[user, Job::Day(3).noted(5)], grace);
        let begin = Instant::now();
        let due = |states: &HashMap<Noted, State>, noted| states.get(&noted).map(|state: &State| state.due - begin);
        assert_eq!((due(&states, user), due(&states, Job::Day(3).noted(9))), (Some(grace), Some(Duration::ZERO)));

        // Seen again, it does not rest anew; what others struck off is forgotten, unless it is under way here.
        tokio::time::advance(Duration::from_secs(10)).await;
        take_over(&mut states, &[user, channel], grace);
        assert_eq!((states.len(), due(&states, user)), (2, Some(grace)));
        states.get_mut(&user).unwrap().is_under_way = true;
        take_over(&mut states, &[], grace);
        assert_eq!(states.keys().copied().collect::<Vec<_>>(), [user]);

        let away = || Err(StoreError::Unavailable("away".into()));
        for pause in [1, 2, 4, 8, 16, 32, 60, 60] {
            ended(&mut states, user, away());
            assert_eq!(states[&user].due - Instant::now(), Duration::from_secs(pause));
        }
        ended(&mut states, user, Ok(Outcome::Done));
        assert_eq!((states[&user].failures, states[&user].due - Instant::now()), (0, POLL * 3));
    }
}
