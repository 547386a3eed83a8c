//! What a packet costs in memory.

// Counting needs an allocator of one's own.
#![allow(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod common;

use common::*;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator with the arguments it came with.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const LISTENERS: u64 = 8;
const PACKETS: usize = 500;

/// One test, because others would count too: that of the whole process, whose timers may allocate now and then.
#[tokio::test]
async fn packets_allocate_nothing() {
    let world = World::with(|config| config.cores = Some(1));
    count(5, &world, &world).await;
    // Nor do they where half of those who hear are at another node.
    let other = World::with(|config| (config.cores, config.node) = (Some(1), 2));
    link(&world, &other, 6).await;
    count(6, &world, &other).await;
}

/// Somebody speaks at one node, and is heard at both.
async fn count(channel: u64, world: &World, other: &World) {
    let mut speaker = world.join(channel, 1, 8, AES).await;
    let mut listeners = Vec::new();
    for user in 2..LISTENERS + 2 {
        let world = if user % 2 == 0 { world } else { other };
        listeners.push(world.join(channel, user, 8, if user % 4 < 2 { AES } else { XCHACHA }).await);
    }
    // The first of a stream does.
    speaker.say(b"first").await;
    for listener in &mut listeners {
        listener.hear().await;
    }
    let packets: Vec<_> = (0..PACKETS).map(|_| speaker.packet(&[7; 160])).collect();
    // The client's end without a runtime, which would allocate itself.
    let udp = speaker.udp.into_std().unwrap();
    let listeners: Vec<_> = listeners.into_iter().map(|listener| listener.udp.into_std().unwrap()).collect();
    listeners.iter().for_each(|socket| socket.set_nonblocking(false).unwrap());
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    let mut buffer = [0; 2_048];
    for packet in &packets {
        assert_eq!(udp.send(packet).unwrap(), packet.len());
        for listener in &listeners {
            assert_eq!(listener.recv(&mut buffer).unwrap(), packet.len());
        }
    }
    let allocations = ALLOCATIONS.load(Ordering::Relaxed) - before;
    assert!(allocations < PACKETS / 5, "{allocations} for {PACKETS} packets to {LISTENERS} each");
}
