//! Links between two or three nodes over a bus that drops, repeats, reorders, delays and is cut, on virtual time, from
//! seeds; processes end and come back as others, and callers stop polling for a while.
//!
//! Whatever happens: frames come exactly once and in order; after a hole, or of another process, none comes without the
//! event that says so; what is held stays within its bounds; and when the faults end, everything arrives.
//!
//! `ROOKERY_SIM_SEEDS=n` runs so many seeds, `ROOKERY_SIM_SEED=n` one of them with a trace of what happens.

mod check;
mod plant;
mod weather;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use check::{Invariant, Violation};
use plant::Plant;
use world::{Counts, World};

const SEEDS: u64 = 2_000;
/// Seeds in which a planted bug must show.
const SEEDS_OF_PLANT: u64 = 200;
/// Failures after which no more seeds are run.
const FAILURES_MAX: usize = 12;
/// Why the sums of all threads can be had.
const WHOLE: &str = "no thread panics while it holds this";

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// Runs one seed; a panic of the core is a violation as well.
fn run(seed: u64, plant: Plant, trace: bool) -> Result<Counts, Violation> {
    catch_unwind(AssertUnwindSafe(|| World::new(seed, plant, trace).run())).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(Violation { invariant: Invariant::NoPanic, what: text.unwrap_or_default() })
    })
}

/// Runs all seeds below this: what was reached, and the first that failed.
fn run_all(seeds: u64, plant: Plant) -> (Counts, Vec<(u64, Violation)>) {
    let next = AtomicU64::new(0);
    let all = Mutex::new((Counts::default(), Vec::new()));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds || all.lock().expect(WHOLE).1.len() >= FAILURES_MAX {
                return;
            }
            let result = run(seed, plant, false);
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

#[test]
fn whatever_happens_frames_come_once_and_in_order_or_a_loss_is_told_first() {
    if let Some(seed) = from_environment("ROOKERY_SIM_SEED") {
        match run(seed, Plant::Nothing, true) {
            Ok(counts) => println!("{counts:#?}"),
            Err(violation) => panic!("{violation}"),
        }
        return;
    }
    let seeds = from_environment("ROOKERY_SIM_SEEDS").unwrap_or(SEEDS);
    let (sum, failed) = run_all(seeds, Plant::Nothing);
    println!("{seeds} seeds: {sum:#?}");
    if let Some((seed, violation)) = failed.first() {
        failed.iter().for_each(|(seed, violation)| println!("seed {seed}: {violation}"));
        panic!(
            "{violation}\nthe whole of it again: ROOKERY_SIM_SEED={seed} cargo test -p rookery-relay --test simulation \
             whatever -- --nocapture"
        );
    }
    if seeds >= SEEDS {
        let (name, least) = sum.least();
        assert!(least > seeds / 10, "{name} is hardly reached: {least}");
    }
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
fn planted_acknowledgements_of_what_is_missing_are_found() {
    // The stream stalls until it is given up, or to the end.
    is_found(Plant::AckAhead, &[Invariant::NoNeedlessLoss, Invariant::Convergence]);
}

#[test]
fn planted_silence_about_a_loss_is_found() {
    is_found(Plant::LossSwallowed, &[Invariant::LossToldFirst]);
}

#[test]
fn planted_silence_about_a_restart_is_found() {
    is_found(Plant::RestartSwallowed, &[Invariant::LossToldFirst]);
}

#[test]
fn planted_packets_for_another_process_that_are_taken_are_found() {
    // What the stream has then is another's: too much, too little, or nothing at all.
    let by = [Invariant::Order, Invariant::Whole, Invariant::LossToldFirst, Invariant::Convergence];
    is_found(Plant::AnyReceiver, &by);
}

#[test]
fn planted_belief_in_whoever_speaks_is_found() {
    // An old packet of a process that ended before anybody knew it drives out its successor.
    let by = [Invariant::Convergence, Invariant::Order, Invariant::Whole, Invariant::LossToldFirst];
    is_found(Plant::AnyAnswer, &by);
}

#[test]
fn planted_cells_of_an_epoch_that_is_over_are_found() {
    is_found(Plant::AnyEpoch, &[Invariant::Order, Invariant::Whole, Invariant::LossToldFirst, Invariant::Convergence]);
}

#[test]
fn planted_wrong_numbers_are_found() {
    is_found(
        Plant::ShiftedNumbers,
        &[Invariant::Order, Invariant::Whole, Invariant::LossToldFirst, Invariant::NoNeedlessLoss],
    );
}
