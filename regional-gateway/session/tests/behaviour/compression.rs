//! zlib-stream, zstd-stream, and single compressed payloads.

use crate::common::*;
use rookery_session::{Connection, Frame, Payload, SessionConfig, ZlibMode};
use serde_json::json;
use std::sync::Arc;

fn context() -> Arc<SessionConfig> {
    Arc::new(SessionConfig { zlib: ZlibMode::Context, ..SessionConfig::default() })
}

#[test]
fn one_stream_over_the_connection_and_a_new_one_after_resume() {
    for (query, config) in [
        ("compress=zlib-stream", config()),
        ("encoding=etf&compress=zlib-stream", config()),
        ("compress=zstd-stream", config()),
        ("encoding=etf&compress=zstd-stream", config()),
        ("encoding=cbor&compress=zlib-stream", config()),
        ("encoding=cbor&compress=zstd-stream", config()),
        ("compress=zlib-stream", context()),
        ("encoding=etf&compress=zlib-stream", context()),
    ] {
        let (mut session, mut reader) = session_with(query, ALL_INTENTS, config.clone());
        let mut sizes = Vec::new();
        for n in 1..=200 {
            session.handle_dispatch(Payload::new(message_create(message(n, 2, "the same text again"), Some(1))));
            let transmit = session.poll_transmit().expect("a frame");
            sizes.push(transmit.len());
            assert_eq!(reader.read(&transmit)["s"], n);
        }
        let keeps_context = sizes[199] * 3 < sizes[0];
        assert_eq!(keeps_context, config.zlib == ZlibMode::Context, "{} then {}", sizes[0], sizes[199]);

        session.handle_detached(1);
        session.resume(2, Connection::new(2, config, params(query)), 198).expect("resumable");
        let seqs: Vec<_> =
            drain(&mut session, &mut Reader::new(params(query))).iter().map(|p| p["s"].as_u64()).collect();
        assert_eq!(seqs, [None, Some(199), Some(200), Some(201)]);
    }
}

#[test]
fn a_shared_event_is_compressed_once() {
    let payload = Payload::new(message_create(message(1, 2, "one text for two sessions"), Some(1)));
    let data = |query: &str| {
        let (mut session, mut reader) = session(query, ALL_INTENTS);
        session.handle_dispatch(payload.clone());
        let transmit = session.poll_transmit().expect("a frame");
        assert_eq!(reader.read(&transmit)["d"]["content"], "one text for two sessions");
        transmit.into_parts().1
    };
    for query in ["compress=zlib-stream", "compress=zstd-stream", "encoding=etf&compress=zstd-stream"] {
        assert_eq!(data(query).as_ptr(), data(query).as_ptr(), "{query}");
    }
}

#[test]
fn messages_of_any_size_come_through() {
    let all =
        [("compress=zlib-stream", config()), ("compress=zlib-stream", context()), ("compress=zstd-stream", config())];
    for (query, config) in all {
        let (mut session, mut reader) = session_with(query, ALL_INTENTS, config);
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
}

#[test]
fn protocol_messages_stand_anywhere_in_the_stream() {
    let all =
        [("compress=zlib-stream", config()), ("compress=zlib-stream", context()), ("compress=zstd-stream", config())];
    for (query, config) in all {
        let mut connection = Connection::new(0, config, params(query));
        let mut reader = Reader::new(params(query));
        let mut op = |connection: &mut Connection| {
            reader.read(&connection.poll_transmit().expect("an answer"))["op"].as_u64().expect("an opcode")
        };
        assert_eq!(op(&mut connection), 10);
        send(&mut connection, 1, &json!({"op": 1, "d": null}));
        assert_eq!(op(&mut connection), 11);
        connection.invalid_session(2, false);
        assert_eq!(op(&mut connection), 9);
        send(&mut connection, 3, &identify(ALL_INTENTS));
        let mut session = accept(connection, "s1");
        for n in 1..20 {
            session.handle_dispatch(Payload::new(numbered(n)));
            session.handle_frame(4, Frame::Text(r#"{"op":1,"d":null}"#));
            let read = drain(&mut session, &mut reader);
            assert_eq!((read[0]["op"].as_u64(), read[1]["s"].as_u64()), (Some(11), Some(n)));
        }
        session.request_reconnect();
        assert_eq!(drain(&mut session, &mut reader)[0]["op"], 7);
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
fn a_large_ready_is_compressed_by_itself_where_asked() {
    let mut session = session_asking_for_payload_compression("v=10");
    let mut reader = Reader::new(params("v=10"));
    assert!(session.handle_own_dispatch(&ready(&"s".repeat(5_000))));
    let transmit = session.poll_transmit().expect("READY");
    assert!(transmit.is_binary && transmit.len() < 1_000);
    assert_eq!(reader.read(&transmit)["t"], "READY");
}

/// The documentation has payloads decompressed "to plain-text JSON" before they are read; clients of ETF, all of whose
/// messages are binary, would not look.
#[test]
fn with_another_compression_in_the_address_payloads_stay_plain() {
    for query in ["v=10&compress=brotli-stream", "encoding=etf", "encoding=cbor"] {
        let mut session = session_asking_for_payload_compression(query);
        assert!(session.handle_own_dispatch(&ready(&"s".repeat(5_000))));
        assert!(session.poll_transmit().is_some_and(|t| t.len() > 5_000), "{query}");
        session.handle_dispatch(Payload::new(message_create(message(1, 2, &"x".repeat(10_000)), Some(1))));
        assert!(session.poll_transmit().is_some_and(|t| t.len() > 10_000), "{query}");
    }
}

#[test]
fn a_compressed_stream_is_not_compressed_twice() {
    for query in ["compress=zlib-stream", "compress=zstd-stream"] {
        let mut connection = Connection::new(0, config(), params(query));
        let mut reader = Reader::new(params(query));
        assert_eq!(reader.read(&connection.poll_transmit().expect("HELLO"))["op"], 10);
        send(&mut connection, 0, &json!({"op": 2, "d": {"token": "t", "intents": ALL_INTENTS, "compress": true}}));
        let mut session = accept(connection, "s1");
        assert!(session.handle_own_dispatch(&ready(&"s".repeat(5_000))));
        assert_eq!(drain(&mut session, &mut reader)[0]["t"], "READY");
    }
}
