//! Floods: what goes out is less than what came in.

use crate::common::*;
use rookery_model::voice::{EncryptionMode, Ssrc};
use rookery_rtp::{DropReason, UdpLimits, discovery};

#[test]
fn questions_for_an_ssrc_that_nobody_has_are_not_answered() {
    let mut endpoint = endpoint();
    for n in 0..1_000 {
        let outcome = handle(&mut endpoint, n, address(66), &discovery::request(Ssrc(n as u32)));
        assert_eq!(outcome, Outcome::Dropped(DropReason::UnknownSsrc));
    }
}

#[test]
fn a_flood_before_the_handshake_is_answered_with_a_trickle() {
    let mut endpoint = endpoint();
    endpoint.insert(0, ALICE, "member").expect("nobody has it");
    let (mut bytes_in, mut bytes_out) = (0, 0);
    // Ten thousand questions in a second, from many addresses.
    for n in 0..10_000_u64 {
        let request = discovery::request(ALICE);
        bytes_in += request.len();
        match handle(&mut endpoint, n / 10, address((n % 200) as u8), &request) {
            Outcome::Answer(answer) => bytes_out += answer.len(),
            other => assert_eq!(other, Outcome::Dropped(DropReason::RateLimited)),
        }
    }
    assert!(bytes_out * 500 < bytes_in, "{bytes_out} of {bytes_in}");
    // The client itself asks again a second later.
    assert!(matches!(handle(&mut endpoint, 2_000, address(1), &discovery::request(ALICE)), Outcome::Answer(_)));
}

#[test]
fn a_flood_of_pings_is_answered_with_a_trickle_and_the_member_stays() {
    let mut endpoint = endpoint();
    let alice = join(&mut endpoint, ALICE, address(1), KEY);
    let ping = [0x13, 0x37, 0xca, 0xfe, 1, 2, 3, 4];
    let answers =
        (0..1_000).filter(|_| matches!(handle(&mut endpoint, 5, address(1), &ping), Outcome::Answer(_))).count();
    assert!(answers <= UdpLimits::default().answer_burst as usize, "{answers}");
    assert!(
        matches!(handle(&mut endpoint, 5, address(1), &Client::aes(ALICE).rtp(b"x")), Outcome::Rtp(id, _) if id == alice)
    );
}

#[test]
fn before_its_address_is_known_only_so_many_packets_are_tried() {
    let mut endpoint = endpoint();
    let alice = endpoint.insert(0, ALICE, "member").expect("nobody has it");
    endpoint.activate(0, alice, EncryptionMode::Aes256Gcm, &KEY, None);
    let mut bad = Client::aes(ALICE).rtp(b"x");
    bad[20] ^= 1;
    let tried = (0..1_000)
        .filter(|_| handle(&mut endpoint, 1, address(66), &bad) == Outcome::Dropped(DropReason::BadTag))
        .count();
    assert_eq!(tried, UdpLimits::default().attempt_burst as usize);
    assert_eq!(handle(&mut endpoint, 1, address(66), &bad), Outcome::Dropped(DropReason::RateLimited));
    // It goes on by itself.
    assert!(matches!(handle(&mut endpoint, 500, address(1), &Client::aes(ALICE).rtp(b"x")), Outcome::Rtp(..)));
}
