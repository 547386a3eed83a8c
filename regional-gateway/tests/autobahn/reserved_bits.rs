//! Section 3: bits that only an extension may set.

use crate::case::{Case, Chop, Event, Frame};
use crate::run;

const HELLO: &str = "Hello, world!";
const BINARY: &[u8] = b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff";

pub fn cases() -> Vec<Case> {
    vec![
        alone("3.1", Frame::text(HELLO).rsv(1)),
        behind_a_message("3.2", 2, Chop::Joined),
        behind_a_message("3.3", 3, Chop::Alone),
        behind_a_message("3.4", 4, Chop::Octets(1)),
        alone("3.5", Frame::binary(BINARY).rsv(5)),
        // The suite calls it a ping, and sends a binary message.
        alone("3.6", Frame::binary(HELLO).rsv(6)),
        alone("3.7", Frame::new(8, "").rsv(7)),
    ]
}

fn alone(id: &str, frame: Frame) -> Case {
    Case::failed(id, vec![frame.joined()], vec![], 1002)
}

fn behind_a_message(id: &str, rsv: u8, chop: Chop) -> Case {
    let frames = [Frame::text(HELLO), Frame::text(HELLO).rsv(rsv), Frame::ping("")];
    let steps = frames.map(|frame| frame.chopped(chop)).into();
    Case::failed(id, steps, vec![Event::text(HELLO)], 1002).tolerating(vec![])
}

#[tokio::test]
async fn section_3() {
    run(cases()).await;
}
