//! What a session costs in this crate.

#[path = "behaviour/common.rs"]
mod common;

use common::*;
use rookery_test_allocations::{CountingAllocator, of_thread};
use rookery_voice_session::VoiceConfig;
use serde_json::json;
use std::hint::black_box;
use std::sync::Arc;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// One test, because others would count too.
#[test]
fn a_session_in_a_lively_room_stays_below_6_kib() {
    const SESSIONS: usize = 100;
    let config = Arc::new(VoiceConfig::default());
    // Shared by all, so it does not count: 300 people begin to speak between two heartbeats.
    let room: Vec<_> = (0..300).map(numbered).collect();
    for number in [4, 8] {
        let before = of_thread();
        let sessions: Vec<_> = (0..SESSIONS)
            .map(|_| {
                let mut session = session_with(number, (*config).clone());
                session.describe(description());
                for payload in &room {
                    assert!(session.send(payload) && session.poll_transmit().is_some());
                }
                while session.poll_transmit().is_some() {}
                let beat = if number < 8 { json!(1) } else { json!({"t": 1, "seq_ack": 1}) };
                send(&mut session, 1, &json!({"op": 3, "d": beat}));
                while session.poll_transmit().is_some() {}
                session
            })
            .collect();
        let bytes = (of_thread() - before).in_use_bytes() / SESSIONS as isize;
        assert!(bytes < 6 * 1_024, "version {number}: {bytes}");
        black_box(sessions);
    }
}
