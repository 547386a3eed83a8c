//! Runs of a seed: with the violation that it ends in, and the fewest actions that lead to it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::{Invariant as _, Violation, World};

/// Runs that shrinking may take.
const SHRINK_RUNS_MAX: usize = 400;

type Ran<W> = Result<<W as World>::Counts, Violation<<W as World>::Invariant>>;

/// A seed that failed.
#[derive(Clone, Debug)]
pub struct Failure<I> {
    pub violation: Violation<I>,
    pub actions_before: usize,
    pub actions_left: usize,
    pub trace: Vec<String>,
}

/// Runs the world of a seed.
///
/// # Errors
/// An invariant did not hold.
pub fn run<W: World>(seed: u64, plant: W::Plant) -> Ran<W> {
    finish(&mut W::new(seed, plant))
}

/// As [`run`] with a trace of what happened.
pub fn run_traced<W: World>(seed: u64, plant: W::Plant) -> (Ran<W>, Vec<String>) {
    traced(W::new(seed, plant))
}

fn traced<W: World>(mut world: W) -> (Ran<W>, Vec<String>) {
    world.keep_trace();
    let result = finish(&mut world);
    (result, world.trace().to_vec())
}

/// A panic of a core is a violation as well.
fn finish<W: World>(world: &mut W) -> Ran<W> {
    catch_unwind(AssertUnwindSafe(|| world.run())).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(Violation { invariant: W::Invariant::NO_PANIC, what: text.unwrap_or_default() })
    })
}

/// Leaves out actions for as long as the same invariant still fails.
pub fn shrink<W: World>(seed: u64, plant: W::Plant, violation: Violation<W::Invariant>) -> Failure<W::Invariant> {
    let (mut actions, mut violation) = (W::new(seed, plant).actions().to_vec(), violation);
    let actions_before = actions.len();
    let mut runs = 0;
    let mut size = actions.len().div_ceil(2);
    while size > 0 && runs < SHRINK_RUNS_MAX {
        let mut from = 0;
        while from < actions.len() && runs < SHRINK_RUNS_MAX {
            let mut fewer = actions.clone();
            fewer.drain(from..(from + size).min(actions.len()));
            runs += 1;
            match finish(&mut with_actions::<W>(seed, plant, fewer.clone())) {
                Err(other) if other.invariant == violation.invariant => (actions, violation) = (fewer, other),
                _ => from += size,
            }
        }
        size /= 2;
    }
    let actions_left = actions.len();
    let (_, trace) = traced(with_actions::<W>(seed, plant, actions));
    Failure { violation, actions_before, actions_left, trace }
}

fn with_actions<W: World>(seed: u64, plant: W::Plant, actions: Vec<W::Action>) -> W {
    let mut world = W::new(seed, plant);
    world.set_actions(actions);
    world
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two of its actions together break something; a third panics when a bug is planted.
    struct Pair(Vec<u32>, bool);

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Rule {
        NotBoth,
        NoPanic,
    }

    impl crate::Invariant for Rule {
        const NO_PANIC: Self = Self::NoPanic;
    }

    crate::tally! {
        struct Counts {
            actions,
        }
    }

    impl World for Pair {
        type Plant = bool;
        type Action = u32;
        type Counts = Counts;
        type Invariant = Rule;

        fn new(_: u64, plant: bool) -> Self {
            Self((0..100).collect(), plant)
        }

        fn actions(&self) -> &[u32] {
            &self.0
        }

        fn set_actions(&mut self, actions: Vec<u32>) {
            self.0 = actions;
        }

        fn run(&mut self) -> Result<Counts, Violation<Rule>> {
            assert!(!self.1, "planted");
            if self.0.contains(&17) && self.0.contains(&71) {
                return Err(Violation { invariant: Rule::NotBoth, what: format!("{:?}", self.0) });
            }
            Ok(Counts { actions: self.0.len() as u64 })
        }
    }

    #[test]
    fn what_fails_is_shrunk_to_the_actions_that_it_takes() {
        let violation = run::<Pair>(1, false).unwrap_err();
        let failure = shrink::<Pair>(1, false, violation);
        assert_eq!((failure.actions_before, failure.actions_left), (100, 2));
        assert_eq!(failure.violation.to_string(), "NotBoth: [17, 71]");
    }

    #[test]
    fn a_panic_is_a_violation() {
        assert_eq!(run::<Pair>(1, true).unwrap_err().to_string(), "NoPanic: planted");
        crate::is_found::<Pair>(true, &[Rule::NoPanic]);
    }
}
