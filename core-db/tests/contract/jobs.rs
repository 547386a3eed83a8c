//! Removal by jobs: erasure of users, retention of guilds.

use std::time::{SystemTime, UNIX_EPOCH};

use rookery_core_db::dump::Section;
use rookery_core_db::{MessageRange, RetentionRow, Store, Write};
use rookery_model::id::EPOCH_MS;
use rookery_model::message::{MessageRow, ReactionEmoji};
use rookery_model::{ChannelId, GuildId, MessageId, Timestamp, UserId};

use crate::Factory;
use crate::sample::{count, guild, id_at, message, reaction, text_channel};

const CHANNEL: ChannelId = ChannelId::new(5);
const USER: UserId = UserId::new(42);

fn by(user: UserId, number: u64) -> MessageRow {
    MessageRow { author_id: user, ..message(5, id_at(number, 0), "text") }
}

/// Waits until nothing is being removed.
async fn settled(store: &Store) {
    crate::until("nothing is being removed", async || store.stats().purges_pending == 0).await;
}

async fn rows(store: &Store, section: Section) -> usize {
    let page = store.dump(section, None, 100_000).await.unwrap();
    assert!(page.next.is_none() && page.damaged.is_empty());
    page.rows.len()
}

pub async fn an_erased_user_is_gone_at_once_and_everywhere(factory: impl Factory) {
    let store = factory.open().await;
    let emoji = ReactionEmoji::unicode("🦀");
    // Every second message is the user's; one has more reactions than a step removes.
    let mut batch: Vec<_> = (0..2_400)
        .map(|number| Write::PutMessage(by(if number % 2 == 0 { USER } else { UserId::new(7) }, number)))
        .collect();
    batch.extend((0..1_500).map(|user| Write::PutReaction(reaction(5, id_at(10, 0), &emoji, user))));
    batch.push(Write::PutReactionCount(count(5, id_at(10, 0), &emoji, 1_500, 1)));
    batch.push(Write::PutReaction(reaction(5, id_at(11, 0), &emoji, 1)));
    let pin = |number| Write::PutPin { channel_id: CHANNEL, message_id: id_at(number, 0), pinned_at: Timestamp(1) };
    batch.extend([pin(10), pin(11)]);
    store.write(batch).await.unwrap();

    let through = id_at(2_000, 0);
    store.write(vec![Write::EraseUser { user_id: USER, through }]).await.unwrap();
    let seen = |message: &MessageRow| message.author_id != USER || message.id > through;
    let page = store.messages(CHANNEL, MessageRange::Latest, 3_000).await.unwrap();
    assert_eq!(page.len(), 2_400 - 1_001);
    assert!(page.iter().all(seen));
    // A page is full although half of what stands there is gone.
    for range in [MessageRange::Before(id_at(1_000, 0)), MessageRange::After(id_at(1_000, 0))] {
        let page = store.messages(CHANNEL, range, 50).await.unwrap();
        assert!(page.len() == 50 && page.iter().all(seen), "{range:?}");
    }
    assert_eq!(store.message(CHANNEL, id_at(10, 0)).await, Ok(None));
    assert_eq!(store.messages_of_author(USER, None, 5_000).await.unwrap().len(), 199);
    settled(&store).await;

    assert_eq!(rows(&store, Section::Messages).await, 2_400 - 1_001);
    assert_eq!((rows(&store, Section::Reactions).await, rows(&store, Section::ReactionCounts).await), (1, 0));
    assert_eq!(store.pins(CHANNEL, None, 50).await.unwrap().len(), 1);
    assert_eq!(store.messages_of_author(USER, None, 5_000).await.unwrap().len(), 199);
    assert_eq!(store.messages_of_author(UserId::new(7), None, 5_000).await.unwrap().len(), 1_200);
    // What the user writes afterwards stays.
    store.write(vec![Write::PutMessage(by(USER, 9_000))]).await.unwrap();
    assert_eq!(store.last_message_id(CHANNEL).await, Ok(Some(id_at(9_000, 0))));
}

pub async fn an_erasure_goes_on_after_a_restart(factory: impl Factory) {
    let store = factory.open().await;
    for begin in 0..6_u64 {
        let batch = (begin * 1_000..(begin + 1) * 1_000).map(|number| Write::PutMessage(by(USER, number)));
        store.write(batch.collect()).await.unwrap();
    }
    store.write(vec![Write::EraseUser { user_id: USER, through: id_at(5_998, 0) }]).await.unwrap();
    // A late retry of an earlier erasure does not shorten it.
    store.write(vec![Write::EraseUser { user_id: USER, through: id_at(5, 0) }]).await.unwrap();
    store.close().await.unwrap();
    drop(store);
    let store = factory.open().await;
    assert_eq!(store.messages(CHANNEL, MessageRange::Latest, 100).await.unwrap().len(), 1);
    settled(&store).await;
    assert_eq!(rows(&store, Section::Messages).await, 1);
    assert_eq!(store.messages_of_author(USER, None, 100).await.unwrap().len(), 1);
}

/// An edit that was decided before the erasure and arrives after it.
pub async fn a_late_edit_does_not_bring_an_erased_message_back(factory: impl Factory) {
    let store = factory.open().await;
    store.write(vec![Write::PutMessage(by(USER, 1))]).await.unwrap();
    store.write(vec![Write::EraseUser { user_id: USER, through: id_at(1, 0) }]).await.unwrap();
    crate::until("the message is removed", async || rows(&store, Section::Messages).await == 0).await;
    store.write(vec![Write::PutMessage(MessageRow { content: "edited".into(), ..by(USER, 1) })]).await.unwrap();
    assert_eq!(store.message(CHANNEL, id_at(1, 0)).await, Ok(None));
    settled(&store).await;
    assert_eq!(store.message(CHANNEL, id_at(1, 0)).await, Ok(None));
    assert_eq!(store.messages_of_author(USER, None, 100).await, Ok(vec![]));
}

fn days_ago(days: u64, sequence: u16) -> MessageId {
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    id_at(now_ms - days * 24 * 3_600_000 - EPOCH_MS, sequence)
}

async fn count_of(store: &Store, channel: ChannelId) -> usize {
    store.messages(channel, MessageRange::Latest, 10_000).await.unwrap().len()
}

pub async fn old_messages_of_a_guild_go_and_pinned_ones_stay(factory: impl Factory) {
    let store = factory.open().await;
    let emoji = ReactionEmoji::unicode("🦀");
    let mut batch = vec![Write::PutGuild(guild(1)), Write::PutGuild(guild(2))];
    batch.extend([text_channel(1, 5), text_channel(1, 6), text_channel(2, 7)].map(Write::PutChannel));
    for channel in 5..=7 {
        batch.extend((0..1_500).map(|number| Write::PutMessage(message(channel, days_ago(40, number), "old"))));
        batch.extend((0..10).map(|number| Write::PutMessage(message(channel, days_ago(20, number), "new"))));
    }
    let (reacted, pinned) = (days_ago(50, 1), days_ago(50, 2));
    batch.extend([reacted, pinned].map(|id| Write::PutMessage(message(5, id, "old"))));
    batch.push(Write::PutReaction(reaction(5, reacted, &emoji, 1)));
    batch.push(Write::PutPin { channel_id: CHANNEL, message_id: pinned, pinned_at: Timestamp(1) });
    store.write(batch).await.unwrap();

    let retention = RetentionRow { guild_id: GuildId::new(1), max_age_days: 30 };
    store.write(vec![Write::PutRetention(retention)]).await.unwrap();
    assert_eq!(store.retention(GuildId::new(1)).await, Ok(Some(retention)));
    assert_eq!(store.retention(GuildId::new(2)).await, Ok(None));
    crate::until("old messages are removed", async || {
        count_of(&store, ChannelId::new(6)).await <= 10 && count_of(&store, CHANNEL).await <= 11
    })
    .await;
    assert_eq!(count_of(&store, CHANNEL).await, 11);
    assert!(store.message(CHANNEL, pinned).await.unwrap().is_some());
    assert_eq!(rows(&store, Section::Reactions).await, 0);
    assert_eq!(count_of(&store, ChannelId::new(7)).await, 1_510, "another guild's");
    assert_eq!(store.messages_of_author(UserId::new(77), None, 10_000).await.unwrap().len(), 10 + 11 + 1_510);

    // Unpinned, it goes with the next pass; a changed retention begins one.
    store.write(vec![Write::DeletePin { channel_id: CHANNEL, message_id: pinned }]).await.unwrap();
    store.write(vec![Write::PutRetention(RetentionRow { max_age_days: 29, ..retention })]).await.unwrap();
    crate::until("the unpinned message is removed", async || count_of(&store, CHANNEL).await <= 10).await;
    store.write(vec![Write::DeleteRetention(GuildId::new(1))]).await.unwrap();
    assert_eq!(store.retention(GuildId::new(1)).await, Ok(None));
}

pub async fn a_retention_goes_with_its_guild(factory: impl Factory) {
    let store = factory.open().await;
    let retention = RetentionRow { guild_id: GuildId::new(1), max_age_days: 30 };
    store.write(vec![Write::PutGuild(guild(1)), Write::PutRetention(retention)]).await.unwrap();
    store.write(vec![Write::DeleteGuild(GuildId::new(1))]).await.unwrap();
    assert_eq!(store.retention(GuildId::new(1)).await, Ok(None));
    settled(&store).await;
    assert_eq!(rows(&store, Section::Retentions).await, 0);
}
