//! Order, durability, bounds.

use std::time::{SystemTime, UNIX_EPOCH};

use rookery_core_db::{OperationRow, Store, StoreError, UniqueKey, Write};
use rookery_model::message::ReactionEmoji;
use rookery_model::{ChannelId, UserId};

use crate::Factory;
use crate::sample::{account, id_at, message, reaction};

const CHANNEL: ChannelId = ChannelId::new(5);

pub async fn restart(factory: &impl Factory, store: Store) -> Store {
    store.close().await.unwrap();
    drop(store);
    factory.open().await
}

pub async fn what_was_acknowledged_is_there_after_a_restart(factory: impl Factory) {
    let mut store = factory.open().await;
    for round in 0..4 {
        for number in 0..50 {
            let id = id_at(round * 1_000 + number, 0);
            store.write(vec![Write::PutMessage(message(5, id, "text"))]).await.unwrap();
        }
        store = restart(&factory, store).await;
        let page = store.messages(CHANNEL, rookery_core_db::MessageRange::Latest, 1_000).await.unwrap();
        assert_eq!(page.len() as u64, (round + 1) * 50);
    }
}

pub async fn the_last_of_many_writes_wins(factory: impl Factory) {
    let store = factory.open().await;
    // One account, written by calls that do not wait for each other: the order of calls is the order of application.
    let mut commits = Vec::new();
    for epoch in 0..500 {
        let mut account = account(1, "ada");
        account.token_epoch = epoch;
        commits.push(store.submit(vec![Write::PutAccount(account)]).unwrap());
    }
    for commit in commits {
        commit.await.unwrap();
    }
    assert_eq!(store.account(UserId::new(1)).await.unwrap().unwrap().token_epoch, 499);
    // In one batch as well.
    let batch = (0..20).map(|epoch| {
        let mut account = account(1, "ada");
        account.token_epoch = 1_000 + epoch;
        Write::PutAccount(account)
    });
    store.write(batch.collect()).await.unwrap();
    assert_eq!(store.account(UserId::new(1)).await.unwrap().unwrap().token_epoch, 1_019);
    let store = restart(&factory, store).await;
    assert_eq!(store.account(UserId::new(1)).await.unwrap().unwrap().token_epoch, 1_019);
}

pub async fn writes_submitted_before_closing_are_kept(factory: impl Factory) {
    let store = factory.open().await;
    let commits: Vec<_> = (0..200)
        .map(|number| store.submit(vec![Write::PutMessage(message(5, id_at(number, 0), "text"))]).unwrap())
        .collect();
    store.close().await.unwrap();
    for commit in commits {
        commit.await.unwrap();
    }
    assert!(matches!(store.submit(Vec::new()), Err(StoreError::Closed)));
    assert_eq!(store.account(UserId::new(1)).await, Err(StoreError::Closed));
    assert_eq!(store.claim(UniqueKey::Email("a".into()), 1).await, Err(StoreError::Closed));
    assert!(!store.health().writable);
    store.close().await.unwrap();
    drop(store);
    let store = factory.open().await;
    let page = store.messages(CHANNEL, rookery_core_db::MessageRange::Latest, 1_000).await.unwrap();
    assert_eq!(page.len(), 200);
}

pub async fn the_id_ceiling_only_rises(factory: impl Factory) {
    let store = factory.open().await;
    assert_eq!(store.id_ceiling().await, Ok(0));
    store.raise_id_ceiling(1_000).await.unwrap();
    store.raise_id_ceiling(500).await.unwrap();
    assert_eq!(store.id_ceiling().await, Ok(1_000));
    let store = restart(&factory, store).await;
    assert_eq!(store.id_ceiling().await, Ok(1_000));
}

pub async fn operations_are_found_and_old_ones_purged(factory: impl Factory) {
    let store = factory.open().await;
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    let operation = |age_ms: u64, number: u16| {
        let mut id = (now_ms - age_ms).to_be_bytes()[2..].to_vec();
        id.extend_from_slice(&number.to_be_bytes());
        id.extend_from_slice(&[0x70; 8]);
        OperationRow { id, user_id: Some(UserId::new(3)), reply: vec![0, 1, 255] }
    };
    let fresh = operation(60_000, 1);
    let day_ms = 24 * 3_600_000;
    let old: Vec<_> = (0..2_500).map(|number| operation(day_ms, number)).collect();
    store.write(vec![Write::PutOperation(fresh.clone())]).await.unwrap();
    assert_eq!(store.operation(&fresh.id).await, Ok(Some(fresh.clone())));
    assert_eq!(store.operation(b"none").await, Ok(None));
    assert_eq!(store.operation(&[0; 4_096]).await, Ok(None));
    store.write(old.iter().cloned().map(Write::PutOperation).collect()).await.unwrap();
    // Expiry is the engine's to time: a restart is when it looks first.
    let store = restart(&factory, store).await;
    crate::until("old operations are removed", async || store.operation(&old[2_499].id).await.unwrap().is_none()).await;
    assert_eq!(store.operation(&old[0].id).await, Ok(None));
    assert_eq!(store.operation(&fresh.id).await, Ok(Some(fresh)));
}

pub async fn what_cannot_be_stored_is_refused_alone(factory: impl Factory) {
    let store = factory.open().await;
    let bad = ReactionEmoji::unicode("a\0b");
    let good = Write::PutMessage(message(5, id_at(1, 0), "text"));
    let batch = vec![good.clone(), Write::PutReaction(reaction(5, id_at(1, 0), &bad, 1))];
    assert!(matches!(store.submit(batch), Err(StoreError::Invalid(_))));
    assert_eq!(store.message(CHANNEL, id_at(1, 0)).await, Ok(None));
    let long = "x".repeat(100_000);
    assert!(matches!(store.claim(UniqueKey::Email(long), 1).await, Err(StoreError::Invalid(_))));
    store.write(vec![good]).await.unwrap();
    store.write(Vec::new()).await.unwrap();
    assert!(store.health().writable);
}

pub async fn many_batches_share_an_fsync(factory: impl Factory) {
    let store = factory.open().await;
    let before = store.stats();
    let messages = 8_192;
    let commits: Vec<_> = (0..messages)
        .map(|number| store.submit(vec![Write::PutMessage(message(5, id_at(number, 0), "text"))]).unwrap())
        .collect();
    for commit in commits {
        commit.await.unwrap();
    }
    let stats = store.stats();
    let fsyncs = stats.fsyncs - before.fsyncs;
    assert_eq!(stats.commits - before.commits, messages);
    assert!(fsyncs > 0 && fsyncs <= messages / 64, "{fsyncs} fsyncs for {messages} messages");
    assert_eq!((stats.queued, stats.failures), (0, 0));
}

pub async fn a_full_queue_is_busy(factory: impl Factory) {
    let store = factory.open().await;
    // More than any queue holds, faster than any disk: some are refused, and those that are not are kept.
    let (mut commits, mut busy) = (Vec::new(), 0);
    for number in 0..200_000_u64 {
        match store.submit(vec![Write::DeletePin { channel_id: CHANNEL, message_id: id_at(number, 0) }]) {
            Ok(commit) => commits.push(commit),
            Err(StoreError::Busy) => busy += 1,
            Err(other) => panic!("{other}"),
        }
        if busy > 0 {
            break;
        }
    }
    for commit in commits {
        commit.await.unwrap();
    }
    assert!(busy > 0, "nothing was refused");
    assert_eq!(store.stats().refused_busy, busy);
    store.write(vec![Write::PutAccount(account(1, "ada"))]).await.unwrap();
}
