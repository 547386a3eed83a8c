//! One room at several nodes.

#![allow(clippy::unwrap_used, reason = "what tests share fails like a test")]

mod common;

use common::*;
use rookery_forwarder::*;
use rookery_model::UserId;
use smallvec::smallvec;

/// Nodes whose links are as given, with a member each; all know all.
struct Cluster {
    nodes: Vec<World>,
    members: Vec<MemberKey>,
    /// `links[a][b]`: the link of `a` to `b`.
    links: Vec<Vec<Option<MemberKey>>>,
    copies: Vec<(usize, usize)>,
}

impl Cluster {
    fn new(nodes: usize, edges: &[(usize, usize)], next_hop: impl Fn(usize, usize) -> usize) -> Self {
        let worlds: Vec<_> =
            (0..nodes).map(|node| at(node as u16 + 1, RoomKind::Voice, RoomConfig::default())).collect();
        let mut cluster =
            Self { nodes: worlds, members: Vec::new(), links: vec![vec![None; nodes]; nodes], copies: Vec::new() };
        for (node, world) in cluster.nodes.iter_mut().enumerate() {
            cluster.members.push(world.browser(node as u64 + 1));
        }
        for (a, b) in edges.iter().flat_map(|(a, b)| [(*a, *b), (*b, *a)]) {
            let link = cluster.nodes[a].room.add_link(NodeId(b as u16 + 1), Feedback::None);
            cluster.links[a][b] = Some(link.unwrap());
        }
        for (at, origin) in (0..nodes).flat_map(|at| (0..nodes).map(move |origin| (at, origin))) {
            if at != origin {
                cluster.introduce(at, origin, next_hop(at, origin)).unwrap();
            }
        }
        cluster
    }

    /// Makes the member of one node known at another, over a link.
    fn introduce(&mut self, at: usize, origin: usize, over: usize) -> Result<MemberKey, JoinRefused> {
        let streams = self.nodes[origin].room.streams(self.members[origin]).unwrap();
        let join = RemoteJoin {
            user: UserId::new(origin as u64 + 1),
            link: self.links[at][over].unwrap(),
            origin: NodeId(origin as u16 + 1),
            streams,
            flags: SPEAKER,
        };
        self.nodes[at].room.join_remote(join)
    }

    /// Carries a packet from its member to wherever it goes.
    fn speak(&mut self, from: usize, sequence: u16) -> Vec<usize> {
        let packet = Packet {
            ssrc: Ssrc((from as u32 + 1) * 10),
            sequence,
            timestamp: u32::from(sequence) * 960,
            marker: false,
            length_bytes: 160,
            hops: 0,
            payload: Payload::Audio(loud(30)),
        };
        self.carry(from, self.members[from], packet)
    }

    fn carry(&mut self, at: usize, from: MemberKey, packet: Packet) -> Vec<usize> {
        let mut heard = Vec::new();
        let mut under_way = vec![(at, from, packet)];
        while let Some((at, from, packet)) = under_way.pop() {
            assert!(self.copies.len() < 100, "it goes round");
            self.nodes[at].forward(from, packet);
            for forward in std::mem::take(&mut self.nodes[at].sent) {
                let Some(to) = self.links[at].iter().position(|link| *link == Some(forward.receiver)) else {
                    heard.push(at);
                    continue;
                };
                self.copies.push((at, to));
                let packet = Packet {
                    ssrc: forward.header.ssrc,
                    sequence: forward.header.sequence,
                    hops: forward.hops,
                    ..packet
                };
                under_way.push((to, self.links[to][at].unwrap(), packet));
            }
        }
        heard.sort_unstable();
        heard
    }
}

#[test]
fn a_tree_carries_one_copy_over_each_link_and_all_hear() {
    // 0 is the root, 1 and 2 hang on it, 3 on 1.
    let toward = |at: usize, origin: usize| match (at, origin) {
        (0, 3) => 1,
        (0, _) => origin,
        (1, 3) | (3, _) => {
            if at == 1 {
                3
            } else {
                1
            }
        }
        _ => 0,
    };
    let mut cluster = Cluster::new(4, &[(0, 1), (0, 2), (1, 3)], toward);
    assert_eq!(cluster.speak(3, 1), [0, 1, 2]);
    let mut copies = std::mem::take(&mut cluster.copies);
    copies.sort_unstable();
    assert_eq!(copies, [(0, 2), (1, 0), (3, 1)]);
    assert_eq!(cluster.speak(0, 1), [1, 2, 3]);
    assert_eq!(cluster.copies.len(), 3);
}

#[test]
fn packets_do_not_go_round_in_a_ring() {
    // Everybody believes that the others are behind the next one.
    let mut cluster = Cluster::new(3, &[(0, 1), (1, 2), (2, 0)], |at, _| (at + 2) % 3);
    let heard = cluster.speak(0, 1);
    assert_eq!(heard, [1, 2]);
    assert!(cluster.copies.len() <= 4, "{:?}", cluster.copies);
}

#[test]
fn a_packet_that_has_crossed_too_many_links_ends() {
    let mut cluster = Cluster::new(2, &[(0, 1)], |_, origin| origin);
    let streams = cluster.nodes[0].room.streams(cluster.members[0]).unwrap();
    let packet = |hops| Packet {
        ssrc: streams.audio,
        sequence: 1,
        timestamp: 0,
        marker: false,
        length_bytes: 100,
        hops,
        payload: Payload::Audio(loud(30)),
    };
    let link = cluster.links[1][0].unwrap();
    for hops in [0, 5] {
        let verdict = cluster.nodes[1].forward(link, packet(hops));
        assert_eq!(verdict, Verdict::Dropped(DropReason::TooManyHops));
    }
    assert_eq!(cluster.nodes[1].forward(link, packet(4)).receivers(), 1);
}

#[test]
fn a_link_speaks_only_for_those_who_are_behind_it() {
    let mut cluster = Cluster::new(3, &[(0, 1), (0, 2)], |at, origin| if at == 0 { origin } else { 0 });
    let behind_two = cluster.nodes[2].room.streams(cluster.members[2]).unwrap().audio;
    let own = cluster.nodes[0].room.streams(cluster.members[0]).unwrap().audio;
    let link_to_one = cluster.links[0][1].unwrap();
    for ssrc in [behind_two, own, Ssrc(12)] {
        let packet = Packet {
            ssrc,
            sequence: 1,
            timestamp: 0,
            marker: false,
            length_bytes: 100,
            hops: 1,
            payload: Payload::Audio(loud(30)),
        };
        assert_eq!(cluster.nodes[0].forward(link_to_one, packet), Verdict::Dropped(DropReason::ForeignSsrc));
    }
}

#[test]
fn nobody_is_known_twice_or_behind_their_own_node() {
    let mut cluster = Cluster::new(3, &[(0, 1), (1, 2), (0, 2)], |_, origin| origin);
    assert_eq!(cluster.introduce(0, 2, 1), Err(JoinRefused::AlreadyIn));
    assert_eq!(cluster.nodes[0].room.add_link(NodeId(1), Feedback::None), Err(JoinRefused::Loop));
    assert_eq!(cluster.nodes[0].room.add_link(NodeId(2), Feedback::None), Err(JoinRefused::AlreadyIn));
    let mut join = RemoteJoin {
        user: UserId::new(77),
        link: cluster.links[0][1].unwrap(),
        origin: NodeId(1),
        streams: Streams { audio: Ssrc(1), video: Ssrc(2), rtx: Ssrc(3) },
        flags: SPEAKER,
    };
    assert_eq!(cluster.nodes[0].room.join_remote(join), Err(JoinRefused::Loop));
    join.origin = NodeId(9);
    join.streams = cluster.nodes[0].room.streams(cluster.members[0]).unwrap();
    assert_eq!(cluster.nodes[0].room.join_remote(join), Err(JoinRefused::SsrcTaken));
    join.link = cluster.members[0];
    assert_eq!(cluster.nodes[0].room.join_remote(join), Err(JoinRefused::NoSuchLink));
}

#[test]
fn with_a_link_go_all_who_were_behind_it() {
    let mut cluster = Cluster::new(2, &[(0, 1)], |_, origin| origin);
    let room = &mut cluster.nodes[0];
    let remote = room.room.member_of(UserId::new(2)).unwrap();
    assert_eq!(room.room.origin_of(remote), Some(NodeId(2)));
    room.room.leave(room.now_us, cluster.links[0][1].unwrap());
    assert_eq!(room.events(), [Event::RemoteLeft { member: remote, user: UserId::new(2) }]);
    assert_eq!(room.room.len(), 1);
}

#[test]
fn video_crosses_once_for_all_behind_a_link_and_wishes_and_key_frames_go_back() {
    let mut cluster = Cluster::new(2, &[(0, 1)], |_, origin| origin);
    let now_us = cluster.nodes[0].now_us;
    let (here, link) = (cluster.members[0], cluster.links[0][1].unwrap());
    cluster.nodes[0].room.publish_video(now_us, here, &LAYERS[..1]).unwrap();
    cluster.nodes[0].events();
    assert_eq!(cluster.nodes[0].show(here, 1, 0, 1, KEY).receivers(), 0, "nobody there has asked");
    // There, the same member shows one layer, and two members look.
    let there = cluster.nodes[1].room.member_of(UserId::new(1)).unwrap();
    cluster.nodes[1].room.publish_video(now_us, there, &LAYERS[..1]).unwrap();
    cluster.nodes[1].browser(50);
    let ssrc = cluster.nodes[0].video_ssrc(here);
    let told = cluster.nodes[1].events();
    assert!(told.contains(&Event::Demand { publisher: there, quality: 100 }));
    assert!(told.contains(&Event::KeyFrame { publisher: there, layer: Layer(0), ssrc }));
    assert_eq!(cluster.nodes[1].room.link_of(there), cluster.links[1][0]);
    // The caller carries both over the link.
    cluster.nodes[0].room.set_wants(now_us, link, Wants { any: 0, by_ssrc: smallvec![(ssrc, 100)] });
    assert!(cluster.nodes[0].events().iter().any(|event| matches!(event, Event::KeyFrame { .. })));
    cluster.nodes[0].show(here, 1, 0, 2, KEY);
    let forward = cluster.nodes[0].sent.pop().unwrap();
    assert_eq!((forward.receiver, forward.hops), (link, 1));
    let packet = Packet {
        ssrc: forward.header.ssrc,
        sequence: forward.header.sequence,
        timestamp: forward.header.timestamp,
        marker: true,
        length_bytes: 1_000,
        hops: forward.hops,
        payload: Payload::Video(KEY),
    };
    let back = cluster.links[1][0].unwrap();
    assert_eq!(cluster.nodes[1].forward(back, packet).receivers(), 2);
}
