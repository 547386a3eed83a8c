//! What happens because time passes.

use super::Room;
use crate::MemberKey;
use crate::event::Event;
use crate::packet::Forward;

impl Room {
    /// When [`handle_timeout`](Self::handle_timeout) is to be called; none while nobody is here.
    pub fn poll_timeout(&self) -> Option<u64> {
        (!self.is_empty()).then(|| self.tick_due_us.min(self.pacing_due_us))
    }

    /// Sends what waited for its time, gives up places of those who fell silent, and chooses layers anew.
    pub fn handle_timeout(&mut self, now_us: u64, mut send: impl FnMut(Forward)) {
        if now_us >= self.tick_due_us {
            self.tick_due_us = now_us + self.config.video.allocation_interval_us;
            self.tick(now_us);
        }
        if now_us >= self.pacing_due_us {
            self.flush_all(now_us, &mut send);
        }
    }

    fn tick(&mut self, now_us: u64) {
        let silence_too = self.is_stream() || self.members.len() <= self.config.speakers.silence_members_max;
        for member in self.speakers.expire(now_us, silence_too, &self.config.speakers) {
            self.emit(Event::Heard { member, heard: false });
        }
        if self.publishers.is_empty() {
            return;
        }
        let watchers: Vec<MemberKey> = self
            .members
            .iter()
            .filter(|(_, member)| member.outlet.as_ref().is_some_and(|outlet| !outlet.subscriptions.is_empty()))
            .map(|(key, _)| key)
            .collect();
        for receiver in watchers {
            self.reallocate(now_us, receiver);
            self.start_probe(now_us, receiver);
        }
        self.poll_key_frames(now_us);
    }
}
