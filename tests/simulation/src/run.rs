//! Runs of a seed: with the violation that it ends in, and the fewest actions that lead to it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::actions::Action;
use crate::check::{Invariant, Violation};
use crate::env::Counts;
use crate::plant::Plant;
use crate::world::World;

/// Runs that shrinking may take.
const SHRINK_RUNS_MAX: usize = 400;

/// A seed that failed.
#[derive(Clone, Debug)]
pub struct Failure {
    pub seed: u64,
    pub violation: Violation,
    /// The actions that are left of it.
    pub actions: Vec<Action>,
    pub actions_before: usize,
    pub trace: Vec<String>,
}

/// Runs the world of a seed.
///
/// # Errors
/// An invariant did not hold.
pub fn run(seed: u64, plant: Plant) -> Result<Counts, Violation> {
    finish(&mut World::new(seed, plant))
}

/// As [`run`] with a trace of what happened.
pub fn run_traced(seed: u64, plant: Plant) -> (Result<Counts, Violation>, Vec<String>) {
    traced(World::new(seed, plant))
}

fn traced(mut world: World) -> (Result<Counts, Violation>, Vec<String>) {
    world.keep_trace();
    let result = finish(&mut world);
    (result, world.trace().to_vec())
}

fn finish(world: &mut World) -> Result<Counts, Violation> {
    catch_unwind(AssertUnwindSafe(|| world.run())).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(Violation { invariant: Invariant::NoPanic, what: text.unwrap_or_default() })
    })
}

/// Leaves out actions for as long as the same invariant still fails.
pub fn shrink(seed: u64, plant: Plant, violation: Violation) -> Failure {
    let all = World::new(seed, plant).actions().to_vec();
    let actions_before = all.len();
    let (mut actions, mut violation) = (all, violation);
    let mut runs = 0;
    let mut size = actions.len().div_ceil(2);
    while size > 0 && runs < SHRINK_RUNS_MAX {
        let mut from = 0;
        while from < actions.len() && runs < SHRINK_RUNS_MAX {
            let mut fewer = actions.clone();
            fewer.drain(from..(from + size).min(actions.len()));
            runs += 1;
            match with_actions(seed, plant, fewer.clone()) {
                Err(other) if other.invariant == violation.invariant => (actions, violation) = (fewer, other),
                _ => from += size,
            }
        }
        size /= 2;
    }
    let mut world = World::new(seed, plant);
    world.set_actions(actions.clone());
    let (_, trace) = traced(world);
    Failure { seed, violation, actions, actions_before, trace }
}

fn with_actions(seed: u64, plant: Plant, actions: Vec<Action>) -> Result<Counts, Violation> {
    let mut world = World::new(seed, plant);
    world.set_actions(actions);
    finish(&mut world)
}
