//! Section 10: a message that the peer's library cuts into fragments by itself.

use crate::case::{Case, Event, Frame, repeated};
use crate::run;

pub fn cases() -> Vec<Case> {
    let body = repeated(b"*", 65_536);
    let frames = Frame::fragments(1, &body, 1_300);
    // What the suite counts: one beginning and all the rest.
    assert_eq!((frames[0].opcode, frames[1..].iter().filter(|frame| frame.opcode == 0).count()), (1, 65_536 / 1_300));
    vec![Case::echoed("10.1.1", frames.into_iter().map(Frame::joined).collect(), vec![Event::text(body)])]
}

#[tokio::test]
async fn section_10() {
    run(cases()).await;
}
