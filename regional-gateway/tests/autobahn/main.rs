//! The cases of the Autobahn test suite for WebSocket servers, one for one, against an echo behind the gateway's own
//! shell.
//!
//! A case is data: what a peer sends, how that is cut on the wire, what is to come back, and how the connection ends.
//! Where the suite waits for a second, these cases wait for what is to happen in it. They ask more than the suite does:
//! bodies are compared and not only their lengths, and a close code must be there.
//!
//! All cases are answered strictly but three, which the suite calls informational: 7.1.6, 7.13.1 and 7.13.2. The 216
//! cases of sections 12 and 13 are about compression of messages, which is not spoken here: see `compression`.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail where the test would")]

mod auto_fragmentation;
mod case;
mod close;
mod compression;
mod echo;
mod fragmentation;
mod framing;
mod limits;
mod opcodes;
mod peer;
mod pings;
mod reserved_bits;
mod talk;
mod utf8;
mod utf8_sequences;

use std::net::SocketAddr;

use case::{Case, Chop, Event, Frame, Grade, repeated};
use peer::{Heard, Peer};
use talk::grade;
use tokio::task::JoinSet;

/// The suite's subsections, and how many cases each has.
const SUITE: [(&str, usize); 45] = [
    ("1.1", 8),
    ("1.2", 8),
    ("2", 11),
    ("3", 7),
    ("4.1", 5),
    ("4.2", 5),
    ("5", 20),
    ("6.1", 3),
    ("6.2", 4),
    ("6.3", 2),
    ("6.4", 4),
    ("6.5", 5),
    ("6.6", 11),
    ("6.7", 4),
    ("6.8", 2),
    ("6.9", 4),
    ("6.10", 3),
    ("6.11", 5),
    ("6.12", 8),
    ("6.13", 5),
    ("6.14", 10),
    ("6.15", 1),
    ("6.16", 3),
    ("6.17", 5),
    ("6.18", 5),
    ("6.19", 5),
    ("6.20", 7),
    ("6.21", 8),
    ("6.22", 34),
    ("6.23", 7),
    ("7.1", 6),
    ("7.3", 6),
    ("7.5", 1),
    ("7.7", 13),
    ("7.9", 9),
    ("7.13", 2),
    ("9.1", 6),
    ("9.2", 6),
    ("9.3", 9),
    ("9.4", 9),
    ("9.5", 6),
    ("9.6", 6),
    ("9.7", 6),
    ("9.8", 6),
    ("10.1", 1),
];

/// The suite's sections, and how many cases each has.
const SECTIONS: [(&str, usize); 9] =
    [("1", 16), ("2", 11), ("3", 7), ("4", 10), ("5", 20), ("6", 145), ("7", 37), ("9", 54), ("10", 1)];

fn all() -> Vec<Case> {
    let sections = [
        framing::cases(),
        pings::cases(),
        reserved_bits::cases(),
        opcodes::cases(),
        fragmentation::cases(),
        utf8::cases(),
        close::cases(),
        limits::cases(),
        auto_fragmentation::cases(),
    ];
    sections.into_iter().flatten().collect()
}

/// Runs cases beside each other; each must end as it is written in its table.
async fn run(cases: Vec<Case>) {
    let address = echo::start().await;
    let mut running: JoinSet<_> = cases.into_iter().map(|case| check(case, address)).collect();
    let mut mistakes = Vec::new();
    while let Some(done) = running.join_next().await {
        mistakes.extend(done.unwrap().err());
    }
    assert!(mistakes.is_empty(), "{}", mistakes.join("\n"));
}

async fn check(case: Case, address: SocketAddr) -> Result<(), String> {
    let got = grade(&case, address).await;
    if got == Ok(case.ours) { Ok(()) } else { Err(format!("case {}: {got:?}, not {:?}", case.id, case.ours)) }
}

#[test]
fn every_case_of_the_suite_is_here() {
    let cases = all();
    let ids: Vec<&str> = cases.iter().map(|case| case.id.as_str()).collect();
    let of_suite: Vec<String> =
        SUITE.iter().flat_map(|(part, count)| (1..=*count).map(move |n| format!("{part}.{n}"))).collect();
    assert_eq!(ids, of_suite);
    for (section, count) in SECTIONS {
        let of_section = ids.iter().filter(|id| id.split('.').next() == Some(section)).count();
        assert_eq!(of_section, count, "section {section}");
    }
    assert_eq!(ids.len(), SECTIONS.iter().map(|(_, count)| count).sum::<usize>());
    let informational: Vec<&str> =
        cases.iter().filter(|case| case.ours != Grade::Ok).map(|case| case.id.as_str()).collect();
    assert_eq!(informational, ["7.1.6", "7.13.1", "7.13.2"]);
}

#[tokio::test]
async fn a_case_that_is_answered_otherwise_fails() {
    let address = echo::start().await;
    let hello = || vec![Frame::text("hello").joined()];
    let echoed = || vec![Event::text("hello")];
    let grade_of = async |case: Case| grade(&case, address).await;
    assert_eq!(grade_of(Case::echoed("right", hello(), echoed())).await, Ok(Grade::Ok));
    let other = Case::echoed("another text", hello(), vec![Event::text("hallo")]);
    assert!(grade_of(other).await.unwrap_err().contains("came"));
    let kind = Case::echoed("another kind", hello(), vec![Event::binary("hello")]);
    assert!(grade_of(kind).await.unwrap_err().contains("came"));
    let mut lax = Case::echoed("tolerated", hello(), vec![Event::binary("hello")]);
    lax.tolerated = Some(echoed());
    assert_eq!(grade_of(lax).await, Ok(Grade::NonStrict));
    let code = Case::failed("another code", vec![Frame::text("x").rsv(1).joined()], vec![], 1003);
    assert!(grade_of(code).await.unwrap_err().contains("closed with"));
    let side = Case::echoed("the other side", vec![Frame::text("x").rsv(1).joined()], echoed());
    assert!(grade_of(side).await.unwrap_err().contains("Server closed"));
}

/// This is no case of the suite, which lets a server drop the connection here.
#[tokio::test]
async fn a_close_frame_is_not_lost_with_what_is_on_its_way() {
    let (mut peer, _) = Peer::connect(echo::start().await, "").await;
    peer.send(&Frame::text("x").rsv(1), Chop::Joined).await;
    peer.send(&Frame::text(repeated(b"y", 4 << 20)), Chop::Joined).await;
    peer.flush().await;
    assert!(matches!(peer.hear().await, Heard::Close(Some(1002))));
    assert!(matches!(peer.hear().await, Heard::End));
}

/// Serves the original suite, with the same echo: `AUTOBAHN_LISTEN=127.0.0.1:9001 cargo test -p rookery-region --test
/// autobahn -- --ignored serve`, then `wstest -m fuzzingclient`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "serves until it is stopped"]
async fn serve() {
    let address = std::env::var("AUTOBAHN_LISTEN").unwrap();
    echo::start_on(address.parse().unwrap()).await;
    std::future::pending::<()>().await;
}
