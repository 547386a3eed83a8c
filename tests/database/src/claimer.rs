//! One who wants names that others want too.

use std::sync::atomic::Ordering;
use std::time::Instant;

use rookery_core_db::{Store, StoreError, UniqueKey};
use rookery_test_history::Client;

use crate::ledger::Kind;
use crate::load::Shared;
use crate::writer::RETRY_PAUSE;

/// A claimer; all claim the same name at about the same time, and go on to the next when it is somebody's.
pub(crate) struct Claimer {
    client: Client,
    home: usize,
    store: Store,
    shared: Shared,
}

impl Claimer {
    pub fn new(client: Client, home: usize, store: Store, shared: Shared) -> Self {
        Self { client, home, store, shared }
    }

    pub async fn run(self) {
        while !self.shared.is_over() {
            let number = self.shared.next_name.load(Ordering::Acquire);
            self.claim(UniqueKey::Username(format!("name-{number}"))).await;
            // Whoever comes first moves on for all.
            let next = &self.shared.next_name;
            let _ = next.compare_exchange(number, number + 1, Ordering::AcqRel, Ordering::Acquire);
            tokio::time::sleep(self.shared.pause * 4).await;
        }
    }

    /// Claims until it is certain whose the key is.
    async fn claim(&self, key: UniqueKey) {
        let owner = self.client.0;
        let pending = self.shared.history.claim(self.client, key.clone(), owner);
        loop {
            let began = Instant::now();
            match self.store.claim(key.clone(), owner).await {
                Ok(Ok(())) => {
                    pending.won();
                    return self.shared.ledger.claimed(self.home, began, key, owner);
                }
                Ok(Err(holder)) => {
                    pending.lost(holder);
                    return self.shared.ledger.claimed(self.home, began, key, holder);
                }
                Err(error @ (StoreError::Unknown(_) | StoreError::Unwritable(_) | StoreError::Busy)) => {
                    self.shared.ledger.failed(self.home, Kind::Claim, began, error);
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
                Err(other) => panic!("{}: {other}", self.client),
            }
        }
    }
}
