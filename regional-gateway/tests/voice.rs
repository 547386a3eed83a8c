//! Voice states over WebSocket: join, move and leave, seen by those who see the channel; sounds that are asked for.

mod common;

use common::{Client, Person, TestGuild, World, text_channel};
use rookery_model::call::{Call, ModifyMember};
use rookery_model::channel::{Channel, ChannelType, Overwrite, OverwriteType};
use rookery_model::store::Write;
use rookery_model::{ChannelId, GuildId, Patch, Permissions};
use serde_json::{Value, json};

/// A voice channel, hidden from all but these.
fn voice_channel(guild: &TestGuild, id: u64, only_for: Option<&[&Person]>) -> (ChannelId, Write) {
    let id = ChannelId::new(id);
    let mut channel = Channel { kind: ChannelType::GuildVoice, ..text_channel(guild.id, id) };
    if let Some(people) = only_for {
        let nothing = Permissions::empty();
        let overwrite = |id, kind, allow, deny| Overwrite { id, kind, allow, deny };
        channel.permission_overwrites.push(overwrite(
            guild.id.0,
            OverwriteType::Role,
            nothing,
            Permissions::VIEW_CHANNEL,
        ));
        channel.permission_overwrites.extend(
            people
                .iter()
                .map(|person| overwrite(person.id().0, OverwriteType::Member, Permissions::VIEW_CHANNEL, nothing)),
        );
    }
    (id, Write::PutChannel(channel))
}

async fn go(client: &mut Client, guild: GuildId, channel: Option<ChannelId>) {
    let d = json!({"guild_id": guild.to_string(), "channel_id": channel.map(|id| id.to_string()), "self_mute": true, "self_deaf": false});
    client.send(json!({"op": 4, "d": d})).await;
}

async fn heard(client: &mut Client) -> (Value, Value) {
    let state = client.expect("VOICE_STATE_UPDATE").await;
    (state["user_id"].clone(), state["channel_id"].clone())
}

fn is(person: &Person, channel: Option<ChannelId>) -> (Value, Value) {
    (json!(person.id().to_string()), channel.map_or(Value::Null, |id| json!(id.to_string())))
}

#[tokio::test]
async fn joining_moving_and_leaving_is_seen_by_viewers_only() {
    let world = World::start().await;
    let (ann, bob, eve) = (world.person("ann").await, world.person("bob").await, world.person("eve").await);
    let guild = world.guild(&[&ann, &bob, &eve]).await;
    let (open, row) = voice_channel(&guild, 1 << 40, None);
    let (hidden, hidden_row) = voice_channel(&guild, 2 << 40, Some(&[&bob]));
    world.write(vec![row, hidden_row]).await;
    let (mut ann_client, mut bob_client, mut eve_client) =
        (world.online(&ann).await, world.online(&bob).await, world.online(&eve).await);

    go(&mut bob_client, guild.id, Some(open)).await;
    for client in [&mut ann_client, &mut bob_client, &mut eve_client] {
        assert_eq!(heard(client).await, is(&bob, Some(open)));
    }
    let mut late = world.connect().await;
    late.identify(&eve.token, common::ALL_INTENTS).await;
    let states = late.expect("GUILD_CREATE").await["voice_states"].clone();
    assert_eq!((states.as_array().unwrap().len(), &states[0]["self_mute"]), (1, &json!(true)));
    assert_eq!(states[0].get("guild_id"), None);

    // The owner sees all, EVE sees BOB leave, and where to she does not learn.
    go(&mut bob_client, guild.id, Some(hidden)).await;
    assert_eq!(heard(&mut bob_client).await, is(&bob, Some(hidden)));
    assert_eq!(heard(&mut ann_client).await, is(&bob, Some(hidden)));
    assert_eq!(heard(&mut eve_client).await, is(&bob, None));
    go(&mut eve_client, guild.id, Some(hidden)).await;
    go(&mut bob_client, guild.id, None).await;
    assert_eq!(heard(&mut ann_client).await, is(&bob, None));
    // EVE did not get in, and hears nothing of BOB.
    eve_client.beat().await;
    go(&mut eve_client, guild.id, Some(open)).await;
    assert_eq!(heard(&mut eve_client).await, is(&eve, Some(open)));
    assert_eq!(heard(&mut ann_client).await, is(&eve, Some(open)));

    // A moderator puts her out.
    let changes = ModifyMember { channel_id: Patch::Clear, ..ModifyMember::default() };
    let call = Call::ModifyMember { guild_id: guild.id, user_id: eve.id(), changes };
    world.call(&ann, guild.channel, call).await.unwrap();
    assert_eq!(heard(&mut eve_client).await, is(&eve, None));
    assert_eq!(heard(&mut ann_client).await, is(&eve, None));
}

#[tokio::test]
async fn a_connection_ends_with_its_session_and_not_with_its_socket() {
    let world = World::start().await;
    let (ann, bob) = (world.person("ann").await, world.person("bob").await);
    let guild = world.guild(&[&ann, &bob]).await;
    let (open, row) = voice_channel(&guild, 1 << 40, None);
    world.write(vec![row]).await;
    let (mut ann_client, mut bob_client) = (world.online(&ann).await, world.online(&bob).await);
    go(&mut bob_client, guild.id, Some(open)).await;
    assert_eq!(heard(&mut ann_client).await, is(&bob, Some(open)));
    assert_eq!(heard(&mut bob_client).await, is(&bob, Some(open)));
    let cut = bob_client.cut();
    let mut bob_client = cut.resume(&bob.token).await;
    bob_client.expect("RESUMED").await;
    // The guild is loaded anew, and knows of it still.
    world.gate.lose_next(1);
    world.send(&ann, guild.channel, "lost").await.unwrap_err();
    let mut late = world.connect().await;
    late.identify(&ann.token, common::ALL_INTENTS).await;
    assert_eq!(late.expect("GUILD_CREATE").await["voice_states"][0]["channel_id"], open.to_string());
    world.region().revoke(bob.id(), None).await;
    assert_eq!(heard(&mut ann_client).await, is(&bob, None));
}

#[tokio::test]
async fn people_are_in_one_place_at_a_time() {
    let world = World::start().await;
    let ann = world.person("ann").await;
    let (one, two) = (world.guild(&[&ann]).await, world.guild(&[&ann]).await);
    let (here, row) = voice_channel(&one, 1 << 40, None);
    let (there, other_row) = voice_channel(&two, 2 << 40, None);
    world.write(vec![row, other_row]).await;
    let mut client = world.online(&ann).await;
    go(&mut client, one.id, Some(here)).await;
    assert_eq!(heard(&mut client).await, is(&ann, Some(here)));
    go(&mut client, two.id, Some(there)).await;
    let mut both = [heard(&mut client).await, heard(&mut client).await];
    both.sort_by_key(|(_, channel)| channel.is_null());
    assert_eq!(both, [is(&ann, Some(there)), is(&ann, None)]);
}

#[tokio::test]
async fn sounds_are_told_of_the_guilds_that_one_is_in() {
    let world = World::start().await;
    let ann = world.person("ann").await;
    let guild = world.guild(&[&ann]).await;
    let mut client = world.online(&ann).await;
    client.send(json!({"op": 31, "d": {"guild_ids": ["5", guild.id.to_string(), guild.id.to_string()]}})).await;
    let sounds = client.expect("SOUNDBOARD_SOUNDS").await;
    assert_eq!(sounds, json!({"guild_id": guild.id.to_string(), "soundboard_sounds": []}));
    client.beat().await;
}

async fn status(client: &mut Client) -> (Value, Value) {
    let update = client.expect("VOICE_CHANNEL_STATUS_UPDATE").await;
    (update["id"].clone(), update["status"].clone())
}

/// What a client reads of the channels that it sees.
async fn statuses(client: &mut Client, guild: GuildId) -> Value {
    client.send(json!({"op": 43, "d": {"guild_id": guild.to_string(), "fields": ["status"]}})).await;
    let info = client.expect("CHANNEL_INFO").await;
    assert_eq!(info["guild_id"], guild.to_string());
    info["channels"].clone()
}

#[tokio::test]
async fn statuses_of_channels_are_told_and_read_by_viewers_and_outlive_a_lost_write() {
    let world = World::start().await;
    let (ann, bob, eve) = (world.person("ann").await, world.person("bob").await, world.person("eve").await);
    let guild = world.guild(&[&ann, &bob, &eve]).await;
    let (open, row) = voice_channel(&guild, 1 << 40, None);
    let (hidden, hidden_row) = voice_channel(&guild, 2 << 40, Some(&[&bob]));
    world.write(vec![row, hidden_row]).await;
    let (mut bob_client, mut eve_client) = (world.online(&bob).await, world.online(&eve).await);
    let set = |channel_id, status: Option<&str>| Call::SetVoiceChannelStatus {
        channel_id,
        status: status.map(str::to_owned),
    };
    let is = |channel: ChannelId, status: Option<&str>| (json!(channel.to_string()), json!(status));

    go(&mut bob_client, guild.id, Some(open)).await;
    for client in [&mut bob_client, &mut eve_client] {
        heard(client).await;
    }
    world.call(&ann, guild.channel, set(hidden, Some("Secrets"))).await.unwrap();
    world.call(&ann, guild.channel, set(open, Some("Owls"))).await.unwrap();
    assert_eq!(status(&mut bob_client).await, is(hidden, Some("Secrets")));
    assert_eq!(status(&mut bob_client).await, is(open, Some("Owls")));
    assert_eq!(status(&mut eve_client).await, is(open, Some("Owls")));
    let shown = |channel: ChannelId, status: &str| json!({"id": channel.to_string(), "status": status});
    assert_eq!(statuses(&mut bob_client, guild.id).await, json!([shown(open, "Owls"), shown(hidden, "Secrets")]));
    assert_eq!(statuses(&mut eve_client, guild.id).await, json!([shown(open, "Owls")]));

    // The guild is loaded anew without the log's entry, and what is on goes on as with connections.
    world.gate.lose_next(1);
    world.call(&ann, guild.channel, set(open, Some("Rooks"))).await.unwrap_err();
    assert_eq!(status(&mut eve_client).await, is(open, Some("Rooks")));
    assert_eq!(statuses(&mut eve_client, guild.id).await, json!([shown(open, "Rooks")]));
    go(&mut bob_client, guild.id, None).await;
    heard(&mut eve_client).await;
    assert_eq!(status(&mut eve_client).await, is(open, None));

    // Of other guilds it gets nothing.
    eve_client.send(json!({"op": 43, "d": {"guild_id": "5", "fields": ["status"]}})).await;
    eve_client.beat().await;
}
