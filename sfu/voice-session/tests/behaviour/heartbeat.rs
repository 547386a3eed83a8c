//! Heartbeats of both forms: answered, and missed.

use crate::common::*;
use rookery_model::voice::VoiceCloseCode;
use rookery_voice_session::{Frame, VoiceConfig};
use serde_json::json;

#[test]
fn below_version_8_the_nonce_comes_back_bare() {
    for number in 4..=7 {
        let mut session = session(number);
        send(&mut session, 1, &json!({"op": 3, "d": 9_007_199_254_740_991_u64}));
        let ack = session.poll_transmit().expect("an ACK");
        assert_eq!(ack.text(), Some(r#"{"op":6,"d":9007199254740991}"#));
        send(&mut session, 1, &json!({"op": 3, "d": u64::MAX}));
        assert_eq!(session.poll_transmit().expect("an ACK").text(), Some(r#"{"op":6,"d":18446744073709551615}"#));
    }
}

#[test]
fn from_version_8_on_it_comes_back_named_and_without_a_number_of_its_own() {
    let mut session = session(8);
    for seq_ack in [json!(-1), json!(1), json!(null)] {
        send(&mut session, 1, &json!({"op": 3, "d": {"t": 1_501_184_119_561_u64, "seq_ack": seq_ack}}));
        let ack = session.poll_transmit().expect("an ACK");
        assert_eq!(ack.text(), Some(r#"{"op":6,"d":{"t":1501184119561}}"#));
    }
    send(&mut session, 1, &json!({"op": 3, "d": {"t": 5}}));
    assert_eq!(ops(&mut session), [6], "seq_ack may be left out");
}

#[test]
fn one_before_identify_is_answered_too() {
    let mut connection = connect(8);
    connection.handle_frame(1, Frame::Text(r#"{"op":3,"d":{"t":5,"seq_ack":-1}}"#));
    assert_eq!(connection.poll_transmit().expect("an ACK").text(), Some(r#"{"op":6,"d":{"t":5}}"#));
    assert!(!connection.is_closed());
}

#[test]
fn whoever_falls_silent_is_closed_with_4009_and_may_come_back() {
    let mut session = session(8);
    send(&mut session, 20_000, &json!({"op": 3, "d": {"t": 5, "seq_ack": 1}}));
    assert_eq!(session.poll_timeout(), Some(50_000));
    // Other messages are no heartbeats.
    send(&mut session, 40_000, &json!({"op": 5, "d": {"speaking": 1, "ssrc": OWN}}));
    session.handle_timeout(49_999);
    assert!(session.is_attached());
    session.handle_timeout(50_000);
    assert_eq!(closed_with(&mut session), Some(VoiceCloseCode::SessionTimeout));
    assert_eq!(ops(&mut session), [6], "the ACK that waited");
    session.handle_detached(50_100);
    assert!(!session.is_ended());
    assert_eq!(session.poll_timeout(), Some(50_100 + VoiceConfig::default().resume_window_ms));
}

#[test]
fn a_nonce_that_is_no_number_cannot_be_decoded() {
    for d in [json!("5"), json!(null), json!([5]), json!({"seq_ack": 1}), json!({"t": "5"})] {
        let mut session = session(8);
        send(&mut session, 1, &json!({"op": 3, "d": d}));
        assert_eq!(closed_with(&mut session), Some(VoiceCloseCode::FailedToDecode), "{d}");
    }
}

#[test]
fn a_heartbeat_frees_what_it_acknowledges() {
    let mut session = session(8);
    (0..10).for_each(|n| assert!(session.send(&numbered(n))));
    assert_eq!(seqs(&mut session), (2..=11).collect::<Vec<_>>());
    send(&mut session, 1, &json!({"op": 3, "d": {"t": 1, "seq_ack": 6}}));
    session.handle_detached(2);
    assert!(session.resume(connect(8), Some(5)).is_err(), "acknowledged and gone");
    assert!(session.resume(connect(8), Some(6)).is_ok());
    assert_eq!(seqs(&mut session), (7..=11).collect::<Vec<_>>());
}
