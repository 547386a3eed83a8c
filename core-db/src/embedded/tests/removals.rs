//! Removal in the background, and what holds it up.

use rookery_model::store::{RetentionRow, UniqueKey, Write};
use rookery_model::{ChannelId, MessageId};

use super::{key, open, plant, until};
use crate::EmbeddedConfig;
use crate::embedded::EmbeddedEngine;
use crate::embedded::purge::Purger;
use crate::engine::{Engine as _, MessageRange};
use crate::fill::{self, FillPlan, fill};
use crate::key::Key;
use crate::tables::purges::Purge;
use crate::tables::{
    Table, View as _, bans, invites_by_guild, members, messages, messages_by_author, roles, unique_keys,
};

#[tokio::test]
async fn a_removal_that_ends_during_a_read_leaves_nothing_to_see() {
    let folder = tempfile::tempdir().unwrap();
    let engine = EmbeddedEngine::open(EmbeddedConfig::new(folder.path())).unwrap();
    let id = ChannelId::new(5);
    let mark = |begun: bool| {
        let through = begun.then_some(MessageId::new(u64::MAX));
        engine.shared.doomed.apply([(Purge::Channel(id), through)].into_iter());
    };
    let read = async |during: &[bool]| {
        let rows = async {
            during.iter().for_each(|begun| mark(*begun));
            Ok(vec![1])
        };
        engine.unless_removed(|hidden| hidden.channel(id), rows).await
    };
    assert_eq!(read(&[]).await, Ok(vec![1]));
    assert_eq!(read(&[true]).await, Ok(vec![]));
    assert_eq!(read(&[false]).await, Ok(vec![]));
    assert_eq!(read(&[]).await, Ok(vec![1]));
}

/// A purge that cannot be taken further rests; those behind it are not held up, and the committer does not spin.
#[tokio::test]
async fn a_purge_that_meets_damage_goes_around_it_and_rests_and_the_next_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (engine, store) = open(folder.path());
    fill(&store, FillPlan::new(2_000)).await.unwrap();
    let (stuck, next) = (fill::guild_id(0), fill::channel_id(1, 0));
    // Whose code it is cannot be told, so that it stays with the row that leads to it.
    let claim = unique_keys::key(&UniqueKey::InviteCode("invite0".into())).unwrap();
    plant(&engine, Table::UniqueKeys, claim.as_bytes(), &[1]);
    // A row among the channel's messages whose key is none of a message goes with them.
    let stray = [messages::prefix(next).as_bytes(), &[7]].concat();
    plant(&engine, Table::Messages, stray.clone(), &[1]);
    store.write(vec![Write::DeleteGuild(stuck)]).await.unwrap();
    store.write(vec![Write::DeleteChannel { guild_id: Some(fill::guild_id(1)), channel_id: next }]).await.unwrap();
    until("the second purge ends", async || !engine.shared.doomed.channel(next)).await;
    let rows = |table, prefix: &Key| {
        let slot = engine.shared.db.read();
        slot.as_ref().unwrap().scan(table, prefix, usize::MAX).unwrap().len()
    };
    assert_eq!(rows(Table::Messages, &messages::prefix(next)), 0);
    until("all that can be read is gone", async || {
        let (members, bans) = (members::prefix(stuck), bans::prefix(stuck));
        rows(Table::Members, &members) + rows(Table::Bans, &bans) + rows(Table::Roles, &roles::prefix(stuck)) == 0
    })
    .await;
    assert!(engine.shared.doomed.guild(stuck), "it stays hidden");
    assert_eq!(rows(Table::InvitesByGuild, &invites_by_guild::prefix(stuck)), 1);
    // Nothing is due until it has rested, so the committer sleeps.
    let mut purger = Purger::default();
    let slot = engine.shared.db.read();
    let db = slot.as_ref().unwrap();
    assert!(purger.is_due(&engine.shared.doomed));
    assert_eq!(purger.step(db, &engine.shared.doomed), Ok(vec![]));
    assert!(!purger.is_due(&engine.shared.doomed));
}

/// One message that cannot be taken away with what hangs on it does not keep the user's others.
#[tokio::test]
async fn an_erasure_goes_past_what_it_cannot_read() {
    let folder = tempfile::tempdir().unwrap();
    let (engine, store) = open(folder.path());
    fill(&store, FillPlan::new(2_000)).await.unwrap();
    let user = fill::user_id(1);
    let written = store.messages_of_author(user, None, 10_000).await.unwrap();
    assert!(written.len() > 10);
    let stray = [messages_by_author::prefix(user).as_bytes(), &[0xff]].concat();
    plant(&engine, Table::MessagesByAuthor, stray, &[1]);
    store.write(vec![Write::EraseUser { user_id: user, through: MessageId::new(u64::MAX >> 1) }]).await.unwrap();
    let left = || {
        let slot = engine.shared.db.read();
        let prefix = messages_by_author::prefix(user);
        slot.as_ref().unwrap().scan(Table::MessagesByAuthor, &prefix, usize::MAX).unwrap().len()
    };
    until("the erasure has gone past it", async || left() == 1).await;
    for (channel_id, id) in written {
        let slot = engine.shared.db.read();
        assert_eq!(messages::get(slot.as_ref().unwrap(), channel_id, id), Ok(None));
    }
    assert!(engine.shared.doomed.any_user(), "it goes on when it has rested");
}

/// A retention that cannot be read keeps its own guild's messages, and nobody else's.
#[tokio::test]
async fn a_damaged_retention_does_not_keep_the_messages_of_other_guilds() {
    let folder = tempfile::tempdir().unwrap();
    let (engine, store) = open(folder.path());
    fill(&store, FillPlan::new(2_000)).await.unwrap();
    plant(&engine, Table::Retentions, key(Table::Retentions, &[fill::guild_id(0).get()]), &[9]);
    let count = async |guild: u64| {
        let mut count = 0;
        for channel in 0..5 {
            let channel_id = fill::channel_id(guild, channel);
            count += store.messages(channel_id, MessageRange::Latest, 10_000).await.unwrap().len();
        }
        count
    };
    let before = (count(0).await, count(1).await);
    let pins = async |guild: u64| {
        let mut pins = 0;
        for channel in 0..5 {
            pins += store.pin_count(fill::channel_id(guild, channel)).await.unwrap();
        }
        pins
    };
    let pinned = pins(1).await;
    // A damaged channel and a stray row on the way.
    plant(
        &engine,
        Table::ChannelsByGuild,
        [key(Table::ChannelsByGuild, &[fill::guild_id(1).get()]), vec![1]].concat(),
        &[1],
    );
    let stray = [messages::prefix(fill::channel_id(1, 0)).as_bytes(), &[0xff; 5]].concat();
    plant(&engine, Table::Messages, stray, &[1]);
    store
        .write(vec![Write::PutRetention(RetentionRow { guild_id: fill::guild_id(1), max_age_days: 1 })])
        .await
        .unwrap();
    until("old messages of the other guild are gone", async || count(1).await == pinned).await;
    assert!(before.1 > pinned && count(0).await == before.0);
    assert!(engine.stats().corrupt_rows > 0);
}
