//! Audiences that another region knows by number.
//!
//! The core of a guild gives the same audience to event after event, and it may be thousands of sessions: they are told
//! once, and an event goes out with a number.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use rookery_model::gateway::SubscriberId;

/// Audiences known by number at a time.
const KNOWN_MAX: usize = 256;
/// Below this an audience is written into each event: that is no more than a number costs.
pub const NUMBERED_FROM: usize = 4;

/// The audiences that were told, the newest used last.
#[derive(Default)]
pub struct Audiences {
    /// Held, so that no other audience comes to lie where one of these lay.
    known: VecDeque<(u32, Arc<[SubscriberId]>)>,
    next: u32,
}

/// How to name an audience.
#[derive(Debug, PartialEq, Eq)]
pub enum Named {
    Known(u32),
    /// To be told first; the other means nobody from now on.
    New {
        number: u32,
        forget: Option<u32>,
    },
}

impl Audiences {
    /// The number of an audience.
    pub fn name(&mut self, audience: &Arc<[SubscriberId]>) -> Named {
        if let Some(place) = self.known.iter().rposition(|(_, known)| Arc::ptr_eq(known, audience)) {
            let newest = self.known.len() - 1;
            let number = self.known[place].0;
            if place < newest
                && let Some(entry) = self.known.remove(place)
            {
                self.known.push_back(entry);
            }
            return Named::Known(number);
        }
        let forget =
            if self.known.len() >= KNOWN_MAX { self.known.pop_front().map(|(number, _)| number) } else { None };
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        self.known.push_back((number, Arc::clone(audience)));
        Named::New { number, forget }
    }

    /// The other region knows none any more.
    pub fn clear(&mut self) {
        self.known.clear();
    }
}

/// The audiences that another region told.
#[derive(Default)]
pub struct Told(HashMap<u32, Arc<[SubscriberId]>>);

impl Told {
    /// Takes one over; false if there are more than anybody keeps.
    pub fn insert(&mut self, number: u32, sessions: Arc<[SubscriberId]>) -> bool {
        if self.0.len() > KNOWN_MAX && !self.0.contains_key(&number) {
            return false;
        }
        self.0.insert(number, sessions);
        true
    }

    /// Forgets one.
    pub fn forget(&mut self, number: u32) {
        self.0.remove(&number);
    }

    /// The audience of a number.
    pub fn get(&self, number: u32) -> Option<&Arc<[SubscriberId]>> {
        self.0.get(&number)
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn audience(id: u64) -> Arc<[SubscriberId]> {
        [SubscriberId(id)].into()
    }

    #[test]
    fn one_is_told_once_while_it_is_used() {
        let mut audiences = Audiences::default();
        let first = audience(1);
        assert_eq!(audiences.name(&first), Named::New { number: 0, forget: None });
        for id in 0..KNOWN_MAX as u64 - 1 {
            assert!(matches!(audiences.name(&audience(id)), Named::New { forget: None, .. }));
            assert_eq!(audiences.name(&first), Named::Known(0));
        }
        // The oldest goes, and the one in use stays.
        assert_eq!(audiences.name(&audience(1)), Named::New { number: KNOWN_MAX as u32, forget: Some(1) });
        assert_eq!(audiences.name(&first), Named::Known(0));
        audiences.clear();
        assert!(matches!(audiences.name(&first), Named::New { forget: None, .. }));
    }

    #[test]
    fn what_is_told_is_bounded() {
        let mut told = Told::default();
        for number in 0..=KNOWN_MAX as u32 {
            assert!(told.insert(number, audience(1)));
        }
        assert!(!told.insert(u32::MAX, audience(1)));
        told.forget(0);
        assert!(told.insert(u32::MAX, audience(1)) && told.get(0).is_none());
    }
}
