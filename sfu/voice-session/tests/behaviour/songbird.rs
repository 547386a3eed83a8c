//! Against songbird's own types: what it writes is taken, and what it gets it reads as what it is.

use crate::common::*;
use rookery_model::UserId;
use rookery_model::voice::{
    ClientDisconnect, ClientFlags, ClientPlatform, ClientsConnect, DavePolicy, Ssrc, VideoEvent,
};
use rookery_voice_session::{Connection, Event, Frame, Payload, Selected, ServerEvent, Session, SessionInit, Transmit};
use serenity_voice_model as theirs;
use std::net::IpAddr;

fn written(event: impl Into<theirs::Event>) -> String {
    serde_json::to_string(&event.into()).expect("songbird writes it")
}

fn read(transmit: Option<Transmit>) -> theirs::Event {
    let transmit = transmit.expect("a message");
    let text = transmit.text().expect("text");
    serde_json::from_str(text).unwrap_or_else(|error| panic!("songbird cannot read {text}: {error}"))
}

fn connect_it() -> Connection {
    let mut connection = connect_with(4, Default::default());
    let theirs::Event::Hello(hello) = read(connection.poll_transmit()) else { panic!("no HELLO") };
    assert!((hello.heartbeat_interval - 13_750.0).abs() < f64::EPSILON);
    connection
}

fn identified() -> Session {
    let mut connection = connect_it();
    let identify = theirs::payload::Identify {
        server_id: theirs::id::GuildId(1),
        session_id: "s".into(),
        token: "t".into(),
        user_id: theirs::id::UserId(7),
        max_dave_protocol_version: Some(1),
    };
    connection.handle_frame(0, Frame::Text(&written(identify)));
    let Some(Event::Identify(identify)) = connection.poll_event() else { panic!("no IDENTIFY") };
    assert_eq!((identify.server_id.get(), identify.user_id.get()), (1, 7));
    let init = SessionInit::from_identify(&identify, DavePolicy::Off, 0).expect("off fits everybody");
    let mut session = Session::new(init, ready(), connection);
    let theirs::Event::Ready(ready) = read(session.poll_transmit()) else { panic!("no READY") };
    assert_eq!((ready.ssrc, ready.ip, ready.port, ready.modes.len()), (OWN.0, IpAddr::from([127, 0, 0, 1]), 50_000, 2));
    session
}

#[test]
fn its_way_to_audio() {
    let mut session = identified();
    let select = theirs::payload::SelectProtocol {
        protocol: "udp".into(),
        data: theirs::ProtocolData { address: [127, 0, 0, 1].into(), mode: "aead_aes256_gcm_rtpsize".into(), port: 9 },
    };
    session.handle_frame(1, Frame::Text(&written(select)));
    let Some(Event::SelectProtocol(selection)) = session.poll_event() else { panic!("no SELECT_PROTOCOL") };
    assert!(matches!(selection.selected, Selected::Udp { address: Some(_), .. }));
    session.describe(description());
    let theirs::Event::SessionDescription(told) = read(session.poll_transmit()) else { panic!("no description") };
    assert_eq!(told.secret_key, (0..32).collect::<Vec<u8>>());
    assert_eq!((told.mode.as_str(), told.dave_protocol_version), ("aead_aes256_gcm_rtpsize", 0));

    let speaking = theirs::payload::Speaking {
        delay: Some(0),
        speaking: theirs::SpeakingState::MICROPHONE,
        ssrc: OWN.0,
        user_id: None,
    };
    session.handle_frame(2, Frame::Text(&written(speaking)));
    assert!(matches!(session.poll_event(), Some(Event::Speaking { ssrc: OWN, .. })));
    for nonce in [0, (1 << 53) - 1] {
        session.handle_frame(3, Frame::Text(&written(theirs::payload::Heartbeat { nonce })));
        let theirs::Event::HeartbeatAck(ack) = read(session.poll_transmit()) else { panic!("no ACK") };
        assert_eq!(ack.nonce, nonce);
    }
    assert_eq!(session.poll_event(), None);
}

#[test]
fn what_the_room_tells() {
    let user_id = UserId::new(8);
    let told = |event: ServerEvent| {
        let mut session = identified();
        assert!(session.send(&Payload::new(&event)));
        read(session.poll_transmit())
    };
    let id = theirs::id::UserId(8);
    let connected = told(ServerEvent::ClientsConnect(ClientsConnect { user_ids: vec![user_id] }));
    assert!(matches!(connected, theirs::Event::ClientsConnect(e) if e.user_ids == [id]));
    let gone = told(ServerEvent::ClientDisconnect(ClientDisconnect { user_id }));
    assert!(matches!(gone, theirs::Event::ClientDisconnect(e) if e.user_id == id));
    let flags = told(ServerEvent::ClientFlags(ClientFlags { user_id, flags: None }));
    assert!(matches!(flags, theirs::Event::Flags(e) if e.user_id == id));
    let platform = told(ServerEvent::ClientPlatform(ClientPlatform { user_id, platform: Some(0) }));
    assert!(matches!(platform, theirs::Event::Platform(e) if e.platform == Some(0)));
    // It takes the opcode for an older event that has these fields.
    let video = VideoEvent { user_id, audio_ssrc: Ssrc(5), video_ssrc: Ssrc(6), streams: vec![] };
    assert!(matches!(told(ServerEvent::Video(video)), theirs::Event::ClientConnect(e) if e.audio_ssrc == 5));

    let mut session = identified();
    session.send(&numbered(5));
    let theirs::Event::Speaking(speaking) = read(session.poll_transmit()) else { panic!("no SPEAKING") };
    assert_eq!((speaking.user_id, speaking.ssrc, speaking.speaking.microphone()), (Some(id), 5, true));
}

#[test]
fn its_resume() {
    let mut session = identified();
    session.handle_detached(1);
    let mut fresh = connect_it();
    let resume =
        theirs::payload::Resume { server_id: theirs::id::GuildId(1), session_id: "s".into(), token: "t".into() };
    fresh.handle_frame(2, Frame::Text(&written(resume)));
    let Some(Event::Resume(resume)) = fresh.poll_event() else { panic!("no RESUME") };
    assert!(session.resume(fresh, resume.seq_ack).is_ok());
    assert!(matches!(read(session.poll_transmit()), theirs::Event::Resumed));
}
