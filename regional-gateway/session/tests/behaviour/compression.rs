//! zlib-stream, and single compressed payloads.

use crate::common::*;
use rookery_session::{Connection, Payload};
use serde_json::json;

#[test]
fn one_stream_over_the_connection_and_a_new_one_after_resume() {
    for query in ["compress=zlib-stream", "encoding=etf&compress=zlib-stream"] {
        let (mut session, mut reader) = session(query, ALL_INTENTS);
        let mut sizes = Vec::new();
        for n in 1..=200 {
            session.handle_dispatch(Payload::new(message_create(message(n, 2, "the same text again"), Some(1))));
            let transmit = session.poll_transmit().expect("a frame");
            sizes.push(transmit.len());
            assert_eq!(reader.read(&transmit)["s"], n);
        }
        assert!(sizes[199] * 3 < sizes[0], "the context is kept: {} then {}", sizes[0], sizes[199]);

        session.handle_detached(1);
        session.resume(2, Connection::new(2, config(), params(query)), 198).expect("resumable");
        let seqs: Vec<_> =
            drain(&mut session, &mut Reader::new(params(query))).iter().map(|p| p["s"].as_u64()).collect();
        assert_eq!(seqs, [None, Some(199), Some(200), Some(201)]);
    }
}

#[test]
fn messages_of_any_size_come_through() {
    let (mut session, mut reader) = session("compress=zlib-stream", ALL_INTENTS);
    // Text that hardly compresses, in lengths around the buffers' sizes.
    let mut noise = 1u64;
    let mut text = |len: usize| -> String {
        (0..len)
            .map(|_| {
                noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                char::from(b' ' + ((noise >> 33) % 94) as u8)
            })
            .collect()
    };
    for len in (0..300).chain([1_000, 4_095, 4_096, 4_097, 65_535, 300_000]) {
        let content = text(len);
        session.handle_dispatch(Payload::new(message_create(message(1, 2, &content), Some(1))));
        let payloads = drain(&mut session, &mut reader);
        assert_eq!(payloads[0]["d"]["content"], content.as_str(), "{len}");
    }
}

fn session_asking_for_payload_compression(query: &str) -> rookery_session::Session {
    let mut connection = connect(query);
    send(&mut connection, 0, &json!({"op": 2, "d": {"token": "t", "intents": ALL_INTENTS, "compress": true}}));
    accept(connection, "s1")
}

#[test]
fn large_payloads_are_compressed_by_themselves_where_asked() {
    let mut session = session_asking_for_payload_compression("v=10");
    let mut reader = Reader::new(params("v=10"));
    for (len, is_binary) in [(100, false), (10_000, true), (100, false), (10_000, true)] {
        session.handle_dispatch(Payload::new(message_create(message(1, 2, &"x".repeat(len)), Some(1))));
        let transmit = session.poll_transmit().expect("a frame");
        assert_eq!(transmit.is_binary, is_binary);
        assert!(transmit.len() < 1_000);
        assert_eq!(reader.read(&transmit)["d"]["content"].as_str().map(str::len), Some(len));
    }
}

#[test]
fn with_another_compression_in_the_address_payloads_stay_plain() {
    for query in ["v=10&compress=zstd-stream", "encoding=etf"] {
        let mut session = session_asking_for_payload_compression(query);
        session.handle_dispatch(Payload::new(message_create(message(1, 2, &"x".repeat(10_000)), Some(1))));
        assert!(session.poll_transmit().is_some_and(|t| t.len() > 10_000), "{query}");
    }
}
