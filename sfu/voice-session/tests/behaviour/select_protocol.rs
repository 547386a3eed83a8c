//! SELECT_PROTOCOL and SESSION_DESCRIPTION.

use crate::common::*;
use rookery_model::voice::{CodecType, EncryptionMode, VoiceCloseCode};
use rookery_voice_session::{Event, Selected, Selection};
use serde_json::{Value, json};

fn udp(address: &str, port: u16, mode: &str) -> Value {
    json!({"op": 1, "d": {"protocol": "udp", "data": {"address": address, "port": port, "mode": mode}}})
}

fn selection(number: u8, payload: &Value) -> Selection {
    let mut session = session(number);
    send(&mut session, 1, payload);
    match session.poll_event() {
        Some(Event::SelectProtocol(selection)) => *selection,
        other => panic!("{other:?}"),
    }
}

#[test]
fn udp_in_both_modes() {
    for mode in EncryptionMode::ALL {
        for number in [4, 8] {
            let address = Some("192.0.2.1:1337".parse().expect("an address"));
            assert_eq!(
                selection(number, &udp("192.0.2.1", 1_337, mode.name())).selected,
                Selected::Udp { address, mode }
            );
        }
    }
    // A dual-stack socket shows clients of IPv4 so.
    let address = Some("192.0.2.1:9".parse().expect("an address"));
    let mode = EncryptionMode::Aes256Gcm;
    assert_eq!(selection(8, &udp("::ffff:192.0.2.1", 9, mode.name())).selected, Selected::Udp { address, mode });
}

#[test]
fn an_address_that_is_none_is_that_of_a_client_which_only_sends() {
    for (address, port) in [("", 1), ("localhost", 1), ("0.0.0.0", 1), ("::", 1), ("192.0.2.1", 0)] {
        let mode = EncryptionMode::Aes256Gcm;
        assert_eq!(selection(8, &udp(address, port, mode.name())).selected, Selected::Udp { address: None, mode });
    }
}

#[test]
fn a_browser_names_codecs_and_the_lines_of_its_offer() {
    let sdp = "a=ice-ufrag:9WZo\na=ice-pwd:vcfFowC3gQI1KHu0Fm5ZTXum";
    let payload = json!({"op": 1, "d": {"protocol": "webrtc", "data": sdp, "sdp": sdp, "rtc_connection_id": "d6b9",
        "codecs": [
            {"name": "opus", "type": "audio", "priority": 1000, "payload_type": 111, "rtx_payload_type": null},
            {"name": "VP8", "type": "video", "priority": 1000, "payload_type": 96, "rtx_payload_type": 97, "encode": false},
        ], "experiments": ["fixed_keyframe_interval"]}});
    let selection = selection(8, &payload);
    assert_eq!(selection.selected, Selected::WebRtc { sdp: sdp.into() });
    assert_eq!(selection.rtc_connection_id.as_deref(), Some("d6b9"));
    let codecs: Vec<_> = selection.codecs.iter().map(|c| (c.kind, c.payload_type, c.encode, c.decode)).collect();
    assert_eq!(codecs, [(CodecType::Audio, 111, true, true), (CodecType::Video, 96, false, true)]);
    let only_sdp = json!({"op": 1, "d": {"protocol": "webrtc", "sdp": sdp}});
    assert_eq!(self::selection(8, &only_sdp).selected, Selected::WebRtc { sdp: sdp.into() });
}

#[test]
fn each_mistake_has_its_code() {
    let mode = EncryptionMode::Aes256Gcm.name();
    let cases = [
        (json!({"protocol": "webrtc-p2p", "data": "v=0"}), VoiceCloseCode::UnknownProtocol),
        (
            json!({"protocol": "tcp", "data": {"address": "1.1.1.1", "port": 1, "mode": mode}}),
            VoiceCloseCode::UnknownProtocol,
        ),
        (
            json!({"protocol": "udp", "data": {"address": "1.1.1.1", "port": 1, "mode": "plain"}}),
            VoiceCloseCode::UnknownEncryptionMode,
        ),
        (
            json!({"protocol": "udp", "data": {"address": "1.1.1.1", "port": 1, "mode": "xsalsa20_poly1305"}}),
            VoiceCloseCode::UnknownEncryptionMode,
        ),
        (json!({"protocol": "udp"}), VoiceCloseCode::BadRequest),
        (json!({"protocol": "udp", "data": "v=0"}), VoiceCloseCode::BadRequest),
        (json!({"protocol": "webrtc"}), VoiceCloseCode::BadRequest),
        (json!({"protocol": "webrtc", "data": " "}), VoiceCloseCode::BadRequest),
        (
            json!({"protocol": "udp", "data": {"address": "1.1.1.1", "port": 65_536, "mode": mode}}),
            VoiceCloseCode::FailedToDecode,
        ),
        (json!({"data": "v=0"}), VoiceCloseCode::FailedToDecode),
        (json!(["udp"]), VoiceCloseCode::FailedToDecode),
        (
            json!({"protocol": "webrtc", "data": "v=0", "codecs": [{"name": "x", "type": "audio", "payload_type": 128}]}),
            VoiceCloseCode::FailedToDecode,
        ),
    ];
    for (d, code) in cases {
        let mut session = session(8);
        send(&mut session, 1, &json!({"op": 1, "d": d}));
        assert_eq!(closed_with(&mut session), Some(code), "{d}");
        assert!(session.is_ended(), "{d}");
    }
}

#[test]
fn a_mode_that_ready_did_not_offer_is_unknown() {
    let mut connection = connect(8);
    connection.handle_frame(0, rookery_voice_session::Frame::Text(&identify().to_string()));
    let Some(Event::Identify(identify)) = connection.poll_event() else { panic!("no IDENTIFY") };
    let init = rookery_voice_session::SessionInit::from_identify(&identify, Default::default(), 0).expect("fits");
    let mut ready = ready();
    ready.modes = vec![EncryptionMode::XChaCha20Poly1305];
    let mut session = rookery_voice_session::Session::new(init, ready, connection);
    send(&mut session, 1, &udp("192.0.2.1", 1, EncryptionMode::Aes256Gcm.name()));
    assert_eq!(closed_with(&mut session), Some(VoiceCloseCode::UnknownEncryptionMode));
}

#[test]
fn the_description_for_udp_has_the_key_as_numbers_and_the_dave_version_always() {
    for number in [4, 8] {
        let mut session = session(number);
        let mut wrong = description();
        wrong.dave_protocol_version = 9;
        session.describe(wrong);
        let mut values = drain(&mut session);
        if number < 8 {
            assert_eq!(values[0].get("seq"), None);
        } else {
            assert_eq!(values[0]["seq"].take(), json!(2));
        }
        let key: Vec<u8> = (0..32).collect();
        assert_eq!(
            values[0]["d"],
            json!({"mode": "aead_aes256_gcm_rtpsize", "secret_key": key, "audio_codec": "opus", "video_codec": "VP8",
                "media_session_id": "m", "dave_protocol_version": 0})
        );
    }
    assert!(!format!("{:?}", description()).contains("31"), "a key in a log");
}

#[test]
fn the_description_for_webrtc_has_the_sdp_instead() {
    let mut session = session(8);
    let mut webrtc = description();
    (webrtc.mode, webrtc.secret_key, webrtc.sdp) = (None, None, Some("a=ice-lite".into()));
    session.describe(webrtc);
    let value = drain(&mut session).remove(0);
    assert_eq!(value["d"]["sdp"], "a=ice-lite");
    assert_eq!((value["d"].get("mode"), value["d"].get("secret_key")), (None, None));
}

#[test]
fn a_client_whose_way_broke_may_choose_again() {
    let mut session = session(8);
    for port in [1, 2] {
        send(&mut session, 1, &udp("192.0.2.1", port, EncryptionMode::Aes256Gcm.name()));
        assert!(matches!(session.poll_event(), Some(Event::SelectProtocol(_))), "{port}");
    }
    send(&mut session, 1, &json!({"op": 32, "d": {}}));
    assert_eq!(session.poll_event(), Some(Event::NoRoute));
}
