//! Every close code, and what leads to it.

mod common;

use common::client::identify;
use common::{ALL_INTENTS, ALL_PRIVILEGED, Client, Person, World};
use rookery_model::GuildId;
use rookery_model::store::Write;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

/// What a connection is closed with after it sent these.
async fn code_after(world: &World, payloads: &[Value]) -> u16 {
    let mut client = world.connect().await;
    for payload in payloads {
        client.send(payload.clone()).await;
    }
    client.close_code().await
}

fn identify_with(person: &Person, fields: Value) -> Value {
    let mut payload = identify(&person.token, ALL_INTENTS);
    for (name, value) in fields.as_object().into_iter().flatten() {
        payload["d"][name] = value.clone();
    }
    payload
}

#[tokio::test]
async fn mistakes_before_identify() {
    let world = World::start().await;
    assert_eq!(code_after(&world, &[json!({"op": 99, "d": null})]).await, 4001);
    assert_eq!(code_after(&world, &[json!({"op": 10, "d": null})]).await, 4001);
    assert_eq!(code_after(&world, &[json!({"d": null})]).await, 4002);
    assert_eq!(code_after(&world, &[json!({"op": 2, "d": {"token": 5}})]).await, 4002);
    assert_eq!(code_after(&world, &[json!({"op": 3, "d": {"status": "online", "activities": []}})]).await, 4003);
    let void = format!("{}.{}.{}", "a".repeat(24), "b".repeat(24), "c".repeat(86));
    assert_eq!(code_after(&world, &[identify(&void, 0)]).await, 4004);
    assert_eq!(code_after(&world, &[identify("", 0)]).await, 4004);
    let resume = json!({"op": 6, "d": {"token": void, "session_id": "x", "seq": 0}});
    assert_eq!(code_after(&world, &[resume]).await, 4004);
}

#[tokio::test]
async fn frames_that_are_no_payloads() {
    let world = World::start().await;
    let long = json!({"op": 1, "d": "x".repeat(4_096)}).to_string();
    let frames = [
        Message::text("garbage"),
        Message::binary(vec![0xff, 0, 1]),
        Message::text(long),
        Message::text("x".repeat(100_000)),
        Message::binary(vec![0x83; 4_000]),
    ];
    for frame in frames {
        let mut client = world.connect().await;
        client.send_raw(frame).await;
        assert_eq!(client.close_code().await, 4002);
    }
}

#[tokio::test]
async fn frames_that_break_the_protocol_of_websocket() {
    let world = World::start().await;
    let ann = world.person("ann").await;
    let mask = [0; 4];
    let broken = [
        // A reserved bit, no mask, an opcode that means nothing, a close code that nobody may send.
        (vec![0xc1, 0x80], 1002),
        (vec![0x81, 0x01, b'x'], 1002),
        (vec![0x83, 0x80], 1002),
        ([&[0x88, 0x82][..], &mask, &1005_u16.to_be_bytes()].concat(), 1002),
        // The rest of these texts need not come.
        ([&[0x81, 0xfd][..], &mask, b"\xff"].concat(), 1007),
        ([&[0x01, 0x82][..], &mask, b"{\xf5"].concat(), 1007),
    ];
    for (bytes, code) in broken {
        let mut client = world.connect().await;
        client.send_bytes(&bytes).await;
        assert_eq!(client.close_code().await, code, "{bytes:x?}");
        let mut client = world.online(&ann).await;
        client.send_bytes(&bytes).await;
        assert_eq!(client.close_code().await, code, "{bytes:x?}");
        // The session itself is still there.
        client.cut().resume(&ann.token).await.expect("RESUMED").await;
    }
}

#[tokio::test]
async fn twice_is_once_too_often() {
    let world = World::start().await;
    let ann = world.person("ann").await;
    let payload = identify(&ann.token, 0);
    assert_eq!(code_after(&world, &[payload.clone(), payload]).await, 4005);
}

#[tokio::test]
async fn too_fast() {
    let world = World::start().await;
    let beats: Vec<Value> = (0..121).map(|_| json!({"op": 1, "d": null})).collect();
    assert_eq!(code_after(&world, &beats).await, 4008);
    assert_ne!(code_after(&world, &[beats[..120].to_vec(), vec![json!({"op": 99})]].concat()).await, 4001);
}

#[tokio::test]
async fn what_was_asked_before_it_was_too_fast_is_answered() {
    let world = World::start().await;
    let ann = world.person("ann").await;
    for identified in [false, true] {
        let mut client = world.connect().await;
        if identified {
            client.identify(&ann.token, 0).await;
        }
        // All at once, so that the last is read before the first is answered.
        for _ in 0..121 {
            client.feed(json!({"op": 1, "d": null})).await;
        }
        client.flush().await;
        for _ in 0..(120 - u32::from(identified)) {
            client.expect_op(11).await;
        }
        assert_eq!(client.close_code().await, 4008);
    }
}

#[tokio::test]
async fn a_flood_of_pings_is_no_conversation() {
    let world = World::start().await;
    let mut client = world.connect().await;
    for _ in 0..300 {
        client.send_raw(Message::Ping("x".into())).await;
    }
    assert_eq!(client.close_code().await, 4008);
}

#[tokio::test]
async fn silence_is_timed_out() {
    let world = World::with(|config| {
        config.gateway.session.heartbeat_interval_ms = 100;
        config.gateway.session.heartbeat_timeout_ms = 200;
    })
    .await;
    let ann = world.person("ann").await;
    let mut waits = world.connect().await;
    let mut silent = world.online(&ann).await;
    assert_eq!(silent.close_code().await, 4009);
    assert_eq!(waits.close_code().await, 4009);
    // The session itself is still there.
    silent.cut().resume(&ann.token).await.expect("RESUMED").await;
}

#[tokio::test]
async fn shards_and_intents() {
    let world = World::start().await;
    let (limited, plain) = (world.bot("limited", ALL_PRIVILEGED).await, world.bot("plain", 0).await);
    assert_eq!(code_after(&world, &[identify_with(&limited, json!({"shard": [2, 2]}))]).await, 4010);
    assert_eq!(code_after(&world, &[identify_with(&limited, json!({"shard": [0]}))]).await, 4010);
    assert_eq!(code_after(&world, &[identify_with(&limited, json!({"intents": 1u64 << 40}))]).await, 4013);
    assert_eq!(code_after(&world, &[identify_with(&limited, json!({"intents": null}))]).await, 4013);
    for privileged in [1 << 1, 1 << 8, 1 << 15] {
        assert_eq!(code_after(&world, &[identify_with(&plain, json!({"intents": privileged}))]).await, 4014);
    }
    let mut client = world.connect().await;
    client.send(identify_with(&plain, json!({"intents": 1 << 9}))).await;
    client.expect("READY").await;
}

#[tokio::test]
async fn sharding_is_required_of_large_bots() {
    let world = World::start().await;
    let bot = world.bot("bot", ALL_PRIVILEGED).await;
    // Memberships suffice: the guilds themselves are not looked at before the decision. Half of them are on each of two shards.
    let rows: Vec<Write> =
        (1..=2_501u64).map(|n| common::member(GuildId::new(n << 22), bot.id())).map(Write::PutMember).collect();
    for chunk in rows.chunks(500) {
        world.write(chunk.to_vec()).await;
    }
    assert_eq!(code_after(&world, &[identify_with(&bot, json!({}))]).await, 4011);
    let mut client = world.connect().await;
    client.send(identify_with(&bot, json!({"shard": [0, 2]}))).await;
    client.expect("READY").await;
}

#[tokio::test]
async fn versions_and_encodings_that_are_not_spoken() {
    let world = World::start().await;
    for path in ["/?v=8", "/?v=10&encoding=xml"] {
        let mut client = Client::open(world.running.gateway_addr, path).await;
        assert_eq!(client.close_code().await, 4012, "{path}");
    }
    for path in ["", "/", "/?encoding=json", "/?v=9&encoding=json"] {
        Client::connect(world.running.gateway_addr, path).await;
    }
}

#[tokio::test]
async fn too_many_starts_in_a_day() {
    let world = World::with(|config| config.gateway.identify_per_day = Some(2)).await;
    let ann = world.person("ann").await;
    for left in [2, 1] {
        assert_eq!(world.region().session_starts(ann.id()).remaining, left);
        world.connect().await.identify(&ann.token, 0).await;
    }
    assert_eq!(code_after(&world, &[identify(&ann.token, 0)]).await, 4008);
}
