//! Rooms of bots and browsers on virtual time, from seeds, held against a brute-force model of who may hear and see whom.
//!
//! `ROOKERY_SIM_SEEDS=n` runs so many seeds, `ROOKERY_SIM_SEED=n` one of them.

#![allow(clippy::unwrap_used, reason = "what tests share fails like a test")]

mod model;
mod plant;
mod receiver;
mod sender;
mod world;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use plant::Plant;
use world::{Counts, run};

const SEEDS: u64 = 2_000;
/// Seeds in which a planted bug must show.
const SEEDS_OF_PLANT: u64 = 100;

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// Failures after which no more seeds are run.
const FAILURES_MAX: usize = 12;

/// Runs seeds until some fail; what was reached, and what failed.
fn run_all(seeds: u64, plant: Plant, failures_max: usize) -> (Counts, Vec<(u64, String)>) {
    let (next, all) = (AtomicU64::new(0), Mutex::new((Counts::default(), Vec::new())));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds || all.lock().unwrap().1.len() >= failures_max {
                return;
            }
            let result = run(seed, plant);
            let mut all = all.lock().unwrap();
            match result {
                Ok(counts) => all.0 += counts,
                Err(why) => all.1.push((seed, why)),
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    all.into_inner().unwrap()
}

#[test]
fn nobody_hears_or_sees_what_is_not_for_them_and_streams_stay_whole() {
    if let Some(seed) = from_environment("ROOKERY_SIM_SEED") {
        println!("{:#?}", run(seed, Plant::Nothing).unwrap_or_else(|why| panic!("{why}")));
        return;
    }
    let seeds = from_environment("ROOKERY_SIM_SEEDS").unwrap_or(SEEDS);
    let (counts, failed) = run_all(seeds, Plant::Nothing, FAILURES_MAX);
    println!("{seeds} seeds: {counts:#?}");
    failed.iter().for_each(|(seed, why)| println!("seed {seed}: {why}"));
    if let Some((seed, why)) = failed.first() {
        panic!(
            "{why}\nagain: ROOKERY_SIM_SEED={seed} cargo test -p rookery-forwarder --test simulation -- --nocapture"
        );
    }
    let (name, least) = counts.least();
    assert!(seeds < SEEDS || least >= seeds / 10, "{name} is hardly reached: {least}");
}

#[test]
fn planted_bugs_are_found() {
    for plant in Plant::ALL {
        let (_, failed) = run_all(SEEDS_OF_PLANT, plant, 1);
        let (seed, why) = failed.first().unwrap_or_else(|| panic!("{plant:?} is not found in {SEEDS_OF_PLANT} seeds"));
        println!("{plant:?}: seed {seed}: {why}");
    }
}

#[test]
fn a_seed_gives_the_same_again() {
    assert_eq!(run(7, Plant::Nothing), run(7, Plant::Nothing));
}
