//! What stands between callers and an engine, so that a thousand equal reads are one.
//!
//! Reads that are equal and on their way at the same time share one call of the engine and its one decoded answer
//! ([`flights`]); newest pages are kept, within a bound of bytes, until something is written to their channel
//! ([`page_cache`]). Both hold what the engine promises: a reader sees every write that was acknowledged before it
//! began ([`epochs`] says how). An error is shared by those who waited for the same call, and by nobody after them.

mod acknowledgement;
mod config;
mod epochs;
mod flights;
mod page_cache;
mod query;
mod reads;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rookery_model::ChannelId;

pub use self::config::CoalesceConfig;
use self::epochs::{Epochs, Part};
use self::flights::{Boarding, Call, Flights};
use self::page_cache::{KEPT_MESSAGES, PageCache};
use self::query::Query;
use crate::engine::{Answer, Engine, MessageRange};
use crate::{MessagePage, StoreError, StoreStats};

/// An engine in front of another, which asks it once what many ask at the same time.
pub struct CoalescingEngine {
    inner: Arc<dyn Engine>,
    epochs: Arc<Epochs>,
    flights: Flights,
    pages: Option<Arc<PageCache>>,
    counters: Counters,
}

/// Where answers came from.
#[derive(Debug, Default)]
struct Counters {
    engine_reads: AtomicU64,
    coalesced_reads: AtomicU64,
    page_cache_hits: AtomicU64,
    page_cache_misses: AtomicU64,
}

/// The epoch in which a read begins that is made now.
fn epoch_of(epochs: &Epochs, engine: &dyn Engine, query: &Query) -> u64 {
    epochs.of(query.parts()).wrapping_add(engine.background_removals())
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl CoalescingEngine {
    /// Wraps an engine.
    pub fn new(inner: Arc<dyn Engine>, config: &CoalesceConfig) -> Self {
        Self {
            inner,
            epochs: Arc::new(Epochs::new()),
            flights: Flights::new(if config.enabled { config.flights } else { 0 }),
            pages: PageCache::new(config).map(Arc::new),
            counters: Counters::default(),
        }
    }

    /// A read that equal ones share.
    fn shared<'a, T>(&'a self, query: Query, call: impl FnOnce(Arc<dyn Engine>) -> Call<T> + Send + 'a) -> Answer<'a, T>
    where
        T: Clone + Send + Sync + 'static,
    {
        Box::pin(async move {
            // Here, not outside: a read begins when it is first polled.
            let epoch = epoch_of(&self.epochs, &*self.inner, &query);
            self.board(query, epoch, call).await
        })
    }

    async fn board<T>(
        &self,
        query: Query,
        epoch: u64,
        call: impl FnOnce(Arc<dyn Engine>) -> Call<T>,
    ) -> Result<T, StoreError>
    where
        T: Clone + Send + Sync + 'static,
    {
        match self.flights.board(query, epoch, || call(self.inner.clone())) {
            Boarding::Joined(call) => {
                count(&self.counters.coalesced_reads);
                metrics::counter!("rookery_store_coalesced_reads_total").increment(1);
                call.await
            }
            Boarding::Leads(call) => {
                self.count_engine_read();
                call.await
            }
            Boarding::Alone(call) => {
                self.count_engine_read();
                call.await
            }
        }
    }

    fn count_engine_read(&self) {
        count(&self.counters.engine_reads);
        metrics::counter!("rookery_store_engine_reads_total").increment(1);
    }

    /// A channel's newest page: the one kept, or one that is kept from now on.
    async fn newest(
        &self,
        pages: Arc<PageCache>,
        channel_id: ChannelId,
        limit: usize,
    ) -> Result<MessagePage, StoreError> {
        let query = Query::Messages(channel_id, MessageRange::Latest, limit);
        let epoch = epoch_of(&self.epochs, &*self.inner, &query);
        if let Some(page) = pages.get(channel_id, epoch, limit) {
            count(&self.counters.page_cache_hits);
            metrics::counter!("rookery_store_page_cache_hits_total").increment(1);
            return Ok(page);
        }
        count(&self.counters.page_cache_misses);
        metrics::counter!("rookery_store_page_cache_misses_total").increment(1);
        let epochs = self.epochs.clone();
        let asked = query.clone();
        self.board(query, epoch, move |engine| {
            Box::pin(async move {
                // Another call may have landed since this reader looked: it kept its page before it landed.
                if let Some(page) = pages.get(channel_id, epoch, limit) {
                    return Ok(page);
                }
                let page = engine.messages(channel_id, MessageRange::Latest, limit).await?;
                if epoch_of(&epochs, &*engine, &asked) == epoch {
                    pages.keep(channel_id, epoch, limit, &page);
                }
                Ok(page)
            })
        })
        .await
    }

    /// The cache, where it may hold the answer.
    fn pages_for(&self, range: MessageRange, limit: usize) -> Option<Arc<PageCache>> {
        self.pages.clone().filter(|_| range == MessageRange::Latest && limit <= KEPT_MESSAGES)
    }

    fn begin_new_epoch_of_messages(&self) {
        self.epochs.raise(&self.epochs.stripes([Part::AllMessages]));
    }

    fn with_read_stats(&self, stats: StoreStats) -> StoreStats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        StoreStats {
            engine_reads: get(&self.counters.engine_reads),
            coalesced_reads: get(&self.counters.coalesced_reads),
            page_cache_hits: get(&self.counters.page_cache_hits),
            page_cache_misses: get(&self.counters.page_cache_misses),
            page_cache_bytes: self.pages.as_ref().map_or(0, |pages| pages.bytes()),
            page_cache_evictions: self.pages.as_ref().map_or(0, |pages| pages.evictions()),
            ..stats
        }
    }
}
