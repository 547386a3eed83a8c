//! What members are told of each other.

use crate::common::*;
use serde_json::{Value, json};

fn of(seen: &[Value], op: u64) -> Vec<Value> {
    seen.iter().filter(|value| value["op"] == op).map(|value| value["d"].clone()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn speaking_is_told_to_others_and_to_those_who_come_late() {
    let world = World::new();
    let mut alice = world.join(5, 1, 8, AES).await;
    let mut bob = world.join(5, 2, 4, AES).await;
    alice.wire.until(11).await;
    alice.wire.send(json!({"op": 5, "d": {"speaking": 5, "delay": 0, "ssrc": alice.ssrc}})).await;
    let told = bob.wire.until(5).await;
    // Priority is for those to whom it was granted.
    assert_eq!(told, json!({"user_id": "1", "ssrc": alice.ssrc, "speaking": 1}));
    let mut carol = world.join(5, 3, 8, AES).await;
    assert_eq!(carol.wire.until(11).await["user_ids"], json!(["1", "2"]));
    assert_eq!(carol.wire.until(5).await, told);
    alice.wire.send(json!({"op": 5, "d": {"speaking": 0, "delay": 0, "ssrc": alice.ssrc}})).await;
    for client in [&mut bob, &mut carol] {
        assert_eq!(client.wire.until(5).await["speaking"], 0);
    }
    world.node.remove_member(key(3)).await.unwrap();
    let seen = alice.wire.collect_until(|value| value["op"] == 13).await;
    assert!(of(&seen, 5).is_empty(), "nobody is told of itself");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_heard_was_told_of_before_without_having_said_so() {
    let world = World::new();
    let mut alice = world.join(5, 1, 8, AES).await;
    let mut bob = world.join(5, 2, 8, AES).await;
    alice.say(b"one").await;
    assert_eq!(bob.hear().await.of(), (alice.ssrc, &b"one"[..]));
    let expected = json!({"user_id": "1", "ssrc": alice.ssrc, "speaking": 1});
    assert_eq!(bob.wire.until(5).await, expected);
    let mut carol = world.join(5, 3, 8, AES).await;
    alice.say(b"two").await;
    assert_eq!(carol.hear().await.of(), (alice.ssrc, &b"two"[..]));
    assert_eq!(carol.wire.until(5).await, expected);
    assert_eq!(bob.hear().await.of(), (alice.ssrc, &b"two"[..]));
    // Bob knows already: up to what is told last there is nothing of it.
    world.node.remove_member(key(3)).await.unwrap();
    let seen = bob.wire.collect_until(|value| value["op"] == 13).await;
    assert_eq!(of(&seen, 5), [] as [Value; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_rooms_tell_of_some_and_of_those_who_are_heard() {
    let world = World::with(|config| config.presence_members_max = 3);
    let mut clients = Vec::new();
    for user in 1..=6 {
        clients.push(world.join(5, user, 8, AES).await);
    }
    let mut last = clients.pop().unwrap();
    assert_eq!(last.wire.until(11).await["user_ids"], json!(["1", "2", "3"]));
    let mut first = clients.remove(0);
    // One who is not heard says that it speaks: nobody is told.
    let mut fifth = clients.pop().unwrap();
    fifth.wire.send(json!({"op": 5, "d": {"speaking": 1, "ssrc": fifth.ssrc}})).await;
    fifth.wire.settled(8).await;
    let _ = world.node.load().await;
    // Then it is heard, and everybody is.
    fifth.say(b"now").await;
    for client in [&mut first, &mut last] {
        assert_eq!(client.hear().await.of(), (fifth.ssrc, &b"now"[..]));
    }
    // Those who were told of somebody are told that it left, and only they.
    world.node.remove_member(key(4)).await.unwrap();
    world.node.remove_member(key(5)).await.unwrap();
    for client in [&mut first, &mut last] {
        let seen = client.wire.collect_until(|value| value["op"] == 13).await;
        assert_eq!(of(&seen, 13), [json!({"user_id": "5"})]);
        assert_eq!(of(&seen, 5), [json!({"user_id": "5", "ssrc": fifth.ssrc, "speaking": 1})], "once");
        let told = of(&seen, 11);
        assert!(told.iter().all(|d| !d["user_ids"].as_array().unwrap().contains(&json!("5"))), "{told:?}");
    }
}
