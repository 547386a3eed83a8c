//! What strangers and members try, which harms nobody but themselves.

use proptest::prelude::*;
use rookery_webrtc::{DropReason, Event, Received};
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;

use crate::world::{SERVER, Way, World, client_address};

const STRANGER: &str = "203.0.113.66:666";

fn stranger() -> SocketAddr {
    STRANGER.parse().unwrap()
}

/// The datagrams that a client sends until it is connected and spoke once.
fn sent_by_a_client() -> Vec<Vec<u8>> {
    let mut world = World::new();
    let sent = record(&mut world);
    world.join();
    world.connect();
    let now = world.now();
    world.clients[0].speak(now, b"opus");
    world.exchange();
    sent.take()
}

/// Keeps what clients send from now on.
fn record(world: &mut World) -> Rc<RefCell<Vec<Vec<u8>>>> {
    let sent = Rc::new(RefCell::new(Vec::new()));
    let into = sent.clone();
    world.arrives = Box::new(move |way, datagram| {
        if way == Way::ToServer {
            into.borrow_mut().push(datagram.to_vec());
        }
        true
    });
    sent
}

fn is_stun(datagram: &[u8]) -> bool {
    datagram[0] < 4
}
fn is_dtls(datagram: &[u8]) -> bool {
    (20..64).contains(&datagram[0])
}

fn dropped(world: &mut World, from: SocketAddr, datagram: &[u8]) -> DropReason {
    match world.endpoint.handle_datagram(world.now_ms, from, &mut datagram.to_vec()) {
        Received::Dropped(reason) => reason,
        other => panic!("{other:?} came of {datagram:?}"),
    }
}

#[test]
fn strangers_get_no_answer() {
    let sent = sent_by_a_client();
    let mut world = World::new();
    world.join();
    world.connect();
    let before = world.endpoint.drops().total();
    for datagram in &sent {
        let reason = dropped(&mut world, stranger(), datagram);
        let expected = if is_stun(datagram) { DropReason::UnknownUfrag } else { DropReason::ForeignAddress };
        assert_eq!(reason, expected);
    }
    assert_eq!(world.endpoint.drops().total(), before + sent.len() as u64);
    assert!(world.endpoint.poll_transmit().is_none() && world.endpoint.poll_event().is_none());
    assert!(!world.endpoint.knows(stranger()));
}

#[test]
fn a_check_without_the_password_is_not_answered() {
    let mut world = World::new();
    let sent = record(&mut world);
    world.join();
    world.connect();
    let check = sent.borrow().iter().find(|datagram| is_stun(datagram)).unwrap().clone();
    for at in 0..check.len() {
        let mut changed = check.clone();
        changed[at] ^= 0x10;
        dropped(&mut world, stranger(), &changed);
    }
    for len in 0..check.len() {
        dropped(&mut world, stranger(), &check[..len]);
    }
    assert!(!world.endpoint.knows(stranger()));
}

#[test]
fn before_the_handshake_less_is_sent_than_came() {
    // Checks are answered, but of the handshake nothing arrives: somebody forges the address of a client that it knows.
    let mut world = World::new();
    world.arrives = Box::new(|way, datagram| way == Way::ToServer || is_stun(datagram));
    world.join();
    world.run(29_000);
    assert!(world.to_server > 2_000, "the client tried: {}", world.to_server);
    assert!(world.from_server < world.to_server, "{} for {}", world.from_server, world.to_server);
    assert!(world.events.is_empty());
}

#[test]
fn what_was_heard_is_not_heard_again() {
    let mut world = World::new();
    let sent = record(&mut world);
    world.join();
    world.connect();
    let now = world.now();
    world.clients[0].speak(now, b"opus");
    world.exchange();
    let media: Vec<_> = sent.take().into_iter().filter(|datagram| datagram[0] >= 128).collect();
    assert!(!media.is_empty());
    for datagram in media {
        assert_eq!(dropped(&mut world, client_address(0), &datagram), DropReason::Replayed);
        assert_eq!(dropped(&mut world, stranger(), &datagram), DropReason::ForeignAddress);
    }
}

#[test]
fn a_member_does_not_take_anothers_address() {
    let mut world = World::new();
    let (victim, attacker) = (world.join(), world.join());
    world.connect();
    // The attacker's own checks, from the victim's address.
    let sent = record(&mut world);
    world.run(10_000);
    let checks: Vec<_> = sent.take().into_iter().filter(|datagram| is_stun(datagram)).collect();
    assert!(!checks.is_empty());
    let from = client_address(victim);
    let mut taken = 0;
    for check in checks {
        match world.endpoint.handle_datagram(world.now_ms, from, &mut check.clone()) {
            Received::Dropped(DropReason::ForeignAddress) => taken += 1,
            // The victim's own.
            Received::Answer(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(taken > 0);
    let now = world.now();
    world.clients[victim].speak(now, b"still here");
    world.exchange();
    assert_eq!(world.clients[attacker].heard.last().unwrap().1, b"still here");
}

#[test]
fn a_member_cannot_make_the_server_keep_much() {
    let mut world = World::new();
    let sent = record(&mut world);
    world.join();
    world.connect();
    // A message of which only the middle ever comes, in a thousand pieces and more.
    let hello = sent.borrow().iter().find(|datagram| is_dtls(datagram)).unwrap().clone();
    let mut reasons = Vec::new();
    for n in 0..2_000_u16 {
        let mut piece = hello[..25].to_vec();
        piece[5..11].copy_from_slice(&(10_000 + u64::from(n)).to_be_bytes()[2..]);
        piece[11..13].copy_from_slice(&13_u16.to_be_bytes());
        // Message 9 of 4,000 bytes; one byte from n on.
        piece[14..17].copy_from_slice(&[0, 0x0f, 0xa0]);
        piece[17..19].copy_from_slice(&9_u16.to_be_bytes());
        piece[19..22].copy_from_slice(&[0, (n >> 8) as u8, n as u8]);
        piece[22..25].copy_from_slice(&[0, 0, 1]);
        piece.push(0);
        if let Received::Dropped(reason) = world.endpoint.handle_datagram(world.now_ms, client_address(0), &mut piece) {
            reasons.push(reason);
        }
    }
    assert!(reasons.len() > 1_400, "{}", reasons.len());
    assert!(reasons.iter().all(|reason| *reason == DropReason::HandshakeBudget), "{reasons:?}");
    // It may still speak.
    let now = world.now();
    world.clients[0].speak(now, b"opus");
    world.exchange();
    assert_eq!(world.endpoint.drops().get(DropReason::BadTag), 0);
}

#[test]
fn checks_are_not_answered_without_end() {
    let mut world = World::new();
    let sent = record(&mut world);
    world.join();
    world.connect();
    let check = sent.borrow().iter().find(|datagram| is_stun(datagram)).unwrap().clone();
    let mut answered = 0;
    for _ in 0..1_000 {
        if let Received::Answer(answer) =
            world.endpoint.handle_datagram(world.now_ms, client_address(0), &mut check.clone())
        {
            assert!(answer.len() <= check.len());
            answered += 1;
        }
    }
    assert!(answered <= 200, "{answered}");
    assert!(world.endpoint.drops().get(DropReason::RateLimited) >= 800);
}

/// Cuts, flips and lengthens.
#[derive(Clone, Debug)]
enum Harm {
    Cut(usize),
    Flip(usize, u8),
    Insert(usize, Vec<u8>),
    Double,
}

fn harm() -> impl Strategy<Value = Harm> {
    prop_oneof![
        any::<usize>().prop_map(Harm::Cut),
        (any::<usize>(), 1_u8..).prop_map(|(at, bits)| Harm::Flip(at, bits)),
        (0_usize..60, 1_u8..).prop_map(|(at, bits)| Harm::Flip(at, bits)),
        (any::<usize>(), proptest::collection::vec(any::<u8>(), 1..40)).prop_map(|(at, bytes)| Harm::Insert(at, bytes)),
        Just(Harm::Double),
    ]
}

impl Harm {
    fn done_to(&self, datagram: &mut Vec<u8>) {
        let len = datagram.len();
        match self {
            _ if len == 0 => {}
            Self::Cut(at) => datagram.truncate(at % len),
            Self::Flip(at, bits) => datagram[at % len] ^= bits,
            Self::Insert(at, bytes) => {
                datagram.splice(at % len..at % len, bytes.iter().copied());
            }
            Self::Double => datagram.extend_from_within(..),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    /// Whatever comes from a member's address before what the member sends, there is no panic, and the other is not harmed.
    #[test]
    fn forged_pieces_of_a_handshake(harms in proptest::collection::vec(proptest::collection::vec(harm(), 1..3), 1..40)) {
        let mut world = World::new();
        let other = world.join();
        world.connect();
        let target = world.join();
        let mut harms = harms.into_iter().cycle();
        for _ in 0..200 {
            let now = world.now();
            let mut sent = Vec::new();
            while let Some((_, datagram)) = world.clients[target].poll_transmit() {
                sent.push(datagram.to_vec());
            }
            for datagram in sent {
                let mut harmed = datagram.clone();
                for harm in harms.next().unwrap() {
                    harm.done_to(&mut harmed);
                }
                world.give(client_address(target), &mut harmed);
                world.give(client_address(target), &mut datagram.clone());
            }
            while let Some((to, datagram)) = world.endpoint.poll_transmit() {
                if to == client_address(target) {
                    world.clients[target].handle(now, SERVER, &datagram);
                }
            }
            world.now_ms += 50;
            let now = world.now();
            world.clients[target].handle_timeout(now);
            world.endpoint.handle_timeout(world.now_ms);
        }
        let gone = |event: &Event| matches!(event, Event::Gone(peer, _) if *peer == world.peers[other]);
        prop_assert!(!world.events.iter().any(gone));
        let now = world.now();
        let heard = |world: &World| world.endpoint.drops().get(DropReason::BadTag);
        let before = heard(&world);
        world.clients[other].speak(now, b"unharmed");
        while let Some((_, datagram)) = world.clients[other].poll_transmit() {
            let mut datagram = datagram.to_vec();
            let received = world.endpoint.handle_datagram(world.now_ms, client_address(other), &mut datagram);
            prop_assert!(!matches!(received, Received::Dropped(_)), "{:?}", received);
        }
        prop_assert_eq!(heard(&world), before);
    }
}

proptest! {
    /// Any bytes from a member's address: no panic, no answer that is longer.
    #[test]
    fn any_bytes(datagrams in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 1..50)) {
        thread_local! {
            static WORLD: RefCell<World> = RefCell::new({
                let mut world = World::new();
                world.join();
                world.connect();
                world
            });
        }
        WORLD.with_borrow_mut(|world| {
            for mut datagram in datagrams {
                let len = datagram.len();
                if let Received::Answer(answer) = world.endpoint.handle_datagram(world.now_ms, client_address(0), &mut datagram) {
                    assert!(answer.len() <= len);
                }
            }
        });
    }
}
