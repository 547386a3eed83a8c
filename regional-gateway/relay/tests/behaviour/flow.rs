//! Backpressure on both sides.

use rookery_relay::{Event, RelayConfig, SendError};

use crate::way::{Way, events};

#[test]
fn a_ring_that_is_full_says_so_until_something_is_acknowledged() {
    let config = RelayConfig { ring_max_bytes: 10_000, frame_max_bytes: 4_000, ..RelayConfig::default() };
    let mut way = Way::connected(config, 10);
    assert_eq!(way.a.send(way.now_ms, vec![0; 4_001].into()), Err(SendError::TooLarge { size: 4_001, limit: 4_000 }));
    for _ in 0..3 {
        assert!(!way.a.is_full());
        way.send(vec![0; 4_000]);
    }
    assert!(way.a.is_full());
    assert_eq!(way.a.send(way.now_ms, vec![0; 1].into()), Err(SendError::Full));
    way.run(100);
    assert!(!way.a.is_full() && way.a.is_flushed());
    assert_eq!(way.frames().len(), 3);
}

#[test]
fn a_frame_that_waits_for_its_peer_is_given_up_in_the_end() {
    let mut way = Way::new(RelayConfig { ring_max_cells: 2, ..RelayConfig::default() }, 1);
    way.passes = Box::new(|_, _| false);
    way.send(&b"one"[..]);
    way.send(&b"two"[..]);
    assert!(way.a.is_full());
    way.run(9_999);
    assert!(way.a.is_full());
    way.run(1);
    assert_eq!(events(&mut way.a), [Event::OutboundLost { frames: 2 }]);
    assert!(!way.a.is_full());
}

#[test]
fn no_more_is_on_its_way_than_may_be() {
    let config = RelayConfig {
        in_flight_max_bytes: 100_000,
        in_flight_max_cells: 50,
        coalesce_bytes: 1_000,
        ..RelayConfig::default()
    };
    let mut way = Way::connected(config, 100);
    for _ in 0..200 {
        way.send(vec![0; 100]);
    }
    way.flush();
    assert_eq!(way.a.stats().cells_sent, 50);
    for _ in 0..5 {
        way.send(vec![0; 60_000]);
    }
    way.run(5_000);
    assert_eq!(way.frames().len(), 205);
    assert_eq!(way.a.stats().cells_resent, 0);
}

#[test]
fn a_caller_that_does_not_poll_holds_the_peer_up_and_loses_nothing() {
    let config = RelayConfig { events_max: 10, coalesce_bytes: 1_000, lost_after_ms: 60_000, ..RelayConfig::default() };
    let mut way = Way::connected(config, 10);
    for number in 0..100_u8 {
        way.send(vec![number; 400]);
    }
    way.run(20_000);
    assert_eq!(way.b.stats().events, 10);
    assert!(way.a.is_up() && way.b.is_up());
    let resent = way.a.stats().cells_resent;
    assert!(resent <= 300, "{resent} cells were sent to somebody who has no room");
    let mut got = Vec::new();
    while got.len() < 100 {
        let frames = way.frames();
        assert!(!frames.is_empty(), "after {} the peer does not go on", got.len());
        got.extend(frames.into_iter().map(|frame| frame[0]));
        way.run(300);
    }
    assert_eq!(got, (0..100).collect::<Vec<u8>>());
}
