//! Who hears whom, and under which numbers.

mod common;

use common::*;
use rookery_forwarder::*;
use rookery_model::UserId;

const DROPPED_NOT_PERMITTED: Verdict = Verdict::Dropped(DropReason::NotPermitted);

#[test]
fn everybody_hears_but_the_speaker_bots_and_browsers_alike() {
    let mut world = voice();
    let (bot, browser, other) = (world.bot(1), world.browser(2), world.bot(3));
    world.speak(bot, 1, loud(30));
    assert_eq!(world.receivers(), [browser, other]);
    world.speak_from(browser, Ssrc(20), 1, loud(30));
    let own = world.room.streams(browser).unwrap().audio;
    assert!(world.sent.iter().all(|forward| forward.header.ssrc == own), "one that the room gave");
    assert_eq!(world.receivers(), [bot, other]);
}

#[test]
fn an_ssrc_that_is_not_the_senders_goes_nowhere() {
    let mut world = voice();
    let (bot, other) = (world.bot(1), world.bot(2));
    let foreign = world.room.streams(other).unwrap().audio;
    assert_eq!(world.speak_from(bot, foreign, 1, loud(30)), Verdict::Dropped(DropReason::ForeignSsrc));
    let video = world.room.streams(bot).unwrap().video;
    assert_eq!(
        world.speak_from(bot, video, 1, loud(30)),
        Verdict::Dropped(DropReason::ForeignSsrc),
        "sound as picture"
    );
    assert_eq!(world.room.stats().dropped_for(DropReason::ForeignSsrc), 2);
    world.room.leave(world.now_us, bot);
    assert_eq!(world.speak_from(bot, foreign, 1, loud(30)), Verdict::Dropped(DropReason::UnknownMember));
}

#[test]
fn whoever_may_not_speak_is_not_heard() {
    let mut world = voice();
    let (bot, listener) = (world.bot(1), world.bot(2));
    let mut sequence = 0;
    for flag in [MemberFlags::SERVER_MUTED, MemberFlags::SELF_MUTED, MemberFlags::SUPPRESSED, MemberFlags::LISTENER] {
        world.room.set_flags(world.now_us, bot, SPEAKER | flag);
        sequence += 1;
        assert_eq!(world.speak(bot, sequence, loud(10)), DROPPED_NOT_PERMITTED, "{flag:?}");
        world.room.set_flags(world.now_us, bot, SPEAKER);
        sequence += 1;
        assert_eq!(world.speak(bot, sequence, loud(10)).receivers(), 1, "{flag:?} taken away");
    }
    world.room.set_flags(world.now_us, bot, MemberFlags::empty());
    assert_eq!(world.speak(bot, 100, loud(10)), DROPPED_NOT_PERMITTED);
    assert_eq!(world.numbers_of(listener), [2, 3, 4, 5], "without gaps for what was not sent");
}

#[test]
fn the_deaf_hear_nothing_and_miss_no_number_afterwards() {
    let mut world = voice();
    let (bot, deaf, other) = (world.bot(1), world.bot(2), world.bot(3));
    for sequence in 0..3 {
        world.speak(bot, sequence, loud(30));
    }
    assert_eq!(world.numbers_of(deaf), [0, 1, 2]);
    world.room.set_flags(world.now_us, deaf, SPEAKER | MemberFlags::SELF_DEAFENED);
    for sequence in 3..8 {
        world.speak(bot, sequence, loud(30));
    }
    assert!(world.sent.iter().all(|forward| forward.receiver == other));
    world.sent.clear();
    world.room.set_flags(world.now_us, deaf, SPEAKER);
    world.speak(bot, 8, loud(30));
    // Late, and of the time of deafness.
    world.speak(bot, 7, loud(30));
    world.speak(bot, 9, loud(30));
    assert_eq!(world.numbers_of(deaf), [3, 4]);
    world.room.set_flags(world.now_us, deaf, SPEAKER | MemberFlags::SERVER_DEAFENED);
    world.speak(bot, 10, loud(30));
    world.room.set_flags(world.now_us, deaf, SPEAKER);
    world.sent.clear();
    world.speak(bot, 11, loud(30));
    assert_eq!(world.sent.iter().map(|f| f.header.sequence).collect::<Vec<_>>(), [11, 5], "a second time too");
}

#[test]
fn a_stages_audience_receives_only_until_it_is_invited() {
    let mut world = voice();
    let (speaker, audience) = (world.bot(1), world.bot(2));
    world.room.set_flags(world.now_us, audience, SPEAKER | MemberFlags::SUPPRESSED);
    assert_eq!(world.speak(audience, 1, loud(10)), DROPPED_NOT_PERMITTED);
    assert_eq!(world.speak(speaker, 1, loud(10)).receivers(), 1);
    world.room.set_flags(world.now_us, audience, SPEAKER);
    assert_eq!(world.speak(audience, 2, loud(10)).receivers(), 1);
}

#[test]
fn a_priority_speaker_ducks_the_others() {
    let mut world = voice();
    let (bot, priority) = (world.bot(1), world.bot(2));
    world.room.set_flags(world.now_us, priority, SPEAKER | MemberFlags::PRIORITY);
    world.speak(bot, 1, loud(30));
    assert!(!world.sent[0].ducked);
    world.speak(priority, 1, loud(30));
    world.speak(bot, 2, loud(30));
    assert_eq!(world.sent.iter().map(|forward| forward.ducked).collect::<Vec<_>>(), [false, false, true]);
}

#[test]
fn a_moved_member_is_heard_in_the_new_room_only() {
    let (mut from, mut to) = (voice(), voice());
    let (bot, left_behind) = (from.bot(1), from.bot(2));
    let welcomed = to.bot(3);
    from.speak(bot, 1, loud(30));
    assert!(from.room.leave(from.now_us, bot));
    assert!(!from.room.leave(from.now_us, bot));
    let moved = to.bot(1);
    assert_eq!(from.speak_from(bot, Ssrc(1), 2, loud(30)), Verdict::Dropped(DropReason::UnknownMember));
    to.speak(moved, 2, loud(30));
    assert_eq!((from.receivers(), to.receivers()), (vec![left_behind], vec![welcomed]));
    assert_eq!(from.events().last(), Some(&Event::Heard { member: bot, heard: false }));
}

#[test]
fn a_bot_that_begins_anew_goes_on_without_a_gap() {
    let mut world = voice();
    let (bot, listener) = (world.bot(1), world.bot(2));
    world.speak(bot, 10, loud(30));
    world.wait_ms(20);
    assert_eq!(world.speak(bot, 40_000, loud(30)), Verdict::Dropped(DropReason::OutOfRange));
    world.wait_ms(20);
    world.speak(bot, 40_001, loud(30));
    world.wait_ms(20);
    world.speak(bot, 40_002, loud(30));
    let times: Vec<_> = world.sent.iter().map(|forward| forward.header.timestamp).collect();
    assert_eq!(times, [9_600, 9_600 + 2 * 960, 9_600 + 3 * 960]);
    assert_eq!(world.numbers_of(listener), [10, 11, 12]);
}

#[test]
fn late_comers_learn_who_is_there() {
    let mut world = voice();
    let bot = world.bot(1);
    assert!(world.room.set_speaking(bot, 1));
    assert!(!world.room.set_speaking(bot, 1));
    let browser = world.browser(2);
    world.room.publish_video(world.now_us, browser, &LAYERS).unwrap();
    let known: Vec<_> = world.room.publications().map(|p| (p.user, p.streams, p.speaking, p.shows_video)).collect();
    let streams = |key| world.room.streams(key).unwrap();
    assert_eq!(known, [(UserId::new(1), streams(bot), 1, false), (UserId::new(2), streams(browser), 0, true)]);
    let mut all: Vec<_> = [bot, browser].map(streams).into_iter().flat_map(|s| [s.audio, s.video, s.rtx]).collect();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 6);
}

#[test]
fn who_chooses_another_transport_sends_from_ssrcs_of_its_own_and_hears_on() {
    let mut world = voice();
    let (one, other) = (world.bot(1), world.bot(2));
    assert_eq!(world.speak(one, 1, loud(30)).receivers(), 1);
    let streams = world.room.streams(one).unwrap();
    assert!(world.room.set_transport(world.now_us, one, Transport::WebRtc, Feedback::TransportWide, true));
    assert_eq!(world.room.streams(one), Some(streams), "others know it as before");
    world.sent.clear();
    assert_eq!(world.speak(one, 2, loud(30)), Verdict::Dropped(DropReason::ForeignSsrc));
    assert!(world.room.bind_audio(one, Ssrc(77)));
    assert_eq!(world.speak_from(one, Ssrc(77), 3, loud(30)).receivers(), 1);
    assert_eq!((world.sent[0].receiver, world.sent[0].header.ssrc), (other, streams.audio));
    world.sent.clear();
    assert_eq!(world.speak(other, 1, loud(30)).receivers(), 1);
    assert_eq!(world.sent[0].transport_sequence, Some(0), "it reports what arrives");
    assert!(world.room.set_transport(world.now_us, one, Transport::Udp, Feedback::None, false));
    world.sent.clear();
    assert_eq!(world.speak(one, 4, loud(30)).receivers(), 1);
    assert_eq!(world.speak(other, 2, loud(30)).receivers(), 1);
    assert_eq!(world.sent[1].transport_sequence, None);
}

#[test]
fn another_transport_ends_what_was_shown_and_watched() {
    let mut world = voice();
    let (publisher, viewer) = (world.browser(1), world.browser(2));
    world.room.publish_video(world.now_us, publisher, &LAYERS[..1]).unwrap();
    assert!(world.show(publisher, 1, 0, 7, KEY).receivers() > 0);
    assert!(world.room.set_transport(world.now_us, viewer, Transport::WebRtc, Feedback::TransportWide, true));
    assert_eq!(world.show(publisher, 1, 0, 8, KEY).receivers(), 0);
    world.room.set_wants(world.now_us, viewer, Wants { any: 100, by_ssrc: Default::default() });
    assert_eq!(world.show(publisher, 1, 0, 9, KEY).receivers(), 1);
    assert!(world.room.set_transport(world.now_us, publisher, Transport::WebRtc, Feedback::TransportWide, true));
    assert_eq!(world.show(publisher, 1, 0, 10, KEY), Verdict::Dropped(DropReason::ForeignSsrc));
}
