//! Where a member is, and how that is found out.

use crate::common::*;
use rookery_model::voice::EncryptionMode;
use rookery_rtp::{DropReason, UdpLimits, discovery};

const AES: EncryptionMode = EncryptionMode::Aes256Gcm;

#[test]
fn what_is_claimed_but_was_never_shown_is_not_sent_to() {
    let mut endpoint = endpoint();
    let member = endpoint.insert(0, ALICE, "member").expect("nobody has it");
    // A client that would have somebody else flooded.
    endpoint.activate(0, member, AES, &KEY, Some(address(66)));
    assert_eq!(endpoint.get(member).expect("there").address(), None);
    // Its first packet that decrypts shows where it is.
    let packet = Client::aes(ALICE).rtp(b"opus");
    assert_eq!(handle(&mut endpoint, 1, address(1), &packet), Outcome::Rtp(member, b"opus".to_vec()));
    assert_eq!(endpoint.get(member).expect("there").address(), Some(address(1)));
}

#[test]
fn a_dual_stack_socket_sees_the_same_client() {
    let mut endpoint = endpoint();
    let mapped = "[::ffff:192.0.2.1]:40000".parse().expect("an address");
    let member = join(&mut endpoint, ALICE, mapped, KEY);
    assert_eq!(endpoint.get(member).expect("there").address(), Some(address(1)));
    assert!(matches!(handle(&mut endpoint, 1, mapped, &Client::aes(ALICE).rtp(b"opus")), Outcome::Rtp(..)));
}

#[test]
fn a_client_whose_nat_forgot_it_is_found_again_after_a_while_and_not_before() {
    let mut endpoint = endpoint();
    let member = join(&mut endpoint, ALICE, address(1), KEY);
    let mut client = Client::aes(ALICE);
    assert!(matches!(handle(&mut endpoint, 1_000, address(1), &client.rtp(b"a")), Outcome::Rtp(..)));
    let after = UdpLimits::default().rebind_after_ms;
    let foreign = Outcome::Dropped(DropReason::ForeignAddress);
    assert_eq!(handle(&mut endpoint, 1_000 + after - 1, address(2), &client.rtp(b"b")), foreign);
    assert_eq!(
        handle(&mut endpoint, 1_000 + after, address(2), &client.rtp(b"c")),
        Outcome::Rtp(member, b"c".to_vec())
    );
    assert_eq!(endpoint.get(member).expect("there").address(), Some(address(2)));
    assert_eq!(handle(&mut endpoint, 1_001 + after, address(1), &client.rtp(b"d")), foreign);
}

#[test]
fn keep_alives_hold_the_address() {
    let mut endpoint = endpoint();
    let member = join(&mut endpoint, ALICE, address(1), KEY);
    let mut client = Client::aes(ALICE);
    for (n, keep_alive) in [&ALICE.0.to_be_bytes()[..], &[1, 0, 0, 0, 0, 0, 0, 0], &[0xc9, 0, 0, 0, 0, 0, 0, 0, 0]]
        .into_iter()
        .cycle()
        .take(30)
        .enumerate()
    {
        let now_ms = n as u64 * 5_000;
        assert_eq!(handle(&mut endpoint, now_ms, address(1), keep_alive), Outcome::KeepAlive(member));
        assert_eq!(endpoint.get(member).expect("there").seen_at_ms(), now_ms);
        let foreign = handle(&mut endpoint, now_ms + 4_999, address(2), &client.rtp(b"x"));
        assert_eq!(foreign, Outcome::Dropped(DropReason::ForeignAddress));
    }
    assert_eq!(handle(&mut endpoint, 0, address(2), &[0; 8]), Outcome::Dropped(DropReason::ForeignAddress));
    let other = handle(&mut endpoint, 0, address(1), &BOB.0.to_be_bytes());
    assert_eq!(other, Outcome::Dropped(DropReason::SpoofedSsrc));
}

#[test]
fn a_ping_is_answered_with_its_number() {
    let mut endpoint = endpoint();
    join(&mut endpoint, ALICE, address(1), KEY);
    let ping = [0x13, 0x37, 0xca, 0xfe, 1, 2, 3, 4];
    let pong = Outcome::Answer(vec![0x13, 0x37, 0xf0, 0x0d, 1, 2, 3, 4]);
    assert_eq!(handle(&mut endpoint, 0, address(1), &ping), pong);
    assert_eq!(handle(&mut endpoint, 0, address(2), &ping), Outcome::Dropped(DropReason::ForeignAddress));
}

#[test]
fn somebody_elses_discovery_for_a_member_changes_nothing() {
    let mut endpoint = endpoint();
    let member = join(&mut endpoint, ALICE, address(1), KEY);
    assert!(matches!(handle(&mut endpoint, 1, address(66), &discovery::request(ALICE)), Outcome::Answer(_)));
    assert_eq!(endpoint.get(member).expect("there").address(), Some(address(1)));
}

#[test]
fn a_client_that_selects_anew_hears_at_another_socket_without_having_spoken() {
    let mut endpoint = endpoint();
    let member = join(&mut endpoint, ALICE, address(1), KEY);
    assert!(matches!(handle(&mut endpoint, 1, address(2), &discovery::request(ALICE)), Outcome::Answer(_)));
    assert_eq!(endpoint.get(member).expect("there").address(), Some(address(1)), "it has not told yet");
    endpoint.activate(2, member, AES, &KEY, Some(address(2)));
    assert_eq!(endpoint.get(member).expect("there").address(), Some(address(2)));
    // Strangers' questions push the first address out, but not the one that it has.
    for last in 60..66 {
        let _ = handle(&mut endpoint, 3, address(last), &discovery::request(ALICE));
    }
    endpoint.activate(4, member, AES, &KEY, Some(address(2)));
    assert_eq!(endpoint.get(member).expect("there").address(), Some(address(2)));
    endpoint.activate(5, member, AES, &KEY, Some(address(1)));
    assert_eq!(endpoint.get(member).expect("there").address(), None);
}

#[test]
fn a_claim_takes_no_address_from_another_but_a_packet_does() {
    let mut endpoint = endpoint();
    let alice = join(&mut endpoint, ALICE, address(1), KEY);
    let bob = join(&mut endpoint, BOB, address(1), KEY);
    assert_eq!(endpoint.get(alice).expect("there").address(), Some(address(1)));
    assert_eq!(endpoint.get(bob).expect("there").address(), None);
    assert!(
        matches!(handle(&mut endpoint, 1, address(1), &Client::aes(BOB).rtp(b"x")), Outcome::Rtp(id, _) if id == bob)
    );
    assert_eq!(endpoint.get(alice).expect("there").address(), None);
    // Alice is found again by her next packet.
    assert!(
        matches!(handle(&mut endpoint, 2, address(3), &Client::aes(ALICE).rtp(b"x")), Outcome::Rtp(id, _) if id == alice)
    );
    assert_eq!(endpoint.get(bob).expect("there").address(), Some(address(1)));
}

#[test]
fn a_claim_has_the_address_of_one_whose_connection_is_gone() {
    let mut endpoint = endpoint();
    let alice = join(&mut endpoint, ALICE, address(1), KEY);
    endpoint.set_detached(alice, true);
    assert_eq!(endpoint.get(alice).expect("there").address(), Some(address(1)), "media goes on");
    // The same client with its socket, as somebody else: it may never say a word.
    let bob = join(&mut endpoint, BOB, address(1), KEY);
    assert_eq!(endpoint.get(bob).expect("there").address(), Some(address(1)));
    assert_eq!(endpoint.get(alice).expect("there").address(), None);
    assert!(endpoint.remove(alice).is_some());
    assert_eq!(handle(&mut endpoint, 2, address(1), &BOB.0.to_be_bytes()), Outcome::KeepAlive(bob));
}

#[test]
fn who_comes_back_has_its_address_again_unless_something_came_from_the_other() {
    let (packet, keep_alive) = (Client::aes(BOB).rtp(b"x"), BOB.0.to_be_bytes());
    for sent in [None, Some(&packet[..]), Some(&keep_alive[..])] {
        let mut endpoint = endpoint();
        // She never said a word herself.
        let alice = join(&mut endpoint, ALICE, address(1), KEY);
        endpoint.set_detached(alice, true);
        // With a forged source anybody can ask from there, and sees no answer.
        let bob = join(&mut endpoint, BOB, address(1), KEY);
        assert_eq!(endpoint.get(bob).expect("there").address(), Some(address(1)));
        if let Some(sent) = sent {
            assert!(matches!(
                handle(&mut endpoint, 3, address(1), sent),
                Outcome::Rtp(id, _) | Outcome::KeepAlive(id) if id == bob
            ));
        }
        endpoint.set_detached(alice, false);
        let (with, without) = if sent.is_some() { (bob, alice) } else { (alice, bob) };
        assert_eq!(endpoint.get(with).expect("there").address(), Some(address(1)));
        assert_eq!(endpoint.get(without).expect("there").address(), None);
    }
}

#[test]
fn who_comes_back_from_elsewhere_is_found_as_soon_as_without_its_old_address() {
    let mut endpoint = endpoint();
    let alice = join(&mut endpoint, ALICE, address(1), KEY);
    let mut client = Client::aes(ALICE);
    assert!(matches!(handle(&mut endpoint, 1_000, address(1), &client.rtp(b"x")), Outcome::Rtp(..)));
    endpoint.set_detached(alice, true);
    join(&mut endpoint, BOB, address(1), KEY);
    endpoint.set_detached(alice, false);
    let after = 1_000 + UdpLimits::default().rebind_after_ms;
    assert!(matches!(handle(&mut endpoint, after, address(2), &client.rtp(b"x")), Outcome::Rtp(..)));
    assert_eq!(endpoint.get(alice).expect("there").address(), Some(address(2)));
}

#[test]
fn who_moved_meanwhile_stays_there() {
    let mut endpoint = endpoint();
    let alice = join(&mut endpoint, ALICE, address(1), KEY);
    let mut client = Client::aes(ALICE);
    assert!(matches!(handle(&mut endpoint, 1, address(1), &client.rtp(b"x")), Outcome::Rtp(..)));
    endpoint.set_detached(alice, true);
    let bob = join(&mut endpoint, BOB, address(1), KEY);
    assert!(matches!(handle(&mut endpoint, 3, address(2), &client.rtp(b"x")), Outcome::Rtp(..)));
    endpoint.set_detached(alice, false);
    assert_eq!(endpoint.get(alice).expect("there").address(), Some(address(2)));
    assert_eq!(endpoint.get(bob).expect("there").address(), Some(address(1)));
    // Connected, she keeps what she has.
    let carol = join(&mut endpoint, CAROL, address(2), KEY);
    assert_eq!(endpoint.get(carol).expect("there").address(), None);
    assert_eq!(endpoint.get(alice).expect("there").address(), Some(address(2)));
}

#[test]
fn who_is_removed_leaves_nothing_behind() {
    let mut endpoint = endpoint();
    let alice = join(&mut endpoint, ALICE, address(1), KEY);
    assert!(endpoint.own(alice, rookery_model::voice::Ssrc(1_001)));
    assert_eq!(endpoint.insert(0, rookery_model::voice::Ssrc(1_001), "member"), None);
    assert!(endpoint.remove(alice).is_some() && endpoint.remove(alice).is_none());
    assert!(endpoint.is_empty());
    assert_eq!(
        handle(&mut endpoint, 1, address(1), &Client::aes(ALICE).rtp(b"x")),
        Outcome::Dropped(DropReason::UnknownSsrc)
    );
    assert_eq!(handle(&mut endpoint, 1, address(1), &[0; 8]), Outcome::Dropped(DropReason::ForeignAddress));
    let bob = join(&mut endpoint, BOB, address(1), KEY);
    assert!(endpoint.own(bob, rookery_model::voice::Ssrc(1_001)));
    assert_eq!(endpoint.len(), 1);
}
