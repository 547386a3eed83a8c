//! Calls in DMs over WebSocket, with a store that loses what it is given or takes nothing.

mod common;

use common::{Client, Person, World};
use rookery_model::ChannelId;
use rookery_model::call::Call;
use rookery_model::channel::{Channel, ChannelType};
use rookery_model::store::{DmRow, Write};
use serde_json::{Value, json};

const DM: ChannelId = ChannelId::new(77 << 22);
const OTHER: ChannelId = ChannelId::new(78 << 22);

/// Two people with DMs that stand in their lists already.
async fn pair(world: &World) -> (Person, Person) {
    let (ann, bob) = (world.person("ann").await, world.person("bob").await);
    for dm in [DM, OTHER] {
        let channel = Channel::new(dm, ChannelType::Dm);
        let listed = |user_id| Write::PutDmListing { user_id, channel_id: dm };
        let row = DmRow { channel, user_ids: vec![ann.id(), bob.id()], call_message_id: None };
        world.write(vec![Write::PutDm(row), listed(ann.id()), listed(bob.id())]).await;
    }
    (ann, bob)
}

async fn online(world: &World, person: &Person) -> Client {
    let mut client = world.connect().await;
    client.send(json!({"op": 2, "d": {"token": person.token, "properties": {}}})).await;
    client.expect("READY").await;
    client
}

async fn go(client: &mut Client, channel: Option<ChannelId>) {
    let d = json!({"guild_id": null, "channel_id": channel.map(|id| id.to_string()), "self_mute": true});
    client.send(json!({"op": 4, "d": d})).await;
}

async fn connect(client: &mut Client) {
    client.send(json!({"op": 13, "d": {"channel_id": DM.to_string()}})).await;
}

/// Hears that somebody is in the call, or out of it.
async fn hears(client: &mut Client, who: &Person, channel: Option<ChannelId>) {
    let state = client.expect("VOICE_STATE_UPDATE").await;
    let is = (state["user_id"].clone(), state["channel_id"].clone());
    assert_eq!(is, (json!(who.id().to_string()), channel.map_or(Value::Null, |id| json!(id.to_string()))));
}

#[tokio::test]
async fn nobody_hears_of_a_call_that_is_not_stored_and_one_that_is_goes_on() {
    let world = World::start().await;
    let (ann, bob) = pair(&world).await;
    let (mut one, mut other) = (online(&world, &ann).await, online(&world, &bob).await);
    world.gate.lose_next(1);
    go(&mut one, Some(DM)).await;
    for client in [&mut one, &mut other] {
        // Of one in which nobody is, and which nobody knew.
        hears(client, &ann, None).await;
        client.expect("CALL_DELETE").await;
    }
    go(&mut one, Some(DM)).await;
    for client in [&mut one, &mut other] {
        assert_eq!(client.expect("MESSAGE_CREATE").await["type"], 3);
        client.expect("CALL_CREATE").await;
        hears(client, &ann, Some(DM)).await;
    }
    // The owner is loaded anew, and knows of it still.
    world.gate.lose_next(1);
    world.send(&bob, DM, "lost").await.unwrap_err();
    assert_eq!(other.expect("MESSAGE_UPDATE").await["call"]["ended_timestamp"], Value::Null);
    connect(&mut other).await;
    let call = other.expect("CALL_CREATE").await;
    assert_eq!(call["voice_states"][0]["user_id"], ann.id().to_string());
    go(&mut other, Some(DM)).await;
    hears(&mut other, &bob, Some(DM)).await;
}

#[tokio::test]
async fn who_hangs_up_waits_for_no_store() {
    let world = World::start().await;
    let (ann, bob) = pair(&world).await;
    let (mut one, mut other) = (online(&world, &ann).await, online(&world, &bob).await);
    go(&mut one, Some(DM)).await;
    other.expect("MESSAGE_CREATE").await;
    other.expect("CALL_CREATE").await;
    hears(&mut other, &ann, Some(DM)).await;
    world.gate.refuse(true);
    go(&mut one, None).await;
    hears(&mut other, &ann, None).await;
    other.expect("CALL_DELETE").await;
    // Nobody begins one that cannot be stored.
    go(&mut other, Some(DM)).await;
    other.beat().await;
    world.gate.refuse(false);
    assert!(other.expect("MESSAGE_UPDATE").await["call"]["ended_timestamp"].is_string());
    connect(&mut other).await;
    go(&mut other, Some(DM)).await;
    other.expect("MESSAGE_CREATE").await;
}

#[tokio::test]
async fn a_call_keeps_its_owner_and_ends_with_the_session_of_the_last() {
    let world = World::with(|config| config.owners.idle_evict_ms = 50).await;
    let (ann, bob) = pair(&world).await;
    let (mut one, mut other) = (online(&world, &ann).await, online(&world, &bob).await);
    go(&mut one, Some(DM)).await;
    other.expect("MESSAGE_CREATE").await;
    other.expect("CALL_CREATE").await;
    hears(&mut other, &ann, Some(DM)).await;
    // Another DM comes and goes.
    world.call(&bob, OTHER, Call::TriggerTyping { channel_id: OTHER }).await.unwrap();
    other.expect("TYPING_START").await;
    while world.region().owners.guilds_loaded() > 1 {
        tokio::task::yield_now().await;
    }
    // A connection that breaks ends nothing.
    let cut = one.cut();
    let mut one = cut.resume(&ann.token).await;
    while one.payload().await["t"] != "RESUMED" {}
    connect(&mut other).await;
    assert_eq!(other.expect("CALL_CREATE").await["voice_states"][0]["user_id"], ann.id().to_string());
    world.region().revoke(ann.id(), None).await;
    hears(&mut other, &ann, None).await;
    other.expect("CALL_DELETE").await;
    assert!(other.expect("MESSAGE_UPDATE").await["call"]["ended_timestamp"].is_string());
    while world.region().owners.guilds_loaded() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn bots_call_nobody() {
    let world = World::start().await;
    let (ann, bot) = (world.person("ann").await, world.bot("rook", 0).await);
    let row =
        DmRow { channel: Channel::new(DM, ChannelType::Dm), user_ids: vec![ann.id(), bot.id()], call_message_id: None };
    let listed = Write::PutDmListing { user_id: ann.id(), channel_id: DM };
    world.write(vec![Write::PutDm(row), listed]).await;
    let (mut person, mut rook) = (online(&world, &ann).await, world.online(&bot).await);
    for client in [&mut person, &mut rook] {
        go(client, Some(DM)).await;
        connect(client).await;
        client.beat().await;
    }
    // Whatever had come of it would be told before this.
    world.send(&ann, DM, "hello").await.unwrap();
    assert_eq!(person.expect("MESSAGE_CREATE").await["content"], "hello");
}
