//! Nothing is allocated per packet, and what a member costs.

mod common;

use common::*;
use rookery_forwarder::*;
use rookery_test_allocations::{CountingAllocator, of_thread};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

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
    let before = of_thread();
    for n in 600..1_200 {
        send(n, &mut world);
    }
    assert_eq!((of_thread() - before).allocations, 0);
}

#[test]
fn members_are_small() {
    let mut world = voice();
    let cost = |world: &mut World, browser: bool, first: u64| {
        let before = of_thread();
        for user in first..first + 1_000 {
            if browser {
                world.browser(user)
            } else {
                world.bot(user)
            };
        }
        (of_thread() - before).in_use_bytes() / 1_000
    };
    let (bot, browser) = (cost(&mut world, false, 1), cost(&mut world, true, 10_000));
    println!("{bot} bytes a bot, {browser} bytes a browser");
    assert!(bot <= 1_024, "{bot} bytes a bot");
    assert!(browser <= 8 * 1_024, "{browser} bytes a browser");
}
