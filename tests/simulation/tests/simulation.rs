//! The simulation over many seeds, and the planted bugs that it must find.
//!
//! `ROOKERY_SIM_SEEDS=n` runs so many seeds, `ROOKERY_SIM_SEED=n` one of them with a trace of what happens.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use rookery_test_simulation::check::{Invariant, Violation};
use rookery_test_simulation::env::Counts;
use rookery_test_simulation::plant::Plant;
use rookery_test_simulation::run::{run, run_traced, shrink};

const SEEDS: u64 = 2_000;
/// Why the sums of all threads can be had.
const WHOLE: &str = "no thread panics while it holds this";
/// Failures after which no more seeds are run.
const FAILURES_MAX: usize = 12;
/// Seeds in which a planted bug must show.
const SEEDS_OF_PLANT: u64 = 200;

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// Ends the test with the fewest actions that fail in the same way.
#[allow(clippy::print_stdout, reason = "a test prints what it failed on")]
fn fail(seed: u64, plant: Plant, violation: Violation) -> ! {
    let failure = shrink(seed, plant, violation);
    for line in &failure.trace {
        println!("{line}");
    }
    panic!(
        "{}\nof {} actions {} are left; the whole of it again: \
         ROOKERY_SIM_SEED={seed} cargo test -p rookery-test-simulation whatever -- --nocapture",
        failure.violation,
        failure.actions_before,
        failure.actions.len()
    );
}

#[test]
fn whatever_happens_everybody_is_told_what_is_theirs_and_nothing_else() {
    if let Some(seed) = from_environment("ROOKERY_SIM_SEED") {
        let (result, trace) = run_traced(seed, Plant::Nothing);
        trace.iter().for_each(|line| println!("{line}"));
        match result {
            Ok(counts) => println!("{counts:#?}"),
            Err(violation) => panic!("{violation}"),
        }
        return;
    }
    let seeds = from_environment("ROOKERY_SIM_SEEDS").unwrap_or(SEEDS);
    let (sum, failed) = run_all(seeds, Plant::Nothing);
    println!("{seeds} seeds: {sum:#?}");
    if let Some((seed, violation)) = failed.first() {
        if from_environment("ROOKERY_SIM_SURVEY").is_some() {
            failed.iter().for_each(|(seed, violation)| println!("seed {seed}: {violation}"));
            panic!("{} seeds failed", failed.len());
        }
        failed.iter().for_each(|(seed, violation)| println!("seed {seed}: {violation}"));
        fail(*seed, Plant::Nothing, violation.clone());
    }
    if seeds >= SEEDS {
        let (name, least) = sum.least();
        assert!(least > seeds / 10, "{name} is hardly reached: {least}");
    }
}

/// Runs all seeds below this; what was reached, and the first that failed.
fn run_all(seeds: u64, plant: Plant) -> (Counts, Vec<(u64, Violation)>) {
    let next = AtomicU64::new(0);
    let all = Mutex::new((Counts::default(), Vec::new()));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds || all.lock().expect(WHOLE).1.len() >= FAILURES_MAX {
                return;
            }
            let result = run(seed, plant);
            let mut all = all.lock().expect(WHOLE);
            match result {
                Ok(counts) => all.0.add(&counts),
                Err(violation) => all.1.push((seed, violation)),
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let (sum, mut failed) = all.into_inner().expect(WHOLE);
    failed.sort_by_key(|(seed, _)| *seed);
    (sum, failed)
}

/// A planted bug is found in the seeds that are tried for it, by nothing but these invariants, and by the first of them.
#[track_caller]
fn is_found(plant: Plant, by: &[Invariant]) {
    let (_, failed) = run_all(SEEDS_OF_PLANT, plant);
    let found: Vec<Invariant> = failed.iter().map(|(_, violation)| violation.invariant).collect();
    assert!(found.contains(&by[0]), "{plant:?} in {SEEDS_OF_PLANT} seeds: {found:?}");
    let other = failed.iter().find(|(_, violation)| !by.contains(&violation.invariant));
    assert!(other.is_none(), "{plant:?} breaks something else: {other:?}");
}

#[test]
fn planted_swapped_events_are_found() {
    is_found(Plant::SwappedEvents, &[Invariant::Order]);
}

#[test]
fn planted_stale_audience_is_found() {
    // It reaches those who may no longer read, misses those who may read now, and comes twice to those who move between
    // the halves of an audience with and without content.
    is_found(Plant::StaleAudience, &[Invariant::Visibility, Invariant::NoGap, Invariant::NoRepeat]);
}

#[test]
fn planted_replay_from_the_last_number_is_found() {
    is_found(Plant::ReplayFromSeq, &[Invariant::NoRepeat]);
}

#[test]
fn planted_drops_while_detached_are_found() {
    // A client that misses the last word about something holds the wrong state in the end.
    is_found(Plant::DroppedWhileDetached, &[Invariant::NoGap, Invariant::State]);
}

#[test]
fn planted_content_for_all_is_found() {
    is_found(Plant::ContentForAll, &[Invariant::Content]);
}
