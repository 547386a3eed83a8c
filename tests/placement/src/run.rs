//! Runs of a seed: with the violation that it ends in, and the fewest actions that lead to it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::actions::Action;
use crate::check::{Invariant, Violation};
use crate::plant::Plant;

/// Runs that shrinking may take.
const SHRINK_RUNS_MAX: usize = 400;

/// A world that follows from a seed.
pub trait Simulated: Sized {
    /// How often things happened in it.
    type Counts;

    /// The world of a seed.
    fn new(seed: u64, plant: Plant) -> Self;
    /// What is to be done in it.
    fn actions(&self) -> &[Action];
    /// Does other things instead.
    fn set_actions(&mut self, actions: Vec<Action>);
    /// Keeps a readable line for everything that happens.
    fn keep_trace(&mut self);
    /// What happened, if it was kept.
    fn trace(&self) -> &[String];
    /// Lets everything happen; what was reached, or the first invariant that did not hold.
    ///
    /// # Errors
    /// An invariant did not hold.
    fn run(&mut self) -> Result<Self::Counts, Violation>;
}

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
pub fn run<W: Simulated>(seed: u64, plant: Plant) -> Result<W::Counts, Violation> {
    finish(&mut W::new(seed, plant))
}

/// As [`run`] with a trace of what happened.
pub fn run_traced<W: Simulated>(seed: u64, plant: Plant) -> (Result<W::Counts, Violation>, Vec<String>) {
    traced(W::new(seed, plant))
}

fn traced<W: Simulated>(mut world: W) -> (Result<W::Counts, Violation>, Vec<String>) {
    world.keep_trace();
    let result = finish(&mut world);
    (result, world.trace().to_vec())
}

fn finish<W: Simulated>(world: &mut W) -> Result<W::Counts, Violation> {
    catch_unwind(AssertUnwindSafe(|| world.run())).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(Violation { invariant: Invariant::NoPanic, what: text.unwrap_or_default() })
    })
}

/// Leaves out actions for as long as the same invariant still fails.
pub fn shrink<W: Simulated>(seed: u64, plant: Plant, violation: Violation) -> Failure {
    let all = W::new(seed, plant).actions().to_vec();
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
            match with_actions::<W>(seed, plant, fewer.clone()) {
                Err(other) if other.invariant == violation.invariant => (actions, violation) = (fewer, other),
                _ => from += size,
            }
        }
        size /= 2;
    }
    let mut world = W::new(seed, plant);
    world.set_actions(actions.clone());
    let (_, trace) = traced(world);
    Failure { seed, violation, actions, actions_before, trace }
}

fn with_actions<W: Simulated>(seed: u64, plant: Plant, actions: Vec<Action>) -> Result<W::Counts, Violation> {
    let mut world = W::new(seed, plant);
    world.set_actions(actions);
    finish(&mut world)
}
