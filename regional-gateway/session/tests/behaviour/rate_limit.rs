//! 120 payloads in 60 seconds.

use crate::common::*;
use rookery_model::gateway::CloseCode;
use rookery_session::{Frame, Payload, SessionConfig};
use std::sync::Arc;

const HEARTBEAT: Frame<'_> = Frame::Text(r#"{"op":1,"d":null}"#);

#[test]
fn the_121st_within_a_minute_is_4008() {
    let (mut session, mut reader) = session("v=10", 0);
    // IDENTIFY was the first, at 0.
    for i in 1..120 {
        session.handle_frame(i * 400, HEARTBEAT);
        assert_eq!(drain(&mut session, &mut reader).len(), 1);
    }
    assert!(session.is_attached());
    session.handle_frame(59_999, HEARTBEAT);
    assert_eq!(session_closed_with(&mut session), Some(CloseCode::RateLimited));
}

#[test]
fn answers_that_wait_go_out_before_the_close_and_events_do_not() {
    let (mut session, mut reader) = session("v=10", ALL_INTENTS);
    session.handle_dispatch(Payload::new(numbered(1)));
    // IDENTIFY was the first; all come in one go.
    (0..150).for_each(|_| session.handle_frame(1, HEARTBEAT));
    assert_eq!(session_closed_with(&mut session), Some(CloseCode::RateLimited));
    let sent = drain(&mut session, &mut reader);
    assert_eq!(sent.len(), 119);
    assert!(sent.iter().all(|payload| payload["op"] == 11));
    session.handle_detached(2);
    session.resume(3, connect("v=10"), 0).expect("resumable");
    assert_eq!(drain(&mut session, &mut reader)[0]["s"], 1);
}

#[test]
fn the_next_minute_starts_afresh() {
    let (mut session, mut reader) = session("v=10", 0);
    for minute in 0..5 {
        for i in u64::from(minute == 0)..120 {
            session.handle_frame(minute * 60_000 + i, HEARTBEAT);
        }
        assert_eq!(drain(&mut session, &mut reader).len(), 120 - usize::from(minute == 0));
        assert!(session.is_attached(), "minute {minute}");
    }
}

#[test]
fn it_can_be_lifted_and_an_unread_flood_still_ends() {
    let config = Arc::new(SessionConfig { rate_events: None, ..SessionConfig::default() });
    let (mut session, mut reader) = session_with("v=10", 0, config);
    for _ in 0..1_000 {
        session.handle_frame(1, HEARTBEAT);
        assert_eq!(drain(&mut session, &mut reader).len(), 1);
    }
    // Nobody reads the answers now.
    (0..1_000).for_each(|_| session.handle_frame(1, HEARTBEAT));
    assert_eq!(session_closed_with(&mut session), Some(CloseCode::UnknownError));
    assert!(session.poll_transmit().is_none());
}
