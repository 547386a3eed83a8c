//! A room with members who send and are watched.
#![allow(dead_code, reason = "each test uses a part of it")]
#![allow(clippy::unwrap_used, reason = "what tests share fails like a test")]

use rookery_forwarder::*;
use rookery_model::UserId;

pub const SPEAKER: MemberFlags = MemberFlags::MAY_SPEAK.union(MemberFlags::MAY_STREAM);

pub struct World {
    pub room: Room,
    pub now_us: u64,
    pub sent: Vec<Forward>,
}

pub fn at(node: u16, kind: RoomKind, config: RoomConfig) -> World {
    let room = Room::new(config, kind, NodeId(node), SsrcBlock::of_node(node), 77);
    World { room, now_us: 10_000_000, sent: Vec::new() }
}

pub fn voice() -> World {
    at(1, RoomKind::Voice, RoomConfig::default())
}

pub fn with_speakers(speakers_max: usize) -> World {
    let mut config = RoomConfig::default();
    config.speakers.speakers_max = speakers_max;
    config.speakers.silence_members_max = 0;
    at(1, RoomKind::Voice, config)
}

pub fn join(user: u64, transport: Transport) -> Join {
    let feedback = if transport == Transport::WebRtc { Feedback::TransportWide } else { Feedback::None };
    Join { user: UserId::new(user), transport, flags: SPEAKER, feedback, rtx: transport == Transport::WebRtc }
}

pub fn loud(below_full_scale_db: u8) -> Audio {
    Audio { level: Some(AudioLevel { below_full_scale_db, voice: below_full_scale_db < 60 }), silence: false }
}

pub const KEY: Video = Video { frame_start: true, key_frame: true, temporal: 0, temporal_sync: false, vp8: None };
pub const DELTA: Video = Video { key_frame: false, ..KEY };

/// Three layers as browsers send them.
pub const LAYERS: [LayerSpec; 3] = [
    LayerSpec { quality: 25, expected_bps: 150_000 },
    LayerSpec { quality: 50, expected_bps: 500_000 },
    LayerSpec { quality: 100, expected_bps: 1_500_000 },
];

impl World {
    pub fn bot(&mut self, user: u64) -> MemberKey {
        self.room.join(self.now_us, join(user, Transport::Udp)).unwrap()
    }
    /// A browser, which sends audio from SSRC `user * 10` and layers of video from those after it.
    pub fn browser(&mut self, user: u64) -> MemberKey {
        let key = self.room.join(self.now_us, join(user, Transport::WebRtc)).unwrap();
        let first = user as u32 * 10;
        assert!(self.room.bind_audio(key, Ssrc(first)));
        for layer in 0..3 {
            assert!(self.room.bind_layer(key, Ssrc(first + 1 + u32::from(layer)), Layer(layer)));
        }
        key
    }
    pub fn forward(&mut self, from: MemberKey, packet: Packet) -> Verdict {
        let (now_us, sent) = (self.now_us, &mut self.sent);
        self.room.forward(now_us, from, &packet, |forward| sent.push(forward))
    }
    pub fn speak_from(&mut self, from: MemberKey, ssrc: Ssrc, sequence: u16, audio: Audio) -> Verdict {
        let timestamp = u32::from(sequence) * 960;
        let payload = Payload::Audio(audio);
        self.forward(from, Packet { ssrc, sequence, timestamp, marker: false, length_bytes: 160, hops: 0, payload })
    }
    /// A packet of a bot's sound.
    pub fn speak(&mut self, from: MemberKey, sequence: u16, audio: Audio) -> Verdict {
        let ssrc = self.room.streams(from).unwrap().audio;
        self.speak_from(from, ssrc, sequence, audio)
    }
    /// A packet of a browser's picture.
    pub fn show(&mut self, from: MemberKey, user: u64, layer: u8, sequence: u16, video: Video) -> Verdict {
        let ssrc = Ssrc(user as u32 * 10 + 1 + u32::from(layer));
        let timestamp = u32::from(sequence) * 3_000;
        let payload = Payload::Video(video);
        self.forward(from, Packet { ssrc, sequence, timestamp, marker: true, length_bytes: 1_000, hops: 0, payload })
    }
    pub fn wait_ms(&mut self, ms: u64) {
        self.now_us += ms * 1_000;
    }
    /// Lets time pass, with everything that is due.
    pub fn run_ms(&mut self, ms: u64) {
        let end_us = self.now_us + ms * 1_000;
        while let Some(due_us) = self.room.poll_timeout().filter(|due_us| *due_us <= end_us) {
            self.now_us = due_us.max(self.now_us);
            let (now_us, sent) = (self.now_us, &mut self.sent);
            self.room.handle_timeout(now_us, |forward| sent.push(forward));
        }
        self.now_us = end_us;
    }
    pub fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.room.poll_event()).collect()
    }
    /// Those who got something since the last call, in order of their places.
    pub fn receivers(&mut self) -> Vec<MemberKey> {
        let mut receivers: Vec<_> = self.sent.drain(..).map(|forward| forward.receiver).collect();
        receivers.sort();
        receivers
    }
    pub fn numbers_of(&mut self, receiver: MemberKey) -> Vec<u16> {
        let numbers = self.sent.iter().filter(|forward| forward.receiver == receiver);
        let numbers = numbers.map(|forward| forward.header.sequence).collect();
        self.sent.clear();
        numbers
    }
    pub fn video_ssrc(&self, key: MemberKey) -> Ssrc {
        self.room.streams(key).unwrap().video
    }
}
