//! The slots of a worker: who may take one, and the sessions in them.

use rookery_model::gateway::SubscriberId;

use super::pending::{EventPlace, Pending};
use super::place::{Place, SLOTS_MAX};
use crate::gateway::session_task::SessionTask;

/// Which slots are free; shared by all who start sessions.
#[derive(Default)]
pub struct Slots {
    /// The generation of every slot that was ever taken.
    generations: Vec<u32>,
    free: Vec<u32>,
}

impl Slots {
    /// A slot for a new session; none if all are taken.
    pub fn take(&mut self, worker: u8) -> Option<Place> {
        if let Some(slot) = self.free.pop() {
            return Some(Place { worker, slot, generation: *self.generations.get(slot as usize)? });
        }
        let slot = u32::try_from(self.generations.len()).ok().filter(|slot| *slot < SLOTS_MAX)?;
        self.generations.push(1);
        Some(Place { worker, slot, generation: 1 })
    }

    /// Gives a slot back; ids that name it so far mean nobody any more.
    pub fn release(&mut self, place: Place) {
        let Some(generation) = self.generations.get_mut(place.slot as usize) else { return };
        if *generation == place.generation {
            // 0 stands for no session.
            *generation = generation.wrapping_add(1).max(1);
            self.free.push(place.slot);
        }
    }
}

/// The sessions of a worker, by slot.
#[derive(Default)]
pub struct Slab {
    slots: Vec<Slot>,
    count: usize,
}

/// A session's place, and what of it is looked at for every event: with events for thousands of sessions, their own memory
/// is out of the processor's caches whenever it is touched, so it is touched once, when the session is served.
struct Slot {
    id: SubscriberId,
    session: Option<Box<SessionTask>>,
    /// Events that it has not been given yet.
    pending: Pending,
    /// It is among those to be served.
    is_waiting: bool,
}

impl Slot {
    /// No generation is 0, so this is nobody's id.
    const VACANT: Self = Self { id: SubscriberId(0), session: None, pending: Pending::NONE, is_waiting: false };
}

impl Slab {
    /// Puts a session into its slot.
    pub fn insert(&mut self, id: SubscriberId, session: Box<SessionTask>) {
        let index = Place::from(id).slot as usize;
        if index >= self.slots.len() {
            self.slots.resize_with(index + 1, || Slot::VACANT);
        }
        self.slots[index] = Slot { id, session: Some(session), ..Slot::VACANT };
        self.count += 1;
    }

    fn slot_mut(&mut self, id: SubscriberId) -> Option<&mut Slot> {
        self.slots.get_mut(Place::from(id).slot as usize).filter(|slot| slot.id == id)
    }

    /// The session of this id, unless it is over.
    pub fn get(&self, id: SubscriberId) -> Option<&SessionTask> {
        let slot = self.slots.get(Place::from(id).slot as usize).filter(|slot| slot.id == id)?;
        slot.session.as_deref()
    }

    /// As [`Self::get`], to change it.
    pub fn get_mut(&mut self, id: SubscriberId) -> Option<&mut SessionTask> {
        self.slot_mut(id)?.session.as_deref_mut()
    }

    /// The session with the events that it is now to be given.
    pub fn get_with_pending(&mut self, id: SubscriberId) -> Option<(&mut SessionTask, Pending)> {
        let slot = self.slot_mut(id)?;
        Some((slot.session.as_deref_mut()?, std::mem::take(&mut slot.pending)))
    }

    /// Notes that a session is to be served; whether it was not among those already. None if it is over.
    pub fn wait(&mut self, id: SubscriberId) -> Option<bool> {
        Some(!std::mem::replace(&mut self.slot_mut(id)?.is_waiting, true))
    }

    /// As [`Self::wait`], for an event that it is given then.
    pub fn wait_with(&mut self, id: SubscriberId, place: EventPlace) -> Option<bool> {
        let slot = self.slot_mut(id)?;
        slot.pending.add(place);
        Some(!std::mem::replace(&mut slot.is_waiting, true))
    }

    /// A session's turn has come: it is not among those that wait any more.
    pub fn serve(&mut self, id: SubscriberId) -> Option<(&mut SessionTask, Pending)> {
        self.slot_mut(id)?.is_waiting = false;
        self.get_with_pending(id)
    }

    /// All sessions.
    pub fn ids(&self) -> Vec<SubscriberId> {
        self.slots.iter().filter(|slot| slot.session.is_some()).map(|slot| slot.id).collect()
    }

    /// Takes a session out.
    pub fn remove(&mut self, id: SubscriberId) -> Option<Box<SessionTask>> {
        let session = std::mem::replace(self.slot_mut(id)?, Slot::VACANT).session?;
        self.count -= 1;
        Some(session)
    }

    /// Takes all out, each with the events that it was not given yet.
    pub fn drain(&mut self) -> impl Iterator<Item = (Box<SessionTask>, Pending)> {
        self.count = 0;
        std::mem::take(&mut self.slots).into_iter().filter_map(|slot| Some((slot.session?, slot.pending)))
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_taken_again_under_another_id() {
        let mut slots = Slots::default();
        let first = slots.take(3).unwrap();
        let second = slots.take(3).unwrap();
        assert_ne!(first.slot, second.slot);
        slots.release(first);
        slots.release(first);
        let third = slots.take(3).unwrap();
        assert_eq!((third.slot, third.generation), (first.slot, first.generation + 1));
        assert_eq!(slots.take(3).unwrap().slot, 2, "what is given back twice is free once");
    }
}
