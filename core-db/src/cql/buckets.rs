//! Which buckets of a channel hold messages, as far as this process knows.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use moka::sync::Cache;
use parking_lot::Mutex;
use rookery_model::ChannelId;
use rookery_model::id::EPOCH_MS;

use super::clock::now_ms;
use super::shared::Shared;
use crate::StoreError;
use crate::bucket::BUCKET_SPAN_MS;

/// Buckets whose index row is known to be stored; beyond this many the memory starts anew.
const KNOWN_MAX: usize = 65_536;
/// Channels whose buckets are remembered.
const CHANNELS_MAX: u64 = 65_536;
/// For how long: another process may have written into an old bucket of the channel (an import does).
const REMEMBERED_FOR: Duration = Duration::from_secs(30);
/// How far other nodes' clocks may be from ours.
const CLOCK_SKEW_MS: u64 = 60_000;

/// What this process knows of buckets.
pub struct Buckets {
    stored: Mutex<HashSet<(ChannelId, u32)>>,
    of_channel: Cache<ChannelId, Arc<Remembered>>,
    /// Rises with every bucket stored here: a list that was read meanwhile is not remembered.
    generation: AtomicU64,
}

/// The buckets of a channel, newest first, as of some moment.
#[derive(Debug)]
struct Remembered {
    buckets: Vec<u32>,
    /// The present when they were read: in a later one they are read anew.
    present: Present,
}

/// The buckets into which messages may be written now, by clocks that are not quite alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Present {
    newer: u32,
    older: u32,
}

impl Present {
    fn at(now_ms: u64) -> Self {
        let bucket = |ms: u64| u32::try_from(ms.saturating_sub(EPOCH_MS) / BUCKET_SPAN_MS).unwrap_or(u32::MAX);
        Self { newer: bucket(now_ms + CLOCK_SKEW_MS), older: bucket(now_ms.saturating_sub(CLOCK_SKEW_MS)) }
    }

    /// A list of buckets with those of the present.
    fn with(self, buckets: &[u32]) -> Vec<u32> {
        let mut all = buckets.to_vec();
        for bucket in [self.older, self.newer] {
            if let Err(place) = all.binary_search_by(|other| bucket.cmp(other)) {
                all.insert(place, bucket);
            }
        }
        all
    }
}

impl Buckets {
    pub fn new() -> Self {
        let of_channel = Cache::builder().max_capacity(CHANNELS_MAX).time_to_live(REMEMBERED_FOR).build();
        Self { stored: Mutex::new(HashSet::new()), of_channel, generation: AtomicU64::new(0) }
    }

    /// Whether a bucket's index row is stored already.
    ///
    /// Asked of the present only: an older bucket leaves the index when it is empty, by whichever process sees that first,
    /// so who writes into one (an edit, an import) stores its row again.
    pub fn is_stored(&self, channel_id: ChannelId, bucket: u32) -> bool {
        bucket >= Present::at(now_ms()).older && self.stored.lock().contains(&(channel_id, bucket))
    }

    /// Index rows are stored now.
    pub fn note_stored(&self, buckets: &[(ChannelId, u32)]) {
        if buckets.is_empty() {
            return;
        }
        self.generation.fetch_add(1, Ordering::AcqRel);
        let mut stored = self.stored.lock();
        if stored.len() + buckets.len() > KNOWN_MAX {
            stored.clear();
        }
        for (channel_id, bucket) in buckets {
            stored.insert((*channel_id, *bucket));
            self.of_channel.invalidate(channel_id);
        }
    }

    /// A channel's index rows are being removed.
    pub fn forget(&self, channel_id: ChannelId) {
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.stored.lock().retain(|(of, _)| *of != channel_id);
        self.of_channel.invalidate(&channel_id);
    }

    /// The buckets of a channel that may hold messages, newest first.
    ///
    /// From memory where they were read a moment ago. Those of the present are then among them unasked: another
    /// process may have begun them meanwhile. So the newest page of a busy channel is one query.
    pub async fn of(&self, shared: &Shared, channel_id: ChannelId) -> Result<Vec<u32>, StoreError> {
        let present = Present::at(now_ms());
        if let Some(remembered) = self.of_channel.get(&channel_id)
            && remembered.present == present
        {
            return Ok(present.with(&remembered.buckets));
        }
        let generation = self.generation.load(Ordering::Acquire);
        let buckets = shared.tables.message_buckets.of(&shared.calls, channel_id).await?;
        if self.generation.load(Ordering::Acquire) == generation {
            self.of_channel.insert(channel_id, Arc::new(Remembered { buckets: buckets.clone(), present }));
        }
        Ok(buckets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_present_is_always_among_the_buckets() {
        let begin = EPOCH_MS + 7 * BUCKET_SPAN_MS;
        let inside = Present::at(begin + BUCKET_SPAN_MS / 2);
        assert_eq!(inside, Present { newer: 7, older: 7 });
        assert_eq!(inside.with(&[]), [7]);
        assert_eq!(inside.with(&[7, 3]), [7, 3]);
        assert_eq!(inside.with(&[6, 3]), [7, 6, 3]);
        // Another clock may have begun the next, or not yet left the last.
        for edge in [begin - 1, begin + 1] {
            assert_eq!(Present::at(edge).with(&[5]), [7, 6, 5]);
        }
    }
}
