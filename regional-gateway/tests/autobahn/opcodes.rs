//! Section 4: opcodes that mean nothing.

use crate::case::{Case, Chop, Event, Frame};
use crate::run;

const HELLO: &str = "Hello, world!";
const LONE: &str = "reserved opcode payload";

pub fn cases() -> Vec<Case> {
    vec![
        alone("4.1.1", 3, ""),
        alone("4.1.2", 4, LONE),
        behind_a_message("4.1.3", 5, "", Chop::Joined),
        behind_a_message("4.1.4", 6, HELLO, Chop::Joined),
        behind_a_message("4.1.5", 7, HELLO, Chop::Octets(1)),
        alone("4.2.1", 11, ""),
        alone("4.2.2", 12, LONE),
        behind_a_message("4.2.3", 13, "", Chop::Joined),
        behind_a_message("4.2.4", 14, HELLO, Chop::Joined),
        behind_a_message("4.2.5", 15, HELLO, Chop::Octets(1)),
    ]
}

fn alone(id: &str, opcode: u8, body: &'static str) -> Case {
    Case::failed(id, vec![Frame::new(opcode, body).joined()], vec![], 1002)
}

fn behind_a_message(id: &str, opcode: u8, body: &'static str, chop: Chop) -> Case {
    let frames = [Frame::text(HELLO), Frame::new(opcode, body), Frame::ping("")];
    let steps = frames.map(|frame| frame.chopped(chop)).into();
    Case::failed(id, steps, vec![Event::text(HELLO)], 1002).tolerating(vec![])
}

#[tokio::test]
async fn section_4() {
    run(cases()).await;
}
