//! What a packet and a member cost in memory.

#[path = "behaviour/common.rs"]
mod common;

use common::*;
use rookery_model::voice::{EncryptionMode, Ssrc};
use rookery_rtp::{DropReason, Received, discovery, rtcp};
use rookery_test_allocations::{CountingAllocator, of_thread};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

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

    let before = of_thread();
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
    let allocations = (of_thread() - before).allocations;
    assert_eq!((allocations, payloads, plis), (0, 16_000, 1), "{mode:?}");
}

fn little_for_a_member(mode: EncryptionMode) {
    const MEMBERS: usize = 1_000;
    let before = of_thread();
    let mut endpoint = endpoint();
    for n in 0..MEMBERS {
        let ssrc = Ssrc(10_000 + n as u32);
        let from = std::net::SocketAddr::new([10, 0, (n / 250) as u8, (n % 250) as u8].into(), 40_000);
        let member = join(&mut endpoint, ssrc, from, KEY);
        endpoint.activate(0, member, mode, &KEY, Some(from));
        let mut packet = Client::new(ssrc, mode, &KEY).rtp(b"opus");
        assert!(matches!(endpoint.handle(1, from, &mut packet), Received::Rtp { .. }));
    }
    let bytes = (of_thread() - before).in_use_bytes() / MEMBERS as isize;
    assert!(bytes < 2_048, "{mode:?}: {bytes} bytes a member");
}
