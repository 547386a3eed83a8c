//! Section 5: messages in fragments, and what may and may not come between.

use crate::case::{Case, Chop, Event, Frame, Step};
use crate::run;

const LONE: &str = "non-continuation payload";
const HELLO: &str = "Hello, world!";
const WHOLE: &str = "fragment1fragment2";
const OCTETS: Chop = Chop::Octets(1);

pub fn cases() -> Vec<Case> {
    vec![
        failed("5.1", vec![Frame::ping("fragment1").unfinished(), Frame::continuation("fragment2")], Chop::Joined),
        failed("5.2", vec![Frame::pong("fragment1").unfinished(), Frame::continuation("fragment2")], Chop::Joined),
        two("5.3", Chop::Joined),
        two("5.4", Chop::Alone),
        two("5.5", OCTETS),
        ping_between("5.6", Chop::Joined),
        ping_between("5.7", Chop::Alone),
        ping_between("5.8", OCTETS),
        failed("5.9", lone(Frame::continuation(LONE)), Chop::Joined),
        failed("5.10", lone(Frame::continuation(LONE)), Chop::Alone),
        failed("5.11", lone(Frame::continuation(LONE)), OCTETS),
        failed("5.12", lone(Frame::continuation(LONE).unfinished()), Chop::Joined),
        failed("5.13", lone(Frame::continuation(LONE).unfinished()), Chop::Alone),
        failed("5.14", lone(Frame::continuation(LONE).unfinished()), OCTETS),
        lone_behind_a_message(),
        failed("5.16", lone_before_messages(Frame::continuation("fragment1").unfinished()), Chop::Joined),
        failed("5.17", lone_before_messages(Frame::continuation("fragment1")), Chop::Joined),
        failed("5.18", vec![Frame::text("fragment1").unfinished(), Frame::text("fragment2")], Chop::Joined),
        two_pings_between("5.19", Chop::Joined),
        two_pings_between("5.20", Chop::Alone),
    ]
}

fn steps(frames: Vec<Frame>, chop: Chop) -> Vec<Step> {
    frames.into_iter().map(|frame| frame.chopped(chop)).collect()
}

fn failed(id: &str, frames: Vec<Frame>, chop: Chop) -> Case {
    Case::failed(id, steps(frames, chop), vec![], 1002)
}

fn two(id: &str, chop: Chop) -> Case {
    let frames = vec![Frame::text("fragment1").unfinished(), Frame::continuation("fragment2")];
    Case::echoed(id, steps(frames, chop), vec![Event::text(WHOLE)])
}

fn ping_between(id: &str, chop: Chop) -> Case {
    let frames =
        vec![Frame::text("fragment1").unfinished(), Frame::ping("ping payload"), Frame::continuation("fragment2")];
    Case::echoed(id, steps(frames, chop), vec![Event::pong("ping payload"), Event::text(WHOLE)])
}

/// A continuation of nothing, and a message.
fn lone(continuation: Frame) -> Vec<Frame> {
    vec![continuation, Frame::text(HELLO)]
}

fn lone_behind_a_message() -> Case {
    let frames = vec![
        Frame::text("fragment1").unfinished(),
        Frame::continuation("fragment2"),
        Frame::continuation("fragment3").unfinished(),
        Frame::text("fragment4"),
    ];
    Case::failed("5.15", steps(frames, Chop::Joined), vec![Event::text(WHOLE)], 1002).tolerating(vec![])
}

fn lone_before_messages(continuation: Frame) -> Vec<Frame> {
    let once = [continuation, Frame::text("fragment2").unfinished(), Frame::continuation("fragment3")];
    [once.clone(), once].concat()
}

fn two_pings_between(id: &str, chop: Chop) -> Case {
    let first = vec![
        Frame::text("fragment1").unfinished(),
        Frame::continuation("fragment2").unfinished(),
        Frame::ping("pongme 1!"),
    ];
    let second = vec![
        Frame::continuation("fragment3").unfinished(),
        Frame::continuation("fragment4").unfinished(),
        Frame::ping("pongme 2!"),
        Frame::continuation("fragment5"),
    ];
    let mut all = steps(first, chop);
    // The first pong does not wait for the end of the message.
    all.push(Step::Hear(1));
    all.extend(steps(second, chop));
    let wanted = vec![
        Event::pong("pongme 1!"),
        Event::pong("pongme 2!"),
        Event::text("fragment1fragment2fragment3fragment4fragment5"),
    ];
    Case::echoed(id, all, wanted)
}

#[tokio::test]
async fn section_5() {
    run(cases()).await;
}
