//! Section 2: pings and pongs.

use crate::case::{Case, Chop, Event, Frame, Step, repeated};
use crate::close::closes;
use crate::run;

const BINARY: &[u8] = b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff";
const UNSOLICITED: &[u8] = b"unsolicited pong payload";

pub fn cases() -> Vec<Case> {
    let longest = repeated(b"\xfe", 125);
    let ping =
        |id: &str, body: &'static [u8]| Case::echoed(id, vec![Frame::ping(body).joined()], vec![Event::pong(body)]);
    vec![
        ping("2.1", b""),
        ping("2.2", b"Hello, world!"),
        ping("2.3", BINARY),
        Case::echoed("2.4", vec![Frame::ping(longest.clone()).joined()], vec![Event::pong(longest.clone())]),
        Case::failed("2.5", vec![Frame::ping(repeated(b"\xfe", 126)).joined()], vec![], 1002),
        Case::echoed("2.6", vec![Frame::ping(longest.clone()).chopped(Chop::Octets(1))], vec![Event::pong(longest)]),
        Case::echoed("2.7", vec![Frame::pong("").joined(), closes(1000, "")], vec![]),
        Case::echoed("2.8", vec![Frame::pong(UNSOLICITED).joined(), closes(1000, "")], vec![]),
        Case::echoed(
            "2.9",
            vec![Frame::pong(UNSOLICITED).joined(), Frame::ping("ping payload").joined()],
            vec![Event::pong("ping payload")],
        ),
        ten("2.10", Chop::Joined),
        ten("2.11", Chop::Octets(1)),
    ]
}

fn ten(id: &str, chop: Chop) -> Case {
    let body = |n| format!("payload-{n}");
    let steps: Vec<Step> = (0..10).map(|n| Frame::ping(body(n)).chopped(chop)).collect();
    Case::echoed(id, steps, (0..10).map(|n| Event::pong(body(n))).collect())
}

#[tokio::test]
async fn section_2() {
    run(cases()).await;
}
