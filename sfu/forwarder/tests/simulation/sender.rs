//! What one member sends, and what the network does to it.

use std::collections::BTreeSet;

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rookery_forwarder::{Audio, AudioLevel, Packet, Payload, PictureId, Ssrc, Video, Vp8};

use crate::receiver::Identity;

/// One stream of a sender.
pub struct Stream {
    pub ssrc: Ssrc,
    next: u16,
    timestamp: u32,
    picture: u16,
    frames: u32,
    pub key_wanted: bool,
    /// Numbers that have been sent and have not arrived at the room.
    pub missing: BTreeSet<u16>,
    /// Lost, or out of order.
    pub disturbed: usize,
}

impl Stream {
    pub fn new(ssrc: Ssrc, random: &mut ChaCha8Rng) -> Self {
        Self {
            ssrc,
            next: random.random(),
            timestamp: random.random(),
            picture: random.random(),
            frames: 0,
            key_wanted: true,
            missing: BTreeSet::new(),
            disturbed: 0,
        }
    }

    fn packet(&mut self, marker: bool, payload: Payload) -> Packet {
        let sequence = self.next;
        self.next = sequence.wrapping_add(1);
        self.missing.insert(sequence);
        let (ssrc, timestamp) = (self.ssrc, self.timestamp);
        let length_bytes = if matches!(payload, Payload::Video(_)) { 1_000 } else { 160 };
        Packet { ssrc, sequence, timestamp, marker, length_bytes, hops: 0, payload }
    }

    /// 20 ms of sound.
    pub fn sound(&mut self, browser: bool, below_full_scale_db: u8) -> Packet {
        self.timestamp = self.timestamp.wrapping_add(960);
        let level = AudioLevel { below_full_scale_db, voice: below_full_scale_db < 60 };
        let audio = Audio { level: browser.then_some(level), silence: !browser && below_full_scale_db >= 60 };
        self.packet(false, Payload::Audio(audio))
    }

    /// A frame, of one to three packets; three temporal layers.
    pub fn frame(&mut self, random: &mut ChaCha8Rng) -> Vec<Packet> {
        let key_frame = std::mem::take(&mut self.key_wanted);
        self.frames = if key_frame { 0 } else { self.frames + 1 };
        self.timestamp = self.timestamp.wrapping_add(3_000);
        self.picture = self.picture.wrapping_add(1) & 0x7fff;
        let temporal = [0, 2, 1, 2][self.frames as usize % 4];
        let packets = random.random_range(1..=3);
        let vp8 = Vp8 { picture_id: Some(PictureId::Long(self.picture)), base_index: None, key_index: None };
        (0..packets)
            .map(|at| {
                let video = Video {
                    frame_start: at == 0,
                    key_frame,
                    temporal,
                    temporal_sync: self.frames % 8 < 4,
                    vp8: Some(vp8),
                };
                self.packet(at + 1 == packets, Payload::Video(video))
            })
            .collect()
    }

    /// How many of those after one and before another have not arrived; after the first, if it is of another layer.
    pub fn missing_between(&self, after: Identity, before: Identity) -> usize {
        let behind = |number: u16| {
            let ahead = number.wrapping_sub(after.1);
            ahead != 0 && ahead < 0x8000
        };
        let upto = |number: u16| before.0 != after.0 || before.1.wrapping_sub(number) < 0x8000;
        self.missing.iter().filter(|number| behind(**number) && upto(**number)).count()
    }
}
