//! Presence over WebSocket: what others in a guild, friends and the user's own devices see.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail where the test would")]

mod common;

use common::{ALL_INTENTS, ALL_PRIVILEGED, Client, Person, World};
use rookery_model::Timestamp;
use rookery_model::relationship::{RelationshipRow, RelationshipType};
use rookery_model::store::Write;
use serde_json::{Value, json};

/// A client that hears presences, and has its guilds.
async fn online(world: &World, person: &Person) -> Client {
    let mut client = world.online(person).await;
    client.hears_presences = true;
    client
}

/// A person's client of a kind, which gets everything.
async fn device(world: &World, person: &Person, browser: &str) -> (Client, Value) {
    let mut client = world.connect().await;
    client.hears_presences = true;
    let properties = json!({"os": "Linux", "browser": browser, "device": ""});
    client.send(json!({"op": 2, "d": {"token": person.token, "properties": properties}})).await;
    let ready = client.expect("READY").await;
    client.session_id = ready["session_id"].as_str().unwrap().to_owned();
    for _ in ready["guilds"].as_array().unwrap() {
        client.expect("GUILD_CREATE").await;
    }
    (client, ready)
}

async fn says(client: &mut Client, status: &str) {
    client.send(json!({"op": 3, "d": {"since": null, "activities": [], "status": status, "afk": false}})).await;
}

async fn status_of(client: &mut Client, person: &Person) -> Value {
    let presence = client.expect("PRESENCE_UPDATE").await;
    assert_eq!(presence["user"], json!({"id": person.id().to_string()}));
    presence
}

fn friends(one: &Person, other: &Person) -> Vec<Write> {
    let row = |user: &Person, other: &Person| {
        Write::PutRelationship(RelationshipRow {
            user_id: user.id(),
            other_id: other.id(),
            kind: RelationshipType::Friend,
            nickname: None,
            since: Timestamp(0),
        })
    };
    vec![row(one, other), row(other, one)]
}

#[tokio::test]
async fn a_bot_sees_a_person_come_and_change_and_no_short_absence() {
    let world = World::start().await;
    let (ann, bot) = (world.person("ann").await, world.bot("bot", ALL_PRIVILEGED).await);
    let guild = world.guild(&[&ann, &bot]).await;
    let mut bot = online(&world, &bot).await;
    let mut client = world.online(&ann).await;
    let presence = status_of(&mut bot, &ann).await;
    assert_eq!((&presence["status"], &presence["guild_id"]), (&json!("online"), &json!(guild.id.to_string())));
    assert_eq!(presence["client_status"], json!({"web": "online"}));
    says(&mut client, "idle").await;
    assert_eq!(status_of(&mut bot, &ann).await["status"], "idle");
    // Back before it expires, and nobody notices.
    let cut = client.cut();
    let mut client = cut.resume(&ann.token).await;
    client.expect("RESUMED").await;
    says(&mut client, "dnd").await;
    assert_eq!(status_of(&mut bot, &ann).await["status"], "dnd");
}

#[tokio::test]
async fn a_session_without_a_connection_expires_and_is_there_again_when_it_resumes() {
    let world = World::with(|config| config.presence.expiry_ms = 50).await;
    let (ann, bot) = (world.person("ann").await, world.bot("bot", ALL_PRIVILEGED).await);
    world.guild(&[&ann, &bot]).await;
    let mut bot = online(&world, &bot).await;
    let mut client = world.online(&ann).await;
    assert_eq!(status_of(&mut bot, &ann).await["status"], "online");
    says(&mut client, "idle").await;
    assert_eq!(status_of(&mut bot, &ann).await["status"], "idle");
    let cut = client.cut();
    assert_eq!(status_of(&mut bot, &ann).await["status"], "offline");
    let mut client = cut.resume(&ann.token).await;
    client.expect("RESUMED").await;
    assert_eq!(status_of(&mut bot, &ann).await["status"], "idle");
}

#[tokio::test]
async fn an_ended_session_is_offline_at_once_and_snapshots_agree() {
    let world = World::start().await;
    let (ann, bob) = (world.person("ann").await, world.person("bob").await);
    world.guild(&[&ann, &bob]).await;
    let mut bob_sees = online(&world, &bob).await;
    let mut client = world.connect().await;
    client.identify(&ann.token, ALL_INTENTS).await;
    assert_eq!(status_of(&mut bob_sees, &ann).await["status"], "online");
    let created = client.expect("GUILD_CREATE").await;
    let of = |id: String, status: &str| json!({"user": {"id": id}, "status": status, "activities": [], "client_status": {"web": status}});
    assert!(created["presences"].as_array().unwrap().contains(&of(bob.id().to_string(), "online")), "{created}");
    client.send_raw(tokio_tungstenite::tungstenite::Message::Close(None)).await;
    drop(client);
    assert_eq!(world.region().figures().sessions, 2, "without a code it waits for RESUME");
    let mut client = world.online(&ann).await;
    says(&mut client, "invisible").await;
    // The first session still counts, until its token ends.
    world.region().revoke(ann.id(), None).await;
    assert_eq!(status_of(&mut bob_sees, &ann).await["status"], "offline");
    let mut late = world.connect().await;
    late.identify(&bob.token, ALL_INTENTS).await;
    let created = late.expect("GUILD_CREATE").await;
    assert_eq!(created["presences"], json!([of(bob.id().to_string(), "online")]));
}

#[tokio::test]
async fn the_invisible_are_seen_by_nobody_but_their_own_devices() {
    let world = World::start().await;
    let (ann, bob) = (world.person("ann").await, world.person("bob").await);
    world.guild(&[&ann, &bob]).await;
    let mut bob_sees = online(&world, &bob).await;
    let (mut desktop, ready) = device(&world, &ann, "Discord Client").await;
    assert_eq!((ready["sessions"].as_array().unwrap().len(), &ready["sessions"][0]["status"]), (1, &json!("online")));
    assert_eq!(status_of(&mut bob_sees, &ann).await["client_status"], json!({"desktop": "online"}));
    says(&mut desktop, "invisible").await;
    let presence = status_of(&mut bob_sees, &ann).await;
    assert_eq!((&presence["status"], &presence["client_status"]), (&json!("offline"), &json!({})));
    let (mut phone, ready) = device(&world, &ann, "Discord Android").await;
    let seen: Vec<_> = ready["sessions"].as_array().unwrap().iter().map(|s| s["status"].clone()).collect();
    assert_eq!(seen, [json!("invisible"), json!("online")]);
    assert_eq!(desktop.expect("SESSIONS_REPLACE").await[1]["client_info"]["client"], "mobile");
    assert_eq!(status_of(&mut bob_sees, &ann).await["client_status"], json!({"mobile": "online"}));
    // Two devices, one user: the stronger word is shown, and each device by itself.
    says(&mut desktop, "dnd").await;
    let presence = status_of(&mut bob_sees, &ann).await;
    assert_eq!(presence["status"], "dnd");
    assert_eq!(presence["client_status"], json!({"desktop": "dnd", "mobile": "online"}));
    for client in [&mut desktop, &mut phone] {
        assert_eq!(client.expect("SESSIONS_REPLACE").await[0]["status"], "dnd");
    }
}

#[tokio::test]
async fn friends_see_each_other_wherever_they_are() {
    let world = World::start().await;
    let (ann, bob, eve) = (world.person("ann").await, world.person("bob").await, world.person("eve").await);
    world.write(friends(&ann, &bob)).await;
    let (mut ann_sees, ready) = device(&world, &ann, "Chrome").await;
    assert_eq!(ready["relationships"][0]["user"]["username"], "bob");
    assert_eq!((&ready["relationships"][0]["type"], &ready["presences"]), (&json!(1), &json!([])));
    let (mut stranger, _) = device(&world, &eve, "Chrome").await;
    let (mut bob_client, ready) = device(&world, &bob, "Chrome").await;
    assert_eq!(ready["presences"][0]["user"]["id"], ann.id().to_string());
    let presence = status_of(&mut ann_sees, &bob).await;
    assert_eq!((&presence["status"], presence.get("guild_id")), (&json!("online"), None));
    says(&mut bob_client, "invisible").await;
    assert_eq!(status_of(&mut ann_sees, &bob).await["status"], "offline");
    stranger.beat().await;
}

#[tokio::test]
async fn large_guilds_tell_in_batches() {
    let batch = |config: &mut rookery_region::RegionConfig| {
        config.presence.batch_above_members = 1;
        config.presence.batch_ms = 1_500;
    };
    let world = World::with(batch).await;
    let (ann, bot) = (world.person("ann").await, world.bot("bot", ALL_PRIVILEGED).await);
    world.guild(&[&ann, &bot]).await;
    let mut bot = online(&world, &bot).await;
    let mut client = world.online(&ann).await;
    // Both arrive together: what it was in between is in no batch.
    for status in ["idle", "dnd"] {
        client.feed(json!({"op": 3, "d": {"since": null, "activities": [], "status": status, "afk": false}})).await;
    }
    client.flush().await;
    let mut seen = Vec::new();
    while seen.last() != Some(&json!("dnd")) {
        seen.push(status_of(&mut bot, &ann).await["status"].clone());
    }
    assert!(!seen.contains(&json!("idle")), "{seen:?}");
}

#[tokio::test]
async fn presences_survive_a_guild_that_is_loaded_anew() {
    let world = World::start().await;
    let (ann, bob, bot) =
        (world.person("ann").await, world.person("bob").await, world.bot("bot", ALL_PRIVILEGED).await);
    let guild = world.guild(&[&ann, &bob, &bot]).await;
    let mut bot = online(&world, &bot).await;
    let mut client = world.online(&ann).await;
    assert_eq!(status_of(&mut bot, &ann).await["status"], "online");
    world.gate.lose_next(1);
    world.send(&ann, guild.channel, "lost").await.unwrap_err();
    says(&mut client, "idle").await;
    assert_eq!(status_of(&mut bot, &ann).await["status"], "idle");
    let mut late = world.connect().await;
    late.identify(&bob.token, ALL_INTENTS).await;
    let created = late.expect("GUILD_CREATE").await;
    let idle = json!({"user": {"id": ann.id().to_string()}, "status": "idle", "activities": [], "client_status": {"web": "idle"}});
    assert!(created["presences"].as_array().unwrap().contains(&idle), "{created}");
}

#[tokio::test]
async fn a_presence_that_cannot_be_read_closes_with_4002() {
    let world = World::start().await;
    let ann = world.person("ann").await;
    for bad in [json!({"status": "asleep", "activities": []}), json!({"status": "idle", "activities": [{"type": 0}]})] {
        let mut client = world.online(&ann).await;
        client.send(json!({"op": 3, "d": bad})).await;
        assert_eq!(client.close_code().await, 4002);
    }
}
