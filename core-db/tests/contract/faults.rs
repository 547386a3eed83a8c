//! The contract under faults: outcomes that are not known, reads that are behind.

use std::sync::Arc;

use rookery_core_db::faults::{FaultEngine, FaultPlan};
use rookery_core_db::{Engine, Store, StoreError, UniqueKey, Write};
use rookery_model::{ChannelId, UserId};

use crate::Factory;
use crate::sample::{account, id_at, message};

const SEEDS: u64 = 8;

fn with_faults(store: &Store, plan: FaultPlan) -> (Store, Arc<FaultEngine>) {
    let engine = Arc::new(FaultEngine::new(store.engine(), plan));
    (Store::new(engine.clone() as Arc<dyn Engine>), engine)
}

/// What a caller does: repeat with the same content until the answer is certain.
async fn write_until_certain(store: &Store, batch: Vec<Write>) {
    loop {
        match store.write(batch.clone()).await {
            Ok(()) => return,
            Err(StoreError::Unknown(_) | StoreError::Busy | StoreError::Unwritable(_)) => {}
            Err(other) => panic!("{other}"),
        }
    }
}

pub async fn retries_after_unknown_outcomes_converge(factory: impl Factory) {
    let inner = factory.open().await;
    for seed in 0..SEEDS {
        let plan = FaultPlan { seed, applied_unknown: 250, lost_unknown: 250, busy: 100, ..FaultPlan::default() };
        let (store, engine) = with_faults(&inner, plan);
        let channel = 100 + seed;
        for number in 0..40 {
            let row = message(channel, id_at(number, 0), &format!("{number}"));
            write_until_certain(&store, vec![Write::PutMessage(row)]).await;
        }
        let page = inner.messages(ChannelId::new(channel), rookery_core_db::MessageRange::Latest, 100).await.unwrap();
        let texts: Vec<_> = page.iter().rev().map(|message| message.content.clone()).collect();
        assert_eq!(texts, (0..40).map(|number| number.to_string()).collect::<Vec<_>>(), "seed {seed}");
        assert!(engine.injected() > 0, "seed {seed} injected nothing");
    }
}

pub async fn claims_stay_unique_with_unknown_outcomes(factory: impl Factory) {
    let inner = factory.open().await;
    for seed in 0..SEEDS {
        let plan = FaultPlan { seed, applied_unknown: 400, lost_unknown: 200, ..FaultPlan::default() };
        let (store, _) = with_faults(&inner, plan);
        let mut tasks = Vec::new();
        for owner in 1..=16 {
            let store = store.clone();
            tasks.push(tokio::spawn(async move {
                loop {
                    match store.claim(UniqueKey::Username(format!("seed{seed}")), owner).await {
                        Ok(Ok(())) => return Some(owner),
                        Ok(Err(_)) => return None,
                        Err(StoreError::Unknown(_)) => {}
                        Err(other) => panic!("{other}"),
                    }
                }
            }));
        }
        let mut winners = Vec::new();
        for task in tasks {
            winners.extend(task.await.unwrap());
        }
        assert_eq!(winners.len(), 1, "seed {seed}");
    }
}

pub async fn stale_reads_become_current(factory: impl Factory) {
    let (inner, replica_factory) = (factory.open().await, crate::Embedded::empty().await);
    let replica = replica_factory.open().await;
    let plan = FaultPlan { seed: 3, stale: 500, lag: 3, ..FaultPlan::default() };
    let engine = Arc::new(FaultEngine::with_replica(inner.engine(), replica.engine(), plan));
    let store = Store::new(engine.clone() as Arc<dyn Engine>);
    let (mut stale, mut last_seen) = (0, 0);
    for epoch in 1..=200 {
        let mut account = account(1, "ada");
        account.token_epoch = epoch;
        store.write(vec![Write::PutAccount(account)]).await.unwrap();
        let seen = store.account(UserId::new(1)).await.unwrap().map_or(0, |account| account.token_epoch);
        // Behind by what the plan says, never from nowhere.
        assert!(seen <= epoch && epoch - seen <= 3, "read {seen} after {epoch}");
        stale += u32::from(seen < epoch);
        last_seen = last_seen.max(seen);
    }
    assert!(stale > 20 && stale < 180, "{stale} stale reads");
    engine.catch_up().await.unwrap();
    assert_eq!(store.account(UserId::new(1)).await.unwrap().unwrap().token_epoch, 200);
    assert!(last_seen >= 197);
}
