//! Channels of guilds and DMs.

use rookery_core_db::{DmRow, MessageRange, StoreError, UniqueKey, Write};
use rookery_model::channel::{Channel, ChannelType, Overwrite, OverwriteType};
use rookery_model::message::MessageCall;
use rookery_model::{ChannelId, GuildId, MessageId, Permissions, Snowflake, Timestamp, UserId};

use crate::Factory;
use crate::sample::{id_at, message, text_channel};

/// A channel with every field set, whatever its kind shows of them.
fn full(guild: u64, id: u64) -> Channel {
    let mut channel = text_channel(guild, id);
    channel.kind = ChannelType::GuildVoice;
    channel.position = 4;
    channel.permission_overwrites = vec![Overwrite {
        id: Snowflake(9),
        kind: OverwriteType::Member,
        allow: Permissions::from_bits_retain(u64::MAX),
        deny: Permissions::empty(),
    }];
    channel.topic = Some("topic".into());
    channel.nsfw = true;
    channel.last_message_id = Some(MessageId::new(8));
    channel.last_pin_timestamp = Some(Timestamp(7));
    channel.bitrate = Some(64_000);
    channel.user_limit = Some(3);
    channel.rate_limit_per_user = 5;
    channel.rtc_region = Some("here".into());
    channel.video_quality_mode = Some(2);
    channel.parent_id = Some(ChannelId::new(2));
    channel.default_auto_archive_duration = Some(60);
    channel.icon = Some("icon".into());
    channel.owner_id = Some(UserId::new(6));
    channel.flags = 16;
    channel
}

pub async fn channels_know_their_guild(factory: impl Factory) {
    let store = factory.open().await;
    let (plain, full) = (text_channel(1, 10), full(1, 11));
    store.write(vec![Write::PutChannel(full.clone()), Write::PutChannel(plain.clone())]).await.unwrap();
    store.write(vec![Write::PutChannel(text_channel(2, 20))]).await.unwrap();
    assert_eq!(store.channel(ChannelId::new(11)).await, Ok(Some(full.clone())));
    assert_eq!(store.channel(ChannelId::new(12)).await, Ok(None));
    assert_eq!(store.guild_channels(GuildId::new(1)).await, Ok(vec![plain, full]));

    let delete = Write::DeleteChannel { guild_id: Some(GuildId::new(1)), channel_id: ChannelId::new(10) };
    store.write(vec![delete]).await.unwrap();
    assert_eq!(store.channel(ChannelId::new(10)).await, Ok(None));
    assert_eq!(store.guild_channels(GuildId::new(1)).await.unwrap().len(), 1);

    let dm = Channel::new(ChannelId::new(30), ChannelType::Dm);
    assert!(matches!(store.submit(vec![Write::PutChannel(dm)]), Err(StoreError::Invalid(_))));
}

fn dm(id: u64, kind: ChannelType, users: &[u64]) -> DmRow {
    let mut channel = Channel::new(ChannelId::new(id), kind);
    channel.last_message_id = Some(MessageId::new(3));
    DmRow { channel, user_ids: users.iter().copied().map(UserId::new).collect(), call_message_id: None }
}

pub async fn dms_are_found_by_channel_and_by_user(factory: impl Factory) {
    let store = factory.open().await;
    let (pair, group) = (dm(10, ChannelType::Dm, &[1, 2]), dm(11, ChannelType::GroupDm, &[1, 2, 3]));
    let list = |user: u64, channel: u64| Write::PutDmListing {
        user_id: UserId::new(user),
        channel_id: ChannelId::new(channel),
    };
    store
        .write(vec![Write::PutDm(pair.clone()), Write::PutDm(group.clone()), list(1, 11), list(1, 10), list(2, 11)])
        .await
        .unwrap();
    assert_eq!(store.dm(ChannelId::new(10)).await, Ok(Some(pair.clone())));
    assert_eq!(store.channel(ChannelId::new(11)).await, Ok(Some(group.channel)));
    assert_eq!(store.dms_of_user(UserId::new(1)).await, Ok(vec![ChannelId::new(10), ChannelId::new(11)]));
    let unlist = Write::DeleteDmListing { user_id: UserId::new(1), channel_id: ChannelId::new(10) };
    store.write(vec![unlist]).await.unwrap();
    assert_eq!(store.dms_of_user(UserId::new(1)).await, Ok(vec![ChannelId::new(11)]));
    assert_eq!(store.dm(ChannelId::new(10)).await, Ok(Some(pair)));
}

pub async fn a_call_is_kept_with_its_dm_and_its_message(factory: impl Factory) {
    let store = factory.open().await;
    let mut row = DmRow { call_message_id: Some(id_at(0, 1)), ..dm(10, ChannelType::Dm, &[1, 2]) };
    let mut told = message(10, id_at(0, 1), "");
    told.call = Some(MessageCall { participants: vec![UserId::new(1)], ended_timestamp: None });
    store.write(vec![Write::PutDm(row.clone()), Write::PutMessage(told.clone())]).await.unwrap();
    assert_eq!(store.dm(ChannelId::new(10)).await, Ok(Some(row.clone())));
    assert_eq!(store.message(ChannelId::new(10), id_at(0, 1)).await, Ok(Some(told.clone())));
    told.call =
        Some(MessageCall { participants: vec![UserId::new(1), UserId::new(2)], ended_timestamp: Some(Timestamp(7)) });
    row.call_message_id = None;
    store.write(vec![Write::PutMessage(told.clone()), Write::PutDm(row.clone())]).await.unwrap();
    assert_eq!(store.dm(ChannelId::new(10)).await, Ok(Some(row)));
    let page = store.messages(ChannelId::new(10), MessageRange::Latest, 5).await.unwrap();
    assert_eq!(page.to_vec(), [told]);
}

pub async fn a_deleted_dm_is_gone_with_its_pair(factory: impl Factory) {
    let store = factory.open().await;
    // The order in which the two are named does not matter.
    let key = || UniqueKey::DmPair(UserId::new(2), UserId::new(1));
    assert_eq!(store.claim(key(), 10).await, Ok(Ok(())));
    assert_eq!(store.unique(&UniqueKey::DmPair(UserId::new(1), UserId::new(2))).await, Ok(Some(10)));
    let list = Write::PutDmListing { user_id: UserId::new(1), channel_id: ChannelId::new(10) };
    let sent = Write::PutMessage(message(10, id_at(0, 1), "hello"));
    store.write(vec![Write::PutDm(dm(10, ChannelType::Dm, &[1, 2])), list, sent]).await.unwrap();
    store.write(vec![Write::DeleteChannel { guild_id: None, channel_id: ChannelId::new(10) }]).await.unwrap();
    assert_eq!(store.dm(ChannelId::new(10)).await, Ok(None));
    assert_eq!(store.channel(ChannelId::new(10)).await, Ok(None));
    assert_eq!(store.dms_of_user(UserId::new(1)).await, Ok(vec![]));
    assert_eq!(store.message(ChannelId::new(10), id_at(0, 1)).await, Ok(None));
    assert_eq!(store.claim(key(), 11).await, Ok(Ok(())));
}
