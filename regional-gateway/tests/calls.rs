//! Calls in DMs over WebSocket, with a store that takes nothing for a while.

mod common;

use common::{Client, Person, World};
use rookery_model::ChannelId;
use rookery_model::channel::{Channel, ChannelType};
use rookery_model::store::{DmRow, Write};
use serde_json::{Value, json};

const DM: ChannelId = ChannelId::new(77 << 22);

/// Two people with a DM that stands in their lists already.
async fn pair(world: &World) -> (Person, Person) {
    let (ann, bob) = (world.person("ann").await, world.person("bob").await);
    let channel = Channel::new(DM, ChannelType::Dm);
    let listed = |user_id| Write::PutDmListing { user_id, channel_id: DM };
    let row = DmRow { channel, user_ids: vec![ann.id(), bob.id()], call_message_id: None };
    world.write(vec![Write::PutDm(row), listed(ann.id()), listed(bob.id())]).await;
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
