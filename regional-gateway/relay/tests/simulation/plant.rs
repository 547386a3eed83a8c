//! Bugs that are planted on purpose, to see that the invariants find them: packets are changed, or events kept back, as if
//! one of the ends had the bug.

use std::collections::HashMap;

use bytes::Bytes;
use rand::Rng as _;
use rand_chacha::ChaCha8Rng;
use rookery_relay::Event;
use rookery_relay::wire::{self, Header, Hello, Section, Sections, Writer};

/// What is wrong in a world.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Plant {
    #[default]
    Nothing,
    /// Now and then one cell more is acknowledged than came.
    AckAhead,
    /// Nobody is told that the peer gave its stream up.
    LossSwallowed,
    /// Nobody is told that the peer is another process.
    RestartSwallowed,
    /// Packets that were meant for an earlier process are taken.
    AnyReceiver,
    /// Whoever sends anything is believed to live: each packet counts as the answer to the newest challenge.
    AnyAnswer,
    /// Cells of an earlier epoch count as those of the current one.
    AnyEpoch,
    /// Now and then cells go under the number of the next one.
    ShiftedNumbers,
}

/// What the planted bugs remember.
#[derive(Default)]
pub struct Planted {
    /// The newest epoch between two processes.
    epochs: HashMap<(u64, u64), u32>,
    /// The newest challenge of a process.
    nonces: HashMap<u64, u64>,
}

impl Plant {
    /// Whether the caller hears of an event.
    pub fn tells(self, event: &Event) -> bool {
        match event {
            Event::InboundLost => self != Self::LossSwallowed,
            Event::Restarted { .. } => self != Self::RestartSwallowed,
            _ => true,
        }
    }
}

impl Planted {
    /// The packet as the end with the bug wrote or read it; `receiver` is the process that it comes to.
    pub fn change(&mut self, plant: Plant, rng: &mut ChaCha8Rng, packet: Bytes, receiver: u64) -> Bytes {
        let hits = match plant {
            Plant::Nothing | Plant::LossSwallowed | Plant::RestartSwallowed => return packet,
            Plant::AnyReceiver | Plant::AnyAnswer | Plant::AnyEpoch => true,
            Plant::AckAhead | Plant::ShiftedNumbers => rng.random_bool(0.02),
        };
        let Ok((header, header_bytes)) = wire::header(&packet) else { return packet };
        let to = match plant {
            Plant::AnyReceiver if header.to != 0 => receiver,
            Plant::AnyAnswer => receiver,
            _ => header.to,
        };
        let pair = (header.from, to);
        let mut writer = Writer::new(Header { to, ..header }, packet.len());
        for section in Sections::new(packet.clone(), header_bytes).flatten() {
            match section {
                Section::Hello(hello) => {
                    self.nonces.insert(header.from, hello.nonce);
                    writer.hello(hello);
                }
                Section::HelloAck(hello) => writer.hello_ack(hello),
                Section::Digest(digest) => writer.digest(digest),
                Section::Ack(mut ack) => {
                    if plant == Plant::AckAhead && hits && ack.missing.is_empty() {
                        ack.next += 1;
                    }
                    writer.ack(&ack);
                }
                Section::Cells(mut cells) => {
                    let newest = self.epochs.entry(pair).or_default();
                    *newest = cells.epoch.max(*newest);
                    let epoch = if plant == Plant::AnyEpoch { *newest } else { cells.epoch };
                    let mut seq = cells.first_seq + u64::from(plant == Plant::ShiftedNumbers && hits);
                    while let Ok(Some(cell)) = cells.next_cell() {
                        writer.cell(epoch, seq, &cell);
                        seq += 1;
                    }
                }
            }
        }
        if plant == Plant::AnyAnswer
            && let Some(&nonce) = self.nonces.get(&receiver)
        {
            writer.hello_ack(Hello { nonce, newest: wire::NEWEST });
        }
        writer.finish()
    }
}
