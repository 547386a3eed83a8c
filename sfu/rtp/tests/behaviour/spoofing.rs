//! Packets that are not whose they say: dropped, counted, and nobody hears a glitch.

use crate::common::*;
use rookery_model::voice::Ssrc;
use rookery_rtp::{DropReason, rtcp};

fn dropped(reason: DropReason) -> Outcome {
    Outcome::Dropped(reason)
}

#[test]
fn each_reason_is_counted_and_the_next_good_packet_arrives() {
    let mut endpoint = endpoint();
    let alice = join(&mut endpoint, ALICE, address(1), KEY);
    join(&mut endpoint, BOB, address(2), KEY);
    endpoint.insert(0, Ssrc(3_000), "without media").expect("nobody has it");
    let mut client = Client::aes(ALICE);
    let good = client.rtp(b"one");
    assert!(matches!(handle(&mut endpoint, 0, address(1), &good), Outcome::Rtp(..)));

    let mut changed = client.rtp(b"two");
    changed[13] ^= 1;
    let mut header_changed = client.rtp(b"two");
    header_changed[4] ^= 1;
    let cases = [
        (address(1), good.clone(), DropReason::Replayed),
        (address(9), client.rtp(b"two"), DropReason::ForeignAddress),
        (address(2), client.rtp(b"two"), DropReason::SpoofedSsrc),
        (address(1), Client::aes(Ssrc(4_000)).rtp(b"two"), DropReason::SpoofedSsrc),
        (address(9), Client::aes(Ssrc(4_000)).rtp(b"two"), DropReason::UnknownSsrc),
        (address(9), Client::aes(Ssrc(3_000)).rtp(b"two"), DropReason::NotReady),
        (address(1), changed, DropReason::BadTag),
        (address(1), header_changed, DropReason::BadTag),
        (address(1), good[..12].to_vec(), DropReason::Malformed),
        (address(1), good[..31].to_vec(), DropReason::Malformed),
        (address(1), [&[0x9f], &good[1..30]].concat(), DropReason::Malformed),
        (address(1), vec![70; 40], DropReason::Unclassified),
        (address(1), vec![], DropReason::Unclassified),
    ];
    let mut counts = std::collections::HashMap::new();
    for (from, datagram, reason) in cases {
        assert_eq!(handle(&mut endpoint, 0, from, &datagram), dropped(reason), "{datagram:?}");
        *counts.entry(reason.name()).or_insert(0_u64) += 1;
    }
    for (reason, count) in endpoint.drops().iter() {
        assert_eq!(count, counts.get(reason.name()).copied().unwrap_or(0), "{reason:?}");
    }
    assert_eq!(endpoint.drops().total(), counts.values().sum());
    assert_eq!(handle(&mut endpoint, 0, address(1), &client.rtp(b"two")), Outcome::Rtp(alice, b"two".to_vec()));
}

#[test]
fn every_truncation_of_a_good_packet_is_dropped() {
    let mut endpoint = endpoint();
    let alice = join(&mut endpoint, ALICE, address(1), KEY);
    let mut client = Client::aes(ALICE);
    let head = client.header().to_bytes();
    let mut plain = [&head[..], &[0xbe, 0xde, 0, 1, 0x10, 0x85, 0, 0], b"opus"].concat();
    plain[0] |= 0x10;
    let whole = client.seal(&plain, 16);
    for len in 12..whole.len() {
        assert!(matches!(handle(&mut endpoint, 0, address(1), &whole[..len]), Outcome::Dropped(_)), "{len}");
    }
    assert_eq!(handle(&mut endpoint, 0, address(1), &whole), Outcome::Rtp(alice, b"opus".to_vec()));
}

#[test]
fn what_decrypts_and_is_no_packet_is_dropped() {
    let mut endpoint = endpoint();
    join(&mut endpoint, ALICE, address(1), KEY);
    let mut client = Client::aes(ALICE);
    let head = client.header().to_bytes();
    // More padding than payload, and an extension longer than the packet.
    let mut padded = [&head[..], &[200]].concat();
    padded[0] |= 0x20;
    let mut extended = [&head[..], &[0xbe, 0xde, 0, 9, 0, 0, 0, 0]].concat();
    extended[0] |= 0x10;
    for (plain, clear) in [(padded, 12), (extended, 16)] {
        let packet = client.seal(&plain, clear);
        assert_eq!(handle(&mut endpoint, 0, address(1), &packet), dropped(DropReason::Malformed));
    }
}

#[test]
fn reports_are_taken_by_ssrc_or_by_address() {
    let mut endpoint = endpoint();
    let alice = join(&mut endpoint, ALICE, address(1), KEY);
    let mut client = Client::aes(ALICE);
    for sender in [ALICE, Ssrc(1)] {
        let pli = rtcp::write_pli(sender, BOB);
        let packet = client.seal(&pli, 8);
        assert_eq!(handle(&mut endpoint, 0, address(1), &packet), Outcome::Rtcp(alice, pli.to_vec()));
        let again = handle(&mut endpoint, 0, address(1), &packet);
        assert_eq!(again, dropped(DropReason::Replayed));
    }
    let unknown = client.seal(&rtcp::write_pli(Ssrc(1), BOB), 8);
    assert_eq!(handle(&mut endpoint, 0, address(9), &unknown), dropped(DropReason::UnknownSsrc));
    assert_eq!(
        handle(&mut endpoint, 0, address(1), &[0x80, 200, 0, 1, 0, 0, 3, 0xe8, 0, 0, 0, 0]),
        dropped(DropReason::Malformed)
    );
}

#[test]
fn the_servers_own_packet_thrown_back_is_dropped_and_confuses_nobody() {
    let mut endpoint = endpoint();
    let alice = join(&mut endpoint, ALICE, address(1), KEY);
    let mut client = Client::aes(ALICE);
    assert!(matches!(handle(&mut endpoint, 0, address(1), &client.rtp(b"one")), Outcome::Rtp(..)));
    let mut buffer = [0; 64];
    let member = endpoint.get_mut(alice).expect("there");
    let len = member.write_rtcp(&rtcp::write_pli(Ssrc(77), ALICE), &mut buffer).expect("room");
    assert_eq!(handle(&mut endpoint, 0, address(1), &buffer[..len]), dropped(DropReason::Replayed));
    assert!(matches!(handle(&mut endpoint, 0, address(1), &client.rtp(b"two")), Outcome::Rtp(..)));
}
