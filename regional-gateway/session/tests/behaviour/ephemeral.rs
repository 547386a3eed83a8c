//! Events that tell of a moment: first to go when a session falls behind.

use crate::common::*;
use rookery_session::{Connection, Frame, Payload, SessionConfig};
use std::sync::Arc;

fn typing_payload() -> Arc<Payload> {
    Payload::new(typing())
}

fn names(payloads: &[serde_json::Value]) -> Vec<(&str, u64)> {
    payloads.iter().filter_map(|p| Some((p["t"].as_str()?, p["s"].as_u64()?))).collect()
}

#[test]
fn who_reads_sees_typing_payload() {
    let (mut session, mut reader) = session("v=10", ALL_INTENTS);
    assert!(session.handle_dispatch(typing_payload()));
    assert_eq!(names(&drain(&mut session, &mut reader)), [("TYPING_START", 1)]);
}

#[test]
fn nobody_types_for_who_is_away() {
    let (mut session, _) = session("v=10", ALL_INTENTS);
    session.handle_detached(1);
    assert!(!session.handle_dispatch(typing_payload()));
    assert_eq!(session.last_seq(), 0);
}

#[test]
fn who_is_half_way_behind_goes_without_typing_payload() {
    let config = SessionConfig { unsent_max_events: 10, ..SessionConfig::default() };
    let (mut session, mut reader) = session_with("v=10", ALL_INTENTS, Arc::new(config));
    for n in 1..=5 {
        assert!(session.handle_dispatch(Payload::new(numbered(n))));
    }
    assert!(session.handle_dispatch(typing_payload()));
    assert!(!session.handle_dispatch(typing_payload()), "six events wait");
    drain(&mut session, &mut reader);
    assert!(session.handle_dispatch(typing_payload()));
    assert_eq!(session.last_seq(), 7);

    let config = SessionConfig { unsent_max_bytes: 10_000, replay_max_bytes: 20_000, ..SessionConfig::default() };
    let (mut session, _) = session_with("v=10", ALL_INTENTS, Arc::new(config));
    session.handle_dispatch(Payload::new(message_create(message(1, 2, &"x".repeat(5_000)), Some(1))));
    assert!(!session.handle_dispatch(typing_payload()), "over half of the bytes wait");
}

#[test]
fn typing_of_more_than_ten_seconds_ago_is_never_sent() {
    let (mut session, mut reader) = session("v=10", ALL_INTENTS);
    session.observe_time(65_530_000);
    session.handle_dispatch(Payload::new(numbered(1)));
    session.handle_dispatch(typing_payload());
    session.handle_dispatch(typing_payload());
    session.handle_dispatch(Payload::new(numbered(2)));
    // A while later, with a newer one, over the place where the seconds begin anew.
    session.observe_time(65_537_000);
    session.handle_dispatch(typing_payload());
    session.observe_time(65_541_000);
    let payloads = drain(&mut session, &mut reader);
    assert_eq!(names(&payloads), [("MESSAGE_DELETE", 1), ("MESSAGE_DELETE", 2), ("TYPING_START", 3)]);
    assert_eq!(session.last_seq(), 3);
    // What was sent is kept under its number.
    session.handle_frame(65_600_000, Frame::Text(r#"{"op":1,"d":3}"#));
    drain(&mut session, &mut reader);
    session.handle_dispatch(Payload::new(numbered(3)));
    assert_eq!(names(&drain(&mut session, &mut reader)), [("MESSAGE_DELETE", 4)]);
    assert!(session.has_room());
}

#[test]
fn resume_brings_no_typing_back() {
    let (mut session, mut reader) = session("v=10", ALL_INTENTS);
    session.handle_dispatch(typing_payload());
    session.handle_dispatch(Payload::new(numbered(1)));
    session.handle_dispatch(typing_payload());
    session.handle_dispatch(Payload::new(numbered(2)));
    drain(&mut session, &mut reader);
    session.handle_detached(1);
    // The client has the first event only.
    session.resume(2, Connection::new(2, config(), params("v=10")), 1).expect("resumable");
    let payloads = drain(&mut session, &mut Reader::new(params("v=10")));
    assert_eq!(names(&payloads), [("MESSAGE_DELETE", 2), ("MESSAGE_DELETE", 3), ("RESUMED", 4)]);
}
