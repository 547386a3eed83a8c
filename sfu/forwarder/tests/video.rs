//! Who sees whom, in which layer, and what is sent again.

#![allow(clippy::unwrap_used, reason = "what tests share fails like a test")]

mod common;

use common::*;
use rookery_forwarder::*;
use smallvec::smallvec;

struct Call {
    world: World,
    publisher: MemberKey,
    viewer: MemberKey,
    sequence: [u16; 3],
}

/// A browser that shows video in three layers, and another one that looks.
fn call() -> Call {
    let mut world = voice();
    let (publisher, viewer) = (world.browser(1), world.browser(2));
    world.room.publish_video(world.now_us, publisher, &LAYERS).unwrap();
    world.events();
    Call { world, publisher, viewer, sequence: [100, 20_000, 40_000] }
}

impl Call {
    /// A frame of every layer, of a size that makes their rates those of [`LAYERS`]; reported as arrived after 30 ms.
    fn frame(&mut self, video: Video) {
        for (layer, packets) in [(0_u8, 1_u16), (1, 2), (2, 6)] {
            for piece in 0..packets {
                let video = Video { frame_start: piece == 0, ..video };
                self.world.show(self.publisher, 1, layer, self.sequence[layer as usize], video);
                self.sequence[layer as usize] += 1;
            }
        }
    }
}

fn report_all(world: &mut World, viewer: MemberKey) {
    let numbers: Vec<_> = world
        .sent
        .iter()
        .filter(|forward| forward.receiver == viewer)
        .filter_map(|forward| forward.transport_sequence)
        .map(|number| (number, Some(world.now_us + 30_000)))
        .collect();
    world.room.handle_transport_feedback(world.now_us + 60_000, viewer, numbers);
}

#[test]
fn nobody_sees_anything_before_a_key_frame_which_is_asked_for_at_once() {
    let mut call = call();
    let viewer_joined = call.world.room.member_stats(call.viewer).unwrap();
    assert_eq!((viewer_joined.subscriptions, viewer_joined.watching), (1, 0));
    call.frame(DELTA);
    assert!(call.world.sent.is_empty());
    call.frame(KEY);
    assert!(!call.world.sent.is_empty());
    let out = call.world.video_ssrc(call.publisher);
    assert!(call.world.sent.iter().all(|f| f.header.ssrc == out && f.receiver == call.viewer));
}

#[test]
fn a_key_frame_is_asked_for_once_for_all_who_need_one() {
    let mut world = voice();
    let publisher = world.browser(1);
    world.room.publish_video(world.now_us, publisher, &LAYERS[..1]).unwrap();
    for user in 2..12 {
        world.browser(user);
    }
    let asked = |world: &mut World| world.events().iter().filter(|e| matches!(e, Event::KeyFrame { .. })).count();
    assert_eq!(asked(&mut world), 1);
    world.run_ms(600);
    assert_eq!(asked(&mut world), 1, "for those who came after the first request");
    world.show(publisher, 1, 0, 1, KEY);
    world.run_ms(5_000);
    assert_eq!(asked(&mut world), 0);
    let viewer = world.room.member_of(rookery_model::UserId::new(5)).unwrap();
    let ssrc = world.video_ssrc(publisher);
    for _ in 0..10 {
        world.room.handle_key_frame_request(world.now_us, viewer, ssrc);
    }
    assert_eq!(asked(&mut world), 1);
    let stranger = world.bot(99);
    world.wait_ms(10_000);
    world.room.handle_key_frame_request(world.now_us, stranger, ssrc);
    assert_eq!(asked(&mut world), 0, "who does not look needs none");
}

#[test]
fn wishes_decide_who_sees_and_how_well() {
    let mut call = call();
    let ssrc = call.world.video_ssrc(call.publisher);
    let now_us = call.world.now_us;
    call.world.room.handle_receiver_estimate(now_us, call.viewer, 9_000_000);
    call.world.room.set_wants(now_us, call.viewer, Wants { any: 0, by_ssrc: smallvec![(ssrc, 50)] });
    assert!(call.world.events().contains(&Event::Demand { publisher: call.publisher, quality: 50 }));
    call.frame(KEY);
    call.world.sent.clear();
    call.frame(DELTA);
    assert_eq!(call.world.sent.drain(..).count(), 2, "as many packets as a frame of the middle layer has");
    call.world.room.set_wants(now_us, call.viewer, Wants::default());
    assert!(call.world.events().contains(&Event::Demand { publisher: call.publisher, quality: 0 }));
    call.frame(KEY);
    assert!(call.world.sent.is_empty());
    // Bots see nothing until they say that they want to.
    let bot = call.world.bot(7);
    call.frame(KEY);
    assert!(call.world.sent.is_empty());
    call.world.room.set_wants(now_us, bot, Wants { any: 100, by_ssrc: smallvec![] });
    call.frame(KEY);
    assert!(call.world.receivers().iter().all(|receiver| *receiver == bot));
}

#[test]
fn layers_follow_the_bandwidth_and_numbers_go_on() {
    let mut call = call();
    let mut last: Option<(u16, u32)> = None;
    let mut best = [0_u64; 2];
    for (bps, best) in [4_000_000, 300_000].into_iter().zip(&mut best) {
        for frame in 0..300_u32 {
            let now_us = call.world.now_us;
            call.world.room.handle_receiver_estimate(now_us, call.viewer, bps);
            let asked = call.world.events().iter().any(|event| matches!(event, Event::KeyFrame { .. }));
            call.frame(if asked || frame == 0 { KEY } else { DELTA });
            call.world.run_ms(33);
            if frame == 250 {
                *best = call.world.room.stats().packets_out;
            }
        }
        *best = call.world.room.stats().packets_out - *best;
        for forward in call.world.sent.drain(..) {
            let (sequence, timestamp) = (forward.header.sequence, forward.header.timestamp);
            if let Some((before, at)) = last {
                assert_eq!(sequence, before.wrapping_add(1));
                assert!(timestamp.wrapping_sub(at) < 90_000, "{timestamp} after {at}");
            }
            last = Some((sequence, timestamp));
        }
    }
    // Six packets a frame of the best layer, and one of the smallest.
    assert_eq!(best, [6 * 49, 49]);
}

#[test]
fn without_enough_for_the_smallest_picture_there_is_none_and_sound_goes_on() {
    let mut call = call();
    call.frame(KEY);
    call.world.run_ms(50);
    call.world.sent.clear();
    call.world.room.handle_receiver_estimate(call.world.now_us, call.viewer, 60_000);
    for _ in 0..10 {
        call.frame(KEY);
        call.world.run_ms(33);
    }
    assert!(call.world.sent.is_empty());
    assert_eq!(call.world.speak_from(call.publisher, Ssrc(10), 1, loud(30)).receivers(), 1);
}

#[test]
fn what_is_missed_is_sent_again_from_where_it_is_kept() {
    let mut call = call();
    call.world.room.handle_receiver_estimate(call.world.now_us, call.viewer, 200_000);
    call.frame(KEY);
    call.frame(DELTA);
    call.world.run_ms(500);
    let numbers = call.world.numbers_of(call.viewer);
    assert_eq!(numbers, [100, 101]);
    let (media, now_us) = (call.world.room.streams(call.publisher).unwrap(), call.world.now_us);
    let sent = &mut call.world.sent;
    call.world.room.handle_nack(now_us, call.viewer, media.video, [101, 101, 102, 99, 60_000], |f| sent.push(f));
    assert_eq!(sent.len(), 1, "once, and nothing that was not sent");
    let slot = Slot { publisher: call.publisher, layer: Layer(0), index: 101 };
    assert_eq!(sent[0].body, Body::Retransmission { slot, original_sequence: 101 });
    assert_eq!((sent[0].header.ssrc, sent[0].header.timestamp), (media.rtx, 101 * 3_000));
    assert!(sent[0].transport_sequence.is_some());
}

#[test]
fn a_receiver_without_rtx_gets_the_packet_under_its_first_number() {
    let mut world = voice();
    let (publisher, bot) = (world.browser(1), world.bot(2));
    world.room.publish_video(world.now_us, publisher, &LAYERS[..1]).unwrap();
    world.room.set_wants(world.now_us, bot, Wants { any: 100, by_ssrc: smallvec![] });
    world.show(publisher, 1, 0, 7, KEY);
    let ssrc = world.video_ssrc(publisher);
    let (now_us, sent) = (world.now_us, &mut world.sent);
    sent.clear();
    world.room.handle_nack(now_us, bot, ssrc, [7], |f| sent.push(f));
    let slot = Slot { publisher, layer: Layer(0), index: 7 };
    assert_eq!((sent[0].header.ssrc, sent[0].header.sequence, sent[0].body), (ssrc, 7, Body::Stored(slot)));
}

#[test]
fn whoever_may_not_stream_is_not_seen_and_whoever_left_neither() {
    let mut call = call();
    call.frame(KEY);
    call.world.run_ms(1_000);
    call.world.sent.clear();
    call.world.room.set_flags(call.world.now_us, call.publisher, MemberFlags::MAY_SPEAK);
    call.frame(KEY);
    call.world.run_ms(1_000);
    assert!(call.world.sent.is_empty(), "nor what waited");
    call.world.room.set_flags(call.world.now_us, call.publisher, SPEAKER);
    call.frame(KEY);
    assert!(!call.world.sent.is_empty());
    call.world.sent.clear();
    call.world.room.leave(call.world.now_us, call.viewer);
    call.frame(KEY);
    call.world.run_ms(1_000);
    assert!(call.world.sent.is_empty());
}

#[test]
fn a_burst_waits_its_turn_and_sound_does_not() {
    let mut world = voice();
    let (publisher, viewer) = (world.browser(1), world.browser(2));
    world.room.publish_video(world.now_us, publisher, &LAYERS[..1]).unwrap();
    world.show(publisher, 1, 0, 0, KEY);
    for sequence in 1..60 {
        world.show(publisher, 1, 0, sequence, Video { frame_start: false, ..KEY });
    }
    assert!(world.sent.len() < 10, "{} of 60 at once", world.sent.len());
    let before = world.sent.len();
    world.speak_from(publisher, Ssrc(10), 1, loud(30));
    assert_eq!(world.sent.len(), before + 1);
    world.sent.retain(|forward| forward.header.ssrc == world.room.streams(publisher).unwrap().video);
    world.run_ms(500);
    let slots = world.sent.iter().filter(|forward| matches!(forward.body, Body::Stored(_))).count();
    assert_eq!(world.numbers_of(viewer), (0..60).collect::<Vec<_>>(), "all of them, in order");
    assert!(slots > 50);
}

#[test]
fn what_waits_too_long_is_given_up_and_a_key_frame_begins_anew() {
    let mut world = voice();
    let (publisher, viewer) = (world.browser(1), world.browser(2));
    world.room.publish_video(world.now_us, publisher, &LAYERS[..1]).unwrap();
    world.room.handle_receiver_estimate(world.now_us, viewer, 250_000);
    world.show(publisher, 1, 0, 0, KEY);
    for sequence in 1..600 {
        world.show(publisher, 1, 0, sequence, Video { frame_start: false, ..DELTA });
    }
    assert!(world.room.member_stats(viewer).unwrap().waiting_packets <= 256);
    assert!(world.room.stats().paced_out > 0);
    world.run_ms(3_000);
    assert!(world.events().iter().any(|event| matches!(event, Event::KeyFrame { .. })));
    world.sent.clear();
    world.show(publisher, 1, 0, 600, DELTA);
    assert!(world.sent.is_empty());
    world.show(publisher, 1, 0, 601, KEY);
    assert_eq!(world.sent.len(), 1);
}

#[test]
fn reports_raise_the_estimate_and_with_it_the_layer() {
    let mut call = call();
    let mut watched = Vec::new();
    for frame in 0..900_u32 {
        let asked = call.world.events().iter().any(|event| matches!(event, Event::KeyFrame { .. }));
        call.frame(if asked || frame == 0 { KEY } else { DELTA });
        let start_us = call.world.now_us;
        call.world.run_ms(33);
        call.world.now_us = start_us;
        report_all(&mut call.world, call.viewer);
        call.world.now_us = start_us + 33_000;
        watched.push(call.world.sent.drain(..).count());
    }
    let stats = call.world.room.member_stats(call.viewer).unwrap();
    assert!(stats.bandwidth_bps.unwrap() > 1_600_000, "{stats:?}");
    assert!(call.world.room.stats().probe_packets > 0);
    assert_eq!(watched.last(), Some(&6), "six packets a frame are the best layer");
}

#[test]
fn limits_hold() {
    let mut world = voice();
    let first = world.browser(1);
    let bad = |specs: &[LayerSpec], world: &mut World| world.room.publish_video(world.now_us, first, specs);
    assert_eq!(bad(&[], &mut world), Err(PublishRefused::BadLayers));
    assert_eq!(bad(&[LAYERS[1], LAYERS[0]], &mut world), Err(PublishRefused::BadLayers));
    assert_eq!(bad(&[LayerSpec { quality: 0, expected_bps: 1 }], &mut world), Err(PublishRefused::BadLayers));
    for user in 1..=26 {
        let key = world.room.member_of(rookery_model::UserId::new(user)).unwrap_or_else(|| world.browser(user));
        let result = world.room.publish_video(world.now_us, key, &LAYERS);
        assert_eq!(result, if user <= 25 { Ok(()) } else { Err(PublishRefused::TooManyPublishers) });
    }
    assert_eq!(world.room.member_stats(first).unwrap().subscriptions, 24);
    for ssrc in 500..520 {
        world.room.bind_audio(first, Ssrc(ssrc));
    }
    assert_eq!(world.speak_from(first, Ssrc(519), 1, loud(30)).receivers(), 25, "the last one named counts");
    assert_eq!(world.speak_from(first, Ssrc(10), 2, loud(30)), Verdict::Dropped(DropReason::ForeignSsrc));
}

#[test]
fn who_looks_away_and_back_sees_numbers_go_on() {
    let mut call = call();
    let (publisher, viewer) = (call.publisher, call.viewer);
    call.world.room.handle_receiver_estimate(call.world.now_us, viewer, 200_000);
    let mut numbers = Vec::new();
    for round in 0..4 {
        let now_us = call.world.now_us;
        call.frame(KEY);
        call.frame(DELTA);
        call.world.run_ms(66);
        numbers.extend(call.world.numbers_of(viewer));
        match round {
            0 => {
                call.world.room.set_wants(now_us, viewer, Wants::default());
                call.frame(KEY);
                call.world.room.set_wants(now_us, viewer, Wants { any: 100, by_ssrc: smallvec![] });
            }
            1 => {
                call.world.room.unpublish_video(now_us, publisher);
                call.world.room.publish_video(now_us, publisher, &LAYERS).unwrap();
            }
            _ => {
                call.world.room.set_flags(now_us, publisher, MemberFlags::MAY_SPEAK);
                call.world.room.set_flags(now_us, publisher, SPEAKER);
            }
        }
    }
    assert_eq!(numbers, (100..108).collect::<Vec<_>>());
}
