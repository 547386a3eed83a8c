//! Go Live: one streamer, limited viewers, and no more than was granted.

mod common;

use common::*;
use rookery_forwarder::*;
use rookery_model::UserId;

fn stream(policy: StreamPolicy) -> World {
    at(1, RoomKind::Stream { streamer: UserId::new(1), policy }, RoomConfig::default())
}

#[test]
fn fifty_may_watch_and_the_streamer_always_comes_in() {
    let mut world = stream(StreamPolicy::STANDARD);
    for user in 2..52 {
        world.browser(user);
    }
    let refused = world.room.join(world.now_us, join(99, Transport::WebRtc));
    assert_eq!(refused, Err(JoinRefused::ViewersFull));
    let streamer = world.browser(1);
    world.room.publish_video(world.now_us, streamer, &LAYERS[2..]).unwrap();
    // All begin to watch with the first key frame.
    assert_eq!(world.show(streamer, 1, 0, 1, KEY).receivers(), 0, "600 kbit/s do not carry it yet");
    for user in 2..52 {
        let viewer = world.room.member_of(UserId::new(user)).unwrap();
        world.room.handle_receiver_estimate(world.now_us, viewer, 5_000_000);
    }
    world.run_ms(300);
    assert_eq!(world.show(streamer, 1, 0, 2, KEY).receivers(), 50);
    assert_eq!(world.speak_from(streamer, Ssrc(10), 1, loud(127)).receivers(), 50, "what sounds with it, however soft");
    let viewer = world.room.member_of(UserId::new(2)).unwrap();
    assert!(world.room.leave(world.now_us, viewer));
    assert!(world.room.join(world.now_us, join(99, Transport::WebRtc)).is_ok());
}

#[test]
fn viewers_are_neither_heard_nor_seen() {
    let mut world = stream(StreamPolicy::STANDARD);
    let (_, viewer) = (world.browser(1), world.browser(2));
    assert_eq!(world.room.publish_video(world.now_us, viewer, &LAYERS), Err(PublishRefused::NotTheStreamer));
    let verdict = world.speak_from(viewer, Ssrc(20), 1, loud(10));
    assert_eq!(verdict, Verdict::Dropped(DropReason::NotPermitted));
}

#[test]
fn more_than_granted_is_cut_off_and_told() {
    let mut world = stream(StreamPolicy { bps_max: 1_000_000, ..StreamPolicy::STANDARD });
    let streamer = world.browser(1);
    world.room.publish_video(world.now_us, streamer, &LAYERS[2..]).unwrap();
    // 60 frames a second of 4 packets: twice as many frames, and 1.92 Mbit/s.
    for frame in 0..600_u16 {
        for piece in 0..4 {
            let payload = Payload::Video(Video { frame_start: piece == 0, ..DELTA });
            let packet = Packet {
                ssrc: Ssrc(11),
                sequence: frame * 4 + piece,
                timestamp: u32::from(frame) * 1_500,
                marker: piece == 3,
                length_bytes: 1_000,
                hops: 0,
                payload,
            };
            world.forward(streamer, packet);
        }
        world.now_us += 16_667;
    }
    let over = world.room.stats().dropped_for(DropReason::OverPolicy);
    assert!((250..800).contains(&over), "{over} of 2400");
    assert!(world.events().contains(&Event::PolicyExceeded { publisher: streamer }));
}

#[test]
fn a_stream_stays_visible_under_any_load() {
    let mut world = stream(StreamPolicy::BOOSTED);
    let (streamer, viewer) = (world.browser(1), world.browser(2));
    world.room.publish_video(world.now_us, streamer, &LAYERS).unwrap();
    world.room.handle_receiver_estimate(world.now_us, viewer, 9_000_000);
    for _ in 0..100 {
        world.wait_ms(100);
        world.room.set_utilisation(world.now_us, 1_000);
    }
    assert_eq!(world.show(streamer, 1, 0, 1, KEY).receivers(), 1);
    assert_eq!(world.show(streamer, 1, 2, 1, KEY).receivers(), 0);
}
