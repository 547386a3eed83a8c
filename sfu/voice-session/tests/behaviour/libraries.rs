//! What unmodified libraries send, in the order in which they do, and what they rely on in the answers.

use crate::common::*;
use rookery_model::voice::{DavePolicy, SpeakingFlags};
use rookery_voice_session::{Event, Frame, Selected, Session, SessionInit};

/// Plays a library's messages up to its first audio and gives the session.
fn play(number: u8, identify: &str, select: &str, speaking: &str) -> Session {
    // None of them waits for HELLO.
    let mut connection = connect_with(number, Default::default());
    connection.handle_frame(0, Frame::Text(identify));
    let Some(Event::Identify(identify)) = connection.poll_event() else { panic!("no IDENTIFY") };
    let init = SessionInit::from_identify(&identify, DavePolicy::Off, 0).expect("off fits everybody");
    let mut session = Session::new(init, ready(), connection);
    assert_eq!(ops(&mut session), [8, 2]);
    session.handle_frame(1, Frame::Text(select));
    let Some(Event::SelectProtocol(selection)) = session.poll_event() else { panic!("no SELECT_PROTOCOL") };
    assert!(matches!(selection.selected, Selected::Udp { address: Some(_), .. }));
    session.describe(description());
    session.handle_frame(2, Frame::Text(speaking));
    assert!(matches!(session.poll_event(), Some(Event::Speaking { ssrc: OWN, .. })));
    session
}

#[test]
fn discordjs_voice() {
    let mut session = play(
        8,
        r#"{"op":0,"d":{"server_id":"1","user_id":"2","session_id":"s","token":"t","max_dave_protocol_version":1}}"#,
        r#"{"op":1,"d":{"protocol":"udp","data":{"address":"127.0.0.1","port":5,"mode":"aead_aes256_gcm_rtpsize"}}}"#,
        r#"{"op":5,"d":{"speaking":1,"delay":0,"ssrc":1000}}"#,
    );
    session.handle_frame(3, Frame::Text(r#"{"op":3,"d":{"t":1764190000000,"seq_ack":2}}"#));
    assert_eq!(ops(&mut session), [6, 4]);
    // After a broken socket; its last number goes along.
    session.handle_detached(4);
    let mut fresh = connect(8);
    fresh.handle_frame(5, Frame::Text(r#"{"op":7,"d":{"server_id":"1","session_id":"s","token":"t","seq_ack":2}}"#));
    let Some(Event::Resume(resume)) = fresh.poll_event() else { panic!("no RESUME") };
    assert!(session.resume(fresh, resume.seq_ack).is_ok());
    assert_eq!(ops(&mut session), [9]);
}

#[test]
fn discord_py() {
    let mut session = play(
        8,
        r#"{"op":0,"d":{"server_id":"1","user_id":"2","session_id":"s","token":"t","max_dave_protocol_version":0}}"#,
        r#"{"op":1,"d":{"protocol":"udp","data":{"address":"127.0.0.1","port":5,"mode":"aead_xchacha20_poly1305_rtpsize"}}}"#,
        r#"{"op":5,"d":{"speaking":0,"delay":0,"ssrc":1000}}"#,
    );
    // It beats every five seconds, whatever HELLO said.
    for n in 0..50 {
        session.handle_frame(n * 5_000, Frame::Text(r#"{"op":3,"d":{"t":1764190000000,"seq_ack":-1}}"#));
        assert!(ops(&mut session).contains(&6));
    }
    assert!(session.is_attached());
}

#[test]
fn songbird() {
    let mut session = play(
        4,
        r#"{"op":0,"d":{"server_id":"1","session_id":"s","token":"t","user_id":"2","max_dave_protocol_version":1}}"#,
        r#"{"op":1,"d":{"data":{"address":"127.0.0.1","mode":"aead_aes256_gcm_rtpsize","port":5},"protocol":"udp"}}"#,
        r#"{"op":5,"d":{"delay":0,"speaking":1,"ssrc":1000,"user_id":null}}"#,
    );
    session.handle_frame(3, Frame::Text(r#"{"op":5,"d":{"delay":0,"speaking":0,"ssrc":1000,"user_id":null}}"#));
    assert_eq!(session.poll_event(), Some(Event::Speaking { ssrc: OWN, flags: SpeakingFlags::empty() }));
    session.send(&numbered(9));
    while let Some(transmit) = session.poll_transmit() {
        let text = transmit.text().expect("text");
        // Its reader takes `op` first and stops behind `d`: anything more is an error to it.
        assert!(text.starts_with(r#"{"op":"#) && text.ends_with("}}") && !text.contains("seq"), "{text}");
    }
}
