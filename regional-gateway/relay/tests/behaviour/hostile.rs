//! Whatever bytes come, an end neither panics nor grows, and goes on with its peer.

use bytes::Bytes;
use proptest::prelude::*;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rookery_relay::wire::{Ack, Cell, Digest, Header, Hello, NEWEST, Writer};
use rookery_relay::{Event, Link, RelayConfig, Stats};

use crate::way::{Way, events};

fn config() -> RelayConfig {
    RelayConfig {
        packet_max_bytes: 8_192,
        coalesce_bytes: 1_000,
        frame_max_bytes: 30_000,
        in_flight_max_bytes: 20_000,
        in_flight_max_cells: 50,
        window_max_bytes: 40_000,
        window_max_cells: 100,
        events_max: 100,
        events_max_bytes: 60_000,
        ..RelayConfig::default()
    }
}

fn is_bounded(stats: &Stats) {
    let config = config();
    assert!(stats.window_cells <= config.window_max_cells, "{stats:?}");
    assert!(stats.window_bytes <= config.window_max_bytes + config.frame_max_bytes, "{stats:?}");
    assert!(stats.events <= config.events_max + config.window_max_cells + 70, "{stats:?}");
    let released = config.window_max_bytes + config.frame_max_bytes;
    assert!(stats.event_bytes <= config.events_max_bytes + released, "{stats:?}");
}

/// A packet of the peer as nobody would write it.
fn lie(rng: &mut ChaCha8Rng, from: u64, to: u64) -> Bytes {
    let number = |rng: &mut ChaCha8Rng| match rng.random_range(0..4) {
        0 => rng.random_range(0..4),
        1 => rng.random_range(0..200),
        2 => rng.random_range(0..1 << 40),
        _ => (1 << 62) - 1 - rng.random_range(0..3),
    };
    let mut writer = Writer::new(Header { version: NEWEST, source: "a", from, to }, 0);
    for _ in 0..rng.random_range(1..6) {
        let epoch = *[1, 1, 1, 2, u32::MAX].get(rng.random_range(0..5)).unwrap_or(&1);
        match rng.random_range(0..5) {
            0 => writer.hello(Hello { nonce: rng.random_range(0..5), newest: rng.random() }),
            1 => writer.hello_ack(Hello { nonce: rng.random_range(0..5), newest: rng.random() }),
            2 => writer.digest(Digest { epoch, next: number(rng), probe: rng.random() }),
            3 => {
                let next = number(rng) / 2;
                let first = next + rng.random_range(0..50);
                let missing = vec![(first, rng.random_range(0..1 << 40))];
                writer.ack(&Ack { epoch, next, missing });
            }
            _ => {
                let first = number(rng);
                for seq in first..first + rng.random_range(1..5) {
                    let bytes = Bytes::from(vec![9; rng.random_range(0..700)]);
                    let frame_bytes = *[0, 100, 5_000, u32::MAX].get(rng.random_range(0..4)).unwrap_or(&0);
                    writer.cell(epoch, seq, &Cell { bytes, first: rng.random(), last: rng.random(), frame_bytes });
                }
            }
        }
    }
    let mut packet = writer.finish().to_vec();
    if rng.random_bool(0.3) {
        let at = rng.random_range(0..packet.len());
        packet[at] = rng.random();
    }
    if rng.random_bool(0.1) {
        packet.truncate(rng.random_range(0..packet.len()));
    }
    packet.into()
}

fn poll_all(link: &mut Link, now_ms: u64) {
    for _ in 0..10_000 {
        if link.poll_transmit(now_ms).is_none() {
            return;
        }
    }
    panic!("packets without end");
}

#[test]
fn lies_in_the_peers_name_neither_panic_nor_pile_up() {
    for seed in 0..400 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut way = Way::connected(config(), 1);
        for step in 0..300 {
            let from = if rng.random_bool(0.9) { 10 } else { rng.random_range(1..30) };
            let to = if rng.random_bool(0.9) { 20 } else { rng.random_range(0..30) };
            let packet = lie(&mut rng, from, to);
            way.b.handle_packet(way.now_ms, packet).ok();
            if rng.random_bool(0.2) && !way.b.is_full() {
                way.b.send(way.now_ms, vec![1; rng.random_range(0..20_000)].into()).unwrap();
            }
            if step % 7 == 0 {
                way.now_ms += rng.random_range(0..2_000);
                way.b.handle_timeout(way.now_ms);
            }
            poll_all(&mut way.b, way.now_ms);
            is_bounded(&way.b.stats());
            if rng.random_bool(0.3) {
                events(&mut way.b);
            }
        }
    }
}

#[test]
fn a_frame_that_breaks_the_rules_is_told_as_a_loss() {
    let cell = |bytes: usize, first, last, frame_bytes| Cell { bytes: vec![3; bytes].into(), first, last, frame_bytes };
    let good = || cell(4, true, true, 4);
    let broken = [
        // The middle of nothing; a beginning within a frame; too long; too short; larger than any frame may be.
        vec![cell(5, false, true, 0), good()],
        vec![cell(5, true, false, 10), good()],
        vec![cell(5, true, false, 9), cell(5, false, true, 0), good()],
        vec![cell(5, true, false, 11), cell(5, false, true, 0), good()],
        vec![cell(5, true, false, 30_001), cell(5, false, false, 0), cell(5, false, true, 0), good()],
        vec![cell(5, true, false, 4), cell(5, false, false, 0), cell(5, false, true, 0), good()],
    ];
    for cells in broken {
        let mut way = Way::connected(config(), 1);
        let mut writer = Writer::new(Header { version: NEWEST, source: "a", from: 10, to: 20 }, 0);
        for (seq, cell) in cells.iter().enumerate() {
            writer.cell(1, seq as u64, cell);
        }
        way.b.handle_packet(way.now_ms, writer.finish()).unwrap();
        let expected = [Event::InboundLost, Event::Frame(vec![3; 4].into())];
        assert_eq!(events(&mut way.b), expected, "{cells:?}");
    }
}

#[test]
fn an_acknowledgement_of_what_was_never_sent_is_refused() {
    let mut way = Way::connected(config(), 1);
    way.send(&b"one"[..]);
    let mut writer = Writer::new(Header { version: NEWEST, source: "b", from: 20, to: 10 }, 0);
    writer.ack(&Ack { epoch: 1, next: 2, missing: Vec::new() });
    assert!(way.a.handle_packet(way.now_ms, writer.finish()).is_err());
    way.run(100);
    assert_eq!(way.frames(), ["one"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_bytes_are_taken_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400), skip in 0_usize..30) {
        let mut way = Way::connected(config(), 1);
        // As they are, behind a header that is right, and as the body of each section.
        let mut packet = Writer::new(Header { version: NEWEST, source: "a", from: 10, to: 20 }, 0).finish().to_vec();
        packet.extend_from_slice(&bytes[skip.min(bytes.len())..]);
        way.b.handle_packet(way.now_ms, bytes.clone().into()).ok();
        way.b.handle_packet(way.now_ms, packet.into()).ok();
        for kind in 1..=6 {
            let mut writer = Writer::new(Header { version: NEWEST, source: "a", from: 10, to: 20 }, 0);
            writer.other(kind, &bytes);
            way.b.handle_packet(way.now_ms, writer.finish()).ok();
        }
        poll_all(&mut way.b, way.now_ms);
        is_bounded(&way.b.stats());
    }
}
