//! Equal reads at the same time.

use std::future::Future;
use std::sync::Arc;

use rookery_core_db::{CoalesceConfig, EmbeddedConfig, MessageRange, Store, StoreError, UniqueKey};
use rookery_model::{MessageId, UserId};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::fake::{Delays, Fake};
use crate::{CHANNEL, ms, newest, no_pages, put, store};

const HERD: usize = 1_000;

/// Ten milliseconds until the rows are looked at, ten until the answer.
fn slow_reads() -> Arc<Fake> {
    Fake::with(Delays { look: 10, answer: 10, ..Delays::default() })
}

fn herd<F>(count: usize, read: impl Fn() -> F) -> Vec<JoinHandle<F::Output>>
where
    F: Future<Output: Send> + Send + 'static,
{
    (0..count).map(|_| tokio::spawn(read())).collect()
}

#[tokio::test(start_paused = true)]
async fn a_thousand_equal_reads_are_one_call_and_one_answer() {
    let fake = slow_reads();
    let store = store(&fake, &no_pages());
    store.write((1..=60).flat_map(put).collect()).await.unwrap();
    let reads = herd(HERD, || {
        let store = store.clone();
        async move { store.messages(CHANNEL, MessageRange::Latest, 50).await.unwrap() }
    });
    let mut pages = Vec::new();
    for read in reads {
        pages.push(read.await.unwrap());
    }
    assert_eq!(fake.reads(), 1);
    assert_eq!((pages.len(), pages[0].len(), pages[0][0].id), (HERD, 50, MessageId::new(60)));
    assert!(pages.iter().all(|page| std::ptr::eq(&raw const page[0], &raw const pages[0][0])), "rows were copied");
    let stats = store.stats();
    assert_eq!((stats.engine_reads, stats.coalesced_reads), (1, HERD as u64 - 1));

    // Likewise of other tables; and what ended is not kept.
    let users = [UserId::new(1), UserId::new(2)];
    let accounts = herd(HERD, || {
        let store = store.clone();
        async move { store.users(&users).await.unwrap().len() }
    });
    for read in accounts {
        assert_eq!(read.await.unwrap(), 2);
    }
    assert_eq!(fake.reads(), 2);
    store.users(&users).await.unwrap();
    assert_eq!(fake.reads(), 3);
}

#[tokio::test(start_paused = true)]
async fn only_equal_reads_are_one() {
    let fake = slow_reads();
    let store = store(&fake, &no_pages());
    store.write(put(1)).await.unwrap();
    let other = rookery_model::ChannelId::new(6);
    let (one, two, three, four, five) = tokio::join!(
        store.messages(CHANNEL, MessageRange::Latest, 50),
        store.messages(CHANNEL, MessageRange::Latest, 49),
        store.messages(CHANNEL, MessageRange::Before(MessageId::new(1)), 50),
        store.messages(other, MessageRange::Latest, 50),
        store.message(CHANNEL, MessageId::new(1)),
    );
    assert_eq!([one, two, three, four].map(|page| page.unwrap().len()), [1, 1, 0, 0]);
    assert!(five.unwrap().is_some());
    assert_eq!(fake.reads(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_goes_away_leaves_the_call_to_the_others() {
    let fake = slow_reads();
    let store = store(&fake, &no_pages());
    store.write(put(1)).await.unwrap();
    let mut reads = herd(3, || {
        let store = store.clone();
        async move { newest(&store, 50).await }
    });
    for aborted_at in [5, 10] {
        sleep(ms(aborted_at)).await;
        reads.remove(0).abort();
    }
    assert_eq!(reads.remove(0).await.unwrap(), [1]);
    assert_eq!(fake.reads(), 1);

    // When all are gone the call is gone, and the next one begins anew.
    for read in herd(3, || {
        let store = store.clone();
        async move { newest(&store, 50).await }
    }) {
        tokio::task::yield_now().await;
        read.abort();
        assert!(read.await.unwrap_err().is_cancelled());
    }
    assert_eq!(fake.reading(), 0);
    assert_eq!(newest(&store, 50).await, [1]);
}

#[tokio::test(start_paused = true)]
async fn an_error_is_for_those_who_waited() {
    let fake = slow_reads();
    let store = store(&fake, &CoalesceConfig::default());
    store.write(put(1)).await.unwrap();
    fake.fail_reads(1);
    let reads = herd(10, || {
        let store = store.clone();
        async move { store.messages(CHANNEL, MessageRange::Latest, 50).await }
    });
    for read in reads {
        assert!(matches!(read.await.unwrap(), Err(StoreError::Unavailable(_))));
    }
    assert_eq!(fake.reads(), 1);
    assert_eq!(newest(&store, 50).await, [1]);
    assert_eq!(fake.reads(), 2);
}

#[tokio::test(start_paused = true)]
async fn flights_are_bounded() {
    let fake = slow_reads();
    let store = store(&fake, &CoalesceConfig { flights: 1, ..no_pages() });
    let read = |limit| {
        let store = store.clone();
        move || {
            let store = store.clone();
            async move { newest(&store, limit).await }
        }
    };
    // The first takes the only place; the others are answered all the same.
    let reads: Vec<_> = [herd(3, read(50)), herd(3, read(49))].into_iter().flatten().collect();
    for read in reads {
        assert_eq!(read.await.unwrap(), [0; 0]);
    }
    assert_eq!(fake.reads(), 1 + 3);
    for read in herd(3, read(49)) {
        read.await.unwrap();
    }
    assert_eq!(fake.reads(), 4 + 1);
    let switched_off = crate::store(&fake, &CoalesceConfig { enabled: false, ..no_pages() });
    let (one, two) = tokio::join!(newest(&switched_off, 50), newest(&switched_off, 50));
    assert_eq!((one.len(), two.len(), fake.reads()), (0, 0, 5 + 2));
}

#[tokio::test(start_paused = true)]
async fn a_read_after_an_acknowledgement_does_not_join_a_call_from_before() {
    for config in [no_pages(), CoalesceConfig::default()] {
        let fake = Fake::with(Delays { look: 0, answer: 50, apply: 5, acknowledge: 5 });
        let store = store(&fake, &config);
        let old = tokio::spawn({
            let store = store.clone();
            async move { newest(&store, 50).await }
        });
        sleep(ms(1)).await;
        store.write(put(1)).await.unwrap();
        // The first call is still on its way, with what it saw.
        assert_eq!((fake.reading(), newest(&store, 50).await), (1, vec![1]));
        assert_eq!((old.await.unwrap(), fake.reads()), (vec![], 2));
        // Nor is what it saw kept.
        assert_eq!(newest(&store, 50).await, [1]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_claim_is_seen_by_whoever_asks_after_it() {
    let fake = Fake::with(Delays { look: 0, answer: 50, apply: 5, acknowledge: 5 });
    let store = store(&fake, &no_pages());
    let key = UniqueKey::Username("ada".into());
    let old = tokio::spawn({
        let (store, key) = (store.clone(), key.clone());
        async move { store.unique(&key).await }
    });
    sleep(ms(1)).await;
    assert_eq!(store.claim(key.clone(), 7).await, Ok(Ok(())));
    assert_eq!(store.unique(&key).await, Ok(Some(7)));
    assert_eq!(old.await.unwrap(), Ok(None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_herd_on_the_embedded_engine_is_one_call() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_embedded(EmbeddedConfig::new(folder.path())).unwrap();
    store.write((1..=60).flat_map(put).collect()).await.unwrap();
    for round in 1..=5 {
        let reads = herd(HERD, || {
            let store = store.clone();
            async move { newest(&store, 50).await }
        });
        for read in reads {
            assert_eq!(read.await.unwrap()[0], 59 + round);
        }
        let stats = store.stats();
        assert_eq!((stats.engine_reads, stats.page_cache_hits + stats.coalesced_reads), (round, round * 999));
        store.write(put(60 + round)).await.unwrap();
    }
    store.close().await.unwrap();
    assert_eq!(store.messages(CHANNEL, MessageRange::Latest, 50).await, Err(StoreError::Closed));
}
