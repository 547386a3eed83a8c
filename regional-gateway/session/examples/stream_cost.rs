//! What encodings and compressions cost: bytes and CPU of events as a lively guild has them, for the first session that
//! gets an event and for every further one.
//!
//! `cargo run --release -p rookery-session --example stream_cost`

#![allow(clippy::print_stdout, reason = "it is there to print")]

#[path = "../tests/behaviour/common.rs"]
mod common;
#[path = "../tests/corpus/mod.rs"]
mod corpus;

use common::{ALL_INTENTS, session_with};
use corpus::Corpus;
use rookery_session::{Payload, SessionConfig, ZlibMode};
use std::sync::Arc;

const EVENTS: usize = 4_000;
const ROUNDS: usize = 3;
const FURTHER_SESSIONS: u64 = 20;

fn main() {
    println!("stream, bytes, of plain, µs first, µs further");
    for encoding in ["json", "etf", "cbor"] {
        let mut plain_bytes = None;
        for (compress, zlib) in [
            ("", ZlibMode::Shared),
            ("&compress=zlib-stream", ZlibMode::Shared),
            ("&compress=zlib-stream", ZlibMode::Context),
            ("&compress=zstd-stream", ZlibMode::Shared),
        ] {
            let query = format!("encoding={encoding}{compress}");
            let config = Arc::new(SessionConfig { zlib, ..SessionConfig::default() });
            let mut rounds: Vec<_> = (0..ROUNDS).map(|_| round(&query, &config)).collect();
            rounds.sort_by_key(|(first, ..)| *first);
            let (first, further, bytes) = rounds[ROUNDS / 2];
            let percent = bytes * 100 / *plain_bytes.get_or_insert(bytes);
            let mode = if compress.contains("zlib") { format!(" {zlib:?}") } else { String::new() };
            let [first, further] = [first, further].map(|time_ns| time_ns as f64 / 1e3 / EVENTS as f64);
            println!("{query}{mode}, {}, {percent} %, {first:.2}, {further:.2}", bytes / EVENTS);
        }
    }
}

fn round(query: &str, config: &Arc<SessionConfig>) -> (u64, u64, usize) {
    let mut corpus = Corpus::new(7);
    let events: Vec<_> = (0..EVENTS).map(|_| Payload::new(corpus.event())).collect();
    let pass = || {
        let (mut session, _) = session_with(query, ALL_INTENTS, Arc::clone(config));
        let start_ns = cpu_ns();
        let bytes = events
            .iter()
            .map(|event| {
                session.handle_dispatch(Arc::clone(event));
                session.poll_transmit().map_or(0, |transmit| transmit.len())
            })
            .sum();
        (cpu_ns() - start_ns, bytes)
    };
    let (first, bytes) = pass();
    let further = (0..FURTHER_SESSIONS).map(|_| pass().0).sum::<u64>() / FURTHER_SESSIONS;
    (first, further, bytes)
}

/// CPU time of this thread.
fn cpu_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    text.split(' ').next().and_then(|field| field.parse().ok()).expect("nanoseconds on a processor")
}
