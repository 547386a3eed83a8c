//! Heartbeats: answered, and missed.

use crate::common::*;
use rookery_model::gateway::CloseCode;
use rookery_session::{Encoding, Frame, Payload, SessionConfig};
use serde_json::json;

#[test]
fn each_is_acknowledged_even_before_identify() {
    for query in ["v=10", "encoding=etf"] {
        let mut connection = connect(query);
        let mut reader = Reader::new(params(query));
        for d in [json!(null), json!(251)] {
            send(&mut connection, 1, &json!({"op": 1, "d": d}));
            let ack = reader.read(&connection.poll_transmit().expect("an ACK"));
            assert_eq!(ack, json!({"t": null, "s": null, "op": 11, "d": null}));
        }
    }
}

#[test]
fn a_session_without_heartbeat_for_one_and_a_half_intervals_is_closed_and_waits_for_resume() {
    let (mut session, mut reader) = session("v=10", 0);
    let timeout_ms = SessionConfig::default().heartbeat_timeout_ms;
    assert_eq!(timeout_ms, 41_250 * 3 / 2);
    session.handle_frame(41_250, Frame::Text(r#"{"op":1,"d":null}"#));
    assert_eq!(session.poll_timeout(), Some(41_250 + timeout_ms));
    session.handle_timeout(41_249 + timeout_ms);
    assert!(session.is_attached());
    session.handle_timeout(41_250 + timeout_ms);
    assert_eq!(session_closed_with(&mut session), Some(CloseCode::SessionTimedOut));
    assert_eq!(drain(&mut session, &mut reader).len(), 1, "the ACK that waited");
    session.handle_detached(104_000);
    assert!(!session.is_ended());
    assert_eq!(session.poll_timeout(), Some(104_000 + SessionConfig::default().resume_window_ms));
}

#[test]
fn other_payloads_are_no_heartbeats() {
    let (mut session, _) = session("v=10", 0);
    let due_ms = session.poll_timeout();
    session.handle_frame(41_000, Frame::Text(r#"{"op":3,"d":{"status":"idle","activities":[]}}"#));
    assert_eq!(session.poll_timeout(), due_ms);
}

#[test]
fn a_heartbeat_frees_what_it_acknowledges() {
    let (mut session, mut reader) = session("v=10", ALL_INTENTS);
    assert!(session.handle_own_dispatch(&ready("s1")));
    for n in 0..100 {
        session.handle_dispatch(Payload::new(numbered(n)));
    }
    assert_eq!(drain(&mut session, &mut reader).len(), 101);
    // A number above what was sent acknowledges no more than that.
    session.handle_dispatch(Payload::new(numbered(100)));
    session.handle_frame(10, Frame::Binary(&encode(Encoding::Json, &json!({"op": 1, "d": 5_000}))));
    session.handle_detached(20);

    let kept = SessionConfig::default().replay_acknowledged_max_events as u64;
    let refused = session.resume(30, connect("v=10"), 101 - kept - 1).expect_err("no longer kept");
    assert!(!refused.is_closed());
    let fresh = connect("v=10");
    assert!(session.resume(30, fresh, 101 - kept).is_ok());
    let seqs: Vec<u64> = drain(&mut session, &mut reader).iter().filter_map(|p| p["s"].as_u64()).collect();
    assert_eq!(seqs, (101 - kept + 1..=103).collect::<Vec<_>>());
}
