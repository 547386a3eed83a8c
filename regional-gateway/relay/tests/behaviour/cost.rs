//! What a stream costs: packets, bytes, what is sent twice.

use bytes::Bytes;
use rookery_relay::RelayConfig;

use crate::way::Way;

#[test]
fn small_frames_share_packets() {
    let mut way = Way::connected(RelayConfig::default(), 10);
    let frame = Bytes::from(vec![7; 300]);
    for _ in 0..1_000 {
        way.send(frame.clone());
    }
    way.run(10);
    let (packets, bytes) = (way.packets, way.a.stats().bytes_sent);
    assert!(packets <= 6, "{packets} packets for 300,000 bytes");
    assert_eq!(way.frames().len(), 1_000);
    assert!(bytes < 1_000 * 303 + packets * 100 + 1_000, "{bytes} bytes for 1,000 frames of 300");
    way.run(100);
    assert!(way.a.is_flushed());
    assert_eq!(way.a.stats().cells_resent, 0);
    assert_eq!(way.a.stats().rtt_ms.map(|rtt_ms| rtt_ms / 25), Some(1), "the way, twice, and the wait for company");
}

#[test]
fn a_large_frame_travels_in_parts_that_the_bus_takes() {
    let mut way = Way::connected(RelayConfig::default(), 5);
    let frame: Vec<u8> = (0..3_000_000_u32).map(|number| number as u8 ^ (number >> 8) as u8).collect();
    way.send(frame.clone());
    way.send(&b"behind it"[..]);
    way.run(200);
    let frames = way.frames();
    assert_eq!(frames.len(), 2);
    assert!(frames[0] == frame && frames[1] == "behind it");
    assert!(way.largest <= 512 * 1024, "{}", way.largest);
    assert!(way.largest > 500 * 1024, "parts are as large as they may be: {}", way.largest);
}

#[test]
fn what_is_lost_is_all_that_is_sent_again() {
    let mut way = Way::connected(RelayConfig { coalesce_bytes: 2_000, ..RelayConfig::default() }, 20);
    way.passes = Box::new(|number, from_a| !from_a || number % 10 != 0);
    for _ in 0..100 {
        for _ in 0..10 {
            way.send(vec![1; 500]);
        }
        way.run(5);
    }
    way.run(1_000);
    assert_eq!(way.frames().len(), 1_000);
    let stats = way.a.stats();
    let lost_least = 1_000 / 10;
    assert!(stats.cells_resent >= lost_least / 2, "{stats:?}");
    assert!(stats.cells_resent <= lost_least * 3, "{stats:?}");
    assert!(way.b.stats().cells_repeated <= lost_least / 2, "{:?}", way.b.stats());
}

#[test]
fn a_link_that_is_idle_is_nearly_silent() {
    let mut way = Way::connected(RelayConfig::default(), 50);
    way.send(&b"one"[..]);
    way.run(2_000);
    way.packets = 0;
    way.run(60_000);
    assert!((110..=130).contains(&way.packets), "{} in a minute, of both ends", way.packets);
}

#[test]
fn frames_share_the_memory_of_their_packet() {
    let mut way = Way::connected(RelayConfig::default(), 1);
    way.send(vec![1; 1_000]);
    way.send(vec![2; 1_000]);
    way.run(5);
    let frames = way.frames();
    // The second follows the first with its own head, of two bytes, between them.
    let (first, second) = (frames[0].as_ptr() as usize, frames[1].as_ptr() as usize);
    assert_eq!(second - first, 1_000 + 2, "a copy was made");
}
