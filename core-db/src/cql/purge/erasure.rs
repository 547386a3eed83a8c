//! The messages of erased users.

use std::collections::{BTreeSet, HashSet};

use rookery_model::{ChannelId, MessageId, UserId};

use super::everywhere::{Everywhere, Reader};
use super::messages::{self, Doomed};
use super::{BETWEEN_STEPS, PASSES_MAX, SEEN_MAX, STEP_ROWS, do_not_go};
use crate::StoreError;
use crate::bucket::bucket_of;
use crate::cql::lanes;
use crate::cql::value::bound;

/// Removes all that a user wrote up to a message, in passes until one finds nothing.
///
/// A start after a crash walks again over the buckets that were not done; those that were are behind a tombstone each.
pub async fn run(everywhere: &Everywhere<'_>, id: UserId, through: MessageId) -> Result<(), StoreError> {
    for _ in 0..PASSES_MAX {
        if !pass(everywhere, id, through).await? {
            return Ok(());
        }
        tokio::time::sleep(BETWEEN_STEPS).await;
    }
    Err(do_not_go(format_args!("messages of user {id}")))
}

/// Walks over what the user wrote, as each data centre has it, newest first; says whether there was anything.
async fn pass(everywhere: &Everywhere<'_>, id: UserId, through: MessageId) -> Result<bool, StoreError> {
    let shared = everywhere.shared;
    let index = &shared.tables.messages_by_author;
    let mut buckets = BTreeSet::new();
    for reader in everywhere.readers() {
        // All that there may be: an erasure does not rely on how ids were made.
        buckets.extend(index.buckets(reader, id, bucket_of(through)).await?);
    }
    let mut is_any = false;
    for bucket in buckets.into_iter().rev() {
        // The moment first, then the end of everything under way: what lies below it is found, what is put later stays.
        let at = shared.clock.take(1);
        lanes::ended(shared.lanes.all()).await;
        let mut walk = Walk { everywhere, id, bucket, seen: HashSet::new(), found: 0 };
        for reader in everywhere.readers() {
            walk.over(reader, through).await?;
        }
        if walk.found > 0 {
            is_any = true;
            // The index last, and only when every data centre was asked for what it has.
            everywhere.write(vec![index.delete_up_to(id, bucket, through, at)]).await?;
        }
    }
    Ok(is_any)
}

/// A walk over a bucket of a user.
struct Walk<'a> {
    everywhere: &'a Everywhere<'a>,
    id: UserId,
    bucket: u32,
    /// What an earlier step or data centre showed.
    seen: HashSet<(ChannelId, MessageId)>,
    found: usize,
}

impl Walk<'_> {
    /// Removes the messages that one data centre knows of.
    async fn over(&mut self, reader: &Reader<'_>, through: MessageId) -> Result<(), StoreError> {
        let shared = self.everywhere.shared;
        let index = &shared.tables.messages_by_author;
        let mut before = bound(through).saturating_add(1);
        loop {
            let at = shared.clock.take(1);
            let rows = index.below_in(reader, (self.id, self.bucket), before, STEP_ROWS).await?;
            let Some((_, oldest)) = rows.last().copied() else { return Ok(()) };
            let is_last = rows.len() < STEP_ROWS as usize;
            if self.seen.len() > SEEN_MAX {
                self.seen.clear();
            }
            let new = rows.into_iter().filter(|row| self.seen.insert(*row));
            let of_row = |(channel_id, message_id)| Doomed { channel_id, message_id, indexed_by: None };
            let doomed: Vec<Doomed> = new.map(of_row).collect();
            messages::remove(self.everywhere, reader, &doomed, at).await?;
            self.found += doomed.len();
            // The oldest id may stand in yet another channel: the next step begins with it.
            let next = bound(oldest).saturating_add(1);
            if is_last || (doomed.is_empty() && next == before) {
                return Ok(());
            }
            before = next;
            tokio::time::sleep(BETWEEN_STEPS).await;
        }
    }
}
