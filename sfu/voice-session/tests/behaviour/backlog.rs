//! Clients that read too slowly, or not at all.

use crate::common::*;
use rookery_model::UserId;
use rookery_model::voice::{ClientsConnect, VoiceCloseCode};
use rookery_voice_session::{Payload, ServerEvent, VoiceConfig};
use serde_json::json;

#[test]
fn a_slow_reader_is_closed_with_a_code_after_which_clients_resume_and_then_has_it_all() {
    let config = VoiceConfig { unsent_max_events: 10, replay_max_events: 100, ..VoiceConfig::default() };
    let mut session = session_with(8, config.clone());
    (0..10).for_each(|n| assert!(session.send(&numbered(n))));
    assert_eq!(closed_with(&mut session), None);
    session.send(&numbered(10));
    assert_eq!(closed_with(&mut session), Some(VoiceCloseCode::VoiceServerCrashed));
    assert_eq!(session.poll_transmit(), None, "events are for RESUME");
    session.send(&numbered(11));
    session.handle_detached(1);
    let mut fresh = connect_with(8, config);
    fresh.poll_transmit().expect("HELLO");
    assert!(session.resume(fresh, Some(1)).is_ok());
    session.send(&numbered(12));
    assert_eq!(closed_with(&mut session), None, "what waited when it came does not count");
    assert_eq!(seqs(&mut session), (2..=14).collect::<Vec<_>>());
}

#[test]
fn bytes_count_too() {
    let mut session = session_with(4, VoiceConfig { unsent_max_bytes: 50_000, ..VoiceConfig::default() });
    let user_ids = (0..1_000).map(|n| UserId::new(10_000_000_000_000_000 + n)).collect();
    let large = Payload::new(&ServerEvent::ClientsConnect(ClientsConnect { user_ids }));
    for _ in 0..20 {
        assert!(session.send(&large));
        assert!(session.poll_transmit().is_some() && session.is_attached(), "one that reads has no backlog");
    }
    (0..3).for_each(|_| assert!(session.send(&large)));
    assert_eq!(closed_with(&mut session), Some(VoiceCloseCode::VoiceServerCrashed));
}

#[test]
fn who_asks_for_answers_and_does_not_read_them_is_closed() {
    let mut session = session(8);
    (0..65).for_each(|_| send(&mut session, 1, &json!({"op": 3, "d": {"t": 1}})));
    assert_eq!(closed_with(&mut session), Some(VoiceCloseCode::RateLimited));
    assert!(session.is_ended());
}
