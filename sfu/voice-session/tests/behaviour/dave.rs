//! End-to-end encryption: the policy, and the binary form of its messages.

use crate::common::*;
use rookery_model::voice::{
    DaveExecuteTransition, DavePolicy, DavePrepareEpoch, DavePrepareTransition, VoiceCloseCode,
};
use rookery_voice_session::{DaveMessage, Event, Frame, Payload, ServerEvent, Session, SessionInit};
use serde_json::json;

fn session_of(number: u8, dave: DavePolicy, dave_max: u16) -> Result<Session, VoiceCloseCode> {
    let mut connection = connect(number);
    connection.handle_frame(0, Frame::Text(&identify().to_string()));
    let Some(Event::Identify(identify)) = connection.poll_event() else { panic!("no IDENTIFY") };
    let init = SessionInit::from_identify(&identify, dave, dave_max)?;
    let mut session = Session::new(init, ready(), connection);
    session.poll_transmit().expect("READY");
    Ok(session)
}

#[test]
fn the_version_agreed_on_is_told_and_required_refuses_rather_than_downgrades() {
    for (dave, dave_max, version) in
        [(DavePolicy::Off, 1, 0), (DavePolicy::Preferred, 0, 0), (DavePolicy::Required, 1, 1)]
    {
        let mut session = session_of(8, dave, dave_max).expect("possible");
        session.describe(description());
        assert_eq!(drain(&mut session)[0]["d"]["dave_protocol_version"], version);
    }
    let refused = session_of(8, DavePolicy::Required, 0).expect_err("this server cannot");
    assert_eq!(refused.code(), 4017);
}

#[test]
fn binary_messages_have_their_number_in_front_from_version_8_on() {
    let events = [
        (25, ServerEvent::DaveMlsExternalSender(vec![1, 2, 3])),
        (27, ServerEvent::DaveMlsProposals(vec![1, 2, 3])),
        (29, ServerEvent::DaveMlsAnnounceCommitTransition(vec![1, 2, 3])),
        (30, ServerEvent::DaveMlsWelcome(vec![1, 2, 3])),
    ];
    for (op, event) in events {
        let payload = Payload::new(&event);
        let (mut v4, mut v8) = (session(4), session(8));
        assert!(v4.send(&payload) && v8.send(&payload));
        assert_eq!(v4.poll_transmit().expect("it").as_bytes(), [op, 1, 2, 3]);
        assert_eq!(v8.poll_transmit().expect("it").as_bytes(), [0, 2, op, 1, 2, 3]);
        // And by RESUME with the same number.
        v8.handle_detached(1);
        assert!(v8.resume(connect(8), Some(1)).is_ok());
        v8.poll_transmit().expect("RESUMED");
        assert_eq!(v8.poll_transmit().expect("it").as_bytes(), [0, 2, op, 1, 2, 3]);
    }
}

#[test]
fn the_others_are_text() {
    let cases = [
        (
            ServerEvent::DavePrepareTransition(DavePrepareTransition { protocol_version: 0, transition_id: 7 }),
            json!({"op": 21, "d": {"protocol_version": 0, "transition_id": 7}}),
        ),
        (
            ServerEvent::DaveExecuteTransition(DaveExecuteTransition { transition_id: 7 }),
            json!({"op": 22, "d": {"transition_id": 7}}),
        ),
        (
            ServerEvent::DavePrepareEpoch(DavePrepareEpoch { protocol_version: 1, epoch: 1 }),
            json!({"op": 24, "d": {"protocol_version": 1, "epoch": 1}}),
        ),
    ];
    for (event, expected) in cases {
        let mut session = session(4);
        session.send(&Payload::new(&event));
        assert_eq!(drain(&mut session), [expected]);
    }
}

#[test]
fn what_clients_send_reaches_the_shell_where_it_was_agreed_on_and_is_passed_over_elsewhere() {
    let frames: [(Frame<'_>, DaveMessage); 4] = [
        (Frame::Binary(&[26, 9, 8]), DaveMessage::KeyPackage(vec![9, 8])),
        (Frame::Binary(&[28, 9]), DaveMessage::CommitWelcome(vec![9])),
        (Frame::Text(r#"{"op":23,"d":{"transition_id":7}}"#), DaveMessage::TransitionReady { transition_id: 7 }),
        (Frame::Text(r#"{"op":31,"d":{"transition_id":7}}"#), DaveMessage::InvalidCommitWelcome { transition_id: 7 }),
    ];
    for (frame, message) in frames {
        for number in [4, 8] {
            let mut agreed = session_of(number, DavePolicy::Preferred, 1).expect("possible");
            agreed.handle_frame(1, frame);
            assert_eq!(events(&mut agreed), [Event::Dave(message.clone())]);
            let mut without = session(number);
            without.handle_frame(1, frame);
            assert_eq!(events(&mut without), []);
            assert!(without.is_attached());
        }
    }
}
