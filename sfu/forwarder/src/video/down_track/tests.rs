//! Switches of layers as a receiver sees them.

use super::*;
use crate::packet::{Payload, PictureId, Vp8};

const RECEIVER: MemberKey = MemberKey { index: 0, generation: 0 };
const OUT: Ssrc = Ssrc(77);

struct World {
    down: DownTrack,
    clocks: [StreamClock; 3],
    now_us: u64,
}

fn target(layer: u8) -> Option<Target> {
    Some(Target { layer: Layer(layer), temporal: u8::MAX })
}

impl World {
    fn new() -> Self {
        Self { down: DownTrack::new(RECEIVER, 100), clocks: Default::default(), now_us: 1_000_000 }
    }
    fn packet(&mut self, layer: u8, sequence: u16, timestamp: u32, video: Video) -> Offer {
        let payload = Payload::Video(video);
        let packet = Packet { ssrc: Ssrc(1), sequence, timestamp, marker: true, length_bytes: 500, hops: 0, payload };
        self.down.offer(self.now_us, Layer(layer), &packet, &video, &self.clocks, OUT)
    }
    fn key(&mut self, layer: u8, sequence: u16, timestamp: u32) -> Offer {
        self.packet(layer, sequence, timestamp, Video { frame_start: true, key_frame: true, ..Video::default() })
    }
    fn delta(&mut self, layer: u8, sequence: u16, timestamp: u32) -> Offer {
        self.packet(layer, sequence, timestamp, Video { frame_start: true, ..Video::default() })
    }
}

fn sent(offer: Offer) -> (u16, u32) {
    match offer {
        Offer::Send(header) => (header.sequence, header.timestamp),
        other => panic!("{other:?}"),
    }
}

#[test]
fn it_begins_and_switches_at_key_frames_only_and_numbers_go_on() {
    let mut world = World::new();
    world.down.aim(world.now_us, target(0), true);
    assert_eq!(world.delta(0, 100, 9_000), Offer::Nothing);
    assert_eq!(sent(world.key(0, 101, 12_000)), (101, 12_000));
    world.down.aim(world.now_us, target(2), true);
    assert_eq!(world.delta(2, 7_000, 1), Offer::Nothing);
    world.now_us += 33_000;
    assert_eq!(sent(world.delta(0, 102, 15_000)), (102, 15_000), "the old layer goes on until then");
    world.now_us += 33_000;
    let (sequence, timestamp) = sent(world.key(2, 7_001, 3_000_000_000));
    assert_eq!((sequence, timestamp), (103, 15_000 + 2_970));
    assert_eq!(world.delta(0, 103, 18_000), Offer::Nothing, "the old layer ends");
    assert_eq!(sent(world.delta(2, 7_002, 3_000_003_000)), (104, 15_000 + 2_970 + 3_000));
}

#[test]
fn sender_reports_give_the_exact_timestamp() {
    let mut world = World::new();
    world.clocks[0].report = Some((50_000_000, 1_000_000));
    world.clocks[1].report = Some((50_500_000, 7_045_000));
    world.down.aim(world.now_us, target(0), true);
    world.key(0, 1, 1_000_000);
    world.down.aim(world.now_us, target(1), true);
    world.now_us += 50_000;
    // The second stream is at 7,000,000 where the first is at 1,000,000.
    assert_eq!(sent(world.key(1, 900, 7_003_000)).1, 1_003_000);
}

#[test]
fn timestamps_never_go_back_whatever_reports_say() {
    let mut world = World::new();
    world.clocks[0].report = Some((50_000_000, 1_000_000));
    world.clocks[1].report = Some((10_000_000, 7_045_000));
    world.down.aim(world.now_us, target(0), true);
    world.key(0, 1, 1_000_000);
    world.down.aim(world.now_us, target(1), true);
    assert_eq!(sent(world.key(1, 900, 5)).1, 1_000_001);
}

#[test]
fn a_paused_picture_comes_back_with_a_key_frame_on_its_own_timeline() {
    let mut world = World::new();
    world.down.aim(world.now_us, target(0), true);
    world.key(0, 10, 1_000);
    world.down.aim(world.now_us, None, true);
    assert_eq!(world.delta(0, 11, 4_000), Offer::Nothing);
    world.now_us += 5_000_000;
    world.down.aim(world.now_us, target(0), true);
    assert!(world.down.waits_for(Layer(0)));
    assert_eq!(world.delta(0, 500, 448_000), Offer::Nothing);
    assert_eq!(sent(world.key(0, 501, 451_000)), (11, 451_000));
}

#[test]
fn temporal_layers_end_at_once_and_begin_where_a_frame_allows() {
    let mut world = World::new();
    let frame = |picture, temporal, sync| Video {
        frame_start: true,
        key_frame: picture == 0,
        temporal,
        temporal_sync: sync,
        vp8: Some(Vp8 { picture_id: Some(PictureId::Long(picture)), base_index: Some(0), key_index: None }),
    };
    let id = |offer| match offer {
        Offer::Send(header) => header.vp8.unwrap().picture_id.unwrap().value(),
        other => panic!("{other:?}"),
    };
    world.down.aim(world.now_us, Some(Target { layer: Layer(0), temporal: 1 }), true);
    assert_eq!(id(world.packet(0, 1, 0, frame(0, 0, false))), 0);
    assert_eq!(world.packet(0, 2, 10, frame(1, 2, true)), Offer::Nothing);
    assert_eq!(id(world.packet(0, 3, 20, frame(2, 1, true))), 1);
    world.down.aim(world.now_us, target(0), true);
    assert_eq!(world.packet(0, 4, 30, frame(3, 2, false)), Offer::Nothing, "it needs frames that were left out");
    assert_eq!(id(world.packet(0, 5, 40, frame(4, 0, false))), 2);
    assert_eq!(id(world.packet(0, 6, 50, frame(5, 2, true))), 3);
    assert_eq!(id(world.packet(0, 7, 60, frame(6, 2, false))), 4);
}

#[test]
fn what_is_asked_for_again_comes_once_an_interval() {
    let mut world = World::new();
    world.down.aim(world.now_us, target(0), true);
    world.key(0, 10, 0);
    world.delta(0, 11, 3_000);
    assert_eq!(world.down.original(world.now_us, 11, 60_000), Some(11));
    assert_eq!(world.down.original(world.now_us + 59_000, 11, 60_000), None);
    assert_eq!(world.down.original(world.now_us + 60_000, 11, 60_000), Some(11));
    assert_eq!(world.down.original(world.now_us, 12, 60_000), None, "never sent");
}
