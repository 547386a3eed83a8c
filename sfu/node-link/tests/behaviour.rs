//! Two ends of a link, one rule a test, and from seeds over a path that loses, repeats and overtakes.

#![allow(clippy::unwrap_used, reason = "what tests share fails like a test")]

use std::collections::BTreeMap;

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rookery_model::UserId;
use rookery_model::voice::{LinkKey, MediaType, ResolutionType, SpeakingFlags, StreamResolution};
use rookery_node_link::{
    DropReason, Event, LinkConfig, MediaCodec, MediaHeader, NodeLink, Received, RemoteMember, RemoteShown, Wants,
    link_id,
};

const SEEDS: u64 = 300;
const KEYS: [LinkKey; 2] = [LinkKey([1; 32]), LinkKey([2; 32])];

fn member(user: u64, flags: u16) -> RemoteMember {
    RemoteMember {
        user: UserId::new(user),
        node: 3,
        ssrcs: [user as u32 * 3, user as u32 * 3 + 1, user as u32 * 3 + 2],
        flags,
        speaking: flags.is_multiple_of(2).then_some(SpeakingFlags::VOICE),
        is_announced: flags.is_multiple_of(3),
        shown: flags.is_multiple_of(5).then_some(RemoteShown {
            kind: MediaType::Screen,
            frames_per_second: Some(30),
            resolution: Some(StreamResolution { kind: ResolutionType::Fixed, width: 1_280.0, height: 720.0 }),
        }),
    }
}

/// One end, and what it knows of the other.
struct End {
    link: NodeLink,
    is_up: bool,
    members: BTreeMap<UserId, RemoteMember>,
    wants: Wants,
    key_frames: Vec<u32>,
    media: u64,
}

impl End {
    fn new(seal: usize) -> Self {
        let link = NodeLink::new(LinkConfig::default(), 77, &KEYS[seal], &KEYS[1 - seal]);
        let (members, wants) = (BTreeMap::new(), Wants::default());
        Self { link, is_up: false, members, wants, key_frames: Vec::new(), media: 0 }
    }

    fn receive(&mut self, now_us: u64, datagram: &[u8]) -> Option<DropReason> {
        let mut datagram = datagram.to_vec();
        assert_eq!(link_id(&datagram), Some(77));
        match self.link.handle_datagram(now_us, &mut datagram) {
            Received::Media(..) => self.media += 1,
            Received::Said | Received::Feedback(_) => {}
            Received::Dropped(reason) => return Some(reason),
        }
        self.events();
        None
    }

    fn events(&mut self) {
        while let Some(event) = self.link.poll_event() {
            match event {
                Event::Up => self.is_up = true,
                Event::Down => {
                    self.is_up = false;
                    self.members.clear();
                    self.wants = Wants::default();
                }
                Event::Member(member) => drop(self.members.insert(member.user, member)),
                Event::Gone(user) => drop(self.members.remove(&user)),
                Event::Wants(wants) => self.wants = wants,
                Event::KeyFrame(ssrc) => self.key_frames.push(ssrc),
            }
        }
    }

    fn transmit(&mut self, now_us: u64) -> Vec<Vec<u8>> {
        let mut buffer = [0; 1_400];
        self.link.handle_timeout(now_us);
        self.events();
        let next = || self.link.poll_transmit(now_us, &mut buffer).map(|len| buffer[..len].to_vec());
        let sent: Vec<_> = std::iter::from_fn(next).take(100).collect();
        assert!(sent.len() < 100, "it never ends");
        assert!(self.link.poll_timeout() > now_us);
        sent
    }
}

fn packet(end: &mut End, payload: &[u8]) -> Option<Vec<u8>> {
    let header = MediaHeader {
        codec: MediaCodec::Opus,
        marker: true,
        hops: 2,
        level: Some(0x8a),
        sequence: 7,
        timestamp: 960,
        ssrc: 5,
    };
    let mut buffer = [0; 1_500];
    let len = end.link.write_media(&header, payload, &mut buffer)?;
    Some(buffer[..len].to_vec())
}

/// Says all that is to be said, without loss.
fn talk(a: &mut End, b: &mut End, now_us: u64) {
    for _ in 0..50 {
        let (from_a, from_b) = (a.transmit(now_us), b.transmit(now_us));
        if from_a.is_empty() && from_b.is_empty() {
            return;
        }
        from_a.iter().for_each(|datagram| assert_eq!(b.receive(now_us, datagram), None));
        from_b.iter().for_each(|datagram| assert_eq!(a.receive(now_us, datagram), None));
    }
    panic!("they talk for ever");
}

#[test]
fn media_crosses_as_it_is_and_once() {
    let (mut a, mut b) = (End::new(0), End::new(1));
    assert_eq!(packet(&mut a, b"opus"), None, "nobody is there yet");
    talk(&mut a, &mut b, 0);
    assert!(a.is_up && b.is_up);
    let sent = packet(&mut a, b"opus").unwrap();
    let mut copy = sent.clone();
    let Received::Media(header, payload) = b.link.handle_datagram(0, &mut copy) else { panic!("no media") };
    assert_eq!((header.codec, header.marker, header.hops, header.level), (MediaCodec::Opus, true, 2, Some(0x8a)));
    assert_eq!((header.sequence, header.timestamp, header.ssrc, payload), (7, 960, 5, &b"opus"[..]));
    assert_eq!(b.receive(0, &sent), Some(DropReason::Replayed));
    assert_eq!(a.receive(0, &sent), Some(DropReason::BadTag), "thrown back it is nobody's");
    let mut feedback = [0; 100];
    let len = b.link.write_feedback(b"what is missing", &mut feedback).unwrap();
    assert_eq!(a.link.handle_datagram(0, &mut feedback[..len]), Received::Feedback(b"what is missing"));
}

#[test]
fn who_is_there_is_told_with_what_changes() {
    let (mut a, mut b) = (End::new(0), End::new(1));
    a.link.set_members((1..200).map(|user| member(user, 0)));
    talk(&mut a, &mut b, 0);
    assert_eq!(b.members.len(), 199);
    assert_eq!(b.members[&UserId::new(7)], member(7, 0));
    a.link.set_members((2..200).map(|user| member(user, u16::from(user == 9))));
    talk(&mut a, &mut b, 1_000);
    assert_eq!(b.members.len(), 198);
    assert_eq!(b.members[&UserId::new(9)], member(9, 1));
    a.link.set_members([]);
    talk(&mut a, &mut b, 2_000);
    assert!(b.members.is_empty());
    a.link.set_members((1..5_000).map(|user| member(user, 0)));
    talk(&mut a, &mut b, 3_000);
    assert_eq!(b.members.len(), 1_024, "so many at most");
}

#[test]
fn wishes_and_key_frames_reach_the_other_end() {
    let (mut a, mut b) = (End::new(0), End::new(1));
    talk(&mut a, &mut b, 0);
    let wants = Wants { any: 0, by_ssrc: vec![(9, 100), (12, 30)] };
    b.link.set_wants(wants.clone());
    b.link.ask_key_frame(9);
    b.link.ask_key_frame(9);
    talk(&mut a, &mut b, 1_000);
    assert_eq!((&a.wants, &a.key_frames), (&wants, &vec![9]));
    b.link.set_wants(wants);
    assert!(b.transmit(1_500).is_empty(), "nothing is new");
}

#[test]
fn what_is_silent_is_forgotten_and_told_anew() {
    let (mut a, mut b) = (End::new(0), End::new(1));
    a.link.set_members([member(1, 0), member(2, 0)]);
    talk(&mut a, &mut b, 0);
    b.link.set_wants(Wants { any: 50, by_ssrc: Vec::new() });
    a.link.set_members([member(2, 0), member(3, 0)]);
    talk(&mut a, &mut b, 1_000);
    let lost = |end: &mut End| (1..12).for_each(|n| drop(end.transmit(n * 100_000)));
    lost(&mut a);
    assert!(!a.is_up && a.wants == Wants::default());
    assert_eq!(packet(&mut a, b""), None);
    lost(&mut b);
    assert!(!b.is_up && b.members.is_empty());
    talk(&mut a, &mut b, 1_400_000);
    assert!(a.is_up && b.is_up);
    assert_eq!((b.members.len(), a.wants.any), (2, 50));
}

#[test]
fn one_end_alone_says_little() {
    let mut a = End::new(0);
    a.link.set_members((1..100).map(|user| member(user, 0)));
    let sent: Vec<_> = (0..100).flat_map(|n| a.transmit(n * 10_000)).collect();
    assert_eq!(sent.len(), 5, "of a second");
    assert!(sent.iter().all(|datagram| datagram.len() < 60));
}

#[test]
fn nonsense_does_no_harm() {
    let mut dice = ChaCha8Rng::seed_from_u64(1);
    let mut a = End::new(0);
    for _ in 0..2_000 {
        let mut datagram = vec![0; dice.random_range(0..200)];
        dice.fill(&mut datagram[..]);
        let reason = a.link.handle_datagram(0, &mut datagram);
        assert!(matches!(reason, Received::Dropped(_)), "{reason:?}");
    }
    assert!(!a.link.is_up());
}

/// A path that loses, repeats and overtakes.
struct Path {
    loss_percent: u32,
    under_way: Vec<(u64, usize, Vec<u8>)>,
}

fn play(seed: u64) {
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    let mut ends = [End::new(0), End::new(1)];
    let mut told: [BTreeMap<UserId, RemoteMember>; 2] = Default::default();
    let mut wants: [Wants; 2] = Default::default();
    let mut path = Path { loss_percent: dice.random_range(0..60), under_way: Vec::new() };
    let ticks = dice.random_range(200..2_000_u64);
    let quiet = ticks + 1_500;
    // For a while nothing comes through, maybe one way only.
    let cut = dice.random_range(0..ticks)..dice.random_range(0..ticks);
    let cut_ways = dice.random_range(1..4_usize);
    for tick in 0..quiet {
        let now_us = tick * 5_000;
        for at in 0..2 {
            if tick < ticks && dice.random_range(0..20) == 0 {
                for _ in 0..dice.random_range(1..40) {
                    let user = dice.random_range(1..120);
                    if dice.random_range(0..3) == 0 {
                        told[at].remove(&UserId::new(user));
                    } else {
                        told[at].insert(UserId::new(user), member(user, dice.random_range(0..30)));
                    }
                }
                ends[at].link.set_members(told[at].values().copied());
            }
            if tick < ticks && dice.random_range(0..40) == 0 {
                let by_ssrc = (0..dice.random_range(0..9)).map(|n| (n, dice.random_range(0..=100))).collect();
                wants[at] = Wants { any: dice.random_range(0..=100), by_ssrc };
                ends[at].link.set_wants(wants[at].clone());
            }
            for datagram in ends[at].transmit(now_us) {
                let is_cut = cut.contains(&tick) && cut_ways & (at + 1) != 0;
                let is_lost = tick < ticks && (is_cut || dice.random_range(0..100) < path.loss_percent);
                for _ in 0..if is_lost { 0 } else { dice.random_range(1..=2) } {
                    let arrives = tick + dice.random_range(0..60);
                    path.under_way.push((arrives, 1 - at, datagram.clone()));
                }
            }
        }
        let (arrived, left) = path.under_way.into_iter().partition(|(at, ..)| *at <= tick);
        path.under_way = left;
        let arrived: Vec<(u64, usize, Vec<u8>)> = arrived;
        for (_, to, datagram) in arrived {
            let dropped = ends[to].receive(now_us, &datagram);
            assert!(!matches!(dropped, Some(DropReason::BadTag | DropReason::Malformed)), "seed {seed}: {dropped:?}");
        }
    }
    for at in 0..2 {
        assert!(ends[at].is_up, "seed {seed}");
        assert_eq!(ends[at].members, told[1 - at], "seed {seed}");
        assert_eq!(ends[at].wants, wants[1 - at], "seed {seed}");
    }
}

#[test]
fn whatever_the_path_does_both_ends_know_the_same_in_the_end() {
    rookery_test_seeds::seeds(SEEDS).for_each(play);
}
