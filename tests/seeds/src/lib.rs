//! Simulations over many seeds: what every one of them does besides its world.
//!
//! A [`World`] follows from a seed. [`hold`] runs many of them and ends the test with the first that breaks an invariant,
//! shrunk to the fewest actions that break it in the same way; [`is_found`] holds that a planted bug shows.
//!
//! `ROOKERY_SIM_SEEDS=n` runs so many seeds, `ROOKERY_SIM_SEED=n` one of them with a trace of what happens, and
//! `ROOKERY_SIM_SURVEY=1` lists what fails without shrinking it.

#![allow(clippy::print_stdout, reason = "it speaks for tests")]

mod run;
mod tally;

use std::fmt::{self, Debug, Display};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

pub use run::{Failure, run, run_traced, shrink};
pub use tally::Tally;

/// Seeds of a run without further words.
pub const SEEDS: u64 = 2_000;
/// Seeds in which a planted bug must show.
pub const SEEDS_OF_PLANT: u64 = 200;
/// Failures after which no more seeds are run.
const FAILURES_MAX: usize = 12;

/// A world that follows from a seed.
pub trait World: Sized {
    /// A bug that may be planted in it; none by default.
    type Plant: Copy + Debug + Default + Sync;
    /// What is done in it.
    type Action: Clone;
    /// What was reached in it.
    type Counts: Tally;
    /// What must hold in it.
    type Invariant: Invariant;

    /// The world of a seed.
    fn new(seed: u64, plant: Self::Plant) -> Self;

    /// What is to be done in it; nothing where it is not to be shrunk.
    fn actions(&self) -> &[Self::Action] {
        &[]
    }

    /// Does other things instead.
    fn set_actions(&mut self, _actions: Vec<Self::Action>) {}

    /// Keeps a readable line for everything that happens.
    fn keep_trace(&mut self) {}

    /// What happened, if it was kept.
    fn trace(&self) -> &[String] {
        &[]
    }

    /// Lets everything happen; what was reached.
    ///
    /// # Errors
    /// The first invariant that did not hold.
    fn run(&mut self) -> Result<Self::Counts, Violation<Self::Invariant>>;
}

/// What must always hold.
pub trait Invariant: Copy + Debug + PartialEq + Send {
    /// No core fails by a mistake of its own.
    const NO_PANIC: Self;
}

/// An invariant that did not hold.
#[derive(Clone, Debug)]
pub struct Violation<I> {
    pub invariant: I,
    pub what: String,
}

impl<I: Debug> Display for Violation<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.invariant, self.what)
    }
}

type Failed<W> = Vec<(u64, Violation<<W as World>::Invariant>)>;

/// The seeds that the environment asks for, or the first of this many.
///
/// # Panics
/// It asks for something else than a number.
pub fn seeds(default: u64) -> Range<u64> {
    match one_seed() {
        Some(seed) => seed..seed + 1,
        None => 0..from_environment("ROOKERY_SIM_SEEDS").unwrap_or(default),
    }
}

fn one_seed() -> Option<u64> {
    from_environment("ROOKERY_SIM_SEED")
}

fn from_environment(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is {text:?}, which is no number")))
}

/// Holds that whatever happens, in as many worlds as asked for, no invariant breaks and everything is reached.
///
/// `again` is the command that runs the test.
///
/// # Panics
/// Something does not hold.
pub fn hold<W: World>(again: &str) {
    if let Some(seed) = one_seed() {
        let (result, trace) = run_traced::<W>(seed, W::Plant::default());
        trace.iter().for_each(|line| println!("{line}"));
        match result {
            Ok(counts) => println!("{counts:#?}"),
            Err(violation) => panic!("{violation}"),
        }
        return;
    }
    let seeds = seeds(SEEDS).end;
    let (sum, failed) = run_all::<W>(seeds, W::Plant::default());
    println!("{seeds} seeds: {sum:#?}");
    failed.iter().for_each(|(seed, violation)| println!("seed {seed}: {violation}"));
    if let Some((seed, violation)) = failed.into_iter().next() {
        assert!(std::env::var_os("ROOKERY_SIM_SURVEY").is_none(), "seeds failed");
        let failure = shrink::<W>(seed, W::Plant::default(), violation);
        failure.trace.iter().for_each(|line| println!("{line}"));
        panic!(
            "{}\nof {} actions {} are left; the whole of it again: ROOKERY_SIM_SEED={seed} {again} -- --nocapture",
            failure.violation, failure.actions_before, failure.actions_left,
        );
    }
    if seeds >= SEEDS {
        let (name, least) = sum.least();
        assert!(least > seeds / 10, "{name} is hardly reached: {least}");
    }
}

/// Holds that a planted bug is found in the seeds that are tried for it, by nothing but these invariants, and by the first
/// of them.
///
/// # Panics
/// It is not.
#[track_caller]
pub fn is_found<W: World>(plant: W::Plant, by: &[W::Invariant]) {
    let (_, failed) = run_all::<W>(SEEDS_OF_PLANT, plant);
    let found: Vec<W::Invariant> = failed.iter().map(|(_, violation)| violation.invariant).collect();
    assert!(found.contains(&by[0]), "{plant:?} in {SEEDS_OF_PLANT} seeds: {found:?}");
    let other = failed.iter().find(|(_, violation)| !by.contains(&violation.invariant));
    assert!(other.is_none(), "{plant:?} breaks something else: {other:?}");
}

/// Runs all seeds below this, until some failed; what was reached, and what failed.
fn run_all<W: World>(seeds: u64, plant: W::Plant) -> (W::Counts, Failed<W>) {
    let next = AtomicU64::new(0);
    let all: Mutex<(W::Counts, Failed<W>)> = Mutex::default();
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds || all.lock().unwrap_or_else(PoisonError::into_inner).1.len() >= FAILURES_MAX {
                return;
            }
            let result = run::<W>(seed, plant);
            let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
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
    let (sum, mut failed) = all.into_inner().unwrap_or_else(PoisonError::into_inner);
    failed.sort_by_key(|(seed, _)| *seed);
    (sum, failed)
}
