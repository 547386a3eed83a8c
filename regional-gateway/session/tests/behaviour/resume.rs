//! RESUME: what was missed comes, once and in order, or an honest no.

use crate::common::*;
use rookery_model::gateway::CloseCode;
use rookery_session::{Action, EndReason, Frame, Payload, Session, SessionConfig};
use serde_json::{Value, json};
use std::sync::Arc;

fn dispatch(session: &mut Session, numbers: std::ops::RangeInclusive<u64>) {
    for n in numbers {
        assert!(session.handle_dispatch(Payload::new(numbered(n))));
    }
}

/// `(s, t)` of each dispatch.
fn names(payloads: &[Value]) -> Vec<(u64, &str)> {
    let dispatches = payloads.iter().filter(|p| p["op"] == 0);
    dispatches.map(|p| (p["s"].as_u64().expect("s"), p["t"].as_str().expect("t"))).collect()
}

#[test]
fn the_data_reaches_the_shell() {
    for query in ["v=10", "encoding=etf"] {
        let mut connection = connect(query);
        send(&mut connection, 1, &json!({"op": 6, "d": {"token": "Bot t", "session_id": "s1", "seq": 1337}}));
        let Some(Action::Resume(resume)) = connection.poll_action() else { panic!("no RESUME") };
        assert_eq!((resume.token.bare(), &*resume.session_id, resume.seq), ("t", "s1", 1337));
    }
}

#[test]
fn what_was_missed_comes_in_order_then_resumed() {
    for (first, second) in [("v=10", "v=10&compress=zlib-stream"), ("encoding=json", "encoding=etf")] {
        let (mut session, mut reader) = session(first, ALL_INTENTS);
        dispatch(&mut session, 1..=3);
        assert_eq!(drain(&mut session, &mut reader).len(), 3);
        dispatch(&mut session, 4..=5);
        session.handle_detached(1_000);
        dispatch(&mut session, 6..=6);

        // The client received 1 and 2 only.
        session.resume(2_000, connect_quietly(second), 2).expect("resumable");
        let mut reader = Reader::new(params(second));
        let payloads = drain(&mut session, &mut reader);
        let update = "MESSAGE_DELETE";
        assert_eq!(names(&payloads), [(3, update), (4, update), (5, update), (6, update), (7, "RESUMED")]);
        let ids: Vec<u64> = payloads[1..5].iter().map(|p| id(&p["d"]["id"])).collect();
        assert_eq!(ids, [3, 4, 5, 6]);

        dispatch(&mut session, 8..=8);
        assert_eq!(names(&drain(&mut session, &mut reader)), [(8, update)]);
    }
}

fn id(value: &Value) -> u64 {
    value.as_u64().or_else(|| value.as_str()?.parse().ok()).expect("an id")
}

/// A connection whose HELLO was not polled: compressed streams must be read from their start.
fn connect_quietly(query: &str) -> rookery_session::Connection {
    rookery_session::Connection::new(0, config(), params(query))
}

#[test]
fn a_number_that_was_never_given_out_is_4007_and_the_session_stays() {
    let (mut session, _) = session("v=10", ALL_INTENTS);
    dispatch(&mut session, 1..=3);
    session.handle_detached(0);
    for seq in [4, u64::MAX] {
        let mut refused = session.resume(1, connect("v=10"), seq).expect_err("refused");
        assert_eq!(closed_with(&mut refused), Some(4007));
    }
    assert!(session.resume(1, connect("v=10"), 3).is_ok());
}

#[test]
fn what_is_no_longer_kept_is_an_invalid_session_and_the_connection_goes_on() {
    let config = SessionConfig { replay_max_events: 4, unsent_max_events: 2, ..SessionConfig::default() };
    let (mut session, mut reader) = session_with("v=10", ALL_INTENTS, Arc::new(config));
    for n in 1..=10 {
        dispatch(&mut session, n..=n);
        drain(&mut session, &mut reader);
    }
    session.handle_detached(0);
    let mut refused = session.resume(1, connect("v=10"), 5).expect_err("refused");
    let answer = refused.poll_transmit().expect("INVALID SESSION");
    assert_eq!(answer.into_bytes(), r#"{"t":null,"s":null,"op":9,"d":false}"#);
    // It may identify on the same connection.
    send(&mut refused, 2, &identify(0));
    assert!(matches!(refused.poll_action(), Some(Action::Identify(_))));
    assert!(session.resume(1, connect("v=10"), 6).is_ok());
}

#[test]
fn the_window_ends_after_five_minutes() {
    let (mut session, _) = session("v=10", ALL_INTENTS);
    session.handle_detached(1_000);
    assert_eq!(session.poll_timeout(), Some(301_000));
    session.handle_timeout(300_999);
    assert!(!session.is_ended());
    session.handle_timeout(301_000);
    assert_eq!(session.poll_action(), Some(Action::Ended(EndReason::ResumeWindowPassed)));
    assert_eq!((session.poll_action(), session.poll_timeout()), (None, None));
    assert!(!session.handle_dispatch(Payload::new(numbered(1))));
    let mut refused = session.resume(301_001, connect("v=10"), 0).expect_err("refused");
    assert!(refused.poll_transmit().is_some_and(|t| t.into_bytes().ends_with(br#""op":9,"d":false}"#)));
}

#[test]
fn a_client_that_closes_with_1000_or_1001_gives_the_session_up() {
    for (code, ended) in
        [(Some(1000), true), (Some(1001), true), (Some(4000), false), (Some(1006), false), (None, false)]
    {
        let (mut session, _) = session("v=10", 0);
        session.handle_client_close(5, code);
        assert_eq!(session.is_ended(), ended, "{code:?}");
        let told = session.poll_action() == Some(Action::Ended(EndReason::ClosedByClient));
        assert_eq!(told, ended, "{code:?}");
    }
}

#[test]
fn a_waiting_session_whose_buffer_overflows_ends() {
    let config = SessionConfig { replay_max_events: 4, unsent_max_events: 2, ..SessionConfig::default() };
    let (mut session, mut reader) = session_with("v=10", ALL_INTENTS, Arc::new(config));
    dispatch(&mut session, 1..=2);
    drain(&mut session, &mut reader);
    session.handle_detached(0);
    dispatch(&mut session, 3..=6);
    assert!(!session.is_ended());
    dispatch(&mut session, 7..=7);
    assert_eq!(session.poll_action(), Some(Action::Ended(EndReason::ReplayOverflow)));
}

#[test]
fn a_new_connection_replaces_one_that_is_still_there() {
    let (mut session, mut reader) = session("v=10", ALL_INTENTS);
    dispatch(&mut session, 1..=2);
    drain(&mut session, &mut reader);
    session.resume(1, connect("v=10"), 1).expect("resumable");
    assert_eq!(names(&drain(&mut session, &mut reader)), [(2, "MESSAGE_DELETE"), (3, "RESUMED")]);
}

#[test]
fn own_events_are_replayed_in_the_encoding_they_were_written_in() {
    let (mut session, mut reader) = session("v=10", ALL_INTENTS);
    session.handle_own_dispatch(&ready("s1"));
    assert_eq!(names(&drain(&mut session, &mut reader)), [(1, "READY")]);
    session.handle_detached(1);
    assert!(session.resume(2, connect("encoding=etf"), 0).is_err());
    session.resume(2, connect("v=10"), 0).expect("resumable");
    assert_eq!(names(&drain(&mut session, &mut reader)), [(1, "READY"), (2, "RESUMED")]);
}

#[test]
fn reconnect_asks_and_revoke_ends() {
    let (mut session, mut reader) = session("v=10", ALL_INTENTS);
    session.request_reconnect();
    assert_eq!(drain(&mut session, &mut reader), [json!({"t": null, "s": null, "op": 7, "d": null})]);
    session.handle_frame(1, Frame::Text(r#"{"op":1,"d":null}"#));
    assert!(session.is_attached());
    session.revoke();
    assert_eq!(session.poll_action(), Some(Action::Ended(EndReason::Revoked)));
    assert!(session.poll_transmit().is_none());
}

#[test]
fn a_connection_can_be_told_that_its_session_may_still_come() {
    let mut connection = connect("v=10");
    send(&mut connection, 1, &json!({"op": 6, "d": {"token": "t", "session_id": "s", "seq": 1}}));
    assert!(connection.poll_action().is_some());
    connection.invalid_session(2, true);
    assert!(connection.poll_transmit().is_some_and(|t| t.into_bytes().ends_with(br#""op":9,"d":true}"#)));
    send(&mut connection, 3, &json!({"op": 6, "d": {"token": "t", "session_id": "s", "seq": 1}}));
    assert!(matches!(connection.poll_action(), Some(Action::Resume(_))));
    assert_eq!(closed_with(&mut connection), None::<u16>);
    connection.close(CloseCode::AuthenticationFailed);
    assert_eq!(closed_with(&mut connection), Some(4004));
}
