//! What an idle session costs in this crate.

#[path = "behaviour/common.rs"]
mod common;

use common::*;
use rookery_session::{Connection, Payload, Session, SessionConfig, ZlibMode};
use rookery_test_allocations::{CountingAllocator, of_thread};
use serde_json::json;
use std::hint::black_box;
use std::sync::Arc;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Whatever it asked for: who has not identified must not cost much.
fn a_connection_without_session_stays_below_1_kib() {
    let context = Arc::new(SessionConfig { zlib: ZlibMode::Context, ..SessionConfig::default() });
    for query in ["v=10", "compress=zlib-stream", "encoding=etf&compress=zlib-stream", "compress=zstd-stream"] {
        for config in [config(), context.clone()] {
            let before = of_thread();
            let mut connection = Connection::new(0, config, params(query));
            let mut reader = Reader::new(params(query));
            for now_ms in 1..5 {
                send(&mut connection, now_ms, &json!({"op": 1, "d": null}));
            }
            while let Some(transmit) = connection.poll_transmit() {
                reader.read(&transmit);
            }
            drop(reader);
            let bytes = (of_thread() - before).in_use_bytes() + size_of::<Connection>() as isize;
            assert!(bytes < 1_024, "{query}: {bytes}");
            black_box(connection);
        }
    }
}

fn sending_a_shared_event_allocates_nothing() {
    let events: Vec<_> = (0..64).map(|n| Payload::new(message_create(message(n, 2, "hello"), Some(1)))).collect();
    for query in [
        "encoding=json",
        "encoding=etf",
        "compress=zlib-stream",
        "encoding=etf&compress=zlib-stream",
        "compress=zstd-stream",
    ] {
        let (mut first, mut reader) = session(query, ALL_INTENTS);
        let (mut second, _) = session(query, ALL_INTENTS);
        for payload in &events {
            // The first of all sessions writes the event.
            first.handle_dispatch(payload.clone());
            drain(&mut first, &mut reader);
            second.handle_dispatch(payload.clone());
        }
        let before = of_thread();
        let bytes: usize = std::iter::from_fn(|| second.poll_transmit()).map(|transmit| transmit.len()).sum();
        assert_eq!((of_thread() - before).allocations, 0, "{query}");
        assert!(bytes > 64 * 100);
    }
}

/// One test, so that nothing else allocates meanwhile.
#[test]
fn an_idle_session_stays_below_2_kib_and_sending_allocates_nothing() {
    sending_a_shared_event_allocates_nothing();
    a_connection_without_session_stays_below_1_kib();
    let config = config();
    let shared: Vec<_> = (0..200).map(|n| Payload::new(numbered(n))).collect();
    let make = || {
        let (mut session, mut reader) = session_with("v=10", ALL_INTENTS, config.clone());
        assert!(session.handle_own_dispatch(&ready("s1")));
        drain(&mut session, &mut reader);
        session
    };
    // What is made once for all: the RESUMED payload, the shared events' text.
    drop(make());
    let measure = |act: &dyn Fn(&mut Session)| {
        const SESSIONS: usize = 100;
        let mut sessions = Vec::with_capacity(SESSIONS);
        let before = of_thread();
        for _ in 0..SESSIONS {
            let mut session = make();
            act(&mut session);
            sessions.push(session);
        }
        let per_session = (of_thread() - before).in_use_bytes() / SESSIONS as isize + size_of::<Session>() as isize;
        black_box(sessions);
        per_session
    };
    let busy = |session: &mut Session| {
        let mut reader = Reader::new(params("v=10"));
        for payload in &shared {
            session.handle_dispatch(payload.clone());
            drain(session, &mut reader);
        }
        let last_seq = session.last_seq();
        let heartbeat = encode(rookery_session::Encoding::Json, &json!({"op": 1, "d": last_seq}));
        session.handle_frame(1, rookery_session::Frame::Binary(&heartbeat));
        drain(session, &mut reader);
    };
    let fresh = measure(&|_| {});
    let acknowledged = measure(&busy);
    let waiting = measure(&|session| {
        busy(session);
        session.handle_detached(2);
    });
    println!("bytes a session: fresh {fresh}, after 200 events and a heartbeat {acknowledged}, waiting {waiting}");
    assert!(fresh < 2_048 && acknowledged < 1_536 && waiting < 1_024);
}
