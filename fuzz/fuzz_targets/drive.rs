//! A whole session against frames that a client made up.

use rookery_model::UserId;
use rookery_model::gateway::Event;
use rookery_session::{
    Action, Connection, Encoding, Frame, GatewayParams, Payload, Session, SessionConfig, SessionInit,
};
use std::sync::Arc;

/// Sends the frames, each introduced by a byte for the time that passes, and checks what must hold whatever they are.
pub fn drive(encoding: Encoding, frames: &[u8]) {
    let config = Arc::new(SessionConfig::default());
    let params = GatewayParams { encoding, ..GatewayParams::default() };
    let mut connection = Some(Connection::new(0, Arc::clone(&config), params));
    let mut session: Option<Session> = None;
    let (mut now_ms, mut seq) = (0, 0);
    // 0x1e separates records; it is no part of JSON.
    for frame in frames.split(|b| *b == 0x1e).take(64) {
        let Some((pause, frame)) = frame.split_first() else { continue };
        now_ms += u64::from(*pause) * 100;
        let action = if let Some(session) = &mut session {
            session.handle_timeout(now_ms);
            session.handle_frame(now_ms, Frame::Binary(frame));
            session.handle_dispatch(Payload::new(Event::Resumed));
            while let Some(transmit) = session.poll_transmit() {
                assert!(!transmit.is_empty());
            }
            assert!(session.last_seq() >= seq, "numbers never go back");
            seq = session.last_seq();
            session.poll_action()
        } else {
            let Some(connection) = &mut connection else { return };
            connection.handle_timeout(now_ms);
            connection.handle_frame(now_ms, Frame::Binary(frame));
            while connection.poll_transmit().is_some() {}
            connection.poll_action()
        };
        match action {
            Some(Action::Identify(identify)) => {
                let init = SessionInit::from_identify(
                    "s",
                    UserId::new(7),
                    false,
                    rookery_model::gateway::Intents::all(),
                    &identify,
                )
                .expect("the connection checked shard and intents");
                session = Some(Session::new(init, connection.take().expect("it identified")));
            }
            Some(Action::Resume(resume)) => {
                let config = Arc::clone(&config);
                let init = SessionInit { session_id: "s".into(), user_id: UserId::new(7), intents: None, shard: None };
                let mut resumed = Session::new(init, Connection::new(now_ms, config, params));
                resumed.handle_dispatch(Payload::new(Event::Resumed));
                resumed.handle_detached(now_ms);
                match resumed.resume(now_ms, connection.take().expect("it resumed"), resume.seq) {
                    Ok(()) => {
                        assert!(resume.seq <= 1, "a number that was never given out was accepted");
                        session = Some(resumed);
                    }
                    Err(refused) => {
                        assert!(resume.seq > 1, "a number that is kept was refused");
                        connection = Some(*refused);
                    }
                }
            }
            Some(Action::Close(code)) => {
                assert!((4000..4015).contains(&code.code()));
                return;
            }
            _ => {}
        }
    }
}
