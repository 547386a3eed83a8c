//! Where a session lives: worker, slot and generation, which together are its [`SubscriberId`].

use rookery_model::gateway::SubscriberId;

/// Workers that an id can name.
pub const WORKER_IDS: usize = 1 << 8;
/// Workers that drive sessions, at most; ids name them from 0.
pub const WORKERS_MAX: usize = FIRST_REMOTE as usize;
/// From here on ids name tasks that send on what they get to the region where the session lives.
pub const FIRST_REMOTE: u8 = 1 << 7;
/// Sessions of one worker that an id can name.
pub const SLOTS_MAX: u32 = 1 << 24;

/// A place that one session has and that no other will have.
///
/// Ids sort by worker first: what a worker gets of an audience lies together, in the order of its slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub worker: u8,
    /// Below [`SLOTS_MAX`].
    pub slot: u32,
    /// Tells the sessions apart that have the slot one after the other.
    pub generation: u32,
}

impl From<Place> for SubscriberId {
    fn from(place: Place) -> Self {
        Self(u64::from(place.worker) << 56 | u64::from(place.slot) << 32 | u64::from(place.generation))
    }
}

impl From<SubscriberId> for Place {
    fn from(id: SubscriberId) -> Self {
        Self { worker: worker_of(id), slot: (id.0 >> 32) as u32 & (SLOTS_MAX - 1), generation: id.0 as u32 }
    }
}

/// The worker of a session.
pub const fn worker_of(id: SubscriberId) -> u8 {
    (id.0 >> 56) as u8
}

/// The how manieth other node a session is at; none of those of this one.
pub fn remote_of(id: SubscriberId) -> Option<usize> {
    worker_of(id).checked_sub(FIRST_REMOTE).map(usize::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_an_id_and_back() {
        for place in [
            Place { worker: 0, slot: 0, generation: 1 },
            Place { worker: 255, slot: SLOTS_MAX - 1, generation: u32::MAX },
        ] {
            assert_eq!(Place::from(SubscriberId::from(place)), place);
            assert_eq!(worker_of(place.into()), place.worker);
        }
        let remote = |worker| remote_of(Place { worker, slot: 0, generation: 1 }.into());
        assert_eq!((remote(FIRST_REMOTE - 1), remote(FIRST_REMOTE), remote(255)), (None, Some(0), Some(127)));
    }
}
