//! The bounded stream of events for the owners of rooms.

use rookery_model::voice::node::VoiceNodeEvent;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::mpsc;

use crate::events::EventLost;

/// Where events go. It never waits: what does not fit is counted, and the count is the next event that does.
pub(crate) struct EventOutlet {
    sender: mpsc::Sender<VoiceNodeEvent>,
    lost: AtomicU64,
}

impl EventOutlet {
    /// A stream of so many events, and its end.
    pub(crate) fn new(capacity: usize) -> (Self, mpsc::Receiver<VoiceNodeEvent>) {
        let (sender, receiver) = mpsc::channel(capacity);
        (Self { sender, lost: AtomicU64::new(0) }, receiver)
    }

    /// Tells an event.
    pub(crate) fn tell(&self, event: VoiceNodeEvent) {
        let lost = self.lost.swap(0, Ordering::AcqRel);
        if lost > 0 && self.sender.try_send(VoiceNodeEvent::Lost { events: lost }).is_err() {
            self.lose(lost + 1);
        } else if self.sender.try_send(event).is_err() {
            self.lose(1);
        }
    }

    fn lose(&self, events: u64) {
        self.lost.fetch_add(events, Ordering::AcqRel);
        EventLost.emit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_told_of() {
        let (outlet, mut receiver) = EventOutlet::new(1);
        let event = VoiceNodeEvent::Lost { events: 7 };
        outlet.tell(event.clone());
        outlet.tell(event.clone());
        outlet.tell(event.clone());
        assert_eq!(receiver.try_recv(), Ok(event.clone()));
        outlet.tell(event.clone());
        assert_eq!(receiver.try_recv(), Ok(VoiceNodeEvent::Lost { events: 2 }));
        outlet.tell(event.clone());
        assert_eq!(receiver.try_recv(), Ok(VoiceNodeEvent::Lost { events: 1 }));
    }
}
