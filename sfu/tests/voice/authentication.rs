//! Who may come in, and what those are told who may not.

use crate::common::*;
use rookery_model::voice::node::{PrepareMember, VoiceLeaveReason, VoiceNodeEvent, VoiceNodeRefusal};
use serde_json::{Value, json};

async fn closed_with(world: &World, payload: Value) -> Option<u16> {
    let mut wire = world.connect("?v=8").await;
    wire.send(payload).await;
    wire.close_code().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_comes_in_with_another_token_user_server_or_session() {
    let world = World::new();
    let prepared = world.node.prepare_member(prepare(5, 1)).unwrap();
    let other = world.node.prepare_member(prepare(5, 2)).unwrap();
    let good = identify(1, &prepared.token);
    for (field, value) in
        [("token", other.token.as_str()), ("token", "guess"), ("user_id", "2"), ("server_id", "2"), ("session_id", "x")]
    {
        let mut bad = good.clone();
        bad["d"][field] = json!(value);
        assert_eq!(closed_with(&world, bad).await, Some(4004), "{field} {value}");
    }
    world.come(1, &prepared, 8, AES).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn codes_for_what_is_out_of_place() {
    let world = World::new();
    assert_eq!(closed_with(&world, json!({"op": 5, "d": {"speaking": 1}})).await, Some(4003));
    assert_eq!(closed_with(&world, json!({"op": 99, "d": {}})).await, Some(4001));
    assert_eq!(closed_with(&world, json!("nothing")).await, Some(4002));
    let resume = json!({"op": 7, "d": {"server_id": "1", "session_id": "session-1", "token": "t"}});
    assert_eq!(closed_with(&world, resume).await, Some(4006));
    for query in ["", "?v=3", "?v=9", "?encoding=json"] {
        assert_eq!(world.connect(query).await.close_code().await, Some(4020), "{query}");
    }
    let mut twice = world.join(5, 1, 8, AES).await;
    twice.wire.send(identify(1, &twice.token)).await;
    assert_eq!(twice.wire.close_code().await, Some(4005));
    let mut browser = world.join(5, 2, 8, AES).await;
    browser.wire.send(json!({"op": 1, "d": {"protocol": "webrtc", "data": "v=0"}})).await;
    assert_eq!(browser.wire.close_code().await, Some(4020));
    let mut too_long = world.join(5, 3, 8, AES).await;
    too_long.wire.send(json!({"op": 5, "d": "x".repeat(33_000)})).await;
    assert_eq!(too_long.wire.close_code().await, Some(4002));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_identify_takes_the_place_of_the_first() {
    let mut world = World::new();
    let mut alice = world.join(5, 1, 8, AES).await;
    let prepared = world.node.prepare_member(prepare(5, 2)).unwrap();
    let mut first = world.come(2, &prepared, 8, AES).await;
    let mut second = world.come(2, &prepared, 4, XCHACHA).await;
    assert_eq!(first.wire.close_code().await, Some(4014));
    assert_ne!(first.ssrc, second.ssrc);
    alice.say(b"to the second").await;
    assert_eq!(second.hear().await.of(), (alice.ssrc, &b"to the second"[..]));
    assert_eq!(first.hear_now(), None);
    // The first one's key and SSRC are worth nothing any more.
    first.say(b"from the first").await;
    world.until_dropped("unknown_ssrc", 1).await;
    second.say(b"from the second").await;
    assert_eq!(alice.hear().await.of(), (second.ssrc, &b"from the second"[..]));
    let mut told = Vec::new();
    for _ in 0..4 {
        told.push(match world.event().await {
            VoiceNodeEvent::Connected(member) => format!("{} came", member.user_id),
            VoiceNodeEvent::Left { member, reason: VoiceLeaveReason::Replaced } => format!("{} left", member.user_id),
            other => panic!("{other:?}"),
        });
    }
    assert_eq!(told, ["1 came", "2 came", "2 left", "2 came"]);
    assert_eq!(world.node.members().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_nobody_uses_ends() {
    let mut world = World::with(|config| config.token_ttl_ms = 1);
    let prepared = world.node.prepare_member(prepare(5, 1)).unwrap();
    let VoiceNodeEvent::NeverCame(member) = world.event().await else { panic!("another event") };
    assert_eq!((member.room, member.user_id.get()), (room(5), 1));
    assert_eq!(closed_with(&world, identify(1, &prepared.token)).await, Some(4004));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_prepared() {
    let world = World::with(|config| config.members_max = 2);
    let unnamed = PrepareMember { session_id: String::new(), ..prepare(5, 1) };
    assert_eq!(world.node.prepare_member(unnamed).err(), Some(VoiceNodeRefusal::Invalid));
    let mut small = prepare(5, 1);
    small.settings.members_max = 1;
    world.node.prepare_member(small.clone()).unwrap();
    small.user_id = rookery_model::UserId::new(2);
    assert_eq!(world.node.prepare_member(small).err(), Some(VoiceNodeRefusal::Full), "the room");
    world.node.prepare_member(prepare(6, 2)).unwrap();
    assert_eq!(world.node.prepare_member(prepare(7, 3)).err(), Some(VoiceNodeRefusal::Full), "the node");
}
