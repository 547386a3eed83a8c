//! Keys that a command holds from before it reads until its writes are durable.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// Number of a command inside its owner, in order of arrival.
pub type Ticket = u64;

/// Who holds which key, and who waits for it, first come first served.
///
/// A command takes its keys in their order, one after the other, so no two wait for each other.
pub struct Locks<K> {
    held: HashMap<K, Queue>,
}

struct Queue {
    holder: Ticket,
    waiting: VecDeque<Ticket>,
}

impl<K: Copy + Eq + Hash> Default for Locks<K> {
    fn default() -> Self {
        Self { held: HashMap::new() }
    }
}

impl<K: Copy + Eq + Hash> Locks<K> {
    /// Takes the key, or stands in line for it.
    pub fn acquire(&mut self, key: K, ticket: Ticket) -> bool {
        match self.held.get_mut(&key) {
            None => {
                self.held.insert(key, Queue { holder: ticket, waiting: VecDeque::new() });
                true
            }
            Some(queue) if queue.holder == ticket => true,
            Some(queue) => {
                queue.waiting.push_back(ticket);
                false
            }
        }
    }

    /// Gives keys back; those who hold one of them now, in order.
    pub fn release(&mut self, keys: &[K], ticket: Ticket) -> Vec<Ticket> {
        let mut next = Vec::new();
        for key in keys {
            let Some(queue) = self.held.get_mut(key).filter(|queue| queue.holder == ticket) else { continue };
            match queue.waiting.pop_front() {
                Some(successor) => {
                    queue.holder = successor;
                    next.push(successor);
                }
                None => {
                    self.held.remove(key);
                }
            }
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_goes_from_one_to_the_next_in_line() {
        let mut locks = Locks::default();
        assert!(locks.acquire('a', 1));
        assert!(locks.acquire('a', 1), "a holder asks again");
        assert!(!locks.acquire('a', 2));
        assert!(!locks.acquire('a', 3));
        assert!(locks.acquire('b', 1));
        assert_eq!(locks.release(&['a', 'b'], 1), [2]);
        assert!(locks.release(&['a'], 1).is_empty(), "it is no longer the first one's to give");
        assert_eq!(locks.release(&['a'], 2), [3]);
        assert!(locks.release(&['a'], 3).is_empty());
        assert!(locks.held.is_empty());
    }
}
