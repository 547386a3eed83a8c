//! From HELLO to READY.

use crate::common::*;
use rookery_model::voice::{DavePolicy, MediaType, VoiceCloseCode};
use rookery_voice_session::{Event, Frame, SessionInit, VoiceConfig};
use serde_json::{Value, json};

#[test]
fn hello_comes_first_with_the_interval_as_a_float() {
    for number in 4..=8 {
        let mut connection = connect_with(number, VoiceConfig::default());
        let hello = connection.poll_transmit().expect("HELLO");
        let expected = format!(r#"{{"op":8,"d":{{"heartbeat_interval":13750.0,"v":{number}}}}}"#);
        assert_eq!(hello.text(), Some(expected.as_str()));
        assert_eq!(connection.poll_transmit(), None);
    }
}

#[test]
fn identify_is_handed_to_the_shell_and_ready_answers() {
    let mut connection = connect(8);
    connection.handle_frame(1, Frame::Text(&identify().to_string()));
    let Some(Event::Identify(wanted)) = connection.poll_event() else { panic!("no IDENTIFY") };
    assert_eq!((wanted.server_id.get(), wanted.user_id.get()), (41_771_983_423_143_937, 104_694_319_306_248_192));
    assert_eq!((wanted.session_id.as_str(), wanted.token.bare()), ("s", "t"));
    assert_eq!(wanted.max_dave_protocol_version, 1);
    assert!(!format!("{wanted:?}").contains("\"t\""), "a token in a log");
    assert_eq!(connection.poll_transmit(), None, "nothing before the shell decided");

    let init = SessionInit::from_identify(&wanted, DavePolicy::Off, 0).expect("off fits everybody");
    let mut session = rookery_voice_session::Session::new(init, ready(), connection);
    let expected = json!({"op": 2, "seq": 1, "d": {
        "ssrc": 1_000, "ip": "127.0.0.1", "port": 50_000, "experiments": [],
        "modes": ["aead_aes256_gcm_rtpsize", "aead_xchacha20_poly1305_rtpsize"],
        "streams": [{"type": "video", "rid": "100", "quality": 100, "active": false, "ssrc": 1_001, "rtx_ssrc": 1_002}],
    }});
    assert_eq!(drain(&mut session), [expected]);
}

#[test]
fn a_user_client_offers_its_video() {
    let mut connection = connect(8);
    let mut payload = identify();
    payload["d"]["video"] = json!(true);
    payload["d"]["channel_id"] = json!("127121515262115840");
    payload["d"]["streams"] =
        json!([{"type": "video", "rid": "100", "quality": 100}, {"type": "screen", "rid": "50", "quality": 50}]);
    connection.handle_frame(1, Frame::Text(&payload.to_string()));
    let Some(Event::Identify(identify)) = connection.poll_event() else { panic!("no IDENTIFY") };
    assert!(identify.video);
    let kinds: Vec<_> = identify.streams.iter().map(|stream| (stream.kind, stream.rid.as_str())).collect();
    assert_eq!(kinds, [(MediaType::Video, "100"), (MediaType::Screen, "50")]);
}

#[test]
fn whoever_does_not_identify_in_time_is_closed() {
    let mut connection = connect(8);
    connection.handle_timeout(9_999);
    assert_eq!((connection.poll_event(), connection.poll_timeout()), (None, Some(10_000)));
    connection.handle_timeout(10_000);
    assert_eq!(connection.poll_event(), Some(Event::Close(VoiceCloseCode::SessionTimeout)));
    assert_eq!(connection.poll_timeout(), None);
}

#[test]
fn a_second_identify_is_refused_before_and_after_the_first_was_answered() {
    let mut connection = connect(8);
    connection.handle_frame(1, Frame::Text(&identify().to_string()));
    connection.handle_frame(1, Frame::Text(&identify().to_string()));
    assert!(matches!(connection.poll_event(), Some(Event::Identify(_))));
    assert_eq!(connection.poll_event(), Some(Event::Close(VoiceCloseCode::AlreadyAuthenticated)));

    let mut session = session(4);
    send(&mut session, 1, &identify());
    assert_eq!(closed_with(&mut session), Some(VoiceCloseCode::AlreadyAuthenticated));
}

#[test]
fn before_identify_nothing_else_is_taken() {
    let others = [
        json!({"op": 1, "d": {"protocol": "udp"}}),
        json!({"op": 5, "d": {"speaking": 1, "ssrc": 1}}),
        json!({"op": 12, "d": {}}),
        json!({"op": 15, "d": {"any": 100}}),
        json!({"op": 16, "d": {}}),
        json!({"op": 5, "d": "rubbish"}),
    ];
    for payload in others {
        let mut connection = connect(8);
        connection.handle_frame(1, Frame::Text(&payload.to_string()));
        assert_eq!(connection.poll_event(), Some(Event::Close(VoiceCloseCode::NotAuthenticated)), "{payload}");
    }
}

#[test]
fn a_wrong_token_is_answered_by_the_shell_with_its_code() {
    let mut connection = connect(8);
    connection.handle_frame(1, Frame::Text(&identify().to_string()));
    connection.poll_event();
    connection.close(VoiceCloseCode::AuthenticationFailed);
    assert_eq!(connection.poll_event(), Some(Event::Close(VoiceCloseCode::AuthenticationFailed)));
    connection.handle_frame(2, Frame::Text(&identify().to_string()));
    assert_eq!(connection.poll_event(), None, "a closed connection reads nothing");
}

#[test]
fn an_identify_that_lacks_something_cannot_be_decoded() {
    for field in ["server_id", "user_id", "session_id", "token"] {
        let mut connection = connect(8);
        let mut payload = identify();
        payload["d"].as_object_mut().expect("an object").remove(field);
        connection.handle_frame(1, Frame::Text(&payload.to_string()));
        assert_eq!(connection.poll_event(), Some(Event::Close(VoiceCloseCode::FailedToDecode)), "{field}");
    }
    let streams: Vec<Value> = (0..9).map(|n| json!({"rid": n.to_string()})).collect();
    for streams in [json!(streams), json!([{"rid": "x".repeat(17)}]), json!([{"quality": 101}])] {
        let mut connection = connect(8);
        let mut payload = identify();
        payload["d"]["streams"] = streams;
        connection.handle_frame(1, Frame::Text(&payload.to_string()));
        assert_eq!(connection.poll_event(), Some(Event::Close(VoiceCloseCode::FailedToDecode)));
    }
}
