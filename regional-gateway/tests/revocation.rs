//! Tokens that end, permissions that change, regions that drain.

mod common;

use common::client::Heard;
use common::{ALL_PRIVILEGED, World};
use rookery_model::call::{Call, ModifyChannel};
use rookery_model::channel::{Overwrite, OverwriteType};
use rookery_model::{DeviceId, Permissions};

#[tokio::test]
async fn a_revoked_token_closes_live_sessions_and_opens_no_new_ones() {
    // The bot starts twice at once, which its bucket would not allow.
    let world = World::with(|config| config.gateway.identify_per_day = None).await;
    let bot = world.bot("bot", ALL_PRIVILEGED).await;
    let mut client = world.online(&bot).await;
    let account = world.region().accounts.revoke_all(bot.id(), |_| Vec::new()).await.unwrap();
    world.region().revoke(bot.id(), None).await;
    assert_eq!(client.close_code().await, 4004);
    let mut again = world.connect().await;
    again.send(common::client::identify(&bot.token, 0)).await;
    assert_eq!(again.close_code().await, 4004);
    assert_eq!(client.cut().resume(&bot.token).await.close_code().await, 4004);
    // The new token starts anew; the old session is gone for it too.
    let token = world.region().accounts.issue(&account, DeviceId::new(5), 1_700_000_000_000);
    world.connect().await.identify(&token, 0).await;
}

#[tokio::test]
async fn one_device_signs_out_and_the_other_stays() {
    let world = World::start().await;
    let ann = world.person("ann").await;
    let other = world.region().accounts.issue(&ann.account, DeviceId::new(99), 1_700_000_000_000);
    let mut here = world.online(&ann).await;
    let mut there = world.connect().await;
    there.identify(&other, 0).await;
    let identity = world.region().accounts.authenticate(&other, None).await.unwrap();
    assert!(!world.region().accounts.sign_out(&identity).await.unwrap());
    world.region().revoke(ann.id(), Some(identity.device)).await;
    assert_eq!(there.close_code().await, 4004);
    here.beat().await;
}

#[tokio::test]
async fn a_hidden_channel_falls_silent_and_a_shown_one_speaks() {
    let world = World::start().await;
    let (ann, bob) = (world.person("ann").await, world.person("bob").await);
    let guild = world.guild(&[&ann, &bob]).await;
    let mut client = world.online(&bob).await;
    let overwrite = |deny| {
        let everyone = Overwrite { id: guild.id.0, kind: OverwriteType::Role, allow: Permissions::empty(), deny };
        let changes = ModifyChannel {
            permission_overwrites: rookery_model::Patch::Set(vec![everyone]),
            ..ModifyChannel::default()
        };
        Call::ModifyChannel { channel_id: guild.channel, changes: Box::new(changes) }
    };
    // Messages and changes interleave; each event is judged by what held when it happened.
    for round in 0..5 {
        world.send(&ann, guild.channel, &format!("seen {round}")).await.unwrap();
        world.call(&ann, guild.channel, overwrite(Permissions::VIEW_CHANNEL)).await.unwrap();
        world.send(&ann, guild.channel, "secret").await.unwrap();
        world.call(&ann, guild.channel, overwrite(Permissions::empty())).await.unwrap();
    }
    world.send(&ann, guild.channel, "last").await.unwrap();
    let mut contents = Vec::new();
    while contents.last().is_none_or(|last| last != "last") {
        let payload = client.payload().await;
        if payload["t"] == "MESSAGE_CREATE" {
            contents.push(payload["d"]["content"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(contents, ["seen 0", "seen 1", "seen 2", "seen 3", "seen 4", "last"]);
}

#[tokio::test]
async fn a_drain_asks_to_reconnect_and_then_closes() {
    let world = World::with(|config| config.gateway.drain_timeout_ms = 500).await;
    let ann = world.person("ann").await;
    let mut client = world.online(&ann).await;
    let address = world.running.gateway_addr;
    let shutdown = world.running.shutdown();
    let heard = async {
        assert!(client.expect_op(7).await.is_null());
        let Heard::Closed(code) = client.hear().await else { panic!("no close frame") };
        assert_eq!(code, 1001);
    };
    tokio::join!(shutdown, heard);
    assert!(tokio::net::TcpStream::connect(address).await.is_err(), "nobody new is taken");
}

#[tokio::test]
async fn a_drain_ends_at_once_when_everybody_left() {
    let world = World::with(|config| config.gateway.drain_timeout_ms = 600_000).await;
    let ann = world.person("ann").await;
    let mut client = world.online(&ann).await;
    let leaves = async {
        client.expect_op(7).await;
        drop(client);
    };
    let done = async { tokio::join!(world.running.shutdown(), leaves) };
    tokio::time::timeout(std::time::Duration::from_secs(20), done).await.expect("nobody is waited for");
}
