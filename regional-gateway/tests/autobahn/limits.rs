//! Section 9: long messages, many fragments, many portions, many messages.

use bytes::Bytes;

use crate::case::{Case, Chop, Event, Frame, Step, repeated};
use crate::{check, echo};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
const LENGTHS: [usize; 6] = [64 * KIB, 256 * KIB, MIB, 4 * MIB, 8 * MIB, 16 * MIB];
const FRAGMENTED_BYTES: usize = 4 * MIB;
const FRAGMENTS: [usize; 9] = [64, 256, KIB, 4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, MIB, 4 * MIB];
const CHOPPED_BYTES: usize = MIB;
const CHOPS: [usize; 6] = [64, 128, 256, 512, 1_024, 2_048];
const ROUND_TRIPS: usize = 1_000;
const ROUND_TRIP_BYTES: [usize; 6] = [0, 16, 64, 256, 1_024, 4_096];
const TEXT: &[u8] = b"BAsd7&jh23";
const BINARY: &[u8] = b"\x00\xfe\x23\xfa\xf0";

#[derive(Clone, Copy)]
enum Kind {
    Text,
    Binary,
}

impl Kind {
    fn frame(self, body: Bytes) -> Frame {
        match self {
            Self::Text => Frame::text(body),
            Self::Binary => Frame::binary(body),
        }
    }
    fn event(self, body: Bytes) -> Event {
        match self {
            Self::Text => Event::text(body),
            Self::Binary => Event::binary(body),
        }
    }
    const fn pattern(self) -> &'static [u8] {
        match self {
            Self::Text => TEXT,
            Self::Binary => BINARY,
        }
    }
}

pub fn cases() -> Vec<Case> {
    [
        long(1, Kind::Text),
        long(2, Kind::Binary),
        fragmented(3, Kind::Text),
        fragmented(4, Kind::Binary),
        chopped(5, Kind::Text),
        chopped(6, Kind::Binary),
        round_trips(7, Kind::Text),
        round_trips(8, Kind::Binary),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn long(part: usize, kind: Kind) -> Vec<Case> {
    let case = |(n, bytes)| {
        let body = repeated(kind.pattern(), bytes);
        Case::echoed(format!("9.{part}.{n}"), vec![kind.frame(body.clone()).joined()], vec![kind.event(body)])
    };
    (1..).zip(LENGTHS).map(case).collect()
}

fn fragmented(part: usize, kind: Kind) -> Vec<Case> {
    let case = |(n, size)| {
        // Of the binary ones the first only is not made of stars.
        let pattern: &[u8] = if matches!(kind, Kind::Binary) && n == 1 { b"\xfe" } else { b"*" };
        let body = repeated(pattern, FRAGMENTED_BYTES);
        let opcode = kind.frame(Bytes::new()).opcode;
        let steps = Frame::fragments(opcode, &body, size).into_iter().map(Frame::joined).collect();
        Case::echoed(format!("9.{part}.{n}"), steps, vec![kind.event(body)])
    };
    (1..).zip(FRAGMENTS).map(case).collect()
}

fn chopped(part: usize, kind: Kind) -> Vec<Case> {
    let case = |(n, size)| {
        let body = repeated(kind.pattern(), CHOPPED_BYTES);
        let steps = vec![kind.frame(body.clone()).chopped(Chop::Octets(size))];
        Case::echoed(format!("9.{part}.{n}"), steps, vec![kind.event(body)])
    };
    (1..).zip(CHOPS).map(case).collect()
}

/// One message after the other, each when the one before is back.
fn round_trips(part: usize, kind: Kind) -> Vec<Case> {
    let case = |(n, bytes)| {
        let body = repeated(if matches!(kind, Kind::Text) { b"*" } else { b"\xfe" }, bytes);
        let trip = |count| [kind.frame(body.clone()).joined(), Step::Hear(count)];
        let steps = (1..=ROUND_TRIPS).flat_map(trip).collect();
        Case::echoed(format!("9.{part}.{n}"), steps, vec![kind.event(body); ROUND_TRIPS])
    };
    (1..).zip(ROUND_TRIP_BYTES).map(case).collect()
}

/// One case after the other: each holds its message several times.
async fn run_in_turn(cases: Vec<Case>) {
    let address = echo::start().await;
    for case in cases {
        check(case, address).await.unwrap();
    }
}

#[tokio::test]
async fn section_9_1() {
    run_in_turn(long(1, Kind::Text)).await;
}
#[tokio::test]
async fn section_9_2() {
    run_in_turn(long(2, Kind::Binary)).await;
}
#[tokio::test]
async fn section_9_3() {
    run_in_turn(fragmented(3, Kind::Text)).await;
}
#[tokio::test]
async fn section_9_4() {
    run_in_turn(fragmented(4, Kind::Binary)).await;
}
#[tokio::test]
async fn section_9_5() {
    run_in_turn(chopped(5, Kind::Text)).await;
}
#[tokio::test]
async fn section_9_6() {
    run_in_turn(chopped(6, Kind::Binary)).await;
}
#[tokio::test]
async fn section_9_7() {
    run_in_turn(round_trips(7, Kind::Text)).await;
}
#[tokio::test]
async fn section_9_8() {
    run_in_turn(round_trips(8, Kind::Binary)).await;
}
