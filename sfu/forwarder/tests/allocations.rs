//! Nothing is allocated per packet, and what a member costs.
#![allow(unsafe_code, reason = "an allocator that counts is unsafe by its trait")]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use common::*;
use rookery_forwarder::*;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    static BYTES: Cell<i64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call goes to the system's allocator unchanged; the counters are thread-local and allocate nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        let _ = BYTES.try_with(|bytes| bytes.set(bytes.get() + layout.size() as i64));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        let _ = BYTES.try_with(|bytes| bytes.set(bytes.get() - layout.size() as i64));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_packet_allocates_nothing() {
    let mut world = voice();
    let publisher = world.browser(1);
    for user in 2..100 {
        if user % 2 == 0 {
            world.bot(user)
        } else {
            world.browser(user)
        };
    }
    world.room.publish_video(world.now_us, publisher, &LAYERS).unwrap();
    let send = |n: u16, world: &mut World| {
        world.speak_from(publisher, Ssrc(10), n, loud(30));
        world.show(publisher, 1, 0, n, if n.is_multiple_of(30) { KEY } else { DELTA });
        world.wait_ms(50);
        world.sent.clear();
    };
    for n in 0..600 {
        send(n, &mut world);
    }
    let before = ALLOCATIONS.get();
    for n in 600..1_200 {
        send(n, &mut world);
    }
    assert_eq!(ALLOCATIONS.get() - before, 0);
}

#[test]
fn members_are_small() {
    let mut world = voice();
    let cost = |world: &mut World, browser: bool, first: u64| {
        let before = BYTES.get();
        for user in first..first + 1_000 {
            if browser {
                world.browser(user)
            } else {
                world.bot(user)
            };
        }
        (BYTES.get() - before) / 1_000
    };
    let (bot, browser) = (cost(&mut world, false, 1), cost(&mut world, true, 10_000));
    println!("{bot} bytes a bot, {browser} bytes a browser");
    assert!(bot <= 1_024, "{bot} bytes a bot");
    assert!(browser <= 8 * 1_024, "{browser} bytes a browser");
}
