//! The loudest few, in rooms of many.

mod common;

use std::collections::BTreeSet;

use common::*;
use rookery_forwarder::*;

#[test]
fn of_a_hundred_who_speak_three_are_heard() {
    let mut world = with_speakers(3);
    let members: Vec<_> = (1..=100).map(|user| world.bot(user)).collect();
    let listener = world.bot(1_000);
    for round in 0..100_u16 {
        for (at, member) in members.iter().enumerate() {
            world.speak(*member, round, loud(10 + (at as u8) % 40));
        }
        world.wait_ms(20);
    }
    let heard: BTreeSet<_> =
        world.sent.iter().filter(|forward| forward.receiver == listener).map(|forward| forward.header.ssrc).collect();
    let sent = world.sent.iter().filter(|forward| forward.receiver == listener).count();
    assert!(sent <= 3 * 100, "{sent}");
    assert!(heard.len() <= 9, "places change seldom: {}", heard.len());
    assert_eq!(world.room.speakers().count(), 3);
}

#[test]
fn who_comes_back_goes_on_without_a_gap_and_marks_it() {
    let mut world = with_speakers(1);
    let (soft, loudest, listener) = (world.bot(1), world.bot(2), world.bot(3));
    for sequence in 0..100_u16 {
        world.speak(soft, sequence, loud(50));
        if (30..60).contains(&sequence) {
            world.speak(loudest, sequence, loud(5));
        }
        world.wait_ms(20);
    }
    let own = world.room.streams(soft).unwrap().audio;
    world.sent.retain(|forward| forward.receiver == listener && forward.header.ssrc == own);
    let begins: Vec<_> =
        world.sent.iter().filter(|forward| forward.header.marker).map(|forward| forward.header.sequence).collect();
    let timestamps: Vec<_> = world.sent.iter().map(|forward| forward.header.timestamp).collect();
    assert!(timestamps.windows(2).any(|pair| pair[1] - pair[0] > 960), "time goes on while it is not heard");
    let numbers = world.numbers_of(listener);
    assert!(numbers.len() < 75, "{}", numbers.len());
    assert_eq!(numbers, (0..numbers.len() as u16).collect::<Vec<_>>());
    assert_eq!(begins.len(), 2);
}

#[test]
fn changes_are_told() {
    let mut world = with_speakers(1);
    let (first, second) = (world.bot(1), world.bot(2));
    world.speak(first, 1, loud(30));
    world.wait_ms(600);
    world.speak(second, 1, loud(30));
    let heard = |member, heard| Event::Heard { member, heard };
    assert_eq!(world.events(), [heard(first, true), heard(first, false), heard(second, true)]);
    world.run_ms(2_000);
    assert_eq!(world.events(), [heard(second, false)], "after a while of silence");
    assert_eq!(world.room.speakers().count(), 0);
}

#[test]
fn in_a_small_room_silence_is_sent_too_and_in_a_large_one_it_is_not() {
    let mut small = voice();
    let (bot, _) = (small.bot(1), small.bot(2));
    assert_eq!(small.speak(bot, 1, loud(127)).receivers(), 1);
    let mut large = voice();
    let bots: Vec<_> = (1..=30).map(|user| large.bot(user)).collect();
    assert_eq!(large.speak(bots[0], 1, loud(127)), Verdict::Dropped(DropReason::NotSelected));
    assert_eq!(large.speak(bots[0], 2, loud(30)).receivers(), 29);
    for sequence in 3..8 {
        large.wait_ms(20);
        let silence = Audio { level: None, silence: true };
        assert_eq!(large.speak(bots[0], sequence, silence).receivers(), 29, "the end of a talkspurt is heard");
    }
}

#[test]
fn under_load_fewer_are_heard_and_nobody_is_put_out() {
    let mut world = voice();
    let bots: Vec<_> = (1..=40).map(|user| world.bot(user)).collect();
    for bot in bots.iter().take(10) {
        world.speak(*bot, 1, loud(30));
    }
    assert_eq!(world.room.speakers().count(), 10);
    for _ in 0..100 {
        world.wait_ms(100);
        world.room.set_utilisation(world.now_us, 950);
    }
    assert_eq!(world.room.quality(), Quality::FewSpeakers);
    assert_eq!((world.room.speakers().count(), world.room.len()), (3, 40));
    let told: Vec<_> = world.events().into_iter().filter(|event| matches!(event, Event::Quality(_))).collect();
    assert_eq!(told.len(), 6);
    for _ in 0..400 {
        world.wait_ms(100);
        world.room.set_utilisation(world.now_us, 100);
    }
    for bot in bots.iter().take(10) {
        world.speak(*bot, 2, loud(30));
    }
    assert_eq!((world.room.quality(), world.room.speakers().count()), (Quality::Full, 10));
}
