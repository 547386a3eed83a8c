//! What owners of rooms have a node do.

use crate::common::*;
use rookery_model::voice::node::{VoiceLeaveReason, VoiceNodeEvent, VoiceNodeRefusal};
use std::time::Duration;

async fn left(world: &mut World) -> (u64, VoiceLeaveReason) {
    loop {
        if let VoiceNodeEvent::Left { member, reason } = world.event().await {
            return (member.user_id.get(), reason);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_is_put_out() {
    let mut world = World::new();
    let mut alice = world.join(5, 1, 8, AES).await;
    let prepared = world.node.prepare_member(prepare(5, 2)).unwrap();
    let mut bob = world.come(2, &prepared, 8, AES).await;
    world.node.remove_member(key(2)).await.unwrap();
    // Its media is over when the call is answered.
    bob.say(b"from outside").await;
    world.until_dropped("unknown_ssrc", 1).await;
    assert_eq!(bob.wire.close_code().await, Some(4014));
    assert_eq!(alice.wire.until(13).await["user_id"], "2");
    assert_eq!(left(&mut world).await, (2, VoiceLeaveReason::Removed));
    let mut wire = world.connect("?v=8").await;
    wire.send(identify(2, &prepared.token)).await;
    assert_eq!(wire.close_code().await, Some(4004), "the token is void");
    assert_eq!(world.node.remove_member(key(2)).await, Err(VoiceNodeRefusal::UnknownMember));
    assert_eq!(alice.hear_now(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_is_moved() {
    let mut world = World::new();
    let mut left_behind = world.join(5, 1, 8, AES).await;
    let mut welcoming = world.join(6, 3, 8, AES).await;
    let mut bob = world.join(5, 2, 8, AES).await;
    let prepared = world.node.move_member(prepare(6, 2)).await.unwrap();
    assert_eq!(bob.wire.close_code().await, Some(4014));
    assert_eq!(left(&mut world).await, (2, VoiceLeaveReason::Removed));
    let mut bob = world.come(2, &prepared, 8, AES).await;
    bob.say(b"hello").await;
    assert_eq!(welcoming.hear().await.of(), (bob.ssrc, &b"hello"[..]));
    let _ = world.node.load().await;
    assert_eq!(left_behind.hear_now(), None);
    assert_eq!(left_behind.wire.until(13).await["user_id"], "2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_is_closed() {
    let mut world = World::new();
    let mut here = [world.join(5, 1, 8, AES).await, world.join(5, 2, 4, XCHACHA).await];
    let mut elsewhere = world.join(6, 3, 8, AES).await;
    world.node.close_room(room(5)).await.unwrap();
    for client in &mut here {
        assert_eq!(client.wire.close_code().await, Some(4022));
    }
    let mut gone = [left(&mut world).await, left(&mut world).await];
    gone.sort_by_key(|(user, _)| *user);
    assert_eq!(gone, [(1, VoiceLeaveReason::Removed), (2, VoiceLeaveReason::Removed)]);
    assert_eq!(world.node.close_room(room(5)).await, Err(VoiceNodeRefusal::UnknownRoom));
    assert!(elsewhere.wire.settled(8).await.is_empty());
    assert_eq!(world.node.members().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_is_gone_at_once() {
    let mut world = World::new();
    let mut alice = world.join(5, 1, 8, AES).await;
    let bob = world.join(5, 2, 8, AES).await;
    bob.wire.leave().await;
    assert_eq!(left(&mut world).await, (2, VoiceLeaveReason::ClosedByClient));
    assert_eq!(alice.wire.until(13).await["user_id"], "2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_drains() {
    let mut world = World::new();
    let mut moved = world.join(5, 1, 8, AES).await;
    let mut stays = world.join(5, 2, 8, AES).await;
    let mut detached = world.join(6, 3, 8, AES).await;
    detached.wire = world.connect("?v=8").await;
    while !matches!(world.event().await, VoiceNodeEvent::Detached(_)) {}
    let node = world.node.clone();
    let draining = tokio::spawn(async move { node.drain(Duration::from_secs(1)).await });
    while world.node.prepare_member(prepare(7, 9)).is_ok() {
        world.node.remove_member(key(9)).await.unwrap();
    }
    assert_eq!(world.node.prepare_member(prepare(7, 9)).err(), Some(VoiceNodeRefusal::Draining));
    // Who is here still hears, until the owner has moved everybody.
    moved.say(b"still").await;
    assert_eq!(stays.hear().await.of(), (moved.ssrc, &b"still"[..]));
    world.node.remove_member(key(1)).await.unwrap();
    assert_eq!(moved.wire.close_code().await, Some(4014));
    draining.await.unwrap();
    assert_eq!(stays.wire.close_code().await, Some(4015));
    let mut gone = vec![left(&mut world).await, left(&mut world).await, left(&mut world).await];
    gone.sort_by_key(|(user, _)| *user);
    let drained = VoiceLeaveReason::Drained;
    assert_eq!(gone, [(1, VoiceLeaveReason::Removed), (2, drained), (3, drained)]);
    assert_eq!(world.node.members(), []);
    world.server.stop(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_stops_with_clients_in_every_state() {
    let world = World::with(|config| config.close_timeout_ms = 200);
    let _silent = tokio::net::TcpStream::connect(world.address()).await.unwrap();
    let _greeted = world.connect("?v=8").await;
    let _member = world.join(5, 1, 8, AES).await;
    let address = world.address();
    tokio::time::timeout(PATIENCE, world.server.stop(Duration::ZERO)).await.expect("it stops");
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
    assert_eq!(world.node.prepare_member(prepare(5, 2)).err(), Some(VoiceNodeRefusal::Draining));
}
