//! Messages to the voice gateway, against a whole session.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rookery_model::voice::{DavePolicy, EncryptionMode, Ssrc, VoiceReady, VoiceVersion};
use rookery_voice_session::{Connection, Event, Frame, Session, SessionInit, VoiceConfig};
use std::sync::Arc;

// The first byte is the version; then messages, apart by 0x1e, each introduced by a byte for its form and the time that
// passes. 0x1e is no part of JSON.
fuzz_target!(|data: &[u8]| {
    let Some((first, frames)) = data.split_first() else { return };
    let version = VoiceVersion::new(4 + first % 5).expect("4 to 8 are spoken");
    let config = Arc::new(VoiceConfig::default());
    let mut connection = Some(Connection::new(0, Arc::clone(&config), version));
    let mut session: Option<Session> = None;
    let mut now_ms = 0;
    for frame in frames.split(|byte| *byte == 0x1e).take(64) {
        let Some((how, frame)) = frame.split_first() else { continue };
        now_ms += u64::from(how >> 1) * 100;
        let frame = match std::str::from_utf8(frame) {
            Ok(text) if how & 1 == 0 => Frame::Text(text),
            _ => Frame::Binary(frame),
        };
        let event = if let Some(session) = &mut session {
            session.handle_timeout(now_ms);
            session.handle_frame(now_ms, frame);
            while session.poll_transmit().is_some() {}
            session.poll_event()
        } else {
            let Some(connection) = &mut connection else { return };
            connection.handle_timeout(now_ms);
            connection.handle_frame(now_ms, frame);
            while connection.poll_transmit().is_some() {}
            connection.poll_event()
        };
        match event {
            Some(Event::Identify(identify)) => {
                let Ok(init) = SessionInit::from_identify(&identify, DavePolicy::Preferred, 1) else { return };
                let ready = VoiceReady {
                    ssrc: Ssrc(1_000),
                    ip: [127, 0, 0, 1].into(),
                    port: 1,
                    modes: EncryptionMode::ALL.to_vec(),
                    experiments: Vec::new(),
                    streams: identify.streams.clone(),
                    ice_servers: Vec::new(),
                };
                session = Some(Session::new(init, ready, connection.take().expect("it identified")));
            }
            Some(Event::Resume(resume)) => {
                if let Some(mut connection) = connection.take() {
                    let _ = resume.seq_ack;
                    connection.close(rookery_model::voice::VoiceCloseCode::SessionInvalid);
                }
                return;
            }
            Some(Event::Speaking { .. } | Event::Video(_)) => assert!(session.is_some()),
            Some(Event::Close(code)) => {
                assert!((4_001..=4_022).contains(&code.code()));
                return;
            }
            _ => {}
        }
    }
});
