//! Tests of the wire format.

use super::*;

const HEADER: Header<'static> = Header { version: NEWEST, source: "eu.eu-1", from: 7, to: 9 };

fn sections(packet: &Bytes) -> Result<Vec<Section>, Refused> {
    let (_, header_bytes) = header(packet)?;
    Sections::new(packet.clone(), header_bytes).collect()
}

fn cell(bytes: &'static [u8], first: bool, last: bool, frame_bytes: u32) -> Cell {
    Cell { bytes: Bytes::from_static(bytes), first, last, frame_bytes }
}

fn whole() -> Bytes {
    let mut writer = Writer::new(HEADER, 100);
    writer.hello(Hello { nonce: u64::MAX, newest: 1 });
    writer.hello_ack(Hello { nonce: 3, newest: 200 });
    writer.ack(&Ack { epoch: 4, next: 10, missing: vec![(10, 1), (12, 300), (5_000, 1)] });
    writer.cell(2, 5, &cell(b"one", true, true, 3));
    writer.cell(2, 6, &cell(b"", true, true, 0));
    writer.cell(2, 9, &cell(b"be", true, false, 1_000_000));
    writer.cell(2, 10, &cell(b"end", false, true, 0));
    writer.digest(Digest { epoch: 2, next: 11, probe: true });
    writer.finish()
}

#[test]
fn what_is_written_is_read() {
    let packet = whole();
    assert_eq!(peek_source(&packet), Ok("eu.eu-1"));
    assert_eq!(header(&packet).unwrap(), (HEADER, 2 + 7 + 16));
    let got = sections(&packet).unwrap();
    assert_eq!(got.len(), 6, "cells that follow each other share a section");
    assert_eq!(got[0], Section::Hello(Hello { nonce: u64::MAX, newest: 1 }));
    assert_eq!(got[1], Section::HelloAck(Hello { nonce: 3, newest: 200 }));
    let missing = vec![(10, 1), (12, 300), (5_000, 1)];
    assert_eq!(got[2], Section::Ack(Ack { epoch: 4, next: 10, missing }));
    let mut cells = Vec::new();
    for section in &got[3..5] {
        let Section::Cells(mut run) = section.clone() else { panic!("{section:?}") };
        let mut seq = run.first_seq;
        while let Some(cell) = run.next_cell().unwrap() {
            cells.push((run.epoch, seq, cell));
            seq += 1;
        }
    }
    assert_eq!(
        cells,
        [
            (2, 5, cell(b"one", true, true, 3)),
            (2, 6, cell(b"", true, true, 0)),
            (2, 9, cell(b"be", true, false, 1_000_000)),
            (2, 10, cell(b"end", false, true, 0)),
        ]
    );
    assert_eq!(got[5], Section::Digest(Digest { epoch: 2, next: 11, probe: true }));
}

#[test]
fn cells_of_two_epochs_share_no_section() {
    let mut writer = Writer::new(HEADER, 100);
    writer.cell(1, 5, &cell(b"one", true, true, 3));
    writer.cell(2, 6, &cell(b"two", true, true, 3));
    let epochs = sections(&writer.finish()).unwrap().into_iter().map(|section| match section {
        Section::Cells(cells) => (cells.epoch, cells.first_seq),
        other => panic!("{other:?}"),
    });
    assert_eq!(epochs.collect::<Vec<_>>(), [(1, 5), (2, 6)]);
}

#[test]
fn the_bytes_of_this_version_stay_what_they_are() {
    let mut writer = Writer::new(Header { version: 1, source: "a", from: 1, to: 2 }, 0);
    writer.ack(&Ack { epoch: 1, next: 300, missing: vec![(301, 2)] });
    writer.cell(1, 5, &cell(b"hi", true, true, 2));
    writer.digest(Digest { epoch: 1, next: 6, probe: true });
    let expected: &[&[u8]] = &[
        &[1, 1, b'a'],
        &[0, 0, 0, 0, 0, 0, 0, 1],
        &[0, 0, 0, 0, 0, 0, 0, 2],
        &[4, 0, 0, 0, 6, 1, 0xac, 2, 1, 1, 2],
        &[5, 0, 0, 0, 5, 1, 5, 2 << 2 | 3, b'h', b'i'],
        &[3, 0, 0, 0, 3, 1, 6, 1],
    ];
    assert_eq!(writer.finish(), expected.concat());
}

#[test]
fn versions_that_are_not_known_are_refused_by_number() {
    for version in [0, NEWEST + 1, 255] {
        let mut packet = whole().to_vec();
        packet[0] = version;
        assert_eq!(peek_source(&packet), Err(Refused::Version(version)));
    }
}

#[test]
fn what_a_later_release_adds_is_skipped() {
    let mut writer = Writer::new(HEADER, 100);
    writer.other(77, b"of a kind that nobody here knows");
    // Fields behind those that are known.
    writer.other(HELLO, &[0, 0, 0, 0, 0, 0, 0, 5, 9, 1, 2, 3]);
    writer.other(DIGEST, &[1, 4, 0xfe, 8, 8]);
    let got = sections(&writer.finish()).unwrap();
    let digest = Digest { epoch: 1, next: 4, probe: false };
    assert_eq!(got, [Section::Hello(Hello { nonce: 5, newest: 9 }), Section::Digest(digest)]);
}

#[test]
fn every_cut_and_every_lie_is_refused_without_a_panic() {
    let packet = whole();
    for length in 0..packet.len() {
        // A cut between two sections leaves a whole packet.
        let cut = packet.slice(..length);
        let _ = header(&cut).map(|_| read_all(&cut));
    }
    let refused = |kind: u8, body: &[u8]| {
        let mut writer = Writer::new(HEADER, 100);
        writer.other(kind, body);
        let packet = writer.finish();
        assert!(matches!(read_all(&packet), Err(Refused::Malformed(_))), "{kind}: {body:?}");
    };
    let huge = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
    let longer = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
    for number in [huge, longer] {
        refused(DIGEST, &[&[1], &number[..], &[0]].concat());
        refused(DIGEST, &[&number[..], &[1, 0]].concat());
        refused(ACK, &[&[1, 0, 1], &number[..], &[1]].concat());
        refused(ACK, &[&[1, 0], &number[..]].concat());
        refused(CELLS, &[&[1, 0], &number[..]].concat());
        // A first cell of a frame whose length is too large.
        refused(CELLS, &[&[1, 0, 1], &number[..]].concat());
    }
    // Epoch 0 is none; more runs than may be; a cell that is longer than the packet; half a nonce.
    refused(DIGEST, &[0, 1, 0]);
    refused(ACK, &[&[1, 0, RANGES_MAX as u8 + 1], &[0, 1].repeat(RANGES_MAX + 1)[..]].concat());
    refused(CELLS, &[1, 0, 4 << 2 | 3, 1, 2, 3]);
    refused(HELLO, &[1, 2, 3]);
    let named = |source: &[u8]| [&[NEWEST, source.len() as u8], source, &[0; 15], &[1], &[0; 8]].concat();
    assert!(header(&named(b"a")).is_err(), "half of it is the receiver");
    assert!(header(&[&[NEWEST, 0][..], &[1; 16]].concat()).is_err(), "no name");
    assert!(header(&[&[NEWEST, 1, 0xff][..], &[1; 16]].concat()).is_err(), "no text");
    assert!(header(&[&[NEWEST, 161][..], &[b'a'; 161], &[1; 16]].concat()).is_err(), "a name that is too long");
    assert!(header(&[&[NEWEST, 1, b'a'][..], &[0; 16]].concat()).is_err(), "no incarnation");
}

/// Reads everything there is.
fn read_all(packet: &Bytes) -> Result<(), Refused> {
    for section in sections(packet)? {
        if let Section::Cells(mut cells) = section {
            while cells.next_cell()?.is_some() {}
        }
    }
    Ok(())
}
