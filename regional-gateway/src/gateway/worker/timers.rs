//! When the sessions of a worker want to be looked at, without a timer each.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rookery_model::gateway::SubscriberId;

/// The earliest deadline first. One that moved away stays, and is found wanting when it comes up.
#[derive(Default)]
pub struct Timers {
    due: BinaryHeap<Reverse<(u64, SubscriberId)>>,
}

impl Timers {
    /// Sets a deadline.
    pub fn arm(&mut self, due_ms: u64, id: SubscriberId) {
        self.due.push(Reverse((due_ms, id)));
    }

    /// A deadline that has passed, with its session.
    pub fn pop_due(&mut self, now_ms: u64) -> Option<(u64, SubscriberId)> {
        let Reverse((due_ms, _)) = *self.due.peek()?;
        if due_ms > now_ms {
            return None;
        }
        // What a storm left is given back in time.
        if self.due.capacity() > 4 * self.due.len() + 1_024 {
            self.due.shrink_to(2 * self.due.len());
        }
        self.due.pop().map(|Reverse(due)| due)
    }

    /// When the next one passes.
    pub fn next_ms(&self) -> Option<u64> {
        self.due.peek().map(|Reverse((due_ms, _))| *due_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_come_up_in_order_and_not_before_their_time() {
        let mut timers = Timers::default();
        [30, 10, 20].into_iter().for_each(|ms| timers.arm(ms, SubscriberId(ms)));
        assert_eq!((timers.next_ms(), timers.pop_due(9)), (Some(10), None));
        assert_eq!(timers.pop_due(25), Some((10, SubscriberId(10))));
        assert_eq!(timers.pop_due(25), Some((20, SubscriberId(20))));
        assert_eq!((timers.pop_due(25), timers.next_ms()), (None, Some(30)));
    }
}
