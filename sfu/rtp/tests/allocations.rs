//! What a packet and a member cost in memory.

// Counting needs an allocator of one's own.
#![allow(unsafe_code)]

#[path = "behaviour/common.rs"]
mod common;

use common::*;
use rookery_model::voice::{EncryptionMode, Ssrc};
use rookery_rtp::{DropReason, Received, discovery, rtcp};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

struct Counting;

static IN_USE: AtomicUsize = AtomicUsize::new(0);
static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator with the arguments it came with.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        IN_USE.fetch_add(layout.size(), Ordering::Relaxed);
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
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

/// One test, because others would count too.
#[test]
fn a_packet_allocates_nothing_and_a_member_little() {
    for mode in EncryptionMode::ALL {
        nothing_for_a_packet(mode);
        little_for_a_member(mode);
    }
}

fn nothing_for_a_packet(mode: EncryptionMode) {
    let mut endpoint = endpoint();
    let member = join(&mut endpoint, ALICE, address(1), KEY);
    endpoint.activate(0, member, mode, &KEY, Some(address(1)));
    let mut client = Client::new(ALICE, mode, &KEY);
    let mut audio: Vec<Vec<u8>> = (0..100).map(|_| client.rtp(&[0xf8; 160])).collect();
    let mut report = client.seal(&rtcp::write_pli(ALICE, BOB), 8);
    let mut foreign = client.rtp(b"x");
    let mut question = discovery::request(ALICE);
    let header = client.header();
    let mut buffer = [0; 1_500];

    let before = ALLOCATIONS.load(Ordering::Relaxed);
    let mut payloads = 0;
    for packet in &mut audio {
        match endpoint.handle(1, address(1), packet) {
            Received::Rtp { packet, .. } => payloads += packet.payload().len(),
            other => panic!("{other:?}"),
        }
        endpoint.get_mut(member).expect("there").write_rtp(&header, &[0xf8; 160], &mut buffer).expect("room");
    }
    let Received::Rtcp { compound, .. } = endpoint.handle(1, address(1), &mut report) else { panic!("no RTCP") };
    let mut plis = 0;
    rtcp::read(compound, |said| plis += usize::from(matches!(said, rtcp::Rtcp::Pli { .. }))).expect("a PLI");
    let dropped = endpoint.handle(1, address(9), &mut foreign);
    assert!(matches!(dropped, Received::Dropped(DropReason::ForeignAddress)));
    assert!(matches!(endpoint.handle(1, address(1), &mut question), Received::Answer(_)));
    let allocations = ALLOCATIONS.load(Ordering::Relaxed) - before;
    assert_eq!((allocations, payloads, plis), (0, 16_000, 1), "{mode:?}");
}

fn little_for_a_member(mode: EncryptionMode) {
    const MEMBERS: usize = 1_000;
    let before = IN_USE.load(Ordering::Relaxed);
    let mut endpoint = endpoint();
    for n in 0..MEMBERS {
        let ssrc = Ssrc(10_000 + n as u32);
        let from = std::net::SocketAddr::new([10, 0, (n / 250) as u8, (n % 250) as u8].into(), 40_000);
        let member = join(&mut endpoint, ssrc, from, KEY);
        endpoint.activate(0, member, mode, &KEY, Some(from));
        let mut packet = Client::new(ssrc, mode, &KEY).rtp(b"opus");
        assert!(matches!(endpoint.handle(1, from, &mut packet), Received::Rtp { .. }));
    }
    let bytes = (IN_USE.load(Ordering::Relaxed) - before) / MEMBERS;
    assert!(bytes < 2_048, "{mode:?}: {bytes} bytes a member");
}
