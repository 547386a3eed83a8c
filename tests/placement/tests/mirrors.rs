//! Mirrors over many seeds, and the planted bugs that they must find.
//!
//! `ROOKERY_SIM_SEEDS=n` runs so many seeds, `ROOKERY_SIM_SEED=n` one of them with a trace of what happens.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use rookery_test_placement::check::{Invariant, Violation};
use rookery_test_placement::mirrors::{Counts, Mirrors};
use rookery_test_placement::plant::Plant;
use rookery_test_placement::run::{run, run_traced, shrink};

const SEEDS: u64 = 2_000;
const SEEDS_OF_PLANT: u64 = 200;
const FAILURES_MAX: usize = 12;
const WHOLE: &str = "no thread panics while it holds this";

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

#[test]
fn whatever_happens_nobody_reads_at_a_mirror_what_was_taken_away_before() {
    if let Some(seed) = from_environment("ROOKERY_SIM_SEED") {
        let (result, trace) = run_traced::<Mirrors>(seed, Plant::Nothing);
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
    failed.iter().for_each(|(seed, violation)| println!("seed {seed}: {violation}"));
    if let Some((seed, violation)) = failed.first() {
        let failure = shrink::<Mirrors>(*seed, Plant::Nothing, violation.clone());
        failure.trace.iter().for_each(|line| println!("{line}"));
        panic!(
            "{}\nof {} actions {} are left; the whole of it again: \
             ROOKERY_SIM_SEED={seed} cargo test -p rookery-test-placement --test mirrors whatever -- --nocapture",
            failure.violation,
            failure.actions_before,
            failure.actions.len()
        );
    }
    if seeds >= SEEDS {
        assert!(sum.least() > seeds / 10, "something is hardly reached");
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
            let result = run::<Mirrors>(seed, plant);
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
fn planted_clock_that_stands_still_in_a_pause_is_found() {
    is_found(Plant::ClockStandsStill, &[Invariant::NoReadOfTheRevoked, Invariant::MirrorsInTime]);
}

#[test]
fn planted_oblivion_of_the_mirrors_of_an_owner_before_is_found() {
    is_found(Plant::MirrorsOfBeforeForgotten, &[Invariant::NoReadOfTheRevoked]);
}

#[test]
fn planted_grants_of_an_owner_of_the_past_are_found() {
    is_found(Plant::GrantsOfThePast, &[Invariant::NoReadOfTheRevoked]);
}

#[test]
fn planted_confirmation_before_application_is_found() {
    let by = [Invariant::TrueCopies, Invariant::OwnWrites, Invariant::NoReadOfTheRevoked];
    is_found(Plant::ConfirmedBeforeApplied, &by);
}

#[test]
fn planted_leases_counted_from_their_arrival_are_found() {
    is_found(Plant::LeaseFromArrival, &[Invariant::NoReadOfTheRevoked]);
}

#[test]
fn planted_snapshots_of_the_past_are_found() {
    is_found(Plant::StaleSnapshots, &[Invariant::TrueCopies, Invariant::NoReadOfTheRevoked]);
}
