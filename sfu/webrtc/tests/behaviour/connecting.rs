//! From the offer to the end.

use rookery_webrtc::{DropReason, Event, GoneReason, PeerState, WebRtcLimits};

use crate::client::Client;
use crate::world::{World, client_address};

/// The first byte of a DTLS record that holds one.
const ALERT: u8 = 21;

#[test]
fn two_clients_on_one_socket_connect() {
    let mut world = World::new();
    let (one, other) = (world.join(), world.join());
    assert_eq!(world.endpoint.get(world.peers[one]).unwrap().state(), PeerState::Waiting);
    assert_eq!(world.endpoint.get(world.peers[one]).unwrap().address(), None);
    world.connect();
    for n in [one, other] {
        let peer = world.endpoint.get(world.peers[n]).unwrap();
        assert_eq!((peer.state(), peer.address(), peer.key), (PeerState::Connected, Some(client_address(n)), n));
    }
    assert_eq!(world.events.len(), 2);
    assert_eq!(world.endpoint.drops().total(), 0, "{:?}", world.endpoint.drops());
}

#[test]
fn a_lossy_network_delays_it_only() {
    for seed in 0..20_u32 {
        let mut world = World::new();
        world.join();
        let mut state = seed.wrapping_mul(0x9e37_79b9) | 1;
        world.arrives = Box::new(move |_, _| {
            // xorshift
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            !state.is_multiple_of(4)
        });
        world.until(30_000, &format!("{seed} it connects though a quarter is lost"), |world| {
            world.clients.iter().all(Client::is_connected) && !world.events.is_empty()
        });
    }
}

#[test]
fn a_client_with_another_certificate_than_it_offered_is_refused() {
    let mut world = World::new();
    let n = world.join_with(|offer| {
        let at = offer.find("a=fingerprint:sha-256 ").unwrap() + "a=fingerprint:sha-256 ".len();
        let digit = if &offer[at..=at] == "0" { "1" } else { "0" };
        // Everywhere, should the offer repeat it.
        let (old, new) = (&offer[at..at + 10], format!("{digit}{}", &offer[at + 1..at + 10]));
        offer.replace(old, &new)
    });
    world.until(10_000, "it is refused", |world| !world.events.is_empty());
    assert_eq!(world.events, [Event::Gone(world.peers[n], GoneReason::Fingerprint)]);
    assert_eq!(world.endpoint.get(world.peers[n]).unwrap().address(), None);
    assert_eq!(world.endpoint.drops().get(DropReason::HandshakeFailed), 1);
}

#[test]
fn a_client_that_never_comes_is_given_up() {
    let mut world = World::new();
    let n = world.join();
    world.arrives = Box::new(|_, _| false);
    world.run(29_000);
    assert!(world.events.is_empty());
    world.run(2_000);
    assert_eq!(world.events, [Event::Gone(world.peers[n], GoneReason::Handshake)]);
    assert_eq!(world.endpoint.poll_timeout(), None);
}

#[test]
fn a_client_that_stops_asking_is_sent_nothing_more() {
    let mut world = World::new();
    let (silent, other) = (world.join(), world.join());
    world.connect();
    // Those who go on asking stay.
    world.run(60_000);
    assert_eq!(world.events.len(), 2);
    world.clients.remove(silent);
    world.run(31_000);
    assert_eq!(world.events[2..], [Event::Gone(world.peers[silent], GoneReason::Consent)]);
    let gone = world.endpoint.get_mut(world.peers[silent]).unwrap();
    assert_eq!((gone.state(), gone.address()), (PeerState::Gone, None));
    assert!(world.endpoint.get(world.peers[other]).unwrap().address().is_some());
}

#[test]
fn a_client_that_says_good_bye_is_gone_at_once() {
    let mut world = World::new();
    let n = world.join();
    world.connect();
    world.clients[n].close();
    world.until(100, "it is gone", |world| world.events.len() == 2);
    assert_eq!(world.events[1], Event::Gone(world.peers[n], GoneReason::Closed));
}

#[test]
fn whoever_is_removed_leaves_room_and_is_told() {
    let mut world = World::new();
    let n = world.join();
    world.connect();
    assert!(world.endpoint.remove(world.now_ms, world.peers[n]).is_some());
    assert!(world.endpoint.is_empty());
    assert!(!world.endpoint.knows(client_address(n)));
    let (to, datagram) = world.endpoint.poll_transmit().unwrap();
    assert_eq!((to, datagram[0]), (client_address(n), ALERT));
    assert_eq!((world.endpoint.poll_transmit(), world.endpoint.poll_timeout()), (None, None));

    // The same client comes again from the same address, with another offer.
    world.clients.clear();
    world.peers.clear();
    world.events.clear();
    world.join();
    world.connect();
}

#[test]
fn a_client_may_move_to_another_address() {
    let mut world = World::with(WebRtcLimits { rebind_after_ms: 1_000, ..WebRtcLimits::default() });
    let n = world.join();
    world.connect();
    let address = "203.0.113.9:4242".parse().unwrap();
    world.clients[n].address = address;
    world.until(30_000, "the next check tells where it is", |world| world.endpoint.knows(address));
}
