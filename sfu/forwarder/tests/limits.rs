//! Bounds, whatever members do.

mod common;

use common::*;
use rookery_forwarder::*;

#[test]
fn a_room_is_full_at_its_limit_and_a_user_is_in_it_once() {
    let config = RoomConfig { members_max: 3, ..RoomConfig::default() };
    let mut world = at(1, RoomKind::Voice, config);
    let first = world.bot(1);
    assert_eq!(world.room.join(0, join(1, Transport::Udp)), Err(JoinRefused::AlreadyIn));
    world.bot(2);
    world.bot(3);
    assert_eq!(world.room.join(0, join(4, Transport::Udp)), Err(JoinRefused::Full));
    world.room.leave(0, first);
    assert!(world.room.join(0, join(4, Transport::Udp)).is_ok());
}

#[test]
fn five_thousand_listen_and_come_and_go() {
    let mut world = voice();
    let speaker = world.bot(1);
    let mut listeners: Vec<_> = (2..=5_000).map(|user| world.bot(user)).collect();
    assert_eq!(world.room.join(0, join(6_000, Transport::Udp)), Err(JoinRefused::Full));
    assert_eq!(world.speak(speaker, 1, loud(30)).receivers(), 4_999);
    for listener in listeners.drain(1_000..3_000) {
        assert!(world.room.leave(0, listener));
    }
    world.sent.clear();
    assert_eq!(world.speak(speaker, 2, loud(30)).receivers(), 2_999);
    let got = world.receivers();
    assert_eq!(
        got,
        {
            listeners.sort();
            listeners
        },
        "each once"
    );
}

#[test]
fn events_that_nobody_takes_are_bounded_and_counted() {
    let mut config = RoomConfig { events_max: 10, ..RoomConfig::default() };
    config.speakers.speakers_max = 1;
    let mut world = at(1, RoomKind::Voice, config);
    for user in 1..=30 {
        let bot = world.bot(user);
        world.wait_ms(1_000);
        world.speak(bot, 1, loud(10));
    }
    assert_eq!(world.events().len(), 10);
    assert!(world.room.stats().events_lost > 10);
}

#[test]
fn losses_and_jitter_are_counted() {
    let mut world = voice();
    let (bot, listener) = (world.bot(1), world.bot(2));
    for sequence in (0..200).filter(|sequence| sequence % 10 != 3) {
        world.now_us = 10_000_000 + u64::from(sequence) * 20_000 + u64::from(sequence % 2) * 4_000;
        world.speak(bot, sequence, loud(30));
    }
    let stats = world.room.member_stats(bot).unwrap();
    assert_eq!((stats.audio.packets, stats.audio.lost, stats.audio.octets), (180, 20, 180 * 160));
    assert!((2_000..4_500).contains(&stats.audio.jitter_us), "{}", stats.audio.jitter_us);
    let stats = world.room.member_stats(listener).unwrap();
    assert_eq!((stats.sent_packets, stats.sent_octets), (180, 180 * 160));
    world.room.set_flags(world.now_us, listener, SPEAKER | MemberFlags::SELF_DEAFENED);
    assert_eq!(world.room.member_stats(listener).unwrap().sent_packets, 180, "kept over deafness");
    assert_eq!((world.room.stats().packets_in, world.room.stats().packets_out), (180, 180));
}
