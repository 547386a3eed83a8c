//! Claims of unique keys.

use rookery_core_db::{UniqueKey, Write};

use crate::Factory;

fn name(text: &str) -> UniqueKey {
    UniqueKey::Username(text.into())
}

fn release(text: &str, owner: u64) -> Write {
    Write::DeleteUnique { key: name(text), owner }
}

pub async fn only_one_of_many_claims_wins(factory: impl Factory) {
    let store = factory.open().await;
    for round in 0..5 {
        let claims: Vec<_> = (1..=50)
            .map(|owner| {
                let store = store.clone();
                tokio::spawn(async move { (owner, store.claim(name(&format!("name{round}")), owner).await.unwrap()) })
            })
            .collect();
        let mut winners = Vec::new();
        let mut holders = Vec::new();
        for claim in claims {
            match claim.await.unwrap() {
                (owner, Ok(())) => winners.push(owner),
                (_, Err(holder)) => holders.push(holder),
            }
        }
        assert_eq!(winners.len(), 1);
        assert!(holders.iter().all(|holder| *holder == winners[0]));
        assert_eq!(store.unique(&name(&format!("name{round}"))).await, Ok(Some(winners[0])));
    }
}

pub async fn a_claim_can_be_repeated_and_released(factory: impl Factory) {
    let store = factory.open().await;
    assert_eq!(store.unique(&name("ada")).await, Ok(None));
    assert_eq!(store.claim(name("ada"), 1).await, Ok(Ok(())));
    assert_eq!(store.claim(name("ada"), 1).await, Ok(Ok(())));
    assert_eq!(store.claim(name("ada"), 2).await, Ok(Err(1)));
    // The same text of another kind is another key.
    assert_eq!(store.claim(UniqueKey::Email("ada".into()), 2).await, Ok(Ok(())));
    assert_eq!(store.claim(UniqueKey::InviteCode("ada".into()), 3).await, Ok(Ok(())));
    // Only the holder's: a late release must not free the next one's name.
    store.write(vec![release("ada", 2)]).await.unwrap();
    assert_eq!(store.claim(name("ada"), 2).await, Ok(Err(1)));
    store.write(vec![release("ada", 1), release("nobody's", 1)]).await.unwrap();
    assert_eq!(store.claim(name("ada"), 2).await, Ok(Ok(())));
    store.close().await.unwrap();
    drop(store);
    let store = factory.open().await;
    assert_eq!(store.claim(name("ada"), 1).await, Ok(Err(2)));
}

pub async fn claims_see_what_was_submitted_before(factory: impl Factory) {
    let store = factory.open().await;
    assert_eq!(store.claim(name("ada"), 1).await, Ok(Ok(())));
    for owner in 2..30 {
        // Not waited for: the claim comes after it all the same.
        let release = store.submit(vec![release("ada", owner - 1)]).unwrap();
        assert_eq!(store.claim(name("ada"), owner).await, Ok(Ok(())));
        release.await.unwrap();
    }
}
