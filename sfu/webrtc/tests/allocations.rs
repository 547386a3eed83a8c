//! Nothing is allocated for a packet.

#[path = "behaviour/client.rs"]
#[allow(dead_code, clippy::unwrap_used, reason = "it is of other tests, and fails like a test")]
mod client;
#[path = "behaviour/world.rs"]
#[allow(dead_code, clippy::unwrap_used, reason = "it is of other tests, and fails like a test")]
mod world;

use rookery_model::voice::Ssrc;
use rookery_rtp::RtpHeader;
use rookery_test_allocations::{CountingAllocator, of_thread};
use rookery_webrtc::Received;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

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

    let before = of_thread();
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
    let allocations = (of_thread() - before).allocations;
    assert_eq!((opened, allocations), (199, 0));
}
