//! Section 7: how connections are closed.

use bytes::Bytes;

use crate::case::{Case, End, Event, Frame, Grade, Side, Step, repeated};
use crate::run;

const HELLO: &str = "Hello World!";
const VALID: [u16; 13] = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999];
const INVALID: [u16; 9] = [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999];
const UNDEFINED: [u16; 2] = [5000, 65_535];
/// Greek with half of a pair of surrogates in it.
const BAD_REASON: &[u8] = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited";

pub fn cases() -> Vec<Case> {
    let mut cases = basics();
    cases.extend([
        answered("7.3.1", vec![Step::Close(Bytes::new())]),
        refused("7.3.2", Step::Close("a".into()), vec![1002]),
        answered("7.3.3", vec![closes(1000, "")]),
        answered("7.3.4", vec![closes(1000, HELLO)]),
        answered("7.3.5", vec![closes(1000, repeated(b"*", 123))]),
        refused("7.3.6", closes(1000, repeated(b"*", 124)), vec![1002]),
        refused("7.5.1", closes(1000, BAD_REASON), vec![1002, 1007]),
    ]);
    cases.extend((1..).zip(VALID).map(|(n, code)| {
        let end = End { by: Side::Peer, codes: vec![1000, code], is_clean: true };
        Case { end, ..answered(&format!("7.7.{n}"), vec![closes(code, "")]) }
    }));
    cases.extend((1..).zip(INVALID).map(|(n, code)| refused(&format!("7.9.{n}"), closes(code, ""), vec![1002])));
    cases.extend((1..).zip(UNDEFINED).map(|(n, code)| {
        let case = refused(&format!("7.13.{n}"), closes(code, ""), vec![1000, code, 1002]);
        Case { ours: Grade::Informational, ..case }
    }));
    cases
}

/// A close frame with code and reason, by which the peer closes.
pub fn closes(code: u16, reason: impl Into<Bytes>) -> Step {
    Step::Close([&code.to_be_bytes()[..], &reason.into()].concat().into())
}

/// Nothing but a close frame comes back.
fn answered(id: &str, steps: Vec<Step>) -> Case {
    Case::echoed(id, steps, vec![])
}

/// The close frame itself is wrong.
fn refused(id: &str, close: Step, codes: Vec<u16>) -> Case {
    Case { end: End { by: Side::Peer, codes, is_clean: false }, ..answered(id, vec![close]) }
}

fn basics() -> Vec<Case> {
    let long = repeated(b"BAsd7&jh23", 256 << 10);
    let behind_much = vec![
        Frame::text(long.clone()).joined(),
        Frame::text(HELLO).joined(),
        closes(1000, ""),
        Frame::ping("").joined(),
    ];
    let fragments = ["fragment1", "fragment2"].map(Frame::text);
    let [first, second] = fragments;
    let second = Frame { opcode: 0, ..second };
    vec![
        Case::echoed("7.1.1", vec![Frame::text(HELLO).joined()], vec![Event::text(HELLO)]),
        answered("7.1.2", vec![closes(1000, ""), Frame::new(8, "").joined()]),
        answered("7.1.3", vec![closes(1000, ""), Frame::ping("").joined()]),
        answered("7.1.4", vec![closes(1000, ""), Frame::text(HELLO).joined()]),
        answered("7.1.5", vec![first.unfinished().joined(), closes(1000, ""), second.joined()]),
        // The suite lets a server lose what it has not sent yet; here all of it is sent.
        Case {
            ours: Grade::Informational,
            ..Case::echoed("7.1.6", behind_much, vec![Event::text(long), Event::text(HELLO)])
        },
    ]
}

#[tokio::test]
async fn section_7() {
    run(cases()).await;
}
