//! A client's side of the wire.

#![allow(dead_code, reason = "each test file uses its own part")]

use rookery_model::UserId;
use rookery_model::voice::{
    DavePolicy, EncryptionMode, SecretKey, SessionDescription, SpeakingEvent, SpeakingFlags, Ssrc, VideoStream,
    VoiceCloseCode, VoiceReady, VoiceVersion,
};
use rookery_voice_session::{Connection, Event, Frame, Payload, ServerEvent, Session, SessionInit, VoiceConfig};
use serde_json::{Value, json};
use std::sync::Arc;

pub const OWN: Ssrc = Ssrc(1_000);
pub const OWN_VIDEO: Ssrc = Ssrc(1_001);
pub const OWN_RTX: Ssrc = Ssrc(1_002);

pub fn version(number: u8) -> VoiceVersion {
    VoiceVersion::new(number).expect("spoken here")
}

pub fn connect_with(number: u8, config: VoiceConfig) -> Connection {
    Connection::new(0, Arc::new(config), version(number))
}

/// A connection whose HELLO was read.
pub fn connect(number: u8) -> Connection {
    let mut connection = connect_with(number, VoiceConfig::default());
    connection.poll_transmit().expect("HELLO");
    connection
}

pub fn identify() -> Value {
    json!({"op": 0, "d": {"server_id": "41771983423143937", "user_id": "104694319306248192", "session_id": "s",
        "token": "t", "max_dave_protocol_version": 1}})
}

pub fn ready() -> VoiceReady {
    VoiceReady {
        ssrc: OWN,
        ip: [127, 0, 0, 1].into(),
        port: 50_000,
        modes: EncryptionMode::ALL.to_vec(),
        experiments: vec![],
        ice_servers: vec![],
        streams: vec![VideoStream {
            rid: "100".into(),
            quality: 100,
            ssrc: Some(OWN_VIDEO),
            rtx_ssrc: Some(OWN_RTX),
            ..VideoStream::default()
        }],
    }
}

/// A session over a connection that was made with these settings, whose READY was read.
pub fn session_with(number: u8, config: VoiceConfig) -> Session {
    let mut connection = connect_with(number, config);
    connection.handle_frame(0, Frame::Text(&identify().to_string()));
    let Some(Event::Identify(identify)) = connection.poll_event() else { panic!("no IDENTIFY") };
    let init = SessionInit::from_identify(&identify, DavePolicy::Off, 0).expect("off fits everybody");
    let mut session = Session::new(init, ready(), connection);
    assert_eq!(ops(&mut session), [8, 2], "HELLO, READY");
    session
}

pub fn session(number: u8) -> Session {
    session_with(number, VoiceConfig::default())
}

pub fn send(session: &mut Session, now_ms: u64, payload: &Value) {
    session.handle_frame(now_ms, Frame::Text(&payload.to_string()));
}

/// What waits to be sent.
pub fn drain(session: &mut Session) -> Vec<Value> {
    let mut values = Vec::new();
    while let Some(transmit) = session.poll_transmit() {
        let text = transmit.text().expect("text");
        values.push(serde_json::from_str(text).expect("JSON"));
    }
    values
}

pub fn ops(session: &mut Session) -> Vec<u64> {
    drain(session).iter().map(|value| value["op"].as_u64().expect("an opcode")).collect()
}

pub fn seqs(session: &mut Session) -> Vec<u64> {
    drain(session).iter().filter_map(|value| value["seq"].as_u64()).collect()
}

pub fn events(session: &mut Session) -> Vec<Event> {
    std::iter::from_fn(|| session.poll_event()).collect()
}

/// The code that the shell was told to close with.
pub fn closed_with(session: &mut Session) -> Option<VoiceCloseCode> {
    events(session).into_iter().find_map(|event| if let Event::Close(code) = event { Some(code) } else { None })
}

/// A message that can be told from others.
pub fn numbered(n: u32) -> Arc<Payload> {
    let speaking = SpeakingFlags::VOICE;
    Payload::new(&ServerEvent::Speaking(SpeakingEvent { user_id: UserId::new(8), ssrc: Ssrc(n), speaking }))
}

pub fn description() -> SessionDescription {
    SessionDescription {
        audio_codec: "opus".into(),
        video_codec: "VP8".into(),
        media_session_id: "m".into(),
        mode: Some(EncryptionMode::Aes256Gcm),
        secret_key: Some(SecretKey(std::array::from_fn(|n| n as u8))),
        sdp: None,
        keyframe_interval: None,
        dave_protocol_version: 0,
    }
}
