//! RESUME: with what was missed from version 8 on, without it before.

use crate::common::*;
use proptest::prelude::*;
use rookery_model::voice::VoiceCloseCode;
use rookery_voice_session::{EndReason, Event, Frame, Resumption, VoiceConfig};
use serde_json::json;

#[test]
fn the_request_is_handed_to_the_shell_in_both_forms() {
    let cases = [(json!(10), Some(10)), (json!(-1), None), (json!(null), None), (json!(65_535), Some(65_535))];
    for (seq_ack, expected) in cases {
        let mut connection = connect(8);
        let payload = json!({"op": 7, "d": {"server_id": "1", "session_id": "s", "token": "t", "seq_ack": seq_ack}});
        connection.handle_frame(1, Frame::Text(&payload.to_string()));
        let Some(Event::Resume(resume)) = connection.poll_event() else { panic!("no RESUME") };
        assert_eq!((resume.session_id.as_str(), resume.seq_ack), ("s", expected));
    }
    let mut connection = connect(4);
    connection.handle_frame(1, Frame::Text(r#"{"op":7,"d":{"server_id":"1","session_id":"s","token":"t"}}"#));
    assert!(matches!(connection.poll_event(), Some(Event::Resume(resume)) if resume.seq_ack.is_none()));
    for seq_ack in [json!(65_536), json!(-2), json!("1")] {
        let mut connection = connect(8);
        let payload = json!({"op": 7, "d": {"server_id": "1", "session_id": "s", "token": "t", "seq_ack": seq_ack}});
        connection.handle_frame(1, Frame::Text(&payload.to_string()));
        assert_eq!(connection.poll_event(), Some(Event::Close(VoiceCloseCode::FailedToDecode)));
    }
}

#[test]
fn resumed_comes_first_and_then_what_was_missed() {
    let mut session = session(8);
    (0..3).for_each(|n| assert!(session.send(&numbered(n))));
    assert_eq!(seqs(&mut session), [2, 3, 4]);
    session.handle_detached(100);
    (3..5).for_each(|n| assert!(session.send(&numbered(n)), "the session waits, and takes what happens"));
    assert_eq!(session.poll_transmit(), None);
    assert_eq!(session.resume(connect(8), Some(3)).ok(), Some(Resumption::Replayed));
    let values = drain(&mut session);
    assert_eq!(values[0], json!({"op": 9, "d": null}), "without a number");
    let rest: Vec<_> = values[1..].iter().map(|v| (v["seq"].as_u64(), v["d"]["ssrc"].as_u64())).collect();
    assert_eq!(rest, [(Some(4), Some(2)), (Some(5), Some(3)), (Some(6), Some(4))]);
}

#[test]
fn older_versions_go_on_without_what_they_missed() {
    for number in 4..=7 {
        let mut session = session(number);
        session.handle_detached(100);
        session.send(&numbered(1));
        assert_eq!(session.resume(connect(number), None).ok(), Some(Resumption::StateLost));
        assert_eq!(drain(&mut session), [json!({"op": 9, "d": null})]);
        session.send(&numbered(2));
        assert_eq!(
            session.poll_transmit().expect("it goes on").text(),
            Some(r#"{"op":5,"d":{"user_id":"8","ssrc":2,"speaking":1}}"#)
        );
    }
}

#[test]
fn what_cannot_be_resumed_is_closed_with_4006() {
    let config = VoiceConfig { replay_max_events: 5, unsent_max_events: 2, ..VoiceConfig::default() };
    let mut session = session_with(8, config);
    session.handle_detached(1);
    (0..20).for_each(|n| assert!(session.send(&numbered(n))));
    for (number, seq_ack) in [(8, Some(1)), (8, None), (8, Some(21)), (8, Some(9_999)), (4, None), (7, Some(16))] {
        let mut refused =
            session.resume(connect(number), seq_ack).expect_err("not kept, never sent or another version");
        assert_eq!(refused.poll_event(), Some(Event::Close(VoiceCloseCode::SessionInvalid)), "{number} {seq_ack:?}");
        assert!(!session.is_ended() && !session.is_attached());
    }
}

#[test]
fn a_client_that_never_got_ready_gets_it_by_resume() {
    let mut session = session(8);
    session.describe(description());
    session.handle_detached(1);
    assert!(session.resume(connect(8), None).is_ok());
    assert_eq!(ops(&mut session), [9, 2, 4]);
}

#[test]
fn a_second_connection_takes_over_from_one_that_still_seems_alive() {
    let mut session = session(8);
    session.send(&numbered(1));
    assert!(session.resume(connect(8), Some(1)).is_ok());
    assert_eq!(ops(&mut session), [9, 5]);
    // One that fails leaves the other as it was.
    assert!(session.resume(connect(8), Some(99)).is_err());
    assert!(session.is_attached());
}

#[test]
fn whoever_does_not_come_back_in_time_is_gone() {
    let mut session = session(8);
    session.handle_detached(1_000);
    assert_eq!(session.poll_timeout(), Some(61_000));
    session.handle_timeout(60_999);
    assert!(!session.is_ended());
    session.handle_timeout(61_000);
    assert_eq!(events(&mut session), [Event::Ended(EndReason::ResumeWindowPassed)]);
    assert!(session.resume(connect(8), Some(1)).is_err());
    assert!(!session.send(&numbered(1)));
}

proptest! {
    /// Whenever the socket breaks, and whatever the client had read by then: after RESUME it has seen every message once and
    /// in order, or it was told 4006.
    #[test]
    fn nothing_is_lost_doubled_or_out_of_order(steps in proptest::collection::vec((0_u8..5, 0_usize..12), 1..80)) {
        let config = VoiceConfig { replay_max_events: 40, unsent_max_events: 30, ..VoiceConfig::default() };
        let mut session = session_with(8, config);
        let (mut sent, mut seen, mut last_seq) = (0_u32, Vec::new(), 1_u16);
        for (step, count) in steps {
            match step {
                0 | 1 => for _ in 0..count {
                    session.send(&numbered(sent));
                    sent += 1;
                },
                2 => for _ in 0..count {
                    let Some(transmit) = session.poll_transmit() else { break };
                    let value: serde_json::Value = serde_json::from_str(transmit.text().expect("text")).expect("JSON");
                    if let Some(seq) = value["seq"].as_u64() {
                        last_seq = u16::try_from(seq).expect("of 16 bits");
                        seen.push(u32::try_from(value["d"]["ssrc"].as_u64().expect("one")).expect("small"));
                    }
                },
                3 => send(&mut session, 0, &json!({"op": 3, "d": {"t": 1, "seq_ack": last_seq}})),
                _ => {
                    // The kernel took some that the client never saw.
                    for _ in 0..count {
                        session.poll_transmit();
                    }
                    session.handle_detached(1);
                }
            }
            let codes = closed_with(&mut session);
            prop_assert!(codes.is_none() || codes == Some(VoiceCloseCode::VoiceServerCrashed));
            if !session.is_attached() {
                session.handle_detached(1);
                if session.resume(connect(8), Some(last_seq)).is_err() {
                    let missed = sent as usize - seen.len();
                    prop_assert!(missed > 40, "refused with {missed} missed");
                    return Ok(());
                }
            }
        }
        while let Some(transmit) = session.poll_transmit() {
            let value: serde_json::Value = serde_json::from_str(transmit.text().expect("text")).expect("JSON");
            if value["seq"].is_u64() {
                seen.push(u32::try_from(value["d"]["ssrc"].as_u64().expect("one")).expect("small"));
            }
        }
        prop_assert_eq!(seen, (0..sent).collect::<Vec<_>>());
    }
}
