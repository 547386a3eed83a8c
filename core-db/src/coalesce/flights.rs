//! Calls of the engine that are on their way, so that equal reads share them.

use std::any::Any;
use std::collections::HashMap;
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt as _;
use futures_util::future::{Shared, WeakShared};
use parking_lot::Mutex;

use super::query::Query;
use crate::StoreError;

/// A call of the engine with all that it needs.
pub type Call<T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send>>;

/// So many locks, so that unequal reads seldom wait for each other.
const SHARDS: usize = 16;

/// How a read gets its answer.
pub enum Boarding<T: Clone> {
    /// With an equal read's call.
    Joined(Shared<Call<T>>),
    /// With a call of its own, which others may join.
    Leads(Shared<Call<T>>),
    /// With a call of its own; too many are on their way to note one more.
    Alone(Call<T>),
}

/// The calls on their way.
///
/// Nobody owns a call: every reader that waits for it drives it, so a reader that goes away leaves it to the others, and
/// it ends with the last of them.
pub struct Flights {
    shards: Arc<[Mutex<HashMap<Query, Flight>>; SHARDS]>,
    hasher: RandomState,
    under_way: Arc<AtomicUsize>,
    max: usize,
}

struct Flight {
    epoch: u64,
    /// A `WeakShared<Call<T>>`, of the `T` that this read has.
    call: Box<dyn Any + Send + Sync>,
    /// Known to its `Landing`, which must not remove a later flight of the same read.
    ticket: Arc<()>,
}

impl Flights {
    /// At most so many at once.
    pub fn new(max: usize) -> Self {
        Self { shards: Arc::default(), hasher: RandomState::new(), under_way: Arc::default(), max }
    }

    /// Joins the call of an equal read of the same epoch, or makes one.
    pub fn board<T>(&self, query: Query, epoch: u64, call: impl FnOnce() -> Call<T>) -> Boarding<T>
    where
        T: Clone + Send + Sync + 'static,
    {
        let shard = usize::try_from(self.hasher.hash_one(&query) % SHARDS as u64).unwrap_or_default();
        // No call is dropped under the lock: its landing would wait for the same lock.
        let mut flights = self.shards[shard].lock();
        let joined = flights.get(&query).filter(|flight| flight.epoch == epoch).and_then(|flight| {
            let call: &WeakShared<Call<T>> = flight.call.downcast_ref()?;
            call.upgrade()
        });
        if let Some(call) = joined {
            return Boarding::Joined(call);
        }
        if self.under_way.fetch_add(1, Ordering::Relaxed) >= self.max {
            self.under_way.fetch_sub(1, Ordering::Relaxed);
            return Boarding::Alone(call());
        }
        let ticket = Arc::new(());
        let landing = Landing {
            shards: self.shards.clone(),
            shard,
            query: query.clone(),
            ticket: ticket.clone(),
            under_way: self.under_way.clone(),
        };
        let call = call();
        let call: Call<T> = Box::pin(async move {
            let _landing = landing;
            call.await
        });
        let call = call.shared();
        if let Some(weak) = call.downgrade() {
            flights.insert(query, Flight { epoch, call: Box::new(weak), ticket });
        }
        Boarding::Leads(call)
    }
}

/// Takes a flight out of the list when its call ended, or when nobody waits for it any more.
struct Landing {
    shards: Arc<[Mutex<HashMap<Query, Flight>>; SHARDS]>,
    shard: usize,
    query: Query,
    ticket: Arc<()>,
    under_way: Arc<AtomicUsize>,
}

impl Drop for Landing {
    fn drop(&mut self) {
        self.under_way.fetch_sub(1, Ordering::Relaxed);
        let mut flights = self.shards[self.shard].lock();
        if flights.get(&self.query).is_some_and(|flight| Arc::ptr_eq(&flight.ticket, &self.ticket)) {
            flights.remove(&self.query);
        }
    }
}
