//! One room at two nodes.

use crate::common::*;
use rookery_model::voice::{LinkKey, RoomLink};
use serde_json::{Value, json};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

/// Two nodes whose room 5 is linked, over a path that the test sees and cuts.
struct Nodes {
    a: World,
    b: World,
    path: Path,
}

/// Carries datagrams between two sockets.
struct Path {
    to_b: Arc<UdpSocket>,
    media_b: SocketAddr,
    /// What went from the first node to the second.
    seen: Arc<Mutex<Vec<Vec<u8>>>>,
    is_cut: Arc<AtomicBool>,
    /// So many packets of media are lost, every fourth one.
    losses: Arc<AtomicU32>,
    tasks: [JoinHandle<()>; 2],
}

impl Drop for Path {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

fn link(node: u16, address: Option<SocketAddr>, seal: u8, open: u8) -> Vec<RoomLink> {
    vec![RoomLink { id: 99, node, address, seal: LinkKey([seal; 32]), open: LinkKey([open; 32]) }]
}

/// Carries what comes from one node to the other.
struct Carrier {
    from: Arc<UdpSocket>,
    over: Arc<UdpSocket>,
    to: SocketAddr,
    is_cut: Arc<AtomicBool>,
    losses: Arc<AtomicU32>,
    seen: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Carrier {
    fn carry(self) -> JoinHandle<()> {
        tokio::spawn(async move {
            let mut buffer = [0; 2_048];
            let mut packets = 0_u32;
            loop {
                let (length, _) = self.from.recv_from(&mut buffer).await.unwrap();
                packets += u32::from(buffer[1] == 1);
                let is_fourth = buffer[1] == 1 && packets.is_multiple_of(4);
                let one_less = |left: u32| left.checked_sub(1);
                let is_lost =
                    is_fourth && self.losses.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok();
                if !self.is_cut.load(Ordering::Relaxed) && !is_lost {
                    self.seen.lock().await.push(buffer[..length].to_vec());
                    self.over.send_to(&buffer[..length], self.to).await.unwrap();
                }
            }
        })
    }
}

impl Nodes {
    async fn new() -> Self {
        Self::with(200).await
    }

    /// In whose rooms so many are told of.
    async fn with(presence_members_max: usize) -> Self {
        let node =
            |number| World::with(|config| (config.node, config.presence_members_max) = (number, presence_members_max));
        let (a, b) = (node(1), node(2));
        // The room's media is at some core of each, which tells where.
        let media_a = a.node.link_room(room(5), link(2, None, 1, 2)).await;
        let media_b = b.node.link_room(room(5), link(1, None, 2, 1)).await;
        let near_a = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap());
        let near_b = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap());
        let (is_cut, losses, seen) = (Arc::<AtomicBool>::default(), Arc::<AtomicU32>::default(), Arc::default());
        let carrier = |from: &Arc<UdpSocket>, over: &Arc<UdpSocket>, to, seen: &Arc<Mutex<Vec<Vec<u8>>>>| Carrier {
            from: from.clone(),
            over: over.clone(),
            to,
            is_cut: Arc::clone(&is_cut),
            losses: Arc::clone(&losses),
            seen: Arc::clone(seen),
        };
        let there = carrier(&near_a, &near_b, media_b, &seen).carry();
        let back = carrier(&near_b, &near_a, media_a, &Arc::default()).carry();
        let path = Path { to_b: near_b.clone(), media_b, seen, is_cut, losses, tasks: [there, back] };
        let at = |socket: &UdpSocket| Some(socket.local_addr().unwrap());
        assert_eq!(a.node.link_room(room(5), link(2, at(&near_a), 1, 2)).await, media_a);
        assert_eq!(b.node.link_room(room(5), link(1, at(&near_b), 2, 1)).await, media_b);
        let nodes = Self { a, b, path };
        nodes.until_up(1).await;
        nodes
    }

    async fn until_up(&self, count: u64) {
        for world in [&self.a, &self.b] {
            let up = async {
                while world.node.load().await.links_up != count {
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(PATIENCE, up).await.expect("the link is as it should be");
        }
    }
}

/// Everything up to the first message with an opcode about a user.
async fn until_of(client: &mut Client, op: u64, user: u64) -> Value {
    let user = user.to_string();
    let is = |value: &Value| value["op"] == op && value["d"]["user_id"] == user.as_str();
    client.wire.collect_until(is).await.pop().unwrap()["d"].take()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_of_two_nodes_hear_each_other_and_each_packet_crosses_once() {
    let nodes = Nodes::new().await;
    let mut alice = nodes.a.join(5, 1, 8, AES).await;
    let mut bob = nodes.b.join(5, 2, 8, XCHACHA).await;
    let mut carol = nodes.b.join(5, 3, 4, AES).await;
    // Whoever comes is told of at the other node.
    let has = |user: &'static str| {
        move |value: &Value| value["op"] == 11 && value["d"]["user_ids"].as_array().unwrap().contains(&json!(user))
    };
    bob.wire.collect_until(has("1")).await;
    alice.wire.collect_until(has("2")).await;
    for n in 0..20_u8 {
        let payload = [n; 160];
        alice.say(&payload).await;
        assert_eq!(bob.hear().await.of(), (alice.ssrc, &payload[..]));
        assert_eq!(carol.hear().await.of(), (alice.ssrc, &payload[..]));
    }
    // They were told whose voice it is before, although she never said that she speaks.
    for client in [&mut bob, &mut carol] {
        let told = until_of(client, 5, 1).await;
        assert_eq!((&told["ssrc"], &told["speaking"]), (&json!(alice.ssrc), &json!(1)));
    }
    let (a, b) = (nodes.a.node.load().await, nodes.b.node.load().await);
    assert_eq!((a.link_packets_out, b.link_packets_in, b.link_packets_out), (20, 20, 0), "once for two who hear it");
    carol.say(b"here, too").await;
    assert_eq!(alice.hear().await.of(), (carol.ssrc, &b"here, too"[..]));
    assert_eq!(bob.hear().await.of(), (carol.ssrc, &b"here, too"[..]));
    // Who says of itself what it sends is told of there as well.
    alice.wire.send(json!({"op": 5, "d": {"speaking": 2, "delay": 0, "ssrc": alice.ssrc}})).await;
    let is = |value: &Value| value["op"] == 5 && value["d"]["speaking"] == 2;
    bob.wire.collect_until(is).await;
    // Somebody who comes late knows of those elsewhere at once.
    let mut dave = nodes.b.join(5, 4, 8, AES).await;
    let seen = dave.wire.collect_until(|value: &Value| value["op"] == 5 && value["d"]["user_id"] == "1").await;
    assert!(
        seen.iter().any(|value| value["op"] == 11 && value["d"]["user_ids"].as_array().unwrap().contains(&json!("1"))),
        "{seen:?}"
    );
    nodes.a.node.remove_member(key(1)).await.unwrap();
    until_of(&mut bob, 13, 1).await;
    assert_eq!(nodes.b.node.load().await.datagrams_dropped.iter().map(|(_, count)| count).sum::<u64>(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_stranger_sends_over_a_link_is_dropped_and_not_answered() {
    let nodes = Nodes::new().await;
    let mut alice = nodes.a.join(5, 1, 8, AES).await;
    let mut bob = nodes.b.join(5, 2, 8, AES).await;
    bob.wire.until(11).await;
    alice.say(b"once").await;
    assert_eq!(bob.hear().await.of(), (alice.ssrc, &b"once"[..]));
    let media = |datagram: &&Vec<u8>| datagram[1] == 1;
    let sent = nodes.path.seen.lock().await.iter().rfind(media).unwrap().clone();
    let stranger = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    // Again, from where it came and from elsewhere.
    nodes.path.to_b.send_to(&sent, nodes.path.media_b).await.unwrap();
    stranger.send_to(&sent, nodes.path.media_b).await.unwrap();
    nodes.b.until_dropped("link_replayed", 2).await;
    let mut changed = sent.clone();
    changed[2..8].copy_from_slice(&[0, 0, 9, 9, 9, 9]);
    stranger.send_to(&changed, nodes.path.media_b).await.unwrap();
    nodes.b.until_dropped("link_bad_tag", 1).await;
    changed[8..16].fill(7);
    stranger.send_to(&changed, nodes.path.media_b).await.unwrap();
    stranger.send_to(&[0xf0; 20], nodes.path.media_b).await.unwrap();
    nodes.b.until_dropped("link_unknown_link", 2).await;
    alice.say(b"twice").await;
    assert_eq!(bob.hear().await.of(), (alice.ssrc, &b"twice"[..]), "and nothing between");
    assert_eq!(recv_now(&stranger, &mut [0; 100]), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_behind_a_silent_link_is_gone_and_comes_back_with_it() {
    let nodes = Nodes::new().await;
    let mut alice = nodes.a.join(5, 1, 8, AES).await;
    let mut bob = nodes.b.join(5, 2, 8, AES).await;
    bob.wire.until(11).await;
    nodes.path.is_cut.store(true, Ordering::Relaxed);
    until_of(&mut bob, 13, 1).await;
    nodes.until_up(0).await;
    nodes.path.is_cut.store(false, Ordering::Relaxed);
    assert_eq!(bob.wire.until(11).await["user_ids"], json!(["1"]));
    alice.say(b"here again").await;
    assert_eq!(bob.hear().await.of(), (alice.ssrc, &b"here again"[..]));
    // The link ends, and with it all that was known of the other node.
    assert_eq!(nodes.b.node.link_room(room(5), Vec::new()).await, nodes.path.media_b);
    until_of(&mut bob, 13, 1).await;
    assert_eq!(nodes.b.node.load().await.links, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_who_goes_to_the_other_node_is_heard_there() {
    let nodes = Nodes::new().await;
    let mut old = nodes.a.join(5, 1, 8, AES).await;
    let mut bob = nodes.b.join(5, 2, 8, AES).await;
    let mut carol = nodes.a.join(5, 3, 8, AES).await;
    bob.wire.until(11).await;
    old.say(b"from there").await;
    assert_eq!(bob.hear().await.of(), (old.ssrc, &b"from there"[..]));
    assert_eq!(carol.hear().await.of(), (old.ssrc, &b"from there"[..]));
    // It is at both for a moment.
    let mut new = nodes.b.join(5, 1, 8, AES).await;
    new.say(b"from here").await;
    assert_eq!(bob.hear().await.of(), (new.ssrc, &b"from here"[..]));
    nodes.a.node.remove_member(key(1)).await.unwrap();
    let is = |value: &Value| value["op"] == 5 && value["d"]["ssrc"] == new.ssrc;
    carol.wire.collect_until(is).await;
    new.say(b"and there").await;
    let mut heard = carol.hear().await;
    // What it said before may have been on its way when its old connection ended.
    if heard.payload == b"from here" {
        heard = carol.hear().await;
    }
    assert_eq!(heard.of(), (new.ssrc, &b"and there"[..]));
    carol.say(b"welcome").await;
    assert_eq!(new.hear().await.of(), (carol.ssrc, &b"welcome"[..]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_picture_crosses_for_whoever_wants_it() {
    let nodes = Nodes::new().await;
    let mut prepare = prepare(5, 1);
    prepare.flags.may_stream = true;
    let prepared = nodes.a.node.prepare_member(prepare).unwrap();
    let mut wire = nodes.a.connect("?v=8").await;
    let mut hello = identify(1, &prepared.token);
    hello["d"]["video"] = json!(true);
    wire.send(hello).await;
    let ready = wire.until(2).await;
    let mut alice = Client::select(wire, 1, prepared.token, &ready, AES).await;
    let mut bob = nodes.b.join(5, 2, 8, AES).await;
    bob.wire.until(11).await;
    let (video, rtx) = (alice.ssrc + 1, alice.ssrc + 2);
    let shown = json!({"op": 12, "d": {"audio_ssrc": alice.ssrc, "video_ssrc": video, "rtx_ssrc": rtx, "streams": [
        {"type": "screen", "rid": "100", "quality": 100, "active": true, "ssrc": video, "rtx_ssrc": rtx, "max_framerate": 30}]}});
    alice.wire.send(shown).await;
    let told = until_of(&mut bob, 12, 1).await;
    assert_eq!((&told["video_ssrc"], &told["streams"][0]["type"]), (&json!(video), &json!("screen")));
    assert_eq!(told["streams"][0]["max_framerate"], 30.0);
    // Somebody wants it there, which she is told.
    bob.wire.send(json!({"op": 15, "d": {"any": 100}})).await;
    assert_eq!(alice.wire.until(15).await["any"], 100);
    let mut carol = nodes.b.join(5, 3, 8, AES).await;
    carol.wire.send(json!({"op": 15, "d": {"any": 0, video.to_string(): 100}})).await;
    // The path of the wish is longer than that of the answer to a beat, so pictures are shown until one is seen.
    let mut camera = tokio::time::interval(Duration::from_millis(5));
    camera.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let seen = async {
        for sequence in 0.. {
            camera.tick().await;
            let packet = alice.picture(video, sequence);
            alice.udp.send(&packet).await.unwrap();
            if let (Some(bob), Some(carol)) = (bob.hear_now(), carol.hear_now()) {
                return (sequence, [bob, carol]);
            }
        }
        unreachable!("for ever")
    };
    let (last, pictures) = tokio::time::timeout(PATIENCE, seen).await.expect("a picture");
    for picture in pictures {
        assert_eq!((picture.ssrc, picture.payload_type, picture.payload[0]), (video, VP8, 0x10));
    }
    let once = async {
        while nodes.a.node.load().await.link_packets_out != nodes.b.node.load().await.link_packets_in {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, once).await.expect("once for two who see it");

    // What is lost between the nodes is sent again: she shows pictures until all of the first forty were seen.
    nodes.path.losses.store(10, Ordering::Relaxed);
    let mut missing: std::collections::BTreeSet<u32> = (1..=40).map(|n| u32::from(last) + n).collect();
    let shown = async {
        for sequence in last + 1.. {
            camera.tick().await;
            let packet = alice.picture(video, sequence);
            alice.udp.send(&packet).await.unwrap();
            while let Some(picture) = bob.hear_now() {
                missing.remove(&(picture.timestamp / 3_000));
            }
            if missing.is_empty() {
                return;
            }
        }
    };
    let in_time = tokio::time::timeout(PATIENCE, shown).await;
    assert!(in_time.is_ok(), "{missing:?} did not come");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_some_are_told_of_at_the_other_node_and_all_who_are_heard() {
    let nodes = Nodes::with(3).await;
    let mut bob = nodes.b.join(5, 2, 8, AES).await;
    let mut there = Vec::new();
    for user in 11..=15 {
        there.push(nodes.a.join(5, user, 8, AES).await);
    }
    // With bob himself three are told of there.
    let mut told = Vec::new();
    while told.len() < 2 {
        let came = bob.wire.until(11).await;
        told.extend(came["user_ids"].as_array().unwrap().iter().cloned());
    }
    assert_eq!(told, [json!("11"), json!("12")]);
    // Nobody knew of the last one; the first packet is heard, and by then it is known whose it is.
    let last = there.last_mut().unwrap();
    last.say(b"the first").await;
    assert_eq!(bob.hear().await.of(), (last.ssrc, &b"the first"[..]));
    assert_eq!(until_of(&mut bob, 5, 15).await["ssrc"], last.ssrc);
    nodes.a.node.remove_member(key(15)).await.unwrap();
    let seen = bob.wire.collect_until(|value| value["op"] == 13).await;
    assert_eq!(seen.last().unwrap()["d"]["user_id"], "15");
    assert!(!seen.iter().any(|value| value["op"] == 11), "{seen:?}");
}
