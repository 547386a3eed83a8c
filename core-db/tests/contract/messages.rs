//! Messages, reactions and pins.

use rookery_core_db::MessageRange::{After, Before, Latest};
use rookery_core_db::{MessageRange, OwnReaction, PinRow, Store, Write};
use rookery_model::message::{MessageRow, ReactionEmoji};
use rookery_model::{ChannelId, EmojiId, GuildId, MessageId, Timestamp, UserId};

use crate::Factory;
use crate::sample::{BUCKET_MS, count, id_at, message, reaction, text_channel};

const CHANNEL: ChannelId = ChannelId::new(5);

fn ids(page: &[MessageRow]) -> Vec<MessageId> {
    page.iter().map(|message| message.id).collect()
}

async fn page(store: &Store, range: MessageRange, limit: usize) -> Vec<MessageId> {
    ids(&store.messages(CHANNEL, range, limit).await.unwrap())
}

pub async fn pages_are_newest_first_from_every_side(factory: impl Factory) {
    let store = factory.open().await;
    let id = |number: u64| id_at(number * 1_000, 7);
    let all: Vec<_> = (1..=20).map(id).collect();
    store.write(all.iter().map(|id| Write::PutMessage(message(5, *id, "text"))).collect()).await.unwrap();
    let newest = |numbers: std::ops::RangeInclusive<u64>| numbers.rev().map(id).collect::<Vec<_>>();

    assert_eq!(page(&store, Latest, 5).await, newest(16..=20));
    assert_eq!(page(&store, Latest, 100).await, newest(1..=20));
    assert_eq!(page(&store, Latest, 1_000).await, newest(1..=20));
    assert_eq!(page(&store, Before(id(10)), 3).await, newest(7..=9));
    assert_eq!(page(&store, Before(id(1)), 3).await, []);
    assert_eq!(page(&store, Before(id_at(10_500, 0)), 2).await, newest(9..=10));
    assert_eq!(page(&store, After(id(10)), 3).await, newest(11..=13));
    assert_eq!(page(&store, After(id(20)), 3).await, []);
    assert_eq!(page(&store, After(MessageId::new(0)), 2).await, newest(1..=2));
    assert_eq!(page(&store, Latest, 0).await, []);
    let around = async |id, limit| ids(&store.messages_around(CHANNEL, id, limit).await.unwrap());
    assert_eq!(around(id(10), 5).await, newest(8..=12));
    assert_eq!(around(id(10), 4).await, newest(8..=11));
    assert_eq!(around(id(10), 1).await, [id(10)]);
    assert_eq!(around(id(20), 5).await, newest(18..=20));
    assert_eq!(around(id_at(10_500, 0), 5).await, newest(9..=12));
    assert_eq!(store.last_message_id(CHANNEL).await, Ok(Some(id(20))));
}

pub async fn pages_cross_buckets(factory: impl Factory) {
    let store = factory.open().await;
    // Sparse: the buckets between are empty.
    let all: Vec<_> = [0, 1, 2, 50, 51, 300].iter().map(|bucket| id_at(bucket * BUCKET_MS + 5, 1)).collect();
    for id in &all {
        store.write(vec![Write::PutMessage(message(5, *id, "text"))]).await.unwrap();
    }
    let newest: Vec<_> = all.iter().rev().copied().collect();
    assert_eq!(page(&store, Latest, 10).await, newest);
    assert_eq!(page(&store, Before(all[4]), 2).await, [all[3], all[2]]);
    assert_eq!(page(&store, After(all[1]), 3).await, [all[4], all[3], all[2]]);
    assert_eq!(store.last_message_id(CHANNEL).await, Ok(Some(all[5])));
}

pub async fn channels_do_not_see_each_other(factory: impl Factory) {
    let store = factory.open().await;
    let channels = [4, 5, 6, u64::MAX >> 1];
    let batch = channels.iter().flat_map(|channel| {
        (1..=3).map(move |number| Write::PutMessage(message(*channel, id_at(number, 0), &format!("in {channel}"))))
    });
    store.write(batch.collect()).await.unwrap();
    for channel in channels {
        for range in [Latest, Before(id_at(100, 0)), After(MessageId::new(0))] {
            let page = store.messages(ChannelId::new(channel), range, 50).await.unwrap();
            assert_eq!(page.len(), 3);
            assert!(page.iter().all(|message| message.content == format!("in {channel}")), "{channel} {range:?}");
        }
    }
    assert_eq!(store.last_message_id(ChannelId::new(7)).await, Ok(None));
}

pub async fn an_edit_replaces_and_a_delete_removes(factory: impl Factory) {
    let store = factory.open().await;
    let id = id_at(1, 1);
    let emoji = ReactionEmoji::unicode("🦀");
    let mut edited = message(5, id, "before");
    store.write(vec![Write::PutMessage(edited.clone())]).await.unwrap();
    edited.content = "after".into();
    edited.edited_timestamp = Some(Timestamp(9));
    edited.pinned = true;
    store
        .write(vec![
            Write::PutMessage(edited.clone()),
            Write::PutPin { channel_id: CHANNEL, message_id: id, pinned_at: Timestamp(1) },
            Write::PutReaction(reaction(5, id, &emoji, 1)),
            Write::PutReactionCount(count(5, id, &emoji, 1, 1)),
        ])
        .await
        .unwrap();
    assert_eq!(store.message(CHANNEL, id).await, Ok(Some(edited)));

    let delete = || Write::DeleteMessage { channel_id: CHANNEL, message_id: id };
    store.write(vec![delete()]).await.unwrap();
    assert_eq!(store.message(CHANNEL, id).await, Ok(None));
    assert_eq!(page(&store, Latest, 5).await, []);
    assert_eq!(store.pins(CHANNEL, None, 5).await, Ok(vec![]));
    assert_eq!(store.reaction_counts(CHANNEL, &[id]).await, Ok(vec![]));
    assert_eq!(store.reactions_of(CHANNEL, id, &emoji, None, 5).await, Ok(vec![]));
    assert_eq!(store.messages_of_author(UserId::new(77), None, 5).await, Ok(vec![]));
    // Again, and of what never was.
    store.write(vec![delete(), Write::DeleteMessage { channel_id: CHANNEL, message_id: id_at(9, 9) }]).await.unwrap();

    // Put and deleted in one batch.
    store.write(vec![Write::PutMessage(message(5, id, "again")), delete()]).await.unwrap();
    assert_eq!(store.message(CHANNEL, id).await, Ok(None));
    assert_eq!(store.messages_of_author(UserId::new(77), None, 5).await, Ok(vec![]));
}

pub async fn reactions_are_counted_and_listed(factory: impl Factory) {
    let store = factory.open().await;
    let (one, two) = (id_at(1, 0), id_at(2, 0));
    let crab = ReactionEmoji::unicode("🦀");
    let custom = ReactionEmoji { id: Some(EmojiId::new(9)), name: Some("party".into()), animated: true };
    let mut batch = vec![
        Write::PutReactionCount(count(5, one, &crab, 3, 20)),
        Write::PutReactionCount(count(5, one, &custom, 1, 10)),
        Write::PutReactionCount(count(5, two, &crab, 1, 30)),
    ];
    batch.extend([1, 2, 3].map(|user| Write::PutReaction(reaction(5, one, &crab, user))));
    batch.push(Write::PutReaction(reaction(5, one, &custom, 2)));
    batch.push(Write::PutReaction(reaction(5, two, &crab, 2)));
    store.write(batch).await.unwrap();

    // The order of a message's emojis is that in which they came.
    let counts = store.reaction_counts(CHANNEL, &[two, one, id_at(3, 0)]).await.unwrap();
    assert_eq!(counts, [count(5, two, &crab, 1, 30), count(5, one, &custom, 1, 10), count(5, one, &crab, 3, 20)]);
    let users = |ids: &[u64]| ids.iter().copied().map(UserId::new).collect::<Vec<_>>();
    assert_eq!(store.reactions_of(CHANNEL, one, &crab, None, 2).await, Ok(users(&[1, 2])));
    assert_eq!(store.reactions_of(CHANNEL, one, &crab, Some(UserId::new(2)), 2).await, Ok(users(&[3])));
    // A custom emoji is its id: its name may have changed.
    let renamed = ReactionEmoji { name: None, ..custom.clone() };
    assert_eq!(store.reactions_of(CHANNEL, one, &renamed, None, 9).await, Ok(users(&[2])));
    let own = |message_id, emoji: &ReactionEmoji| OwnReaction { message_id, emoji: emoji.clone() };
    assert_eq!(
        store.own_reactions(CHANNEL, &[one, two], UserId::new(2)).await,
        Ok(vec![own(one, &custom), own(one, &crab), own(two, &crab)])
    );

    store.write(vec![Write::DeleteReaction(reaction(5, one, &crab, 2))]).await.unwrap();
    assert_eq!(store.reactions_of(CHANNEL, one, &crab, None, 9).await, Ok(users(&[1, 3])));
    let clear = |message_id, emoji: Option<&ReactionEmoji>| Write::ClearReactions {
        channel_id: CHANNEL,
        message_id,
        emoji: emoji.cloned(),
    };
    store.write(vec![clear(one, Some(&crab))]).await.unwrap();
    assert_eq!(store.reaction_counts(CHANNEL, &[one]).await, Ok(vec![count(5, one, &custom, 1, 10)]));
    assert_eq!(store.reactions_of(CHANNEL, one, &crab, None, 9).await, Ok(vec![]));
    // What comes after a clear in the same batch stays.
    store.write(vec![clear(one, None), Write::PutReactionCount(count(5, one, &crab, 1, 40))]).await.unwrap();
    assert_eq!(store.reaction_counts(CHANNEL, &[one, two]).await.unwrap().len(), 2);
    assert_eq!(store.reactions_of(CHANNEL, one, &custom, None, 9).await, Ok(vec![]));
    let delete = Write::DeleteReactionCount { channel_id: CHANNEL, message_id: one, emoji: crab };
    store.write(vec![delete]).await.unwrap();
    assert_eq!(store.reaction_counts(CHANNEL, &[one]).await, Ok(vec![]));
}

pub async fn pins_are_newest_pin_first(factory: impl Factory) {
    let store = factory.open().await;
    let pin = |number: u64, at: i64| Write::PutPin {
        channel_id: CHANNEL,
        message_id: id_at(number, 0),
        pinned_at: Timestamp(at),
    };
    store.write(vec![pin(1, 30), pin(2, 10), pin(3, 20)]).await.unwrap();
    let row = |number: u64, at: i64| PinRow { message_id: id_at(number, 0), pinned_at: Timestamp(at) };
    assert_eq!(store.pins(CHANNEL, None, 9).await, Ok(vec![row(1, 30), row(3, 20), row(2, 10)]));
    assert_eq!(store.pins(CHANNEL, Some(Timestamp(30)), 1).await, Ok(vec![row(3, 20)]));
    assert_eq!(store.pin_count(CHANNEL).await, Ok(3));
    store.write(vec![Write::DeletePin { channel_id: CHANNEL, message_id: id_at(1, 0) }]).await.unwrap();
    assert_eq!(store.pin_count(CHANNEL).await, Ok(2));
}

pub async fn authors_are_indexed(factory: impl Factory) {
    let store = factory.open().await;
    let mut batch: Vec<_> = (1..=5).map(|n| Write::PutMessage(message(5 + n % 2, id_at(n, 0), "mine"))).collect();
    let mut other = message(5, id_at(9, 0), "other");
    other.author_id = UserId::new(78);
    batch.push(Write::PutMessage(other));
    store.write(batch).await.unwrap();
    let author = UserId::new(77);
    let at = |n: u64| (ChannelId::new(5 + n % 2), id_at(n, 0));
    assert_eq!(store.messages_of_author(author, None, 3).await, Ok(vec![at(5), at(4), at(3)]));
    assert_eq!(store.messages_of_author(author, Some(id_at(3, 0)), 9).await, Ok(vec![at(2), at(1)]));
}

pub async fn a_page_stays_full_across_deleted_messages(factory: impl Factory) {
    let store = factory.open().await;
    // Over the border of a bucket, so that both are read on.
    let id = |number: u64| id_at(BUCKET_MS - 150 + number, 0);
    store.write((0..300).map(|number| Write::PutMessage(message(5, id(number), "text"))).collect()).await.unwrap();
    let delete = |number: u64| Write::DeleteMessage { channel_id: CHANNEL, message_id: id(number) };
    store.write((75..275).map(delete).collect()).await.unwrap();

    let newest = |newer: std::ops::Range<u64>, older: std::ops::Range<u64>| {
        newer.rev().chain(older.rev()).map(id).collect::<Vec<_>>()
    };
    assert_eq!(page(&store, Latest, 50).await, newest(275..300, 50..75));
    assert_eq!(page(&store, Before(id(275)), 50).await, newest(50..75, 25..50));
    assert_eq!(page(&store, After(id(60)), 20).await, newest(275..281, 61..75));
    assert_eq!(page(&store, After(id(74)), 10).await, newest(280..285, 275..280));
    assert_eq!(store.message(CHANNEL, id(100)).await, Ok(None));

    // The newest of all goes as well.
    store.write((275..300).map(delete).collect()).await.unwrap();
    assert_eq!(store.last_message_id(CHANNEL).await, Ok(Some(id(74))));
    assert_eq!(store.messages_of_author(UserId::new(77), None, 1_000).await.unwrap().len(), 75);
}

pub async fn a_deleted_channel_is_gone_at_once_and_its_contents_soon(factory: impl Factory) {
    let store = factory.open().await;
    let emoji = ReactionEmoji::unicode("🦀");
    store.write(vec![Write::PutChannel(text_channel(1, 5)), Write::PutChannel(text_channel(1, 6))]).await.unwrap();
    for channel in [5, 6] {
        let sent = (0..2_500).map(|n| Write::PutMessage(message(channel, id_at(n, 0), "text")));
        store.write(sent.collect()).await.unwrap();
        let batch = vec![
            Write::PutReaction(reaction(channel, id_at(1, 0), &emoji, 1)),
            Write::PutReactionCount(count(channel, id_at(1, 0), &emoji, 1, 1)),
            Write::PutPin { channel_id: ChannelId::new(channel), message_id: id_at(1, 0), pinned_at: Timestamp(1) },
        ];
        store.write(batch).await.unwrap();
    }
    store.write(vec![Write::DeleteChannel { guild_id: Some(GuildId::new(1)), channel_id: CHANNEL }]).await.unwrap();

    let empty = async |store: &Store| {
        assert_eq!(page(store, Latest, 50).await, []);
        assert_eq!(page(store, Latest, 500).await, []);
        assert_eq!(store.message(CHANNEL, id_at(1, 0)).await, Ok(None));
        assert_eq!(store.last_message_id(CHANNEL).await, Ok(None));
        assert_eq!(store.reaction_counts(CHANNEL, &[id_at(1, 0)]).await, Ok(vec![]));
        assert_eq!(store.reactions_of(CHANNEL, id_at(1, 0), &emoji, None, 5).await, Ok(vec![]));
        assert_eq!(store.pins(CHANNEL, None, 5).await, Ok(vec![]));
        let mine = store.messages_of_author(UserId::new(77), None, 10_000).await.unwrap();
        assert!(mine.iter().all(|(channel, _)| *channel == ChannelId::new(6)) && mine.len() <= 2_500);
    };
    empty(&store).await;
    // The removal goes on over a restart, and ends.
    store.close().await.unwrap();
    drop(store);
    let store = factory.open().await;
    empty(&store).await;
    crate::until("the index fills up", async || {
        store.messages_of_author(UserId::new(77), None, 10_000).await.unwrap().len() >= 2_500
    })
    .await;
    empty(&store).await;
    assert_eq!(store.messages(ChannelId::new(6), Latest, 5_000).await.unwrap().len(), 2_500);
    assert_eq!(store.pin_count(ChannelId::new(6)).await, Ok(1));
}
