//! What a packet costs in memory.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod common;

use common::*;
use rookery_test_allocations::{CountingAllocator, Counts, of_process};
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const LISTENERS: u64 = 8;
const PACKETS: usize = 500;

/// One test, because others would count too: that of the whole process, whose timers may allocate now and then.
#[tokio::test]
async fn packets_allocate_nothing() {
    sound().await;
    video().await;
}

async fn sound() {
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
    let before = of_process();
    let mut buffer = [0; 2_048];
    for packet in &packets {
        assert_eq!(udp.send(packet).unwrap(), packet.len());
        for listener in &listeners {
            assert_eq!(listener.recv(&mut buffer).unwrap(), packet.len());
        }
    }
    let allocations = (of_process() - before).allocations;
    assert!(allocations < PACKETS / 5, "{allocations} for {PACKETS} packets to {LISTENERS} each");
}

/// Frames, which go as trains.
async fn video() {
    const FRAMES: usize = 60;
    const FIRST: usize = 20;
    // As a camera sends them: more than a path is taken for is left out.
    const INTERVAL: Duration = Duration::from_millis(17);
    const LENGTHS: [usize; 8] = [1_200, 1_200, 1_200, 1_200, 1_200, 1_200, 1_200, 700];
    let world = World::with(|config| config.cores = Some(1));
    let mut camera = world.join(6, 1, 8, AES).await;
    camera.show(&world.node).await;
    let mut viewers = Vec::new();
    for user in 2..LISTENERS + 2 {
        let mut viewer = world.join(6, user, 8, AES).await;
        viewer.watch(&world.node).await;
        viewers.push(viewer);
    }
    let frames: Vec<_> = (0..=FRAMES).map(|n| camera.frame((n * LENGTHS.len()) as u16, &LENGTHS)).collect();
    let udp = camera.udp.into_std().unwrap();
    let viewers: Vec<_> = viewers.into_iter().map(|viewer| viewer.udp.into_std().unwrap()).collect();
    for viewer in &viewers {
        viewer.set_nonblocking(false).unwrap();
        viewer.set_read_timeout(Some(PATIENCE)).unwrap();
    }
    let mut buffer = [0; 2_048];
    let mut before = Counts::default();
    let begun = Instant::now();
    for (n, frame) in frames.iter().enumerate() {
        pause((INTERVAL * n as u32).saturating_sub(begun.elapsed()));
        for packet in frame {
            assert_eq!(udp.send(packet).unwrap(), packet.len());
        }
        for viewer in &viewers {
            for packet in frame {
                assert_eq!(viewer.recv(&mut buffer).unwrap(), packet.len());
            }
        }
        if n == FIRST {
            // They did: layers were chosen, and queues got their room.
            before = of_process();
        }
    }
    let allocations = (of_process() - before).allocations;
    let packets = (FRAMES - FIRST) * LENGTHS.len();
    assert!(allocations < packets / 5, "{allocations} for {packets} packets to {LISTENERS} each");
}

#[expect(clippy::disallowed_methods, reason = "frames come on time")]
fn pause(duration: Duration) {
    std::thread::sleep(duration);
}
