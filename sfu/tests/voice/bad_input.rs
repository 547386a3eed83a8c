//! Datagrams that are nobody's, or not whose they say they are.

use crate::common::*;
use std::net::Ipv4Addr;
use tokio::net::UdpSocket;

async fn stranger(to: &Client) -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    socket.connect(to.media).await.unwrap();
    socket
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_get_no_more_than_they_send() {
    let world = World::new();
    let alice = world.join(5, 1, 8, AES).await;
    let stranger = stranger(&alice).await;
    let unknown = alice.ssrc.wrapping_add(77_777);
    let mut media = vec![0x80, 120, 0, 1, 0, 0, 0, 1];
    media.extend(unknown.to_be_bytes());
    media.extend([0; 40]);
    let mut reports = vec![0x80, 200, 0, 6];
    reports.extend(unknown.to_be_bytes());
    reports.extend([0; 40]);
    let mut stun = vec![0, 1, 0, 8, 0x21, 0x12, 0xa4, 0x42];
    stun.extend([7; 20]);
    let flood = [discovery(unknown), media, reports, stun, vec![0x16; 60], vec![0xff; 90], vec![1; 8], vec![0]];
    for _ in 0..20 {
        for datagram in &flood {
            stranger.send(datagram).await.unwrap();
        }
    }
    world.until_dropped("unknown_ssrc", 60).await;
    world.until_dropped("foreign_address", 20).await;
    assert_eq!(recv_now(&stranger, &mut [0; 2_048]), None, "no answer to any of it");
    // With an SSRC that somebody has: as many bytes as they sent, and not for long.
    for _ in 0..200 {
        stranger.send(&discovery(alice.ssrc)).await.unwrap();
    }
    world.until_dropped("rate_limited", 150).await;
    let mut answers = 0;
    while let Some(length) = recv_now(&stranger, &mut [0; 2_048]) {
        assert_eq!(length, 74);
        answers += 1;
    }
    assert!((1..=50).contains(&answers), "{answers} answers");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_hear_nothing_of_spoofed_foreign_replayed_and_changed_packets() {
    let world = World::new();
    let mut alice = world.join(5, 1, 8, AES).await;
    let mut bob = world.join(5, 2, 8, XCHACHA).await;
    let mut mallory = world.join(5, 3, 8, AES).await;
    alice.say(b"begin").await;
    assert_eq!(bob.hear().await.of(), (alice.ssrc, &b"begin"[..]));
    // Alice's SSRC, from Mallory's address and with Mallory's key.
    let own = std::mem::replace(&mut mallory.ssrc, alice.ssrc);
    mallory.say(b"as alice").await;
    world.until_dropped("spoofed_ssrc", 1).await;
    mallory.ssrc = own;
    // A good packet of Alice's from an address that is not hers.
    let foreign = stranger(&alice).await;
    let captured = alice.packet(b"captured");
    foreign.send(&captured).await.unwrap();
    world.until_dropped("foreign_address", 1).await;
    // The same from hers, and again.
    alice.udp.send(&captured).await.unwrap();
    assert_eq!(bob.hear().await.of(), (alice.ssrc, &b"captured"[..]));
    alice.udp.send(&captured).await.unwrap();
    world.until_dropped("replayed", 1).await;
    // Changed on the way.
    let mut changed = alice.packet(b"changed");
    changed[14] ^= 1;
    alice.udp.send(&changed).await.unwrap();
    world.until_dropped("bad_tag", 1).await;
    // Cut short.
    alice.udp.send(&changed[..14]).await.unwrap();
    world.until_dropped("malformed", 1).await;
    // Her own SSRC for video, which is not forwarded yet.
    alice.say(b"end").await;
    assert_eq!(bob.hear().await.of(), (alice.ssrc, &b"end"[..]));
    assert_eq!(bob.hear_now(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn media_before_there_is_a_key_is_dropped() {
    let world = World::new();
    let mut alice = world.join(5, 1, 8, AES).await;
    let prepared = world.node.prepare_member(prepare(5, 2)).unwrap();
    let mut wire = world.connect("?v=8").await;
    wire.send(identify(2, &prepared.token)).await;
    let ready = wire.until(2).await;
    let early = stranger(&alice).await;
    let ssrc = ready["ssrc"].as_u64().unwrap() as u32;
    let mut packet = vec![0x80, 120, 0, 1, 0, 0, 0, 1];
    packet.extend(ssrc.to_be_bytes());
    packet.extend([0; 40]);
    early.send(&packet).await.unwrap();
    world.until_dropped("not_ready", 1).await;
    let mut bob = Client::select(wire, 2, prepared.token, &ready, AES).await;
    bob.say(b"now").await;
    assert_eq!(alice.hear().await.of(), (bob.ssrc, &b"now"[..]));
}
