//! Bytes that a WebRTC member takes: `cargo run --release -p rookery-webrtc --example memory_per_peer [peers]`.

#[path = "../tests/behaviour/client.rs"]
#[allow(dead_code, clippy::unwrap_used, reason = "it is of the tests")]
mod client;
#[path = "../tests/behaviour/world.rs"]
#[allow(dead_code, clippy::unwrap_used, reason = "it is of the tests")]
mod world;

use rookery_model::voice::Ssrc;
use rookery_rtp::RtpHeader;
use rookery_test_allocations::{CountingAllocator, of_thread};
use std::io::Write;

use world::World;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// What ends with the endpoint was the endpoint's.
fn of_endpoint(world: World) -> isize {
    let World { endpoint, .. } = world;
    let before = of_thread();
    drop(endpoint);
    -(of_thread() - before).in_use_bytes()
}

fn world(peers: usize) -> World {
    let mut world = World::new();
    world.forwards = false;
    for _ in 0..peers {
        world.join();
    }
    world
}

fn connected(peers: usize) -> World {
    let mut world = world(peers);
    world.connect();
    let now = world.now();
    for client in &mut world.clients {
        client.speak(now, b"opus");
    }
    world.exchange();
    world
}

fn hearing(peers: usize, streams: u32) -> World {
    let mut world = connected(peers);
    let mut buffer = [0; 1_500];
    for peer in world.peers.clone() {
        let peer = world.endpoint.get_mut(peer).expect("nobody left");
        for n in 0..streams {
            let ssrc = Ssrc(1_000_000 + n);
            let header = RtpHeader { marker: false, payload_type: 111, sequence_number: 1, timestamp: 0, ssrc };
            peer.write_rtp(&header, b"opus", &mut buffer).expect("it is connected");
        }
    }
    world
}

fn main() -> std::io::Result<()> {
    let peers = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(128);
    let mut out = std::io::stdout();
    let bytes = [
        ("that has not come yet", of_endpoint(world(peers))),
        ("that is connected and speaks", of_endpoint(connected(peers))),
        ("that heard 25 others", of_endpoint(hearing(peers, 25))),
        ("that heard 1,000 others", of_endpoint(hearing(peers, 1_000))),
    ];
    for (which, bytes) in bytes {
        writeln!(out, "a member {which}: {} bytes", bytes / peers as isize)?;
    }
    Ok(())
}
