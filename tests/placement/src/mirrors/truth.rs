//! What is so: who may read what, at every version, and what was acknowledged when.

use std::collections::BTreeMap;

use rand::Rng as _;
use rand_chacha::ChaCha8Rng;

/// People.
const PEOPLE: u8 = 6;

/// Who may read: a bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State(u8);

/// Somebody may read from now on, or may no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    person: u8,
    pub is_grant: bool,
}

impl Change {
    /// Any.
    pub fn any(rng: &mut ChaCha8Rng) -> Self {
        Self { person: rng.random_range(0..PEOPLE), is_grant: rng.random_bool(0.6) }
    }
}

impl State {
    /// Changes it.
    pub const fn apply(&mut self, change: Change) {
        let bit = 1 << change.person;
        self.0 = if change.is_grant { self.0 | bit } else { self.0 & !bit };
    }

    const fn may_read(self, person: u8) -> bool {
        self.0 & (1 << person) != 0
    }
}

/// All that was ever so.
#[derive(Default)]
pub struct Truth {
    /// What led from each version to the next.
    changes: Vec<Change>,
    states: Vec<State>,
    /// What was taken away and is not acknowledged, with when it was taken.
    pending: BTreeMap<u64, u64>,
    /// The newest acknowledged version that took something from each person.
    revoked: BTreeMap<u8, u64>,
    pub acknowledged: u64,
}

impl Truth {
    /// How many changes there were.
    pub fn version(&self) -> u64 {
        self.changes.len() as u64
    }

    /// What was so at a version.
    pub fn at(&self, version: u64) -> State {
        let index = usize::try_from(version).unwrap_or(usize::MAX);
        index.checked_sub(1).and_then(|index| self.states.get(index)).copied().unwrap_or_default()
    }

    /// Something changes; the version that it leads to.
    pub fn change(&mut self, change: Change, now_ms: u64) -> u64 {
        let mut state = self.at(self.version());
        state.apply(change);
        self.changes.push(change);
        self.states.push(state);
        if !change.is_grant {
            self.pending.insert(self.version(), now_ms);
        }
        self.version()
    }

    /// Whoever made a change is told that it holds.
    pub fn acknowledge(&mut self, version: u64, _now_ms: u64) {
        let index = usize::try_from(version).unwrap_or(0).saturating_sub(1);
        if let Some(change) = self.changes.get(index).filter(|change| !change.is_grant) {
            self.acknowledged += 1;
            self.pending.remove(&version);
            let revoked = self.revoked.entry(change.person).or_default();
            *revoked = (*revoked).max(version);
        }
    }

    /// An owner ended: what it did not acknowledge nobody will.
    pub fn owner_ended(&mut self) {
        self.pending.clear();
    }

    /// What waits longest.
    pub fn oldest_unacknowledged(&self) -> Option<(u64, u64)> {
        self.pending.first_key_value().map(|(version, since_ms)| (*version, *since_ms))
    }

    /// The version by which somebody lost, as was acknowledged, what an older copy still grants.
    pub fn revoked_before_now(&self, copy: State, version: u64) -> Option<u64> {
        let lost = |(person, revoked): (&u8, &u64)| (*revoked > version && copy.may_read(*person)).then_some(*revoked);
        self.revoked.iter().find_map(lost)
    }
}
