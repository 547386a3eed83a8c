//! The way to the store of leases and back, and the bus.

use rand::Rng as _;
use rookery_placement::{Message, OpId, Outgoing, StoreAnswer, StoreCall, StoreRequest, To};

use super::World;
use crate::plant::Plant;
use crate::queue::{Job, ProcessId};
use crate::weather::happens;

impl World {
    /// A process asks the store of leases something.
    pub(super) fn request(&mut self, id: ProcessId, request: StoreRequest) {
        let StoreRequest { op, call } = request;
        let Self { rng, weather, .. } = self;
        let is_cut_off = self.reach.is_cut_off[self.processes[id].machine];
        let is_lost = is_cut_off || happens(rng, weather.lost_requests);
        let is_late = happens(rng, weather.late_requests);
        let is_answer_lost = is_cut_off || happens(rng, weather.lost_answers);
        let mut delay_ms = rng.random_range(0..=weather.store_ms_max);
        let mut answer_ms = Some(rng.random_range(0..=weather.store_ms_max));
        if happens(rng, weather.slow_answers) {
            answer_ms = Some(rng.random_range(500..4_000));
        }
        if is_late {
            delay_ms = rng.random_range(1_000..20_000);
            self.counts.late += 1;
        }
        if is_lost || is_late || is_answer_lost {
            // The driver says so at once, or the core finds out by itself.
            let says_ms = self.rng.random_range(1..3_000);
            self.queue.at(self.now_ms + says_ms, Job::Answer { process: id, op, answer: StoreAnswer::Unknown });
            self.counts.unknown += 1;
            answer_ms = None;
        }
        if !is_lost {
            self.queue.at(self.now_ms + delay_ms, Job::Store { process: id, op, call, answer_ms });
        }
    }

    /// A request arrives at the store.
    pub(super) fn ask_store(&mut self, id: ProcessId, op: OpId, call: &StoreCall, answer_ms: Option<u64>) {
        let Self { store, rng, weather, .. } = self;
        let answer = store.carry_out(call, || happens(rng, weather.stale_rows));
        self.note(|| format!("STORE p{id} {call:?} -> {answer:?} {}", answer_ms.map_or("unheard", |_| "")));
        if let Some(answer_ms) = answer_ms {
            self.queue.at(self.now_ms + answer_ms, Job::Answer { process: id, op, answer });
        }
    }

    /// A process sends a message.
    pub(super) fn send(&mut self, from: ProcessId, outgoing: Outgoing) {
        let receivers: Vec<ProcessId> = match outgoing.to {
            To::All => (0..self.processes.len()).filter(|to| *to != from && self.processes[*to].is_alive).collect(),
            To::Node(node) => self.nodes.get(&node).copied().into_iter().collect(),
        };
        if !matches!(outgoing.message, Message::Heartbeat(_)) {
            self.note(|| format!("SEND p{from} {outgoing:?}"));
        }
        for to in receivers {
            if !self.reaches(from, to) {
                continue;
            }
            let Self { rng, weather, .. } = self;
            if happens(rng, weather.dropped) {
                continue;
            }
            let copies = 1 + u32::from(happens(rng, weather.repeated));
            for _ in 0..copies {
                let Self { rng, weather, .. } = self;
                let delay_ms = match happens(rng, weather.delayed) {
                    true => rng.random_range(0..5_000),
                    false => rng.random_range(0..=weather.link_ms_max),
                };
                self.queue.at(self.now_ms + delay_ms, Job::Deliver(to, outgoing.message.clone()));
            }
        }
    }

    /// A message arrives.
    pub(super) fn deliver(&mut self, to: ProcessId, message: Message) {
        if self.plant == Plant::DeafToAsks && matches!(message, Message::Ask { .. }) {
            return;
        }
        self.with(to, |core, now| core.handle_message(now, message));
    }

    /// Whether the bus carries anything between two processes.
    pub(super) fn reaches(&self, from: ProcessId, to: ProcessId) -> bool {
        let side = |id: ProcessId| self.reach.sides[self.processes[id].machine];
        side(from) == side(to)
    }
}
