//! How many questions about shards are with the store at once: as many as it answers in time.
//!
//! A node may claim thousands of shards in one go. A store that is asked for all of them at once answers none in time, and
//! what is answered too late has to be found out by asking again. So questions wait here, where waiting costs them nothing.

/// At first, and at least after failures.
const LEAST: usize = 16;
/// However well it goes.
const MOST: usize = 256;

/// The number of questions that may be under way; it grows with each answer and halves when one does not come.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    at_once: usize,
    /// Answers that still come from before the last halving: one slow moment counts once.
    ignored: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self { at_once: LEAST, ignored: 0 }
    }
}

impl Pace {
    /// Whether another question may go out while so many are under way.
    pub const fn admits(&self, under_way: usize) -> bool {
        under_way < self.at_once
    }

    /// A question was answered, or not in time, while so many others were under way.
    pub fn note(&mut self, is_answered: bool, under_way: usize) {
        self.ignored = self.ignored.saturating_sub(1);
        if is_answered {
            self.at_once = (self.at_once + 1).min(MOST);
        } else if self.ignored == 0 {
            self.at_once = (self.at_once / 2).max(LEAST);
            self.ignored = under_way;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_with_answers_and_halves_once_for_a_slow_moment() {
        let mut pace = Pace::default();
        assert!(pace.admits(15) && !pace.admits(16));
        for _ in 0..1_000 {
            pace.note(true, 15);
        }
        assert!(pace.admits(255) && !pace.admits(256));
        // All that are under way fail together.
        for left in (0..256).rev() {
            pace.note(false, left);
        }
        assert!(pace.admits(63) && !pace.admits(128), "{pace:?}");
        for _ in 0..10 {
            pace.note(false, 0);
        }
        assert!(pace.admits(15) && !pace.admits(16));
    }
}
