//! What a packet costs in allocations: one for its bytes, and one for the count of those who hold them.

use std::sync::Arc;

use bytes::Bytes;
use rookery_relay::{Event, Link, RelayConfig};
use rookery_test_allocations::{CountingAllocator, of_thread};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Allocations of some work, their bytes, and what it gives.
fn count<T>(work: impl FnOnce() -> T) -> (usize, usize, T) {
    let before = of_thread();
    let result = work();
    let spent = of_thread() - before;
    (spent.allocations, spent.allocated_bytes, result)
}

/// Both ends have said what they have, and taken it.
fn settle(a: &mut Link, b: &mut Link, now_ms: u64) -> usize {
    let mut frames = 0;
    for _ in 0..4 {
        while let Some(packet) = a.poll_transmit(now_ms) {
            b.handle_packet(now_ms, packet).ok();
        }
        while let Some(packet) = b.poll_transmit(now_ms) {
            a.handle_packet(now_ms, packet).ok();
        }
        while a.poll_event().is_some() {}
        while let Some(event) = b.poll_event() {
            frames += usize::from(matches!(event, Event::Frame(_)));
        }
    }
    frames
}

#[test]
fn a_packet_is_two_allocations_however_many_frames_it_has() {
    let config = Arc::new(RelayConfig::default());
    let mut a = Link::new(Arc::clone(&config), "eu.a", 1, 0).expect("they fit");
    let mut b = Link::new(config, "us.b", 2, 0).expect("they fit");
    let frame = Bytes::from(vec![5; 300]);
    // Queues grow to their size.
    for now_ms in 0..200 {
        for _ in 0..100 {
            a.send(now_ms, frame.clone()).expect("there is room");
        }
        settle(&mut a, &mut b, now_ms);
    }
    settle(&mut a, &mut b, 1_000);
    for (frames, size) in [(1, 300), (100, 300), (1, 100_000), (1, 400_000)] {
        let frame = Bytes::from(vec![5; size]);
        let (allocations, _, ()) = count(|| {
            for _ in 0..frames {
                a.send(2_000, frame.clone()).expect("there is room");
            }
        });
        assert!(allocations <= 1, "{allocations} to take {frames} of {size} bytes");
        let (allocations, bytes, packet) = count(|| a.poll_transmit(2_000).expect("there is something"));
        assert!(allocations <= 2, "{allocations} for a packet of {frames} frames of {size} bytes");
        assert!(bytes <= frames * size * 5 / 4 + 512, "{bytes} bytes for {frames} frames of {size} bytes");
        assert!(a.poll_transmit(2_000).is_none(), "one packet is enough");
        let (allocations, _, ()) = count(|| b.handle_packet(2_001, packet).expect("it is as it should be"));
        assert!(allocations <= 1, "{allocations} to read {frames} frames of {size} bytes");
        assert_eq!(settle(&mut a, &mut b, 2_100), frames);
    }
}
