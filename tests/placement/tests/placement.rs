//! The simulation over many seeds, and the planted bugs that it must find.
//!
//! `ROOKERY_SIM_SEEDS=n` runs so many seeds, `ROOKERY_SIM_SEED=n` one of them with a trace of what happens.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use rookery_test_placement::check::{Counts, Invariant, Violation};
use rookery_test_placement::plant::Plant;
use rookery_test_placement::run::{run, run_traced, shrink};
use rookery_test_placement::world::World;

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
    let failure = shrink::<World>(seed, plant, violation);
    for line in &failure.trace {
        println!("{line}");
    }
    panic!(
        "{}\nof {} actions {} are left; the whole of it again: \
         ROOKERY_SIM_SEED={seed} cargo test -p rookery-test-placement whatever -- --nocapture",
        failure.violation,
        failure.actions_before,
        failure.actions.len()
    );
}

#[test]
fn whatever_happens_each_shard_has_one_owner_and_soon_has_one_again() {
    if let Some(seed) = from_environment("ROOKERY_SIM_SEED") {
        let (result, trace) = run_traced::<World>(seed, Plant::Nothing);
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
            let result = run::<World>(seed, plant);
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
fn planted_blind_acknowledgements_are_found() {
    // Who does not ask issues ids below those of its successor, too.
    is_found(Plant::AcknowledgedBlindly, &[Invariant::OneOwner, Invariant::IdsRise]);
}

#[test]
fn planted_clock_that_stands_still_in_a_pause_is_found() {
    is_found(Plant::ClockStandsStill, &[Invariant::OneOwner, Invariant::IdsRise, Invariant::Epochs]);
}

#[test]
fn planted_unknown_taken_for_applied_is_found() {
    // Where a hand-over is taken for done that was not, nobody is left who knows of the shard.
    let also = [Invariant::OwnedAgain, Invariant::Converged, Invariant::OneOwner, Invariant::IdsRise];
    let by: Vec<Invariant> = [Invariant::Epochs].into_iter().chain(also).collect();
    is_found(Plant::UnknownTakenForApplied, &by);
}

#[test]
fn planted_swaps_that_compare_nothing_are_found() {
    is_found(Plant::UnconditionalSwaps, &[Invariant::Epochs, Invariant::OneOwner]);
}

#[test]
fn planted_disregard_of_timestamp_floors_is_found() {
    is_found(Plant::TimestampFloorIgnored, &[Invariant::NotHidden]);
}

#[test]
fn planted_disregard_of_id_floors_is_found() {
    is_found(Plant::IdFloorIgnored, &[Invariant::IdsRise]);
}

#[test]
fn planted_disregard_of_ceilings_is_found() {
    is_found(Plant::CeilingsIgnored, &[Invariant::IdsRise, Invariant::NotHidden]);
}

#[test]
fn planted_drains_without_marks_are_found() {
    is_found(Plant::DrainedWithoutMarks, &[Invariant::IdsRise, Invariant::NotHidden]);
}

#[test]
fn planted_impatience_is_found() {
    is_found(Plant::Impatience, &[Invariant::OneOwner, Invariant::IdsRise]);
}

#[test]
fn planted_deafness_to_asks_is_found() {
    is_found(Plant::DeafToAsks, &[Invariant::Converged, Invariant::HandOver]);
}
