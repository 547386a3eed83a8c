//! How many bytes compression leaves, of events as a lively guild has them.

#[path = "behaviour/common.rs"]
mod common;
mod corpus;

use common::*;
use corpus::Corpus;
use rookery_model::gateway::Event;
use rookery_session::{Payload, SessionConfig, ZlibMode};
use std::sync::Arc;

/// Bytes of the events on the wire, each read back and compared.
fn bytes(query: &str, config: SessionConfig, events: &[Event]) -> usize {
    let (mut session, mut reader) = session_with(query, ALL_INTENTS, Arc::new(config));
    let (mut plain, mut plain_reader) = common::session(&without_compression(query), ALL_INTENTS);
    let mut bytes = 0;
    for event in events {
        let payload = Payload::new(event.clone());
        assert!(session.handle_dispatch(Arc::clone(&payload)) && plain.handle_dispatch(payload));
        let transmit = session.poll_transmit().expect("an event");
        bytes += transmit.len();
        let expected = plain_reader.read(&plain.poll_transmit().expect("an event"));
        assert_eq!(reader.read(&transmit), expected);
    }
    bytes
}

fn without_compression(query: &str) -> String {
    query.split('&').filter(|pair| !pair.starts_with("compress=")).collect::<Vec<_>>().join("&")
}

fn context() -> SessionConfig {
    SessionConfig { zlib: ZlibMode::Context, ..SessionConfig::default() }
}

fn events(count: usize) -> Vec<Event> {
    let mut corpus = Corpus::new(7);
    (0..count).map(|_| corpus.event()).collect()
}

#[test]
fn compressed_once_for_all_or_with_a_context() {
    let events = events(4_000);
    let mut failures = Vec::new();
    let mut check = |query: &str, config: SessionConfig, at_most_percent: usize| {
        let plain = bytes(&without_compression(query), SessionConfig::default(), &events);
        let compressed = bytes(query, config, &events);
        let percent = compressed * 100 / plain;
        println!("{query}: {compressed} of {plain} bytes, {percent} %, at most {at_most_percent} %");
        if percent > at_most_percent {
            failures.push((query.to_owned(), percent));
        }
    };
    check("encoding=json&compress=zlib-stream", SessionConfig::default(), 60);
    check("encoding=json&compress=zlib-stream", context(), 40);
    check("encoding=etf&compress=zlib-stream", SessionConfig::default(), 60);
    check("encoding=etf&compress=zlib-stream", context(), 40);
    check("encoding=json&compress=zstd-stream", SessionConfig::default(), 60);
    check("encoding=etf&compress=zstd-stream", SessionConfig::default(), 62);
    // Half of what others save is not written to begin with.
    check("encoding=cbor&compress=zlib-stream", SessionConfig::default(), 75);
    check("encoding=cbor&compress=zlib-stream", context(), 40);
    check("encoding=cbor&compress=zstd-stream", SessionConfig::default(), 75);
    assert_eq!(failures, []);
}

#[test]
fn the_smallest_events_hardly_grow() {
    let mut corpus = Corpus::new(8);
    let message = corpus.message();
    for event in [corpus.typing_in_dm(), corpus.deletion(), Event::Resumed] {
        for (encoding, compress) in
            [("json", "zlib"), ("etf", "zlib"), ("cbor", "zlib"), ("json", "zstd"), ("etf", "zstd"), ("cbor", "zstd")]
        {
            let query = format!("encoding={encoding}&compress={compress}-stream");
            // The first event of a stream may have its start before it.
            let alone = bytes(&query, SessionConfig::default(), std::slice::from_ref(&message));
            let compressed = bytes(&query, SessionConfig::default(), &[message.clone(), event.clone()]) - alone;
            let plain = bytes(&without_compression(&query), SessionConfig::default(), std::slice::from_ref(&event));
            println!("{} in {encoding}, {compress}: {compressed} of {plain} bytes", event.name());
            assert!(compressed <= plain + 10, "{}", event.name());
        }
    }
}
