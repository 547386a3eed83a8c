//! Events that a worker took and has not given to all of their sessions yet.

use std::sync::Arc;

use rookery_session::Payload;

/// Events that may be pending at once: one bit each in [`Pending`].
const EVENTS_MAX: u32 = u64::BITS;
/// Entries that may be taken while a session has events pending: then no event's place is taken again before.
pub const ENTRIES_AHEAD_MAX: u32 = EVENTS_MAX - 1;

/// The events by the number of their entry, in a ring.
#[derive(Default)]
pub struct Events {
    ring: Vec<Option<Arc<Payload>>>,
}

/// The place of an event in the ring.
#[derive(Clone, Copy)]
pub struct EventPlace(u32);

/// Which of the events in the ring a session has not been given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pending(u64);

impl Pending {
    /// None of them.
    pub const NONE: Self = Self(0);

    /// One more.
    pub const fn add(&mut self, place: EventPlace) {
        self.0 |= 1 << place.0;
    }
}

impl Events {
    /// Keeps the event of the entry with this number; the entry [`EVENTS_MAX`] before it is pending nowhere any more.
    pub fn put(&mut self, number: u32, payload: Arc<Payload>) -> EventPlace {
        let place = number % EVENTS_MAX;
        if self.ring.is_empty() {
            self.ring.resize(EVENTS_MAX as usize, None);
        }
        if let Some(slot) = self.ring.get_mut(place as usize) {
            *slot = Some(payload);
        }
        EventPlace(place)
    }

    /// Those that are pending, oldest first; `newest` is the number of the newest entry.
    pub fn of(&self, pending: Pending, newest: u32) -> impl Iterator<Item = &Arc<Payload>> {
        let oldest = newest.wrapping_add(1) % EVENTS_MAX;
        let mut left = pending.0.rotate_right(oldest);
        std::iter::from_fn(move || {
            let ahead = (left != 0).then(|| left.trailing_zeros())?;
            left &= left - 1;
            self.ring.get(((oldest + ahead) % EVENTS_MAX) as usize)?.as_ref()
        })
    }

    /// Forgets all of them, when none is pending anywhere.
    pub fn clear(&mut self) {
        self.ring.clear();
    }
}

#[cfg(test)]
mod tests {
    use rookery_model::GuildId;
    use rookery_model::gateway::{Event, SoundboardSounds};

    use super::*;

    fn payload(number: u32) -> Arc<Payload> {
        let sounds = SoundboardSounds { guild_id: GuildId::new(number.into()), soundboard_sounds: Vec::new() };
        Payload::new(Event::SoundboardSounds(sounds))
    }

    fn numbers(events: &Events, pending: Pending, newest: u32) -> Vec<u64> {
        let number = |payload: &Arc<Payload>| match payload.event() {
            Event::SoundboardSounds(sounds) => sounds.guild_id.get(),
            _ => panic!("another event"),
        };
        events.of(pending, newest).map(number).collect()
    }

    #[test]
    fn pending_events_come_in_the_order_of_their_entries() {
        // Everywhere in the ring, and where the count begins anew.
        for first in [1, 30, 60, 63, 64, 100, u32::MAX - 80, u32::MAX - 10] {
            let mut events = Events::default();
            let (mut every, mut third) = (Pending::NONE, Pending::NONE);
            let all: Vec<u32> = (0..=ENTRIES_AHEAD_MAX).map(|n| first.wrapping_add(n)).collect();
            for (n, number) in all.iter().enumerate() {
                let place = events.put(*number, payload(*number));
                every.add(place);
                if n % 3 == 0 {
                    third.add(place);
                }
                let so_far: Vec<u64> = all[..=n].iter().map(|number| u64::from(*number)).collect();
                assert_eq!(numbers(&events, every, *number), so_far);
            }
            let newest = *all.last().unwrap();
            let thirds: Vec<u64> = all.iter().step_by(3).map(|number| u64::from(*number)).collect();
            assert_eq!(numbers(&events, third, newest), thirds);
            assert_eq!(numbers(&events, Pending::NONE, newest), [0; 0]);
        }
    }

    #[test]
    fn what_was_forgotten_is_nobodys() {
        let mut events = Events::default();
        let held = payload(1);
        let mut pending = Pending::NONE;
        pending.add(events.put(1, Arc::clone(&held)));
        events.clear();
        assert_eq!((numbers(&events, pending, 1).len(), Arc::strong_count(&held)), (0, 1));
    }
}
