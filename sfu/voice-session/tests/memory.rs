//! What a session costs in this crate.

// Counting bytes needs an allocator of one's own.
#![allow(unsafe_code)]

#[path = "behaviour/common.rs"]
mod common;

use common::*;
use rookery_voice_session::VoiceConfig;
use serde_json::json;
use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

struct Counting;

static IN_USE: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator with the arguments it came with.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        IN_USE.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// One test, because others would count too.
#[test]
fn a_session_in_a_lively_room_stays_below_6_kib() {
    const SESSIONS: usize = 100;
    let config = Arc::new(VoiceConfig::default());
    // Shared by all, so it does not count: 300 people begin to speak between two heartbeats.
    let room: Vec<_> = (0..300).map(numbered).collect();
    for number in [4, 8] {
        let before = IN_USE.load(Ordering::Relaxed);
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
        let bytes = (IN_USE.load(Ordering::Relaxed) - before) / SESSIONS;
        assert!(bytes < 6 * 1_024, "version {number}: {bytes}");
        black_box(sessions);
    }
}
