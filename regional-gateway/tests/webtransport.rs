//! Sessions over WebTransport: what they share with the WebSocket's, and what is their own.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail where the test would")]

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use common::client::{Cut, identify};
use common::wt_client::{PATIENCE, Relay, WtClient, endpoint};
use common::{ALL_INTENTS, Person, TestGuild, World};
use rookery_model::call::Call;
use serde_json::{Value, json};

async fn say(world: &World, person: &Person, guild: &TestGuild, count: usize) {
    for n in 0..count {
        world.send(person, guild.channel, &format!("message {n}")).await.unwrap();
    }
}

async fn hear(client: &mut WtClient, count: usize) {
    for n in 0..count {
        assert_eq!(client.expect("MESSAGE_CREATE").await["content"], format!("message {n}"));
    }
}

async fn until(mut is_so: impl FnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "it does not come to pass");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn type_in(world: &World, person: &Person, guild: &TestGuild) {
    let call = Call::TriggerTyping { channel_id: guild.channel };
    world.call(person, guild.channel, call).await.unwrap();
}

/// Asks to resume, as `Cut` does over WebSocket.
async fn resume(world: &World, cut: &Cut, token: &str) -> WtClient {
    let mut client = WtClient::connect(world).await;
    client.seq = cut.seq;
    client.session_id.clone_from(&cut.session_id);
    client.send(json!({"op": 6, "d": {"token": token, "session_id": cut.session_id, "seq": cut.seq}})).await;
    client
}

#[tokio::test]
async fn events_come_in_order_and_typing_beside_them() {
    let world = World::with_webtransport(|_| {}).await;
    let (ann, ben) = (world.person("ann").await, world.person("ben").await);
    let guild = world.guild(&[&ann, &ben]).await;
    let mut client = WtClient::connect(&world).await;
    client.identify(&ann.token, ALL_INTENTS).await;
    let mut by_websocket = world.online(&ann).await;

    say(&world, &ben, &guild, 200).await;
    type_in(&world, &ben, &guild).await;
    hear(&mut client, 200).await;
    let typing = client.datagram().await;
    assert_eq!((&typing["t"], &typing["s"], &typing["op"]), (&json!("TYPING_START"), &Value::Null, &json!(0)));
    assert_eq!(typing["d"]["user_id"], ben.id().to_string());
    // It took no number: the next event's follows the last.
    world.send(&ben, guild.channel, "message 0").await.unwrap();
    hear(&mut client, 1).await;
    client.beat().await;
    // Over WebSocket typing is an event like others.
    for _ in 0..200 {
        by_websocket.expect("MESSAGE_CREATE").await;
    }
    by_websocket.expect("TYPING_START").await;
}

#[tokio::test]
async fn who_did_not_ask_for_typing_gets_no_datagram() {
    let world = World::with_webtransport(|_| {}).await;
    let (ann, ben) = (world.person("ann").await, world.person("ben").await);
    let guild = world.guild(&[&ann, &ben]).await;
    let mut client = WtClient::connect(&world).await;
    const TYPING: u64 = 1 << 11;
    client.identify(&ann.token, ALL_INTENTS & !TYPING).await;
    let mut other = WtClient::connect(&world).await;
    other.identify(&ann.token, ALL_INTENTS).await;
    type_in(&world, &ben, &guild).await;
    say(&world, &ben, &guild, 1).await;
    other.datagram().await;
    hear(&mut client, 1).await;
    client.beat().await;
    let none = tokio::time::timeout(Duration::from_millis(50), client.connection.receive_datagram()).await;
    assert!(none.is_err(), "a datagram came: {none:?}");
}

#[tokio::test]
async fn every_mistake_has_its_code() {
    let world = World::with_webtransport(|_| {}).await;
    let ann = world.person("ann").await;
    let text = |payload: Value| (0, payload.to_string().into_bytes());
    let cases = [
        (4001, text(json!({"op": 99, "d": null}))),
        (4002, (0, b"garbage".to_vec())),
        (4002, (0, vec![0xff, 0xfe])),
        (4002, (7, b"no such kind".to_vec())),
        (4002, (0, vec![b' '; 4_097])),
        (4002, (0, vec![b' '; 100_000])),
        (4003, text(json!({"op": 3, "d": {"status": "online", "activities": []}}))),
        (4004, text(identify(&format!("{}x", ann.token), 0))),
    ];
    for (code, (kind, payload)) in cases {
        let mut client = WtClient::connect(&world).await;
        client.send_frame(kind, &payload).await;
        assert_eq!(client.close_code().await, code, "after {} bytes of kind {kind}", payload.len());
    }
    let mut client =
        WtClient::open(endpoint(&world), world.running.webtransport_addr.unwrap(), "/gateway?v=10&encoding=xml").await;
    assert_eq!(client.close_code().await, 4012);
    let elsewhere = format!("https://{}/elsewhere", world.running.webtransport_addr.unwrap());
    let refused = endpoint(&world).connect(elsewhere).await.unwrap_err();
    assert!(matches!(refused, wtransport::error::ConnectingError::SessionRejected), "{refused}");
}

#[tokio::test]
async fn a_session_is_resumed_over_either_transport() {
    let world = World::with_webtransport(|_| {}).await;
    let ann = world.person("ann").await;
    let guild = world.guild(&[&ann]).await;
    let mut client = WtClient::connect(&world).await;
    client.identify(&ann.token, ALL_INTENTS).await;
    let session_id = client.session_id.clone();
    let cut = client.cut(world.running.gateway_addr);
    say(&world, &ann, &guild, 3).await;

    let mut client = resume(&world, &cut, &ann.token).await;
    hear(&mut client, 3).await;
    client.expect("RESUMED").await;
    let cut = client.cut(world.running.gateway_addr);
    say(&world, &ann, &guild, 2).await;

    let mut websocket = cut.resume(&ann.token).await;
    websocket.expect("MESSAGE_CREATE").await;
    websocket.expect("MESSAGE_CREATE").await;
    websocket.expect("RESUMED").await;
    let cut = websocket.cut();

    let mut client = resume(&world, &cut, &ann.token).await;
    client.expect("RESUMED").await;
    assert_eq!(client.session_id, session_id);
    say(&world, &ann, &guild, 1).await;
    hear(&mut client, 1).await;
}

#[tokio::test]
async fn closing_with_1000_gives_the_session_up_and_leaving_does_not() {
    let world = World::with_webtransport(|_| {}).await;
    let ann = world.person("ann").await;
    for (code, is_kept) in [(1_000u32, false), (0, true)] {
        let mut client = WtClient::connect(&world).await;
        client.identify(&ann.token, ALL_INTENTS).await;
        // As `wtransport` closes, by QUIC; a page closes by a capsule, which Chromium shows.
        client.connection.close(wtransport::VarInt::from_u32(code), b"");
        if !is_kept {
            until(|| world.region().sessions.of_user(ann.id()).is_empty()).await;
        }
        let cut = client.cut(world.running.gateway_addr);
        let mut resumed = resume(&world, &cut, &ann.token).await;
        if is_kept {
            resumed.expect("RESUMED").await;
        } else {
            resumed.expect_op(9).await;
        }
    }
}

#[tokio::test]
async fn the_session_goes_on_when_the_client_moves() {
    let world = World::with_webtransport(|_| {}).await;
    let ann = world.person("ann").await;
    let guild = world.guild(&[&ann]).await;
    let server = world.running.webtransport_addr.unwrap();
    let relay = Relay::start(server).await;
    let mut client = WtClient::connect_to(&world, relay.address).await;
    client.identify(&ann.token, ALL_INTENTS).await;
    say(&world, &ann, &guild, 10).await;
    hear(&mut client, 10).await;
    for _ in 0..3 {
        relay.move_to_another_address(server).await;
        // The first packet from the new address tells the server of it.
        client.beat().await;
        say(&world, &ann, &guild, 50).await;
        hear(&mut client, 50).await;
        type_in(&world, &ann, &guild).await;
        assert_eq!(client.datagram().await["t"], "TYPING_START");
    }
    assert_eq!(world.region().sessions.of_user(ann.id()).len(), 1, "no second session, no RESUME");
    assert_eq!(client.seq, 2 + 160);
}

#[tokio::test]
async fn what_is_sent_while_the_way_is_gone_arrives_afterwards() {
    let world = World::with_webtransport(|_| {}).await;
    let ann = world.person("ann").await;
    let guild = world.guild(&[&ann]).await;
    let server = world.running.webtransport_addr.unwrap();
    let relay = Relay::start(server).await;
    let mut client = WtClient::connect_to(&world, relay.address).await;
    client.identify(&ann.token, ALL_INTENTS).await;
    relay.block(true);
    say(&world, &ann, &guild, 20).await;
    relay.move_to_another_address(server).await;
    relay.block(false);
    client.beat_late(20).await;
}

impl WtClient {
    /// Asks for a heartbeat's answer among so many messages.
    async fn beat_late(&mut self, messages: usize) {
        let seq = self.seq;
        self.send(json!({"op": 1, "d": seq})).await;
        let mut contents = Vec::new();
        let mut answered = false;
        while contents.len() < messages || !answered {
            let payload = self.payload().await;
            match payload["op"].as_u64() {
                Some(11) => answered = true,
                _ => contents.push(payload["d"]["content"].as_str().unwrap().to_owned()),
            }
        }
        assert_eq!(contents, (0..messages).map(|n| format!("message {n}")).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn places_and_time_are_limited_as_for_websocket() {
    let world = World::with_webtransport(|config| {
        config.gateway.max_connections = 2;
        config.gateway.handshake_timeout_ms = 300;
    })
    .await;
    let address = world.running.webtransport_addr.unwrap();
    let first = world.connect().await;
    let second = WtClient::connect(&world).await;
    let url = format!("https://{address}/gateway?v=10&encoding=json");
    assert!(endpoint(&world).connect(&url).await.is_err(), "there are two places");
    drop((first, second));
    // A session without its stream of payloads holds a place until the deadline, and no longer.
    let idle = loop {
        let endpoint = endpoint(&world);
        if let Ok(connection) = endpoint.connect(&url).await {
            break (connection, endpoint);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    tokio::time::timeout(PATIENCE, idle.0.closed()).await.expect("the server closes it");
    let places = || world.region().figures();
    assert_eq!(places().sessions, 0);
    WtClient::connect(&world).await;
}

#[tokio::test]
async fn an_address_has_so_many_connections_of_both_kinds() {
    let world = World::with_webtransport(|config| config.gateway.max_connections_per_address = 2).await;
    let url = format!("https://{}/gateway?v=10&encoding=json", world.running.webtransport_addr.unwrap());
    let _places = (world.connect().await, WtClient::connect(&world).await);
    assert!(endpoint(&world).connect(&url).await.is_err(), "there are two places");
}

#[tokio::test]
async fn clients_show_that_their_address_is_theirs_where_handshakes_are_few() {
    // One handshake at a time leaves none to those who may have forged their address.
    let world = World::with_webtransport(|config| config.gateway.max_handshakes_per_address = 1).await;
    for _ in 0..3 {
        let mut client = WtClient::connect(&world).await;
        client.beat().await;
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_is_closed_and_others_go_on() {
    let world = World::with_webtransport(|config| {
        config.gateway.session.unsent_max_events = 50;
        config.gateway.session.replay_max_events = 2_000;
        config.gateway.send_buffer_bytes = 16 * 1024;
    })
    .await;
    let (ann, ben) = (world.person("ann").await, world.person("ben").await);
    let guild = world.guild(&[&ann, &ben]).await;
    let relay = Relay::start(world.running.webtransport_addr.unwrap()).await;
    let mut deaf = WtClient::connect_to(&world, relay.address).await;
    deaf.identify(&ann.token, ALL_INTENTS).await;
    let mut other = WtClient::connect(&world).await;
    other.identify(&ben.token, ALL_INTENTS).await;
    relay.block(true);
    for n in 0..300 {
        world.send(&ben, guild.channel, &"x".repeat(500)).await.unwrap();
        other.expect("MESSAGE_CREATE").await;
        assert!(n < 300);
    }
    // Its session waits for RESUME: nothing was lost but the connection.
    let cut = deaf.cut(world.running.gateway_addr);
    let mut client = resume(&world, &cut, &ann.token).await;
    for _ in 0..300 {
        client.expect("MESSAGE_CREATE").await;
    }
    client.expect("RESUMED").await;
}

#[tokio::test]
async fn a_drain_asks_to_reconnect_and_closes_those_who_stay() {
    let world = World::with_webtransport(|config| {
        config.gateway.drain_timeout_ms = 300;
        config.gateway.close_timeout_ms = 2_000;
    })
    .await;
    let ann = world.person("ann").await;
    let mut client = WtClient::connect(&world).await;
    client.identify(&ann.token, ALL_INTENTS).await;
    let address: SocketAddr = world.running.webtransport_addr.unwrap();
    let stopping = tokio::spawn(world.running.shutdown());
    client.expect_op(7).await;
    assert_eq!(client.close_code().await, 1001);
    drop(client);
    tokio::time::timeout(PATIENCE, stopping).await.expect("it stops in time").unwrap();
    // The port is free again.
    std::net::UdpSocket::bind(address).unwrap();
}

#[tokio::test]
async fn a_server_that_was_started_anew_says_so_to_those_of_before() {
    let certificates = tempfile::tempdir().unwrap();
    let start = || {
        World::with(|config| {
            config.gateway.webtransport.listen = Some("127.0.0.1:0".parse().unwrap());
            config.gateway.webtransport.self_signed_dir = Some(certificates.path().to_owned());
        })
    };
    let before = start().await;
    let relay = Relay::start(before.running.webtransport_addr.unwrap()).await;
    let mut client = WtClient::connect_to(&before, relay.address).await;
    client.beat().await;
    // As after `kill -9`: the first server says nothing, and the second knows nothing of the connection.
    let after = start().await;
    relay.move_to_another_address(after.running.webtransport_addr.unwrap()).await;
    client.send(json!({"op": 1, "d": null})).await;
    const SOON: Duration = Duration::from_secs(5);
    tokio::time::timeout(SOON, client.connection.closed()).await.expect("long before the idle timeout");
}
