//! Section 6: text that is UTF-8, and text that is not.

use std::time::Duration;

use bytes::Bytes;

use crate::case::{Case, Chop, Event, Frame, Step};
use crate::run;
use crate::utf8_sequences;

const MIXED: &str = "Hello-µ@ßöäüàá-UTF-8!!";
/// The accented letter is the one of three bytes, from Greek Extended.
const GREEK: &str = "κ\u{1f79}σμε";
/// Within this nothing comes, because nothing is wrong yet.
const QUIET: Duration = Duration::from_millis(100);
/// Within this the connection is closed: much longer than it takes, for a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);

pub fn cases() -> Vec<Case> {
    let mut cases = vec![
        Case::echoed("6.1.1", vec![Frame::text("").joined()], vec![Event::text("")]),
        Case::echoed("6.1.2", fragments(["", "", ""]), vec![Event::text("")]),
        Case::echoed("6.1.3", fragments(["", "middle frame payload", ""]), vec![Event::text("middle frame payload")]),
        Case::echoed("6.2.1", vec![Frame::text(MIXED).joined()], vec![Event::text(MIXED)]),
        Case::echoed("6.2.2", fragments(["Hello-µ@ßöä", "üàá-UTF-8!!"]), vec![Event::text(MIXED)]),
        Case::echoed("6.2.3", octets(MIXED), vec![Event::text(MIXED)]),
        Case::echoed("6.2.4", octets(GREEK), vec![Event::text(GREEK)]),
        Case::failed("6.3.1", vec![Frame::text(surrogate()).joined()], vec![], 1007),
        Case::failed("6.3.2", octets(surrogate()), vec![], 1007),
    ];
    cases.extend(fail_fast());
    for (part, sequences) in utf8_sequences::all() {
        for (n, (is_valid, bytes)) in (1..).zip(sequences) {
            let (id, steps) = (format!("6.{part}.{n}"), vec![Frame::text(bytes.clone()).joined()]);
            cases.push(match is_valid {
                true => Case::echoed(id, steps, vec![Event::text(bytes)]),
                false => Case::failed(id, steps, vec![], 1007),
            });
        }
    }
    cases
}

fn joined(frames: Vec<Frame>) -> Vec<Step> {
    frames.into_iter().map(Frame::joined).collect()
}

fn fragments<const N: usize>(bodies: [&'static str; N]) -> Vec<Step> {
    let frame = |(i, body)| Frame { is_final: i == N - 1, ..Frame::new(u8::from(i == 0), body) };
    joined(bodies.into_iter().enumerate().map(frame).collect())
}

/// A text in fragments of one byte each.
fn octets(body: impl Into<Bytes>) -> Vec<Step> {
    joined(Frame::fragments(1, &body.into(), 1))
}

/// Greek, half of a pair of surrogates, and something behind it.
fn surrogate() -> Bytes {
    [GREEK.as_bytes(), b"\xed\xa0\x80", b"edited"].concat().into()
}

/// A message that is wrong from its 13th byte on, in three parts: the connection is closed after the second.
fn fail_fast() -> Vec<Case> {
    // Beyond the last character of Unicode.
    let message: Bytes = [GREEK.as_bytes(), b"\xf4\x90\x80\x80", b"edited"].concat().into();
    let in_three =
        |first: usize, second: usize| [message.slice(..first), message.slice(first..second), message.slice(second..)];
    let as_frames = |[first, second, third]: [Bytes; 3]| {
        [
            Frame::text(first).unfinished().chopped(Chop::Joined),
            Frame::continuation(second).unfinished().joined(),
            Frame::continuation(third).joined(),
        ]
    };
    let length = message.len();
    let as_parts =
        |[first, second, third]: [Bytes; 3]| [Step::Begin(length, first), Step::Part(second), Step::Part(third)];
    let case = |id: &str, [first, second, third]: [Step; 3]| {
        let steps = vec![first, Step::StaysOpen('A', QUIET), second, Step::StaysOpen('B', PATIENCE), third];
        let both = ['A', 'B'].map(Event::StayedOpen).into();
        Case::failed(id, steps, vec![Event::StayedOpen('A')], 1007).tolerating(both)
    };
    vec![
        case("6.4.1", as_frames(in_three(11, 15))),
        case("6.4.2", as_frames(in_three(12, 13))),
        case("6.4.3", as_parts(in_three(11, 15))),
        case("6.4.4", as_parts(in_three(12, 13))),
    ]
}

#[tokio::test]
async fn section_6() {
    run(cases()).await;
}
