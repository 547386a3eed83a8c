//! Newest pages that are kept, beside a plain model.

use std::sync::Arc;

use rookery_core_db::{CoalesceConfig, MessageRange, StoreError, Write};
use rookery_model::{ChannelId, GuildId, MessageId};

use crate::dice::Dice;
use crate::fake::{Delays, Fake, Fate, Rows};
use crate::{CHANNEL, delete, message, newest, put, store};

const SEEDS: u64 = 10_000;

#[tokio::test]
async fn a_page_is_read_once_until_something_is_written() {
    let fake = Fake::with(Delays::default());
    let store = store(&fake, &CoalesceConfig::default());
    store.write((1..=30).flat_map(put).collect()).await.unwrap();
    let newest_of = |count: u64, from: u64| (0..count).map(|n| from - n).collect::<Vec<_>>();
    assert_eq!(newest(&store, 20).await, newest_of(20, 30));
    // A shorter page is part of it, a longer one is not.
    for limit in [20, 5, 1, 0] {
        assert_eq!(newest(&store, limit).await, newest_of(limit as u64, 30));
    }
    assert_eq!(fake.reads(), 1);
    assert_eq!(newest(&store, 100).await.len(), 30);
    // Now the whole channel is known.
    assert_eq!((newest(&store, 100).await.len(), newest(&store, 60).await.len(), fake.reads()), (30, 30, 2));
    for (write, first) in [(put(31), 31), (delete(31), 30), (put(30), 30)] {
        store.write(write).await.unwrap();
        let before = fake.reads();
        assert_eq!((newest(&store, 50).await[0], newest(&store, 50).await[0]), (first, first));
        assert_eq!(fake.reads(), before + 1);
    }
    // Another channel's writes do not matter, nor do other ranges get kept.
    store.write(vec![Write::PutMessage(message(ChannelId::new(6), 1, "text"))]).await.unwrap();
    let before = fake.reads();
    newest(&store, 50).await;
    assert_eq!(fake.reads(), before);
    for _ in 0..2 {
        store.messages(CHANNEL, MessageRange::After(MessageId::new(3)), 50).await.unwrap();
        newest(&store, 101).await;
    }
    assert_eq!(fake.reads(), before + 4);
    let stats = store.stats();
    assert!(stats.page_cache_hits >= 8 && stats.page_cache_misses >= 5, "{stats:?}");
}

#[tokio::test]
async fn what_another_process_wrote_is_seen_after_forgetting() {
    let fake = Fake::with(Delays::default());
    let store = store(&fake, &CoalesceConfig::default());
    store.write(put(1)).await.unwrap();
    assert_eq!(newest(&store, 50).await, [1]);
    let moment = fake.next_moment();
    fake.rows().apply(moment, &put(2));
    // Why the cache is only right with one writer.
    assert_eq!(newest(&store, 50).await, [1]);
    store.forget_pages();
    assert_eq!(newest(&store, 50).await, [2, 1]);
}

#[tokio::test]
async fn what_a_job_in_the_engine_removed_is_not_served() {
    let fake = Fake::with(Delays::default());
    let store = store(&fake, &CoalesceConfig::default());
    store.write([put(1), put(2)].concat()).await.unwrap();
    assert_eq!(newest(&store, 50).await, [2, 1]);
    fake.remove_in_the_background(&delete(2));
    assert_eq!((newest(&store, 50).await, newest(&store, 50).await), (vec![1], vec![1]));
    assert_eq!(fake.reads(), 2);
}

#[tokio::test]
async fn a_late_write_of_unknown_outcome_shows_when_the_page_is_old() {
    let fake = Fake::with(Delays { apply: 20, acknowledge: 1, ..Delays::default() });
    let store = store(&fake, &CoalesceConfig { page_max_age_ms: 100, ..CoalesceConfig::default() });
    fake.set_fate(Fate::UnknownApplied);
    assert!(matches!(store.write(put(1)).await, Err(StoreError::Unknown(_))));
    assert_eq!(newest(&store, 50).await, [0; 0]);
    while newest(&store, 50).await.is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(newest(&store, 50).await, [1]);
}

#[tokio::test]
async fn bytes_are_bounded_and_often_read_pages_stay() {
    let fake = Fake::with(Delays::default());
    let limit_bytes = 400_000;
    let store = store(&fake, &CoalesceConfig { page_cache_bytes: limit_bytes, ..CoalesceConfig::default() });
    let text = "x".repeat(2_000);
    for channel in 1..=200 {
        let rows = (1..=10).map(|id| Write::PutMessage(message(ChannelId::new(channel), id, &text)));
        store.write(rows.collect()).await.unwrap();
    }
    let read = async |channel| store.messages(ChannelId::new(channel), MessageRange::Latest, 50).await.unwrap().len();
    // A herd in one channel, while somebody looks through all others.
    for channel in 2..=200 {
        for _ in 0..20 {
            assert_eq!(read(1).await, 10);
        }
        assert_eq!(read(channel).await, 10);
    }
    let stats = store.stats();
    assert!(stats.page_cache_bytes > 20_000, "{stats:?}");
    // The cache counts what it holds a moment after it took it in.
    assert!(stats.page_cache_bytes < limit_bytes * 2, "{stats:?}");
    let before = fake.reads();
    assert_eq!((read(1).await, fake.reads()), (10, before));
}

/// A store and what it must answer.
struct Scene {
    fake: Arc<Fake>,
    store: rookery_core_db::Store,
    model: Rows,
    moment: u64,
}

impl Scene {
    fn apply(&mut self, batch: &[Write]) {
        self.moment += 1;
        self.model.apply(self.moment, batch);
    }

    async fn step(&mut self, dice: &mut Dice, content: u64) {
        let channel = ChannelId::new(1 + dice.below(4));
        let id = 1 + dice.below(30);
        let batch = match dice.below(40) {
            0..10 => vec![Write::PutMessage(message(channel, id, &content.to_string()))],
            10..14 => vec![Write::DeleteMessage { channel_id: channel, message_id: MessageId::new(id) }],
            14 => vec![
                Write::DeleteMessage { channel_id: channel, message_id: MessageId::new(id) },
                Write::PutMessage(message(ChannelId::new(1 + dice.below(4)), id + 1, &content.to_string())),
            ],
            15 => vec![Write::DeleteChannel { guild_id: Some(GuildId::new(1)), channel_id: channel }],
            16 if dice.below(4) == 0 => vec![Write::DeleteGuild(GuildId::new(1))],
            17 => return self.store.forget_pages(),
            _ => return self.compare(dice, channel).await,
        };
        let commit = self.store.submit(batch.clone()).unwrap();
        self.apply(&batch);
        // Sometimes nobody waits for the outcome.
        if dice.below(8) > 0 {
            commit.await.unwrap();
        }
    }

    async fn compare(&self, dice: &mut Dice, channel: ChannelId) {
        let range = match dice.below(8) {
            0 => MessageRange::Before(MessageId::new(dice.below(32))),
            1 => MessageRange::After(MessageId::new(dice.below(32))),
            _ => MessageRange::Latest,
        };
        let limit = dice.one_of(&[0, 1, 3, 7, 50, 100, 101]);
        let page = self.store.messages(channel, range, limit).await.unwrap();
        assert_eq!(page[..], self.model.page(channel, range, limit)[..], "{range:?}, limit {limit}");
    }
}

#[tokio::test]
async fn pages_are_those_of_a_plain_model() {
    let mut hits = 0;
    for seed in 0..SEEDS {
        let mut dice = Dice::new(seed);
        let fake = Fake::with(Delays::default());
        let config =
            CoalesceConfig { page_cache_bytes: dice.one_of(&[0, 3_000, 1 << 20]), ..CoalesceConfig::default() };
        let store = store(&fake, &config);
        let mut scene = Scene { fake, store, model: Rows::default(), moment: 0 };
        for content in 0..60 {
            scene.step(&mut dice, content).await;
        }
        let stats = scene.store.stats();
        assert!(stats.page_cache_hits == 0 || config.page_cache_bytes > 0);
        assert!(scene.fake.reads() > 0, "seed {seed} read nothing");
        hits += stats.page_cache_hits;
    }
    assert!(hits > SEEDS, "{hits} pages were served from those kept");
}
