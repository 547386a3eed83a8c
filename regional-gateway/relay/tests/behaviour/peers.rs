//! Which process the peer is, and whether it is there.

use bytes::Bytes;
use rookery_relay::wire::{self, Header, Hello, NEWEST, Writer};
use rookery_relay::{Event, Refused, RelayConfig};

use crate::way::{Way, events, link};

#[test]
fn ends_find_each_other_whoever_is_first() {
    let mut way = Way::new(RelayConfig::default(), 20);
    way.passes = Box::new(|_, _| false);
    way.run(7_000);
    assert_eq!((way.a.peer(), way.a.is_up()), (None, false));
    assert_eq!(events(&mut way.a), [], "nobody is down who was never there");
    way.passes = Box::new(|_, _| true);
    way.run(1_200);
    assert_eq!((way.a.peer(), way.b.peer()), (Some(20), Some(10)));
    assert!(way.a.is_up() && way.b.is_up());
}

#[test]
fn a_process_that_was_replaced_is_never_believed_again() {
    let mut way = Way::connected(RelayConfig::default(), 5);
    let mut old = std::mem::replace(&mut way.b, link(&way.config, "b", 19, 0));
    way.run(500);
    assert_eq!(events(&mut way.a), [Event::Restarted { incarnation: 19, frames_lost: 0 }]);
    // It was halted, not ended, and goes on.
    old.send(way.now_ms, Bytes::from_static(b"out of date")).unwrap();
    while let Some(packet) = old.poll_transmit(way.now_ms) {
        assert_eq!(way.a.handle_packet(way.now_ms, packet), Err(Refused::Retired));
    }
    way.run(5_000);
    assert_eq!(way.a.peer(), Some(19));
    assert_eq!(events(&mut way.a), []);
}

#[test]
fn an_old_packet_of_somebody_unknown_changes_nothing() {
    let mut way = Way::connected(RelayConfig::default(), 5);
    way.send(&b"one"[..]);
    for to in [0, 20, 99] {
        let mut writer = Writer::new(Header { version: NEWEST, source: "a", from: 5, to }, 0);
        writer.hello(Hello { nonce: 1, newest: 1 });
        writer.digest(wire::Digest { epoch: 9, next: 100, probe: true });
        let refused = if to == 99 { Refused::NotForUs } else { Refused::Unverified };
        assert_eq!(way.b.handle_packet(way.now_ms, writer.finish()), Err(refused));
        way.run(10_000);
    }
    assert_eq!(way.b.peer(), Some(10));
    assert_eq!(way.frames(), ["one"]);
}

#[test]
fn own_packets_are_no_news() {
    let mut way = Way::new(RelayConfig::default(), 5);
    let packet = way.a.poll_transmit(0).unwrap();
    assert_eq!(way.a.handle_packet(0, packet), Err(Refused::Own));
}

#[test]
fn a_peer_of_another_release_is_spoken_to_in_a_version_that_both_know() {
    let mut way = Way::new(RelayConfig::default(), 5);
    // A later release answers hellos in the oldest version and says what it can.
    let hello = way.a.poll_transmit(0).unwrap();
    let (header, header_bytes) = wire::header(&hello).unwrap();
    assert_eq!(header.version, wire::OLDEST, "whoever reads it knows this version");
    let first = wire::Sections::new(hello.clone(), header_bytes).next().unwrap().unwrap();
    let wire::Section::Hello(hello) = first else { panic!("{first:?}") };
    let mut answer = Writer::new(Header { version: wire::OLDEST, source: "b", from: 77, to: 10 }, 0);
    answer.hello_ack(Hello { nonce: hello.nonce, newest: NEWEST + 5 });
    answer.other(200, b"what only that release knows");
    way.a.handle_packet(1, answer.finish()).unwrap();
    assert_eq!(way.a.poll_event(), Some(Event::Up { incarnation: 77 }));
    way.a.send(1, Bytes::from_static(b"frame")).unwrap();
    let packet = way.a.poll_transmit(1).unwrap();
    assert_eq!(wire::header(&packet).unwrap().0.version, NEWEST);
    // What it says in its own version is refused and harmless.
    let mut later = packet.to_vec();
    later[0] = NEWEST + 5;
    assert_eq!(way.a.handle_packet(2, later.into()), Err(Refused::Version(NEWEST + 5)));
    assert_eq!(Refused::Version(9).name(), "version");
}

#[test]
fn what_cannot_be_a_link_is_said() {
    let config = std::sync::Arc::new(RelayConfig { packet_max_bytes: 1, ..RelayConfig::default() });
    let mistakes = rookery_relay::Link::new(config, &"x".repeat(161), 0, 0).unwrap_err();
    assert_eq!(mistakes.len(), 4, "{mistakes:?}");
}
