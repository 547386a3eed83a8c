//! A WebSocket breaks, and media goes on.

use crate::common::*;
use rookery_model::voice::node::VoiceNodeEvent;
use serde_json::json;

async fn goes_on(version: u8) {
    let mut world = World::new();
    let mut alice = world.join(5, 1, 8, AES).await;
    let mut bob = world.join(5, 2, version, AES).await;
    bob.wire.until(11).await;
    let seq_ack = bob.wire.seq;
    assert_eq!(seq_ack.is_some(), version == 8);
    // The connection is cut without a word.
    bob.wire = world.connect(&format!("?v={version}")).await;
    loop {
        if let VoiceNodeEvent::Detached(member) = world.event().await {
            assert_eq!(member.user_id.get(), 2);
            break;
        }
    }
    alice.say(b"while it is cut").await;
    assert_eq!(bob.hear().await.of(), (alice.ssrc, &b"while it is cut"[..]));
    bob.say(b"and back").await;
    assert_eq!(alice.hear().await.of(), (bob.ssrc, &b"and back"[..]));
    let carol = world.join(5, 3, 8, AES).await;
    let resume =
        json!({"op": 7, "d": {"server_id": "1", "session_id": "session-2", "token": bob.token, "seq_ack": seq_ack}});
    let mut wrong = world.connect(&format!("?v={version}")).await;
    let mut bad = resume.clone();
    bad["d"]["token"] = json!("guess");
    wrong.send(bad).await;
    assert_eq!(wrong.close_code().await, Some(4006));
    bob.wire.send(resume).await;
    bob.wire.until(9).await;
    // Version 8 gets what it missed; older ones are told anew who is there.
    let expected = if version == 8 { json!(["3"]) } else { json!(["1", "3"]) };
    let seen = bob.wire.collect_until(|value| value["op"] == 11 && value["d"]["user_ids"] == expected).await;
    assert!(version < 8 || seen.iter().filter(|value| value["op"] == 11).count() == 1, "{seen:?}");
    alice.say(b"after it").await;
    assert_eq!(bob.hear().await.of(), (alice.ssrc, &b"after it"[..]));
    drop(carol);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_version_8_with_what_was_missed() {
    goes_on(8).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_version_4_told_anew() {
    goes_on(4).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_come_back_is_gone_and_may_identify_again() {
    let mut world = World::with(|config| config.session.resume_window_ms = 1);
    let mut alice = world.join(5, 1, 8, AES).await;
    let prepared = world.node.prepare_member(prepare(5, 2)).unwrap();
    let bob = world.come(2, &prepared, 8, AES).await;
    drop(bob);
    while !matches!(world.event().await, VoiceNodeEvent::Left { .. }) {}
    assert_eq!(alice.wire.until(13).await["user_id"], "2");
    let mut bob = world.come(2, &prepared, 8, AES).await;
    alice.say(b"again").await;
    assert_eq!(bob.hear().await.of(), (alice.ssrc, &b"again"[..]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_who_comes_anew_with_the_same_socket_hears() {
    let mut world = World::new();
    let mut alice = world.join(5, 1, 8, AES).await;
    let bob = world.join(5, 2, 8, AES).await;
    let Client { wire, udp, .. } = bob;
    // Cut without a word: that session may come back for a while.
    drop(wire);
    while !matches!(world.event().await, VoiceNodeEvent::Detached(_)) {}
    // As a library does it that keeps its socket, in another room of the same core or as somebody else.
    let prepared = world.node.prepare_member(prepare(5, 3)).unwrap();
    let mut wire = world.connect("?v=8").await;
    wire.send(identify(3, &prepared.token)).await;
    let ready = wire.until(2).await;
    let mut carol = Client::select_from(udp, wire, 3, prepared.token, &ready, AES).await;
    alice.say(b"for who never spoke").await;
    assert_eq!(carol.hear().await.of(), (alice.ssrc, &b"for who never spoke"[..]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_may_select_anew() {
    let world = World::new();
    let mut alice = world.join(5, 1, 8, AES).await;
    let bob = world.join(5, 2, 8, AES).await;
    let ready = json!({"ssrc": bob.ssrc, "ip": "127.0.0.1", "port": bob.media.port(), "modes": [AES, XCHACHA]});
    // From another socket, in another mode and with another key.
    let mut again = Client::select(bob.wire, 2, bob.token, &ready, XCHACHA).await;
    alice.say(b"to the new key").await;
    assert_eq!(again.hear().await.of(), (alice.ssrc, &b"to the new key"[..]));
}
