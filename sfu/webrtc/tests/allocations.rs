//! Nothing is allocated for a packet.

#[path = "behaviour/client.rs"]
#[allow(dead_code, clippy::unwrap_used, reason = "it is of other tests, and fails like a test")]
mod client;
#[path = "behaviour/world.rs"]
#[allow(dead_code, clippy::unwrap_used, reason = "it is of other tests, and fails like a test")]
mod world;

use rookery_model::voice::Ssrc;
use rookery_rtp::RtpHeader;
use rookery_webrtc::Received;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: everything is handed to the system's allocator as it comes.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn none_for_a_packet() {
    let mut world = world::World::new();
    let n = world.join();
    world.connect();
    // What it would send, sealed by the client before anything is counted.
    let mut packets: Vec<Vec<u8>> = Vec::new();
    for _ in 0..200 {
        let now = world.now();
        world.clients[n].speak(now, &[7; 120]);
        while let Some((_, datagram)) = world.clients[n].poll_transmit() {
            packets.push(datagram.to_vec());
        }
    }
    let from = world.clients[n].address;
    let mut buffer = [0; 1_500];
    let header = RtpHeader { marker: false, payload_type: 111, sequence_number: 0, timestamp: 0, ssrc: Ssrc(1) };
    // The first of a stream makes its place.
    let first = world.endpoint.handle_datagram(world.now_ms, from, &mut packets[0]);
    assert!(matches!(first, Received::Rtp { .. }), "{first:?}");
    let peer = world.endpoint.get_mut(world.peers[n]).unwrap();
    peer.write_rtp(&header, &[7; 120], &mut buffer).unwrap();

    let before = ALLOCATIONS.load(Ordering::Relaxed);
    let mut opened = 0;
    for packet in &mut packets[1..] {
        opened +=
            usize::from(matches!(world.endpoint.handle_datagram(world.now_ms, from, packet), Received::Rtp { .. }));
    }
    let peer = world.endpoint.get_mut(world.peers[n]).unwrap();
    for sequence_number in 1..200 {
        let header = RtpHeader { sequence_number, ..header };
        peer.write_rtp(&header, &[7; 120], &mut buffer).unwrap();
    }
    let allocations = ALLOCATIONS.load(Ordering::Relaxed) - before;
    assert_eq!((opened, allocations), (199, 0));
}
