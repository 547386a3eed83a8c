//! The newest pages of channels that are read often.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use moka::notification::RemovalCause;
use moka::sync::Cache;
use rookery_model::ChannelId;
use rookery_model::embed::Embed;
use rookery_model::message::{Attachment, MessageReference, MessageRow};
use serde::Serialize;

use super::CoalesceConfig;
use crate::MessagePage;

/// Pages of at most so many messages are kept.
pub const KEPT_MESSAGES: usize = 100;

/// Newest pages, bounded by bytes.
///
/// A page is served only in the epoch in which it was read, see [`Epochs`](super::epochs::Epochs): any write of the
/// channel ends it, so there is nothing to remove or to change when one comes. A channel with a thousand readers and
/// five messages a second is read from the engine ten times a second.
///
/// Which channels are worth their bytes is for the cache's policy (TinyLFU) to say: once it is full, a page gets in only
/// where its channel is asked for more often than that of the page which would have to go.
pub struct PageCache {
    pages: Cache<ChannelId, Kept>,
    evictions: Arc<AtomicU64>,
}

#[derive(Clone)]
struct Kept {
    epoch: u64,
    /// How many messages were asked for; a shorter page is the whole channel.
    limit: usize,
    page: MessagePage,
}

impl PageCache {
    /// The configured cache, if any.
    pub fn new(config: &CoalesceConfig) -> Option<Self> {
        if config.page_cache_bytes == 0 {
            return None;
        }
        let evictions = Arc::new(AtomicU64::new(0));
        let counted = evictions.clone();
        let pages = Cache::builder()
            .max_capacity(config.page_cache_bytes)
            .weigher(|_, kept: &Kept| u32::try_from(bytes_of(&kept.page)).unwrap_or(u32::MAX))
            .time_to_live(Duration::from_millis(config.page_max_age_ms))
            .eviction_listener(move |_, _, cause| {
                if cause == RemovalCause::Size {
                    counted.fetch_add(1, Ordering::Relaxed);
                    metrics::counter!("rookery_store_page_cache_evictions_total").increment(1);
                }
            })
            .build();
        Some(Self { pages, evictions })
    }

    /// A channel's newest messages, if they were read in this epoch.
    pub fn get(&self, channel_id: ChannelId, epoch: u64, limit: usize) -> Option<MessagePage> {
        let kept = self.pages.get(&channel_id).filter(|kept| kept.epoch == epoch)?;
        (limit <= kept.limit || kept.page.len() < kept.limit).then(|| kept.page.newest(limit))
    }

    /// Keeps a page that was read in an epoch.
    pub fn keep(&self, channel_id: ChannelId, epoch: u64, limit: usize, page: &MessagePage) {
        let longer = |kept: &Kept| kept.epoch == epoch && kept.limit > limit;
        if !self.pages.get(&channel_id).is_some_and(|kept| longer(&kept)) {
            self.pages.insert(channel_id, Kept { epoch, limit, page: page.clone() });
        }
        metrics::gauge!("rookery_store_page_cache_bytes").set(self.bytes() as f64);
    }

    /// Bytes of the pages kept.
    pub fn bytes(&self) -> u64 {
        self.pages.weighted_size()
    }

    /// Pages that had to go for others.
    pub fn evictions(&self) -> u64 {
        self.evictions.load(Ordering::Relaxed)
    }
}

/// About how much memory a page takes.
fn bytes_of(page: &MessagePage) -> usize {
    const CACHE_ENTRY: usize = 256;
    CACHE_ENTRY + page.iter().map(row_bytes).sum::<usize>()
}

fn row_bytes(row: &MessageRow) -> usize {
    let ids = (row.mention_users.capacity() + row.mention_roles.capacity()) * size_of::<u64>();
    size_of::<MessageRow>()
        + row.content.capacity()
        + ids
        + nested_bytes::<Attachment>(&row.attachments)
        + nested_bytes::<Embed>(&row.embeds)
        + nested_bytes::<MessageReference>(row.message_reference.as_slice())
}

/// Structures and the text in them, which is what their encoded form mostly consists of.
fn nested_bytes<T: Serialize>(values: &[T]) -> usize {
    if values.is_empty() {
        return 0;
    }
    let mut text = Counter(0);
    // Counting cannot fail; a row that could not be encoded could not have been stored either.
    let _counted = ciborium::into_writer(values, &mut text);
    size_of_val(values) + text.0
}

/// Counts what is written to it.
struct Counter(usize);

impl std::io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
