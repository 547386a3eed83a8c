//! Packets between nodes, alone and against an end that knows its peer.

#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use rookery_relay::wire::{self, Cell, Header, Section, Sections, Writer};
use rookery_relay::{Link, Refused, RelayConfig};

/// What is read is written and read again as the same.
fn round_trip(packet: &[u8]) -> Result<(), Refused> {
    let (header, header_bytes) = wire::header(packet)?;
    let packet = bytes::Bytes::copy_from_slice(packet);
    let mut writer = Writer::new(header, packet.len());
    let mut cells: Vec<(u32, u64, Cell)> = Vec::new();
    for section in Sections::new(packet.clone(), header_bytes) {
        match section? {
            Section::Hello(hello) => writer.hello(hello),
            Section::HelloAck(hello) => writer.hello_ack(hello),
            Section::Digest(digest) => writer.digest(digest),
            Section::Ack(ack) => writer.ack(&ack),
            Section::Cells(mut run) => {
                let mut seq = run.first_seq;
                while let Some(cell) = run.next_cell()? {
                    writer.cell(run.epoch, seq, &cell);
                    cells.push((run.epoch, seq, cell));
                    seq += 1;
                }
            }
        }
    }
    let again = writer.finish();
    let (header_again, header_bytes) = wire::header(&again).expect("what was written can be read");
    assert_eq!(header_again, header);
    let mut expected = cells.into_iter();
    for section in Sections::new(again.clone(), header_bytes) {
        let Section::Cells(mut run) = section.expect("what was written can be read") else { continue };
        let mut seq = run.first_seq;
        while let Some(cell) = run.next_cell().expect("what was written can be read") {
            assert_eq!(expected.next(), Some((run.epoch, seq, cell)));
            seq += 1;
        }
    }
    assert_eq!(expected.next(), None);
    Ok(())
}

/// An end whose peer is 10.
fn connected(now_ms: u64) -> Link {
    let config = Arc::new(RelayConfig { events_max: 100, window_max_cells: 16_384, ..RelayConfig::default() });
    let mut link = Link::new(Arc::clone(&config), "b", 20, now_ms).expect("they fit");
    let mut peer = Link::new(config, "a", 10, now_ms).expect("they fit");
    for _ in 0..4 {
        while let Some(packet) = link.poll_transmit(now_ms) {
            peer.handle_packet(now_ms, packet).ok();
        }
        while let Some(packet) = peer.poll_transmit(now_ms) {
            link.handle_packet(now_ms, packet).ok();
        }
    }
    assert_eq!(link.peer(), Some(10));
    link
}

fuzz_target!(|bytes: &[u8]| {
    round_trip(bytes).ok();
    // Sections in the peer's name, each record with a byte before it for the time that passes.
    let mut now_ms = 0;
    let mut link = connected(now_ms);
    for record in bytes.split(|byte| *byte == 0x1e).take(64) {
        let Some((pause, sections)) = record.split_first() else { continue };
        now_ms += u64::from(*pause) * 20;
        link.handle_timeout(now_ms);
        if pause % 3 == 0 {
            link.send(now_ms, bytes::Bytes::copy_from_slice(sections)).ok();
        }
        let header = Header { version: wire::NEWEST, source: "a", from: 10, to: 20 };
        let mut packet = Writer::new(header, 0).finish().to_vec();
        packet.extend_from_slice(sections);
        link.handle_packet(now_ms, packet.into()).ok();
        for polls in 0.. {
            assert!(polls < 1_000, "packets without end");
            if link.poll_transmit(now_ms).is_none() {
                break;
            }
        }
        let stats = link.stats();
        assert!(stats.window_cells <= 16_384 && stats.events <= 100 + 16_384 + 70);
        if pause % 2 == 0 {
            while link.poll_event().is_some() {}
        }
    }
});
