//! A client that reads too slowly.

use crate::common::*;
use rookery_model::gateway::CloseCode;
use rookery_session::{Payload, SessionConfig};
use std::sync::Arc;

fn small() -> Arc<SessionConfig> {
    Arc::new(SessionConfig {
        unsent_max_events: 10,
        unsent_max_bytes: 2_000,
        replay_max_events: 30,
        replay_max_bytes: 6_000,
        ..SessionConfig::default()
    })
}

#[test]
fn too_many_unsent_events_are_4000_and_resume_brings_them() {
    let (mut session, mut reader) = session_with("v=10", ALL_INTENTS, small());
    for n in 1..=5 {
        session.handle_dispatch(Payload::new(numbered(n)));
    }
    assert_eq!(drain(&mut session, &mut reader).len(), 5);
    // It stops reading: nothing is fetched any more.
    for n in 6..=15 {
        session.handle_dispatch(Payload::new(numbered(n)));
        assert!(session.is_attached(), "{n}");
    }
    session.handle_dispatch(Payload::new(numbered(16)));
    assert_eq!(session_closed_with(&mut session), Some(CloseCode::UnknownError));
    assert!(session.poll_transmit().is_none());
    session.handle_detached(1);

    // What waited for RESUME does not count as backlog, what comes on top does.
    session.resume(2, connect("v=10"), 3).expect("resumable");
    for n in 17..=25 {
        session.handle_dispatch(Payload::new(numbered(n)));
        assert!(session.is_attached(), "{n}");
    }
    let seqs: Vec<u64> = drain(&mut session, &mut reader).iter().filter_map(|p| p["s"].as_u64()).collect();
    assert_eq!(seqs, (4..=26).collect::<Vec<_>>());
}

#[test]
fn too_many_unsent_bytes_are_4000() {
    let (mut session, _) = session_with("v=10", ALL_INTENTS, small());
    session.handle_dispatch(Payload::new(message_create(message(1, 2, &"x".repeat(900)), Some(1))));
    assert!(session.is_attached() && !session.has_room());
    session.handle_dispatch(Payload::new(message_create(message(2, 2, &"x".repeat(900)), Some(1))));
    assert_eq!(session_closed_with(&mut session), Some(CloseCode::UnknownError));
}

#[test]
fn one_event_above_the_bound_of_bytes_still_goes_out() {
    let (mut session, mut reader) = session_with("v=10", ALL_INTENTS, small());
    session.handle_dispatch(Payload::new(message_create(message(1, 2, &"x".repeat(3_000)), Some(1))));
    let sent = drain(&mut session, &mut reader);
    assert_eq!(sent[0]["d"]["content"].as_str().map(str::len), Some(3_000));
    assert!(session.has_room());
}

#[test]
fn a_steady_reader_is_never_closed() {
    let (mut session, mut reader) = session_with("v=10", ALL_INTENTS, small());
    let mut next = 1;
    for n in 1..=1_000 {
        session.handle_dispatch(Payload::new(numbered(n)));
        if n % 9 == 0 {
            for payload in drain(&mut session, &mut reader) {
                assert_eq!(payload["s"], next);
                next += 1;
            }
        }
        assert!(session.is_attached(), "{n}");
    }
}

#[test]
fn own_events_in_bulk_make_no_slow_consumer_and_are_asked_for_as_the_client_reads() {
    let (mut session, mut reader) = session_with("v=10", ALL_INTENTS, small());
    let large = |n| message_create(message(n, 2, &"x".repeat(900)), Some(1));
    // All of a guild's members at once, as if nobody had looked for room: more than is kept for RESUME.
    for n in 1..=9 {
        session.handle_own_dispatch(&large(n));
        assert!(session.is_attached() && !session.has_room(), "{n}");
    }
    let seqs: Vec<u64> = drain(&mut session, &mut reader).iter().filter_map(|p| p["s"].as_u64()).collect();
    assert_eq!(seqs, (1..=9).collect::<Vec<_>>());
    assert_eq!(session.room_bytes(), 1_000);
    // Shared events count as before.
    session.handle_own_dispatch(&large(10));
    session.handle_dispatch(Payload::new(large(11)));
    assert!(session.is_attached());
    session.handle_dispatch(Payload::new(large(12)));
    assert_eq!(session_closed_with(&mut session), Some(CloseCode::UnknownError));
}

#[test]
fn nothing_in_bulk_is_asked_for_while_nobody_reads() {
    let (mut session, mut reader) = session_with("v=10", ALL_INTENTS, small());
    for n in 1..=5 {
        session.handle_dispatch(Payload::new(numbered(n)));
    }
    assert_eq!(drain(&mut session, &mut reader).len(), 5);
    assert!(session.has_room());
    session.handle_detached(1);
    assert!(!session.has_room());
    session.resume(2, connect("v=10"), 3).expect("resumable");
    // First what the client missed.
    assert!(session.poll_transmit().is_some() && !session.has_room());
    assert_eq!(drain(&mut session, &mut reader).len(), 2);
    assert!(session.has_room());
    session.close(CloseCode::UnknownError);
    assert!(!session.has_room());
}
