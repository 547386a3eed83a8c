//! What an idle session costs in this crate.

// Counting bytes needs an allocator of one's own.
#![allow(unsafe_code)]

#[path = "behaviour/common.rs"]
mod common;

use common::*;
use rookery_session::{Payload, Session};
use serde_json::json;
use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
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

/// One test, so that nothing else allocates meanwhile.
#[test]
fn an_idle_session_stays_below_3_kib() {
    let config = config();
    let shared: Vec<_> = (0..200).map(|n| Payload::new(numbered(n))).collect();
    let make = || {
        let (mut session, mut reader) = session_with("v=10", ALL_INTENTS, config.clone());
        assert!(session.handle_own_dispatch(&ready("s1")));
        drain(&mut session, &mut reader);
        session
    };
    // What is made once for all: the RESUMED payload, the shared events' text.
    drop(make());
    let measure = |act: &dyn Fn(&mut Session)| {
        const SESSIONS: usize = 100;
        let mut sessions = Vec::with_capacity(SESSIONS);
        let before = IN_USE.load(Ordering::Relaxed);
        for _ in 0..SESSIONS {
            let mut session = make();
            act(&mut session);
            sessions.push(session);
        }
        let per_session = (IN_USE.load(Ordering::Relaxed) - before) / SESSIONS + size_of::<Session>();
        black_box(sessions);
        per_session
    };
    let busy = |session: &mut Session| {
        let mut reader = Reader::new(params("v=10"));
        for payload in &shared {
            session.handle_dispatch(payload.clone());
            drain(session, &mut reader);
        }
        let last_seq = session.last_seq();
        let heartbeat = encode(rookery_session::Encoding::Json, &json!({"op": 1, "d": last_seq}));
        session.handle_frame(1, rookery_session::Frame::Binary(&heartbeat));
        drain(session, &mut reader);
    };
    let fresh = measure(&|_| {});
    let acknowledged = measure(&busy);
    let waiting = measure(&|session| {
        busy(session);
        session.handle_detached(2);
    });
    println!("bytes a session: fresh {fresh}, after 200 events and a heartbeat {acknowledged}, waiting {waiting}");
    assert!(fresh < 3_072 && acknowledged < 3_072 && waiting < 2_048);
}
