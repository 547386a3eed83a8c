//! Mirrors and the owner that they follow.

use rookery_placement::NodeId;
use rookery_placement::mirror::{
    Follow, Full, Mirror, MirrorEvent, MirrorTimings, NotHere, Source, SourceEvent, ToMirror, Watermark,
};

/// The source's clock; a mirror's shows something else.
const SOURCE_MS: u64 = 1_000_000;
const MIRROR_MS: u64 = 50_000;

fn node(number: u64) -> NodeId {
    NodeId::from_row(1 << 10 | number).unwrap()
}

fn at(epoch: u64, seq: u64) -> Watermark {
    Watermark { epoch, seq }
}

fn events(source: &mut Source<&'static str>) -> Vec<SourceEvent<&'static str>> {
    std::iter::from_fn(|| source.poll_event()).collect()
}

fn acknowledged(source: &mut Source<&'static str>) -> Vec<u64> {
    let seq = |event| match event {
        SourceEvent::Acknowledge { seq } => Some(seq),
        _ => None,
    };
    events(source).into_iter().filter_map(seq).collect()
}

fn follow(number: u64, sent_ms: u64, at: Option<Watermark>) -> Follow {
    Follow { mirror: node(number), sent_ms, at }
}

/// An owner whose predecessor's mirrors are over, with mirrors that have everything.
fn source_with(mirrors: u64) -> Source<&'static str> {
    let mut source = Source::new(3, MirrorTimings::default(), SOURCE_MS - 10_000);
    for number in 0..mirrors {
        source.handle_follow(SOURCE_MS, &follow(number, 1, Some(at(3, 0))));
    }
    events(&mut source);
    source
}

/// A mirror that has everything up to a place, and its lease.
fn mirror_at(place: Watermark) -> Mirror<&'static str> {
    let mut mirror = Mirror::new(node(0), MirrorTimings::default(), MIRROR_MS);
    assert!(mirror.handle_snapshot(MIRROR_MS, place));
    mirror.handle_message(MIRROR_MS, ToMirror::Grant { tail: place, echo_ms: MIRROR_MS, lease_ms: 3_000 });
    while mirror.poll_event().is_some() {}
    assert_eq!(mirror.read(MIRROR_MS, None), Ok(place));
    mirror
}

fn change(seq: u64, change: &'static str) -> ToMirror<&'static str> {
    ToMirror::Change { at: at(3, seq), change, is_awaited: true }
}

#[test]
fn without_mirrors_what_is_taken_away_is_acknowledged_at_once() {
    let mut source = source_with(0);
    assert_eq!(source.change(SOURCE_MS, "role lost", true), Ok(at(3, 1)));
    assert_eq!(acknowledged(&mut source), [1]);
    source.change(SOURCE_MS, "role gained", false).unwrap();
    assert_eq!((acknowledged(&mut source), source.poll_timeout()), (vec![], None));
}

#[test]
fn a_new_owner_waits_for_the_mirrors_of_the_one_before() {
    let mut source = Source::new(3, MirrorTimings::default(), SOURCE_MS);
    source.change(SOURCE_MS + 1, "role lost", true).unwrap();
    assert_eq!(acknowledged(&mut source), []);
    assert_eq!(source.poll_timeout(), Some(SOURCE_MS + 3_200));
    source.handle_timeout(SOURCE_MS + 3_199);
    assert_eq!(acknowledged(&mut source), []);
    source.handle_timeout(SOURCE_MS + 3_200);
    assert_eq!(acknowledged(&mut source), [1]);
}

#[test]
fn what_is_taken_away_is_acknowledged_when_every_mirror_has_it() {
    let mut source = source_with(2);
    source.change(SOURCE_MS, "role lost", true).unwrap();
    let sent = events(&mut source);
    let to = |number| SourceEvent::Send { to: node(number), message: change(1, "role lost") };
    assert_eq!(sent, [to(0), to(1)]);
    source.handle_follow(SOURCE_MS + 5, &follow(0, 2, Some(at(3, 1))));
    assert_eq!(acknowledged(&mut source), []);
    source.handle_follow(SOURCE_MS + 9, &follow(1, 2, Some(at(3, 1))));
    assert_eq!(acknowledged(&mut source), [1]);
}

#[test]
fn a_mirror_that_is_silent_or_does_not_confirm_is_waited_out() {
    let mut source = source_with(2);
    source.change(SOURCE_MS + 100, "role lost", true).unwrap();
    source.handle_follow(SOURCE_MS + 150, &follow(0, 2, Some(at(3, 1))));
    assert_eq!(source.poll_timeout(), Some(SOURCE_MS + 3_200));
    events(&mut source);
    // The other one asks and asks, and never has it: at first its lease is renewed, then no more.
    source.handle_follow(SOURCE_MS + 500, &follow(1, 3, Some(at(3, 0))));
    let is_grant = |event: &SourceEvent<_>| matches!(event, SourceEvent::Send { message: ToMirror::Grant { .. }, .. });
    assert_eq!(events(&mut source).iter().filter(|event| is_grant(event)).count(), 1);
    source.handle_follow(SOURCE_MS + 700, &follow(1, 4, Some(at(3, 0))));
    let sent = events(&mut source);
    assert!(!sent.iter().any(is_grant) && !sent.is_empty(), "it gets what it misses, and no lease: {sent:?}");
    for ms in [1_500, 3_000, 3_600] {
        source.handle_follow(SOURCE_MS + ms, &follow(0, 5, Some(at(3, 1))));
        source.handle_follow(SOURCE_MS + ms, &follow(1, 5, Some(at(3, 0))));
        assert_eq!(acknowledged(&mut source), []);
    }
    assert_eq!(source.poll_timeout(), Some(SOURCE_MS + 3_700));
    source.handle_timeout(SOURCE_MS + 3_700);
    assert_eq!(acknowledged(&mut source), [1]);
}

#[test]
fn a_mirror_with_a_gap_answers_nothing_until_it_is_filled() {
    let mut mirror = mirror_at(at(3, 4));
    let now_ms = MIRROR_MS + 200;
    mirror.handle_message(now_ms, change(6, "second"));
    assert_eq!(mirror.read(now_ms, None), Err(NotHere::Gap));
    let asks = MirrorEvent::Send(follow(0, now_ms, Some(at(3, 4))));
    assert_eq!((mirror.poll_event(), mirror.poll_event()), (Some(asks), None));
    // More of what came too early is no reason to ask again at once.
    mirror.handle_message(now_ms, change(7, "third"));
    assert_eq!(mirror.poll_event(), None);
    // What came too early is there when its turn comes, and once.
    for (seq, what) in [(5, "first"), (5, "first"), (6, "second")] {
        mirror.handle_message(now_ms + 1, change(seq, what));
    }
    let applied: Vec<_> = std::iter::from_fn(|| mirror.poll_event())
        .filter_map(|event| match event {
            MirrorEvent::Apply(change) => Some(change),
            MirrorEvent::Send(_) => None,
        })
        .collect();
    assert_eq!(applied, ["first", "second", "third"]);
    assert_eq!(mirror.read(now_ms + 1, None), Ok(at(3, 7)));
}

#[test]
fn a_snapshot_is_followed_by_what_came_before_it() {
    let mut mirror = mirror_at(at(3, 4));
    for (seq, what) in [(7, "seven"), (9, "nine"), (10, "ten"), (12, "twelve")] {
        mirror.handle_message(MIRROR_MS, change(seq, what));
    }
    while mirror.poll_event().is_some() {}
    assert!(mirror.handle_snapshot(MIRROR_MS + 1, at(3, 8)));
    let next = [mirror.poll_event(), mirror.poll_event(), mirror.poll_event()];
    let asks = MirrorEvent::Send(follow(0, MIRROR_MS + 1, Some(at(3, 10))));
    assert_eq!(next, [Some(MirrorEvent::Apply("nine")), Some(MirrorEvent::Apply("ten")), Some(asks)]);
    // Nothing of the owner before belongs to the next one's state.
    assert!(mirror.handle_snapshot(MIRROR_MS + 2, at(4, 11)));
    assert!(matches!(mirror.poll_event(), Some(MirrorEvent::Send(_))));
    assert_eq!(mirror.poll_event(), None);
}

#[test]
fn a_lost_last_change_is_noticed_by_the_next_grant() {
    let mut mirror = mirror_at(at(3, 4));
    mirror
        .handle_message(MIRROR_MS + 700, ToMirror::Grant { tail: at(3, 5), echo_ms: MIRROR_MS + 690, lease_ms: 3_000 });
    assert_eq!(mirror.read(MIRROR_MS + 700, None), Err(NotHere::Gap));
}

#[test]
fn a_lease_counts_from_when_the_mirror_asked_and_for_the_owner_that_granted_it() {
    let mut mirror = mirror_at(at(3, 4));
    let late = ToMirror::Grant { tail: at(3, 4), echo_ms: MIRROR_MS + 500, lease_ms: 3_000 };
    mirror.handle_message(MIRROR_MS + 2_900, late);
    assert_eq!(mirror.read(MIRROR_MS + 3_499, None), Ok(at(3, 4)));
    assert_eq!(mirror.read(MIRROR_MS + 3_500, None), Err(NotHere::Lease));
    // Another owner grants one, whose state the mirror has not.
    let next = ToMirror::Grant { tail: at(4, 0), echo_ms: MIRROR_MS + 3_500, lease_ms: 3_000 };
    mirror.handle_message(MIRROR_MS + 3_600, next.clone());
    assert_eq!(mirror.read(MIRROR_MS + 3_600, None), Err(NotHere::Gap));
    assert!(mirror.handle_snapshot(MIRROR_MS + 3_700, at(4, 0)));
    assert_eq!(mirror.read(MIRROR_MS + 3_700, None), Err(NotHere::Lease));
    mirror.handle_message(MIRROR_MS + 3_800, next);
    assert_eq!(mirror.read(MIRROR_MS + 3_800, None), Ok(at(4, 0)));
    // What comes from the owner before changes nothing.
    assert!(!mirror.handle_snapshot(MIRROR_MS + 3_900, at(3, 90)));
    mirror.handle_message(MIRROR_MS + 3_900, change(91, "long ago"));
    assert_eq!(mirror.read(MIRROR_MS + 3_900, None), Ok(at(4, 0)));
}

#[test]
fn whoever_wrote_is_sent_to_the_owner_until_the_copy_has_it() {
    let mut mirror = mirror_at(at(3, 4));
    assert_eq!(mirror.read(MIRROR_MS, Some(at(3, 5))), Err(NotHere::Behind));
    mirror.handle_message(MIRROR_MS, change(5, "their own"));
    assert_eq!(mirror.read(MIRROR_MS, Some(at(3, 5))), Ok(at(3, 5)));
    assert_eq!(mirror.read(MIRROR_MS, Some(at(2, 900))), Ok(at(3, 5)));
}

#[test]
fn what_is_no_longer_kept_comes_as_a_snapshot() {
    let timings = MirrorTimings { ring_max: 2, ..MirrorTimings::default() };
    let mut source = Source::new(3, timings, SOURCE_MS - 10_000);
    for what in ["a", "b", "c"] {
        source.change(SOURCE_MS, what, false).unwrap();
    }
    source.handle_follow(SOURCE_MS, &follow(0, 1, Some(at(3, 1))));
    let missed: Vec<_> = events(&mut source);
    assert_eq!(missed.len(), 3, "a grant and two changes: {missed:?}");
    source.handle_follow(SOURCE_MS, &follow(0, 2, None));
    assert_eq!(events(&mut source), [SourceEvent::SendSnapshot { to: node(0) }]);
    source.handle_follow(SOURCE_MS, &follow(1, 2, Some(at(3, 0))));
    assert_eq!(events(&mut source).last(), Some(&SourceEvent::SendSnapshot { to: node(1) }));
    // A place that this owner never came to, or that of a later one.
    for place in [at(3, 9), at(4, 0)] {
        source.handle_follow(SOURCE_MS, &follow(2, 2, Some(place)));
        assert_eq!(events(&mut source), []);
    }
}

#[test]
fn mirrors_and_what_waits_for_them_are_bounded() {
    let timings = MirrorTimings { mirrors_max: 1, pending_max: 2, ..MirrorTimings::default() };
    let mut source = Source::new(3, timings, SOURCE_MS - 10_000);
    source.handle_follow(SOURCE_MS, &follow(0, 1, Some(at(3, 0))));
    assert_eq!(events(&mut source).len(), 1);
    source.handle_follow(SOURCE_MS, &follow(1, 1, Some(at(3, 0))));
    assert_eq!(events(&mut source), [], "no lease, so it forwards");
    assert!(source.change(SOURCE_MS, "a", true).is_ok() && source.change(SOURCE_MS, "b", true).is_ok());
    assert_eq!((source.change(SOURCE_MS, "c", true), source.has_room()), (Err(Full), false));
    assert!(source.change(SOURCE_MS, "gained", false).is_ok());
    source.handle_timeout(SOURCE_MS + 3_200);
    assert_eq!(acknowledged(&mut source), [1, 2]);
    assert!(source.has_room());
}
