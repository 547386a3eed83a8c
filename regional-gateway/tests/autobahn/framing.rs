//! Section 1: whole messages of the lengths at which the form of a frame's header changes.

use crate::case::{Case, Chop, Event, Frame, repeated};
use crate::run;

const LENGTHS: [(usize, Chop); 8] = [
    (0, Chop::Joined),
    (125, Chop::Joined),
    (126, Chop::Joined),
    (127, Chop::Joined),
    (128, Chop::Joined),
    (65_535, Chop::Joined),
    (65_536, Chop::Joined),
    (65_536, Chop::Octets(997)),
];

pub fn cases() -> Vec<Case> {
    let texts = (1..).zip(LENGTHS).map(|(n, (length, chop))| {
        let body = repeated(b"*", length);
        Case::echoed(format!("1.1.{n}"), vec![Frame::text(body.clone()).chopped(chop)], vec![Event::text(body)])
    });
    let binaries = (1..).zip(LENGTHS).map(|(n, (length, chop))| {
        let body = repeated(b"\xfe", length);
        Case::echoed(format!("1.2.{n}"), vec![Frame::binary(body.clone()).chopped(chop)], vec![Event::binary(body)])
    });
    texts.chain(binaries).collect()
}

#[tokio::test]
async fn section_1() {
    run(cases()).await;
}
