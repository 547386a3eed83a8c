//! Acknowledged means durable; what is seen is stored, in the same order.

mod common;

use std::time::Duration;

use common::{ALL_INTENTS, ALL_PRIVILEGED, World, message};
use rookery_core_db::MessageRange;
use rookery_model::call::{Call, Reply};
use rookery_region::operations::OperationContext;

#[tokio::test]
async fn nothing_is_told_before_it_is_durable() {
    let world = World::start().await;
    let (ann, bot) = (world.person("ann").await, world.bot("bot", ALL_PRIVILEGED).await);
    let guild = world.guild(&[&ann, &bot]).await;
    let mut client = world.online(&bot).await;
    world.gate.hold();
    let mut send = Box::pin(world.send(&ann, guild.channel, "soon"));
    let waited = tokio::time::timeout(Duration::from_millis(50), &mut send).await;
    assert!(waited.is_err(), "not durable, not acknowledged");
    // A heartbeat's answer overtakes nothing: had the event been sent, it would be here.
    client.beat().await;
    // Reads of the same guild are answered, without a wait for the writes of others.
    let owner = world.region().owners.guild(guild.id).await.unwrap();
    assert_eq!(owner.query(rookery_guild::GuildCore::member_count).await.unwrap(), 2);
    world.gate.open();
    let id = send.await.unwrap();
    assert_eq!(client.expect("MESSAGE_CREATE").await["id"], id.to_string());
}

#[tokio::test]
async fn a_lost_write_is_refused_unseen_and_the_guild_goes_on() {
    let world = World::start().await;
    let (ann, bot) = (world.person("ann").await, world.bot("bot", ALL_PRIVILEGED).await);
    let guild = world.guild(&[&ann, &bot]).await;
    let mut client = world.online(&bot).await;
    world.send(&ann, guild.channel, "before").await.unwrap();
    client.expect("MESSAGE_CREATE").await;
    world.gate.lose(true);
    world.gate.hold();
    let sends = futures_util::future::join_all((0..10).map(|_| world.send(&ann, guild.channel, "lost")));
    let opens = async {
        // All ten are decided before the first of them fails.
        tokio::task::yield_now().await;
        world.gate.open();
    };
    let (results, ()) = tokio::join!(sends, opens);
    for result in results {
        assert_eq!(result.unwrap_err().status, 503);
    }
    world.gate.lose(false);
    // Loaded anew, with its sessions.
    let id = loop {
        match world.send(&ann, guild.channel, "after").await {
            Ok(id) => break id,
            Err(error) => assert_eq!(error.status, 503),
        }
        tokio::task::yield_now().await;
    };
    let next = client.expect("MESSAGE_CREATE").await;
    assert_eq!((next["id"].as_str().unwrap(), next["content"].as_str().unwrap()), (&*id.to_string(), "after"));
    let stored = world.region().store.messages(guild.channel, MessageRange::Latest, 100).await.unwrap();
    assert_eq!(stored.iter().map(|row| row.content.as_str()).collect::<Vec<_>>(), ["after", "before"]);
}

#[tokio::test]
async fn a_full_disk_refuses_writes_and_answers_reads() {
    let world = World::start().await;
    let ann = world.person("ann").await;
    let guild = world.guild(&[&ann]).await;
    let mut client = world.online(&ann).await;
    world.gate.refuse(true);
    assert!(!world.region().is_ready());
    assert_eq!(world.send(&ann, guild.channel, "no room").await.unwrap_err().status, 503);
    let read = world.call(&ann, guild.channel, Call::GetChannel { channel_id: guild.channel }).await;
    assert!(matches!(read, Ok(Reply::Channel(_))), "{read:?}");
    client.beat().await;
    world.gate.refuse(false);
    world.send(&ann, guild.channel, "room again").await.unwrap();
    assert_eq!(client.expect("MESSAGE_CREATE").await["content"], "room again");
}

#[tokio::test]
async fn the_record_of_an_operation_is_durable_with_its_effects() {
    let world = World::start().await;
    let ann = world.person("ann").await;
    let guild = world.guild(&[&ann]).await;
    let operation = OperationContext { id: [9; 16], user_id: Some(ann.id()) };
    let owner = world.region().owners.of_channel(guild.channel).await.unwrap();
    let call = Call::CreateMessage(Box::new(message(guild.channel, "once")));
    let reply = owner.call(ann.caller(), call, Some(operation)).await.unwrap();
    let row = world.region().store.operation(&[9; 16]).await.unwrap().expect("its record");
    assert_eq!(row.user_id, Some(ann.id()));
    assert_eq!(ciborium::from_reader::<Reply, _>(row.reply.as_slice()).unwrap(), reply);
}

#[tokio::test]
async fn commits_in_flight_are_waited_for_at_the_end() {
    let world = World::with(|config| config.gateway.drain_timeout_ms = 50).await;
    let ann = world.person("ann").await;
    let guild = world.guild(&[&ann]).await;
    let region = world.region().clone();
    let (channel, caller) = (guild.channel, ann.caller());
    world.send(&ann, channel, "loads the guild").await.unwrap();
    world.gate.hold();
    let sent = tokio::spawn(async move {
        let owner = region.owners.of_channel(channel).await?;
        owner.call(caller, Call::CreateMessage(Box::new(message(channel, "last"))), None).await
    });
    // It is on its way before the end begins.
    while world.region().store.messages(channel, MessageRange::Latest, 5).await.unwrap().len() < 2 {
        tokio::task::yield_now().await;
    }
    let gate = world.gate.clone();
    let store = world.region().store.clone();
    let ends = tokio::spawn(world.running.shutdown());
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!ends.is_finished(), "a commit is in flight");
    gate.open();
    ends.await.unwrap();
    assert!(matches!(sent.await.unwrap(), Ok(Reply::Message(_))));
    assert_eq!(store.messages(channel, MessageRange::Latest, 5).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_snapshot_behind_a_lost_write_comes_later() {
    let world = World::start().await;
    let (ann, bot) = (world.person("ann").await, world.bot("bot", ALL_PRIVILEGED).await);
    let guild = world.guild(&[&ann, &bot]).await;
    world.send(&ann, guild.channel, "loads the guild").await.unwrap();
    world.gate.hold();
    world.gate.lose_next(1);
    let lost = world.send(&ann, guild.channel, "lost");
    let starts = async {
        // The guild has decided about the message, and about the session after it, before the write fails.
        let mut client = world.connect().await;
        client.identify(&bot.token, ALL_INTENTS).await;
        let owner = world.region().owners.guild(guild.id).await.unwrap();
        while !owner.query(rookery_guild::GuildCore::has_subscribers).await.unwrap() {
            tokio::task::yield_now().await;
        }
        world.gate.open();
        client
    };
    let (lost, mut client) = tokio::join!(lost, starts);
    assert_eq!(lost.unwrap_err().status, 503);
    assert_eq!(client.expect("GUILD_CREATE").await["id"], guild.id.to_string());
    world.send(&ann, guild.channel, "after").await.unwrap();
    assert_eq!(client.expect("MESSAGE_CREATE").await["content"], "after");
}

#[tokio::test]
async fn what_is_stored_and_could_not_be_told_is_seen_by_all_who_start_anew() {
    let world = World::with(|config| config.gateway.identify_per_day = None).await;
    let (ann, bot) = (world.person("ann").await, world.bot("bot", ALL_PRIVILEGED).await);
    let guild = world.guild(&[&ann, &bot]).await;
    let mut client = world.online(&bot).await;
    let owner = world.region().owners.of_channel(guild.channel).await.unwrap();
    let send = |content: &str, id: u8| {
        let call = Call::CreateMessage(Box::new(message(guild.channel, content)));
        owner.call(ann.caller(), call, Some(OperationContext { id: [id; 16], user_id: Some(ann.id()) }))
    };
    world.gate.hold();
    world.gate.lose_next(1);
    let opens = async {
        while world.region().store.messages(guild.channel, MessageRange::Latest, 1).await.unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        world.gate.open();
    };
    let (lost, stored, ()) = tokio::join!(send("lost", 1), send("stored", 2), opens);
    assert_eq!((lost.unwrap_err().status, stored.unwrap_err().status), (503, 503));
    // The second will be answered as done. The session did not hear of it, so it must not go on as if it had.
    assert!(world.region().store.operation(&[1; 16]).await.unwrap().is_none());
    assert!(world.region().store.operation(&[2; 16]).await.unwrap().is_some());
    assert_eq!(client.close_code().await, 4000);
    let mut again = client.cut().resume(&bot.token).await;
    assert_eq!(again.expect_op(9).await, false);
    again.seq = 0;
    again.identify(&bot.token, ALL_INTENTS).await;
    let created = again.expect("GUILD_CREATE").await;
    let stored = world.region().store.messages(guild.channel, MessageRange::Latest, 5).await.unwrap();
    assert_eq!(stored.iter().map(|row| row.content.as_str()).collect::<Vec<_>>(), ["stored"]);
    assert_eq!(created["channels"][0]["last_message_id"], stored[0].id.to_string());
}

#[tokio::test]
async fn a_guild_that_is_lost_for_a_while_is_unavailable_and_comes_back() {
    let world = World::start().await;
    let (ann, bot) = (world.person("ann").await, world.bot("bot", ALL_PRIVILEGED).await);
    let deaf = world.bot("deaf", ALL_PRIVILEGED).await;
    let guild = world.guild(&[&ann, &bot, &deaf]).await;
    let mut client = world.online(&bot).await;
    // One that did not ask for guilds.
    let mut without_guilds = world.connect().await;
    without_guilds.identify(&deaf.token, 1 << 9).await;
    let owner = world.region().owners.guild(guild.id).await.unwrap();
    while owner.query(rookery_guild::GuildCore::subscriber_count).await.unwrap() < 2 {
        tokio::task::yield_now().await;
    }
    world.send(&ann, guild.channel, "before").await.unwrap();
    assert_eq!(client.expect("MESSAGE_CREATE").await["content"], "before");
    without_guilds.expect("MESSAGE_CREATE").await;

    // A write is lost, and the guild cannot be loaded anew.
    world.gate.blind(true);
    world.gate.lose_next(1);
    assert_eq!(world.send(&ann, guild.channel, "lost").await.unwrap_err().status, 503);
    let gone = client.expect("GUILD_DELETE").await;
    assert_eq!((&gone["id"], &gone["unavailable"]), (&guild.id.to_string().into(), &true.into()));
    assert_eq!(world.send(&ann, guild.channel, "refused").await.unwrap_err().status, 503);
    world.gate.blind(false);
    let back = client.expect("GUILD_CREATE").await;
    assert_eq!((&back["id"], &back["unavailable"]), (&guild.id.to_string().into(), &false.into()));
    world.send(&ann, guild.channel, "after").await.unwrap();
    assert_eq!(client.expect("MESSAGE_CREATE").await["content"], "after");
    without_guilds.expect("MESSAGE_CREATE").await;
}
