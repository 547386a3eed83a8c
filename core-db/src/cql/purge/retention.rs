//! Removes messages that are older than their guild keeps them; pinned ones stay.
//!
//! A pass walks the guilds with a retention, their channels, and in each channel what is older than the limit, in bounded
//! steps. Where it stands is kept in memory only: after a crash the next pass begins anew.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use rookery_model::store::RetentionRow;
use rookery_model::{ChannelId, MessageId, Snowflake};

use super::everywhere::Everywhere;
use super::messages::{self, Doomed};
use super::{BETWEEN_STEPS, DAY_MS, STEP_ROWS};
use crate::StoreError;
use crate::bucket::bucket_of;
use crate::cql::clock::now_ms;
use crate::cql::lanes::{self, Lane};
use crate::cql::shared::Shared;
use crate::cql::tables::messages::{PageRow, Side};
use crate::cql::value::bound;

/// Between the end of a pass and the next.
const INTERVAL: Duration = Duration::from_secs(3_600);

/// Removes until it is dropped. A pass is due at once: no process may have run for days.
pub async fn run(shared: Arc<Shared>) {
    loop {
        if let Err(error) = pass(&shared).await {
            tracing::error!(%error, "cannot remove messages that are older than their guild keeps them");
        }
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => {}
            () = shared.retention_changed.notified() => {}
        }
    }
}

pub(super) async fn pass(shared: &Shared) -> Result<(), StoreError> {
    let (mut removed, mut failed) = (0, None);
    for retention in shared.tables.retentions.all(&shared.calls).await? {
        match guild(shared, retention).await {
            Ok(rows) => removed += rows,
            // One guild must not keep the old messages of all others.
            Err(error) => {
                tracing::warn!(guild_id = %retention.guild_id, %error, "cannot remove the old messages of a guild");
                failed = Some(error);
            }
        }
    }
    if removed > 0 {
        tracing::info!(messages = removed, "removed messages older than their guilds keep them");
    }
    failed.map_or(Ok(()), Err)
}

async fn guild(shared: &Shared, retention: RetentionRow) -> Result<usize, StoreError> {
    let RetentionRow { guild_id, max_age_days } = retention;
    let (tables, calls) = (&shared.tables, &shared.calls);
    lanes::ended(shared.lanes.on(&Lane::Guild(guild_id.get()))).await;
    // A guild that is not seen may be one that another data centre just made: its setting goes with it, never here.
    if tables.guilds.get(calls, guild_id).await?.is_none() {
        return Ok(0);
    }
    let before_ms = now_ms().saturating_sub(u64::from(max_age_days) * DAY_MS);
    let before = MessageId(Snowflake::floor_of_ms(before_ms));
    let (mut removed, mut failed) = (0, None);
    for channel_id in tables.channels_by_guild.ids_of(calls, guild_id).await? {
        // Nor must one channel keep those of the guild's others.
        if let Err(error) = channel(shared, channel_id, before, &mut removed).await {
            tracing::warn!(%guild_id, %channel_id, %error, "cannot remove the old messages of a channel");
            failed = Some(error);
        }
    }
    failed.map_or(Ok(removed), Err)
}

async fn channel(
    shared: &Shared,
    channel_id: ChannelId,
    before: MessageId,
    removed: &mut usize,
) -> Result<(), StoreError> {
    let buckets = shared.tables.message_buckets.of(&shared.calls, channel_id).await?;
    for bucket in buckets.into_iter().filter(|bucket| *bucket <= bucket_of(before)) {
        *removed += remove_old(shared, channel_id, bucket, before).await?;
    }
    Ok(())
}

/// Removes messages of a bucket with ids below one, step by step.
async fn remove_old(
    shared: &Shared,
    channel_id: ChannelId,
    bucket: u32,
    before: MessageId,
) -> Result<usize, StoreError> {
    let (tables, calls) = (&shared.tables, &shared.calls);
    let (mut below, mut removed) = (bound(before), 0);
    loop {
        let at = shared.clock.take(1);
        lanes::ended(shared.lanes.on(&Lane::Channel(channel_id.get()))).await;
        let pins = tables.pins.of(calls, channel_id).await?;
        let pinned: HashSet<MessageId> = pins.into_iter().map(|pin| pin.message_id).collect();
        let (from, mut doomed) = (Side::Below(below), Vec::new());
        let take = |row| {
            let message_id = match row {
                PageRow::Hidden(id) => id,
                PageRow::Message(message) => {
                    let (message_id, indexed_by) = (message.id, Some(message.author_id));
                    if !pinned.contains(&message_id) {
                        doomed.push(Doomed { channel_id, message_id, indexed_by });
                    }
                    message_id
                }
            };
            below = bound(message_id);
        };
        let read = tables.messages.page(calls, channel_id, bucket, from, STEP_ROWS, take).await?;
        let is_last = i32::try_from(read).is_ok_and(|read| read < STEP_ROWS);
        if !doomed.is_empty() {
            // At home alone: an hour later the next pass sees what another data centre had.
            let here = Everywhere::here(shared);
            for reader in here.readers() {
                messages::remove(&here, reader, &doomed, at).await?;
            }
            shared.removed();
            removed += doomed.len();
        }
        if is_last {
            return Ok(removed);
        }
        tokio::time::sleep(BETWEEN_STEPS).await;
    }
}
