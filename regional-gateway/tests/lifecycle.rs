//! From HELLO to messages.

mod common;

use common::{ALL_INTENTS, ALL_PRIVILEGED, Client, World};
use rookery_model::call::{Call, CreateInvite, Reply};
use rookery_model::channel::ChannelType;
use rookery_model::store::{DmRow, Write};
use rookery_model::{ChannelId, channel::Channel};
use serde_json::json;

#[tokio::test]
async fn a_bot_gets_ready_its_guilds_and_a_message() {
    let world = World::start().await;
    let (ann, bot) = (world.person("ann").await, world.bot("bot", ALL_PRIVILEGED).await);
    let guild = world.guild(&[&ann, &bot]).await;
    let mut client = world.connect().await;
    let ready = client.identify(&format!("Bot {}", bot.token), ALL_INTENTS).await;
    assert_eq!(ready["v"], 10);
    assert_eq!(ready["user"]["id"], bot.id().to_string());
    assert_eq!(ready["guilds"], json!([{"id": guild.id.to_string(), "unavailable": true}]));
    assert_eq!(ready["application"], json!({"id": bot.id().to_string(), "flags": ALL_PRIVILEGED}));
    assert_eq!(ready["resume_gateway_url"], format!("ws://{}", world.running.gateway_addr));
    assert_eq!(ready["session_id"].as_str().unwrap().len(), 32);
    let created = client.expect("GUILD_CREATE").await;
    assert_eq!((&created["id"], &created["unavailable"]), (&json!(guild.id.to_string()), &json!(false)));
    assert_eq!(created["channels"][0]["id"], guild.channel.to_string());

    let id = world.send(&ann, guild.channel, "hello").await.unwrap();
    let message = client.expect("MESSAGE_CREATE").await;
    assert_eq!((&message["id"], &message["content"]), (&json!(id.to_string()), &json!("hello")));
    assert_eq!(message["guild_id"], guild.id.to_string());
}

#[tokio::test]
async fn a_person_without_intents_gets_everything_and_dms() {
    let world = World::start().await;
    let (ann, bob) = (world.person("ann").await, world.person("bob").await);
    let dm = ChannelId::new(77 << 22);
    let row =
        DmRow { channel: Channel::new(dm, ChannelType::Dm), user_ids: vec![ann.id(), bob.id()], call_message_id: None };
    let listed = |user_id| Write::PutDmListing { user_id, channel_id: dm };
    world.write(vec![Write::PutDm(row), listed(ann.id()), listed(bob.id())]).await;

    let mut client = world.connect().await;
    client.send(json!({"op": 2, "d": {"token": ann.token, "properties": {}}})).await;
    let ready = client.expect("READY").await;
    assert_eq!(ready["private_channels"][0]["recipients"][0]["id"], bob.id().to_string());
    assert_eq!(ready["read_state"], json!([]));
    assert!(ready.get("application").is_none());

    world.send(&bob, dm, "psst").await.unwrap();
    let message = client.expect("MESSAGE_CREATE").await;
    assert_eq!(message["content"], "psst");
    assert!(message.get("guild_id").is_none());
}

#[tokio::test]
async fn messages_come_in_the_order_of_their_ids() {
    let world = World::start().await;
    let (ann, bot) = (world.person("ann").await, world.bot("bot", ALL_PRIVILEGED).await);
    let guild = world.guild(&[&ann, &bot]).await;
    let mut client = world.online(&bot).await;
    let sends = (0..200).map(|i| {
        let (world, ann) = (&world, &ann);
        async move { world.send(ann, guild.channel, &i.to_string()).await.unwrap() }
    });
    let mut ids = futures_util::future::join_all(sends).await;
    ids.sort_unstable();
    for id in ids {
        assert_eq!(client.expect("MESSAGE_CREATE").await["id"], id.to_string());
    }
}

#[tokio::test]
async fn intents_choose_what_comes() {
    let world = World::start().await;
    let (ann, bot) = (world.person("ann").await, world.bot("bot", ALL_PRIVILEGED).await);
    let guild = world.guild(&[&ann, &bot]).await;
    let mut client = world.connect().await;
    client.identify(&bot.token, 1).await;
    client.expect("GUILD_CREATE").await;
    world.send(&ann, guild.channel, "not for it").await.unwrap();
    world.call(&ann, guild.channel, Call::DeleteChannel { channel_id: guild.channel }).await.unwrap();
    client.expect("CHANNEL_DELETE").await;
}

#[tokio::test]
async fn heartbeats_are_answered_before_and_after_identify() {
    let world = World::start().await;
    let ann = world.person("ann").await;
    let mut client = world.connect().await;
    client.beat().await;
    client.identify(&ann.token, 0).await;
    client.beat().await;
}

#[tokio::test]
async fn shards_divide_the_guilds() {
    let world = World::with(|config| config.gateway.identify_concurrency = 2).await;
    let (ann, bot) = (world.person("ann").await, world.bot("bot", ALL_PRIVILEGED).await);
    let guilds = [world.guild(&[&ann, &bot]).await, world.guild(&[&ann, &bot]).await, world.guild(&[&ann, &bot]).await];
    let mut seen = Vec::new();
    for shard in 0..2u64 {
        let mut client = world.connect().await;
        let identify = json!({"token": bot.token, "intents": ALL_INTENTS, "shard": [shard, 2], "properties": {}});
        client.send(json!({"op": 2, "d": identify})).await;
        let ready = client.expect("READY").await;
        assert_eq!(ready["shard"], json!([shard, 2]));
        for _ in ready["guilds"].as_array().unwrap() {
            let id: u64 = client.expect("GUILD_CREATE").await["id"].as_str().unwrap().parse().unwrap();
            assert_eq!((id >> 22) % 2, shard);
            seen.push(id);
        }
        client.beat().await;
    }
    seen.sort_unstable();
    assert_eq!(seen, guilds.map(|guild| guild.id.get()));
}

#[tokio::test]
async fn joining_and_leaving_a_guild_reaches_a_live_session() {
    let world = World::start().await;
    let (ann, bob) = (world.person("ann").await, world.person("bob").await);
    let guild = world.guild(&[&ann]).await;
    let mut client = world.online(&bob).await;
    let invite = CreateInvite { max_age: 0, max_uses: 0, temporary: false, unique: true };
    let create = Call::CreateInvite { channel_id: guild.channel, invite };
    let created = world.call(&ann, guild.channel, create).await.unwrap();
    let Reply::Invite(invite) = created else { panic!("no invite: {created:?}") };
    let owner = world.region().owners.guild(guild.id).await.unwrap();
    let accept = Call::AcceptInvite { code: invite.code };
    owner.call(bob.caller(), accept, None).await.unwrap();
    assert_eq!(client.expect("GUILD_CREATE").await["id"], guild.id.to_string());
    world.send(&ann, guild.channel, "welcome").await.unwrap();
    client.expect("MESSAGE_CREATE").await;
    owner.call(bob.caller(), Call::LeaveGuild { guild_id: guild.id }, None).await.unwrap();
    assert_eq!(client.expect("GUILD_DELETE").await["id"], guild.id.to_string());
    world.send(&ann, guild.channel, "gone").await.unwrap();
    client.beat().await;
}

#[tokio::test]
async fn a_changed_name_reaches_own_sessions_and_guilds() {
    let world = World::start().await;
    let (ann, bob) = (world.person("ann").await, world.person("bob").await);
    world.guild(&[&ann, &bob]).await;
    let (mut his, mut hers) = (world.online(&bob).await, world.online(&ann).await);
    let mut account = bob.account.clone();
    account.user.global_name = Some("Bobby".into());
    let account = world.region().accounts.put(account, Vec::new()).await.unwrap();
    world.region().user_updated(&account).await;
    assert_eq!(hers.expect("GUILD_MEMBER_UPDATE").await["user"]["global_name"], "Bobby");
    let first = his.payload().await;
    let second = his.payload().await;
    let mut names = [first["t"].as_str().unwrap(), second["t"].as_str().unwrap()];
    names.sort_unstable();
    assert_eq!(names, ["GUILD_MEMBER_UPDATE", "USER_UPDATE"]);
}

#[tokio::test]
async fn other_paths_and_plain_requests_are_no_gateway() {
    let world = World::start().await;
    let url = format!("ws://{}/elsewhere", world.running.gateway_addr);
    assert!(tokio_tungstenite::connect_async(url).await.is_err());
    // And the gateway goes on.
    world.connect().await;
}

#[tokio::test]
async fn an_unfinished_handshake_is_cut_off_and_its_place_is_free_again() {
    let world = World::with(|config| {
        config.gateway.handshake_timeout_ms = 100;
        config.gateway.max_connections = 1;
    })
    .await;
    let mut slow = tokio::net::TcpStream::connect(world.running.gateway_addr).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut slow, b"GET /?v=10 HTTP/1.1\r\nHost:").await.unwrap();
    let mut rest = Vec::new();
    // It ends, without having said anything.
    let _ = tokio::io::AsyncReadExt::read_to_end(&mut slow, &mut rest).await;
    assert_eq!(rest, b"");
    Client::connect(world.running.gateway_addr, "/?v=10&encoding=json").await;
}

#[tokio::test]
async fn a_message_that_comes_while_the_dms_are_read_is_in_ready() {
    let world = World::start().await;
    let (ann, bob) = (world.person("ann").await, world.person("bob").await);
    let dm = ChannelId::new(77 << 22);
    let row =
        DmRow { channel: Channel::new(dm, ChannelType::Dm), user_ids: vec![ann.id(), bob.id()], call_message_id: None };
    let listed = |user_id| Write::PutDmListing { user_id, channel_id: dm };
    world.write(vec![Write::PutDm(row), listed(ann.id()), listed(bob.id())]).await;
    world.send(&bob, dm, "before").await.unwrap();

    world.gate.hold_newest(true);
    let mut client = world.connect().await;
    client.send(json!({"op": 2, "d": {"token": ann.token, "properties": {}}})).await;
    world.gate.newest_is_held().await;
    let meanwhile = world.send(&bob, dm, "meanwhile").await.unwrap();
    world.gate.hold_newest(false);
    let ready = client.expect("READY").await;
    assert_eq!(ready["private_channels"][0]["last_message_id"], meanwhile.to_string());
    world.send(&bob, dm, "after").await.unwrap();
    assert_eq!(client.expect("MESSAGE_CREATE").await["content"], "after");
}
