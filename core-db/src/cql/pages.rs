//! Pages of messages, over the buckets of a channel.

use std::time::{Duration, Instant};

use rookery_model::message::MessageRow;
use rookery_model::{ChannelId, MessageId};

use super::shared::Shared;
use super::tables::messages::{PageRow, Side};
use super::value::bound;
use crate::StoreError;
use crate::bucket::bucket_of;
use crate::doomed::Hidden;
use crate::engine::MessageRange;

/// Rows of one query at most.
const ROWS_MAX: usize = 1_000;
/// How many times the deadline of one query a page may take: somebody waits for it, and what it costs is the cluster's.
const QUERIES_TIME: u32 = 4;

/// A page of a channel, newest first.
///
/// Marked rows and those of erased users do not count: the page is read on until it is full or the channel ends.
pub async fn page(
    shared: &Shared,
    hidden: &Hidden<'_>,
    channel_id: ChannelId,
    range: MessageRange,
    limit: usize,
) -> Result<Vec<MessageRow>, StoreError> {
    if limit == 0 {
        return Ok(Vec::new());
    }
    let buckets = shared.buckets.of(shared, channel_id).await?;
    let found = Vec::with_capacity(limit.min(ROWS_MAX));
    let mut page = Page { shared, hidden, channel_id, limit, found, begin: Instant::now(), skipped: 0 };
    match range {
        MessageRange::Latest => page.below(&buckets, i64::MAX).await?,
        MessageRange::Before(id) => {
            let own = bucket_of(id);
            let older: Vec<u32> = buckets.into_iter().filter(|bucket| *bucket <= own).collect();
            page.below(&older, bound(id)).await?;
        }
        MessageRange::After(id) => {
            let own = bucket_of(id);
            let newer: Vec<u32> = buckets.into_iter().rev().filter(|bucket| *bucket >= own).collect();
            page.above(&newer, id).await?;
        }
    }
    Ok(page.found)
}

/// A page under construction.
struct Page<'a> {
    shared: &'a Shared,
    hidden: &'a Hidden<'a>,
    channel_id: ChannelId,
    limit: usize,
    found: Vec<MessageRow>,
    begin: Instant,
    /// Rows read that nobody sees.
    skipped: usize,
}

impl Page<'_> {
    async fn below(&mut self, buckets: &[u32], from: i64) -> Result<(), StoreError> {
        for bucket in buckets {
            if self.fill(*bucket, Side::Below(from)).await? {
                break;
            }
        }
        Ok(())
    }

    async fn above(&mut self, buckets: &[u32], id: MessageId) -> Result<(), StoreError> {
        for bucket in buckets {
            if self.fill(*bucket, Side::Above(bound(id))).await? {
                break;
            }
        }
        self.found.reverse();
        Ok(())
    }

    /// A page that is not full in time is an error: a short one would say that the channel ends here.
    fn check_time(&self) -> Result<(), StoreError> {
        let allowed = Duration::from_millis(self.shared.config.read_timeout_ms).saturating_mul(QUERIES_TIME);
        if self.begin.elapsed() < allowed {
            return Ok(());
        }
        metrics::counter!("rookery_store_pages_given_up_total").increment(1);
        Err(StoreError::Unavailable(format!(
            "a page of channel {} was not full after {} ms: {} of {} messages found between {} rows of deleted ones",
            self.channel_id,
            allowed.as_millis(),
            self.found.len(),
            self.limit,
            self.skipped,
        )))
    }

    /// Reads a bucket on from one side; says whether the page is full.
    async fn fill(&mut self, bucket: u32, mut side: Side) -> Result<bool, StoreError> {
        let mut rows_max = self.limit - self.found.len();
        loop {
            self.check_time()?;
            let asked = rows_max.min(ROWS_MAX);
            let limit = i32::try_from(asked).unwrap_or(i32::MAX);
            let messages = &self.shared.tables.messages;
            let found_before = self.found.len();
            let found = &mut self.found;
            let mut last = None;
            let take = |row| {
                let id = match row {
                    PageRow::Message(message) => {
                        let id = message.id;
                        if !self.hidden.message_of(message.author_id, id) {
                            found.push(message);
                        }
                        id
                    }
                    PageRow::Hidden(id) => id,
                };
                last = Some(id);
            };
            let read = messages.page(&self.shared.calls, self.channel_id, bucket, side, limit, take).await?;
            if let Some(id) = last {
                side = match side {
                    Side::Below(_) => Side::Below(bound(id)),
                    Side::Above(_) => Side::Above(bound(id)),
                };
            }
            self.skipped += read - (self.found.len() - found_before);
            if self.found.len() >= self.limit {
                self.found.truncate(self.limit);
                return Ok(true);
            }
            if read < asked {
                return Ok(false);
            }
            // Marked rows stand together where somebody cleaned up: the next step is longer.
            rows_max = (self.limit - self.found.len()).max(rows_max.saturating_mul(2));
        }
    }
}
