//! Reconnect storms: everybody gets in, a few at a time, and those who are in notice little.

mod common;

use std::sync::Arc;

use common::client::{Heard, identify};
use common::{ALL_INTENTS, ALL_PRIVILEGED, Person, World};
use rookery_region::degradation::Level;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;

const CLIENTS: usize = 500;
const AT_ONCE: usize = 4;
const QUEUE: usize = 200;
/// READYs that may go out while an event is on its way to a session that is live, on the average: some rounds of those
/// worked on.
const READIES_BETWEEN: usize = AT_ONCE * 16;

/// Who is turned away comes again when so many others are through: that is what the pauses of libraries are for.
const PAUSE_READIES: usize = 50;

/// Identifies as libraries do: whoever is told to come again does; how often it was.
async fn get_in(world: &World, person: &Person, ready: &watch::Sender<usize>) -> usize {
    let mut turned_away = 0;
    let mut client = world.connect().await;
    loop {
        client.send(identify(&person.token, ALL_INTENTS)).await;
        match client.hear().await {
            Heard::Payload(payload) if payload["t"] == "READY" => break,
            Heard::Payload(payload) if payload["op"] == 9 => {
                assert_eq!(payload["d"], false);
                turned_away += 1;
                let next = (*ready.borrow() + PAUSE_READIES).min(CLIENTS - QUEUE);
                ready.subscribe().wait_for(|ready| *ready >= next).await.expect("the sender is held");
            }
            other => panic!("{other:?}"),
        }
    }
    ready.send_modify(|ready| *ready += 1);
    turned_away
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_gets_in_and_those_who_are_in_do_not_wait() {
    let world = World::with(|config| {
        config.gateway.identify_at_once = AT_ONCE;
        config.gateway.identify_queue = QUEUE;
        // All of them come from one address.
        config.gateway.max_connections_per_address = usize::MAX;
        config.gateway.max_handshakes_per_address = usize::MAX;
        config.gateway.identify_wait_ms = 60_000;
    })
    .await;
    let world = Arc::new(world);
    let (ann, victim) = (world.person("ann").await, world.bot("victim", ALL_PRIVILEGED).await);
    let guild = world.guild(&[&ann, &victim]).await;
    let mut live = world.online(&victim).await;
    let mut people = Vec::with_capacity(CLIENTS);
    for n in 0..CLIENTS {
        people.push(world.person(&format!("person{n}")).await);
    }

    let ready = Arc::new(watch::Sender::new(0));
    let mut storm = JoinSet::new();
    for person in people {
        let (world, ready) = (Arc::clone(&world), Arc::clone(&ready));
        storm.spawn(async move { get_in(&world, &person, &ready).await });
    }
    // Latency in events: how many READYs go out between an event and its arrival. What is typed needs no disk, whose speed
    // is not the question.
    let (mut events, mut longest) = (0, 0);
    while *ready.borrow() < CLIENTS {
        let before = *ready.borrow();
        let typing = rookery_model::call::Call::TriggerTyping { channel_id: guild.channel };
        world.call(&ann, guild.channel, typing).await.unwrap();
        assert_eq!(live.expect("TYPING_START").await["user_id"], ann.id().to_string());
        longest = longest.max(*ready.borrow() - before);
        events += 1;
    }
    let turned_away: usize = storm.join_all().await.into_iter().sum();
    let peak = world.region().identify_line.peak();
    println!("{events} events, {longest} READYs in the longest, {turned_away} turned away, {peak:?}");
    assert_eq!(*ready.borrow(), CLIENTS);
    assert!(peak.working <= AT_ONCE && peak.waiting <= QUEUE, "{peak:?}");
    assert!(peak.waiting > AT_ONCE, "no storm: {peak:?}");
    // On the average: a single one may have to wait for other programs.
    assert!(events > CLIENTS / READIES_BETWEEN, "only {events} events came through");
}

#[tokio::test]
async fn who_resumes_does_not_stand_in_line() {
    let world = World::with(|config| {
        config.gateway.identify_at_once = 1;
        config.gateway.identify_wait_ms = 60_000;
    })
    .await;
    let (ann, bob) = (world.person("ann").await, world.person("bob").await);
    let client = world.online(&ann).await.cut();
    let place = world.region().identify_line.enter().await.ok().unwrap();
    let mut waits = world.connect().await;
    waits.send(identify(&bob.token, ALL_INTENTS)).await;
    // Heartbeats are answered in line, and nothing else comes.
    waits.beat().await;
    client.resume(&ann.token).await.expect("RESUMED").await;
    waits.beat().await;
    drop(place);
    waits.expect("READY").await;
}

#[tokio::test]
async fn who_waited_too_long_is_told_to_come_again() {
    let world = World::with(|config| {
        config.gateway.identify_at_once = 1;
        config.gateway.identify_wait_ms = 20;
    })
    .await;
    let ann = world.person("ann").await;
    let place = world.region().identify_line.enter().await.ok().unwrap();
    let mut client = world.connect().await;
    client.send(identify(&ann.token, ALL_INTENTS)).await;
    assert_eq!(client.expect_op(9).await, false);
    drop(place);
    client.identify(&ann.token, ALL_INTENTS).await;
}

#[tokio::test]
async fn a_client_identifies_once_even_in_line() {
    let world = World::with(|config| config.gateway.identify_at_once = 1).await;
    let ann = world.person("ann").await;
    let _place = world.region().identify_line.enter().await.ok().unwrap();
    let mut client = world.connect().await;
    client.send(identify(&ann.token, ALL_INTENTS)).await;
    client.send(identify(&ann.token, ALL_INTENTS)).await;
    assert_eq!(client.close_code().await, 4005);
}

#[tokio::test]
async fn shards_of_different_buckets_identify_at_once_and_of_the_same_do_not() {
    let world = World::with(|config| config.gateway.identify_concurrency = 2).await;
    let bot = world.bot("bot", ALL_PRIVILEGED).await;
    let shard = |id: u32| {
        let mut payload = identify(&bot.token, 1);
        payload["d"]["shard"] = json!([id, 4]);
        payload
    };
    let mut clients = Vec::new();
    for id in [0, 1] {
        let mut client = world.connect().await;
        client.send(shard(id)).await;
        assert_eq!(client.expect("READY").await["shard"], json!([id, 4]));
        clients.push(client);
    }
    for id in [2, 3] {
        let mut client = world.connect().await;
        client.send(shard(id)).await;
        assert_eq!(client.expect_op(9).await, false, "the bucket of shard {id} is taken");
    }
    let left = world.region().session_starts(bot.id());
    assert_eq!((left.total - left.remaining, left.max_concurrency), (2, 2), "the others were not counted");
}

#[tokio::test]
async fn typing_is_dropped_first_and_messages_never() {
    let world = World::with(|config| config.degradation.level_min = Level::Elevated).await;
    let (ann, bot) = (world.person("ann").await, world.bot("bot", ALL_PRIVILEGED).await);
    let guild = world.guild(&[&ann, &bot]).await;
    let mut client = world.online(&bot).await;
    let typing = rookery_model::call::Call::TriggerTyping { channel_id: guild.channel };
    world.call(&ann, guild.channel, typing).await.unwrap();
    world.send(&ann, guild.channel, "hello").await.unwrap();
    assert_eq!(client.expect("MESSAGE_CREATE").await["content"], "hello");
    assert_eq!(world.region().figures().load_level, Level::Elevated);
}

#[tokio::test]
async fn at_the_last_level_who_is_in_stays_and_nobody_new_comes_in() {
    let world = World::with(|config| config.degradation.level_min = Level::Critical).await;
    let ann = world.person("ann").await;
    let mut client = world.connect().await;
    client.send(identify(&ann.token, ALL_INTENTS)).await;
    assert_eq!(client.expect_op(9).await, false);
}
