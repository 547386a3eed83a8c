//! How soon a loss is noticed and mended, and what is said where it cannot be.

use rookery_relay::{Event, RelayConfig, SendError};

use crate::way::{Way, events, link};

/// After how many milliseconds the frame arrives when so many packets before that are lost.
fn arrives_after(config: RelayConfig, delay_ms: u64, lost: u64) -> u64 {
    let mut way = Way::connected(config, delay_ms);
    // The first frame teaches both ends the length of the way.
    way.send(&b"first"[..]);
    way.run(1_500);
    assert_eq!(way.frames(), ["first"]);
    let mut left = lost;
    way.passes = Box::new(move |_, from_a| {
        let passes = !from_a || left == 0;
        left = left.saturating_sub(u64::from(from_a));
        passes
    });
    way.send(&b"last"[..]);
    let start_ms = way.now_ms;
    while way.b.stats().events == 0 {
        way.run(1);
        assert!(way.now_ms < start_ms + 60_000, "it never arrives");
    }
    way.now_ms - start_ms
}

#[test]
fn a_lost_last_frame_is_noticed_soon() {
    let after_ms = arrives_after(RelayConfig::default(), 5, 1);
    assert!(after_ms <= 50 + 4 * 5 + 10, "{after_ms} ms");
    let after_ms = arrives_after(RelayConfig::default(), 5, 4);
    assert!(after_ms <= 1_000, "{after_ms} ms");
    // Over a long way not before it can have been answered.
    let after_ms = arrives_after(RelayConfig::default(), 150, 1);
    assert!((600..=1_200).contains(&after_ms), "{after_ms} ms");
}

#[test]
fn a_gap_is_mended_in_little_more_than_a_round_trip() {
    let mut way = Way::connected(RelayConfig { coalesce_bytes: 10, ..RelayConfig::default() }, 50);
    way.send(&b"first"[..]);
    way.run(1_500);
    way.frames();
    let before = way.packets;
    way.passes = Box::new(move |number, _| number != before + 2);
    for frame in ["one packet", "that is lost", "and another"] {
        way.send(frame);
        way.flush();
    }
    way.run(3 * 50 + 20);
    assert_eq!(way.frames(), ["one packet", "that is lost", "and another"]);
}

#[test]
fn a_peer_that_is_silent_for_too_long_loses_the_stream_and_is_told_first() {
    let mut way = Way::connected(RelayConfig::default(), 5);
    way.passes = Box::new(|_, _| false);
    way.send(&b"lost 1"[..]);
    way.run(1_000);
    way.send(&b"lost 2"[..]);
    way.run(15_000);
    assert_eq!(events(&mut way.a), [Event::Down, Event::OutboundLost { frames: 2 }]);
    assert_eq!(events(&mut way.b), [Event::Down]);
    assert!(way.a.is_flushed() && !way.a.is_up());
    way.passes = Box::new(|_, _| true);
    way.send(&b"kept"[..]);
    way.run(2_000);
    let expected = [Event::Up { incarnation: 10 }, Event::InboundLost, Event::Frame("kept".into())];
    assert_eq!(events(&mut way.b), expected);
    assert_eq!(events(&mut way.a), [Event::Up { incarnation: 20 }]);
}

#[test]
fn a_short_silence_loses_nothing() {
    let mut way = Way::connected(RelayConfig::default(), 5);
    way.passes = Box::new(|_, _| false);
    way.send(&b"late"[..]);
    way.run(8_000);
    assert_eq!(events(&mut way.a), [Event::Down]);
    way.passes = Box::new(|_, _| true);
    way.run(2_000);
    assert_eq!(events(&mut way.a), [Event::Up { incarnation: 20 }]);
    let expected = [Event::Down, Event::Up { incarnation: 10 }, Event::Frame("late".into())];
    assert_eq!(events(&mut way.b), expected);
}

#[test]
fn nothing_is_sent_into_the_next_stream_before_the_caller_knows_of_it() {
    let mut way = Way::connected(RelayConfig::default(), 5);
    way.send(&b"for the first"[..]);
    way.b = link(&way.config, "b", 21, way.now_ms);
    way.run(1_000);
    assert!(way.a.is_full());
    assert_eq!(way.a.send(way.now_ms, "early".into()), Err(SendError::Full));
    assert_eq!(events(&mut way.a), [Event::Restarted { incarnation: 21, frames_lost: 1 }]);
    way.send(&b"for the second"[..]);
    way.run(100);
    assert_eq!(events(&mut way.b), [Event::Up { incarnation: 10 }, Event::Frame("for the second".into())]);
}
