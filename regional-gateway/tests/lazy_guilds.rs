//! Opcodes 14 and 37 over a real socket: ranges come, changes follow, nonsense closes, passive guilds stay quiet.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail where the test would")]

mod common;

use common::client::identify;
use common::{ALL_INTENTS, ALL_PRIVILEGED, Client, Person, TestGuild, World};
use rookery_model::call::{Call, ModifyMember};
use rookery_model::channel::{Overwrite, OverwriteType};
use rookery_model::{Patch, Permissions};
use serde_json::{Value, json};

/// A person's session: without intents, with these capabilities; it has its READY and its guilds.
async fn person_online(world: &World, person: &Person, capabilities: u64) -> Client {
    let mut client = world.connect().await;
    let mut payload = identify(&person.token, 0);
    let data = payload["d"].as_object_mut().unwrap();
    data.remove("intents");
    data.insert("capabilities".into(), json!(capabilities));
    client.send(payload).await;
    let ready = client.expect("READY").await;
    client.session_id = ready["session_id"].as_str().unwrap().to_owned();
    for _ in ready["guilds"].as_array().unwrap() {
        client.expect("GUILD_CREATE").await;
    }
    client
}

fn look(guild: &TestGuild) -> Value {
    let channels = json!({ guild.channel.to_string(): [[0, 99]] });
    json!({"guild_id": guild.id.to_string(), "typing": true, "activities": true, "channels": channels})
}

fn members(op: &Value) -> usize {
    op["items"].as_array().unwrap().iter().filter(|item| item.get("member").is_some()).count()
}

async fn nick(world: &World, guild: &TestGuild, person: &Person, nick: &str) {
    let changes = ModifyMember { nick: Patch::Set(nick.into()), ..ModifyMember::default() };
    let call = Call::ModifyMember { guild_id: guild.id, user_id: person.id(), changes };
    world.call(person, guild.channel, call).await.unwrap();
}

#[tokio::test]
async fn a_range_comes_and_then_what_changes_in_it() {
    let world = World::start().await;
    let (ann, bob) = (world.person("ann").await, world.person("bob").await);
    let guild = world.guild(&[&ann, &bob]).await;
    let mut client = person_online(&world, &ann, 0).await;
    client.send(json!({"op": 14, "d": look(&guild)})).await;
    let list = client.expect("GUILD_MEMBER_LIST_UPDATE").await;
    assert_eq!((&list["id"], &list["online_count"], &list["member_count"]), (&json!("everyone"), &json!(1), &json!(2)));
    assert_eq!((&list["ops"][0]["op"], members(&list["ops"][0])), (&json!("SYNC"), 2));

    // Somebody comes: from the offline ones to those who are there.
    let other = person_online(&world, &bob, 0).await;
    let list = client.expect("GUILD_MEMBER_LIST_UPDATE").await;
    assert_eq!(list["online_count"], 2);
    let ops: Vec<&str> = list["ops"].as_array().unwrap().iter().map(|op| op["op"].as_str().unwrap()).collect();
    assert!(ops.contains(&"DELETE") && ops.contains(&"INSERT"), "{ops:?}");
    nick(&world, &guild, &bob, "zed").await;
    client.expect("GUILD_MEMBER_UPDATE").await;
    assert_eq!(client.expect("GUILD_MEMBER_LIST_UPDATE").await["ops"][0]["op"], "UPDATE");

    // The channel goes out of sight, and the list with it.
    let hide = Overwrite {
        id: bob.id().0,
        kind: OverwriteType::Member,
        allow: Permissions::empty(),
        deny: Permissions::VIEW_CHANNEL,
    };
    world.call(&ann, guild.channel, Call::PutOverwrite { channel_id: guild.channel, overwrite: hide }).await.unwrap();
    client.expect("CHANNEL_UPDATE").await;
    let list = client.expect("GUILD_MEMBER_LIST_UPDATE").await;
    assert_eq!((list["id"] != "everyone", members(&list["ops"][0])), (true, 1));
    drop(other);
}

#[tokio::test]
async fn what_is_looked_at_before_the_guild_came_is_not_lost() {
    let world = World::start().await;
    let ann = world.person("ann").await;
    let guild = world.guild(&[&ann]).await;
    let mut client = world.connect().await;
    let mut payload = identify(&ann.token, 0);
    payload["d"].as_object_mut().unwrap().remove("intents");
    client.feed(payload).await;
    client.flush().await;
    client.expect("READY").await;
    client.send(json!({"op": 37, "d": {"subscriptions": { guild.id.to_string(): look(&guild) }}})).await;
    client.expect("GUILD_CREATE").await;
    client.expect("GUILD_MEMBER_LIST_UPDATE").await;
}

#[tokio::test]
async fn nonsense_closes_and_bots_are_passed_over() {
    let world = World::start().await;
    let (ann, bot) = (world.person("ann").await, world.bot("bot", ALL_PRIVILEGED).await);
    let guild = world.guild(&[&ann, &bot]).await;
    let many: Vec<[u32; 2]> = (0..10_000).map(|n| [n * 100, n * 100 + 99]).collect();
    for ranges in [json!(many), json!([[0, 99], [100, 99]]), json!([[0, 1_000]]), json!(many[..6])] {
        let mut client = person_online(&world, &ann, 0).await;
        let channels = json!({ guild.channel.to_string(): ranges });
        client.send(json!({"op": 14, "d": {"guild_id": guild.id.to_string(), "channels": channels}})).await;
        assert_eq!(client.close_code().await, 4002);
    }
    let mut client = world.connect().await;
    client.identify(&bot.token, ALL_INTENTS).await;
    client.expect("GUILD_CREATE").await;
    client.send(json!({"op": 14, "d": look(&guild)})).await;
    client.beat().await;
}

#[tokio::test]
async fn a_guild_that_is_not_looked_at_sends_one_delta() {
    let world = World::start().await;
    let (ann, bob) = (world.person("ann").await, world.person("bob").await);
    let guild = world.guild(&[&ann, &bob]).await;
    let mut client = person_online(&world, &ann, 1 << 14).await;
    world.send(&bob, guild.channel, "one").await.unwrap();
    let newest = world.send(&bob, guild.channel, "two").await.unwrap();
    let delta = client.expect("PASSIVE_UPDATE_V2").await;
    assert_eq!(delta["guild_id"], guild.id.to_string());
    let expected = json!([{"id": guild.channel.to_string(), "last_message_id": newest.to_string()}]);
    assert_eq!(delta["updated_channels"], expected);
    world.send(&bob, guild.channel, &format!("<@{}>", ann.id())).await.unwrap();
    client.expect("MESSAGE_CREATE").await;
    client.send(json!({"op": 14, "d": {"guild_id": guild.id.to_string(), "typing": true}})).await;
    client.expect("PASSIVE_UPDATE_V2").await;
    world.send(&bob, guild.channel, "three").await.unwrap();
    assert_eq!(client.expect("MESSAGE_CREATE").await["content"], "three");
}
