//! 120 payloads in 60 seconds.

use crate::common::*;
use rookery_model::gateway::CloseCode;
use rookery_session::{Frame, SessionConfig};
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
}
