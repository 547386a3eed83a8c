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

/// A picture of VP8 in a packet of this length, of which the layer and the times are known.
fn picture(number: u16, timestamp: u32, length_bytes: u16, video: Video) -> Packet {
    let counters = Vp8 { picture_id: Some(PictureId::Long(number)), base_index: None, key_index: None };
    let payload = Payload::Video(Video { vp8: Some(counters), ..video });
    Packet { ssrc: Ssrc(11), sequence: number, timestamp, marker: true, length_bytes, hops: 0, payload }
}

/// A streamer and somebody who sees everything.
fn watched(policy: StreamPolicy) -> (World, MemberKey, MemberKey) {
    let mut world = stream(policy);
    let (streamer, viewer) = (world.browser(1), world.browser(2));
    world.room.publish_video(world.now_us, streamer, &LAYERS[2..]).expect("a streamer");
    world.room.handle_receiver_estimate(world.now_us, viewer, 9_000_000);
    world.run_ms(300);
    (world, streamer, viewer)
}

/// So many seconds of frames, of which some may be left out; numbers and timestamps go on from frame to frame.
fn run(
    world: &mut World,
    from: MemberKey,
    first: u16,
    (seconds, fps): (u16, u16),
    video: impl Fn(u16) -> Video,
) -> u16 {
    for n in 0..seconds * fps {
        let ticks = 90_000 / u32::from(fps);
        let at = world.now_us as u32 / 100 * 9;
        let packet = picture(first + n, at, 900, video(n));
        world.forward(from, packet);
        let until_ms = u64::from(ticks) / 90;
        world.run_ms(until_ms);
    }
    first + seconds * fps
}

#[test]
fn more_bits_than_granted_are_cut_off() {
    let mut world = stream(StreamPolicy { bps_max: 1_000_000, ..StreamPolicy::STANDARD });
    let streamer = world.browser(1);
    world.room.publish_video(world.now_us, streamer, &LAYERS[2..]).unwrap();
    // 30 frames a second of 8 packets: 1.92 Mbit/s.
    for frame in 0..300_u16 {
        for piece in 0..8 {
            let video = Video { frame_start: piece == 0, ..DELTA };
            let packet = Packet { sequence: frame * 8 + piece, marker: piece == 7, ..picture(0, 0, 1_000, video) };
            world.forward(streamer, Packet { timestamp: u32::from(frame) * 3_000, ..packet });
        }
        world.now_us += 33_333;
    }
    let over = world.room.stats().dropped_for(DropReason::OverPolicy);
    assert!((250..800).contains(&over), "{over} of 2400");
    assert!(!world.events().contains(&Event::PolicyExceeded { publisher: streamer }), "it is no faster");
}

#[test]
fn of_more_frames_than_granted_those_are_left_out_that_no_other_needs() {
    let (mut world, streamer, viewer) = watched(StreamPolicy::STANDARD);
    let above = Video { temporal: 1, temporal_sync: true, ..DELTA };
    let first = |n: u16| if n == 0 { KEY } else { DELTA };
    run(&mut world, streamer, 100, (10, 50), |n| if n % 2 == 1 { above } else { first(n) });
    let sent: Vec<Header> = world.sent.iter().filter(|f| f.receiver == viewer).map(|f| f.header).collect();
    assert!((280..=305).contains(&sent.len()), "{} frames in ten seconds", sent.len());
    // As if there had never been more: neither packets nor pictures are missing.
    for pair in sent.windows(2) {
        assert_eq!(pair[1].sequence, pair[0].sequence.wrapping_add(1));
        let id = |header: &Header| match header.vp8.and_then(|vp8| vp8.picture_id) {
            Some(PictureId::Long(id)) => id,
            other => panic!("{other:?}"),
        };
        assert_eq!(id(&pair[1]), id(&pair[0]) + 1);
    }
    assert!(world.room.stats().dropped_for(DropReason::OverPolicy) > 150);
    assert!(!world.events().contains(&Event::PolicyExceeded { publisher: streamer }));
    // Where 60 are granted all of them go out.
    let (mut world, streamer, viewer) = watched(StreamPolicy::BOOSTED);
    run(&mut world, streamer, 100, (10, 50), |n| if n % 2 == 1 { above } else { first(n) });
    let sent = world.sent.iter().filter(|f| f.receiver == viewer).count();
    assert_eq!(sent, 500);
}

#[test]
fn frames_that_others_need_go_nowhere_if_they_are_too_many() {
    let (mut world, streamer, viewer) = watched(StreamPolicy::STANDARD);
    let first = |n: u16| if n == 0 { KEY } else { DELTA };
    let next = run(&mut world, streamer, 100, (10, 62), first);
    let fast = world.numbers_of(viewer);
    assert!((100..220).contains(&fast.len()), "{} before it was noticed", fast.len());
    let events = world.events();
    assert_eq!(events.iter().filter(|event| **event == Event::PolicyExceeded { publisher: streamer }).count(), 1);
    assert!(world.room.stats().dropped_for(DropReason::OverPolicy) > 400);
    // Slower it comes again with a key frame, for which it is asked.
    let next = run(&mut world, streamer, next, (10, 30), |_| DELTA);
    assert_eq!(world.numbers_of(viewer), []);
    assert!(world.events().iter().any(|event| matches!(event, Event::KeyFrame { .. })));
    run(&mut world, streamer, next, (10, 30), first);
    let slow = world.numbers_of(viewer);
    assert_eq!(slow.len(), 300);
    assert_eq!(slow[0], fast[fast.len() - 1] + 1, "nothing seems to be missing");
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
