//! The contents of deleted channels and guilds.

use std::collections::{BTreeSet, HashSet};
use std::ops::Range;

use rookery_model::{AttachmentId, ChannelId, GuildId, MessageId};
use smallvec::SmallVec;

use super::everywhere::{Everywhere, Reader};
use super::{BETWEEN_STEPS, PASSES_MAX, SEEN_MAX, STEP_ROWS, do_not_go};
use crate::StoreError;
use crate::cql::cas;
use crate::cql::counters::Counters;
use crate::cql::lanes::{self, Lane};
use crate::cql::lower::invite_release;
use crate::cql::outbox::removals;
use crate::cql::statement::Mutation;
use crate::cql::tables::messages::Trace;
use crate::cql::tables::purges::Job;
use crate::cql::value::bound;
use crate::tables::purges::Purge;

async fn remove(everywhere: &Everywhere<'_>, mutations: Vec<Mutation>) -> Result<(), StoreError> {
    let rows = mutations.len() as u64;
    everywhere.write(mutations).await?;
    Counters::add(&everywhere.shared.calls.counters.purged_rows, rows);
    Ok(())
}

/// Removes a channel, bucket by bucket, until nobody has one any more.
///
/// A bucket leaves the index only when a walk found nothing in it: while its row stands, what is left can be found.
pub async fn channel(everywhere: &Everywhere<'_>, id: ChannelId) -> Result<(), StoreError> {
    let shared = everywhere.shared;
    for _ in 0..PASSES_MAX {
        shared.buckets.forget(id);
        let mut buckets = BTreeSet::new();
        for reader in everywhere.readers() {
            buckets.extend(shared.tables.message_buckets.of_at(reader, id).await?);
        }
        if buckets.is_empty() {
            return leftovers(everywhere, id).await;
        }
        for bucket in buckets.into_iter().rev() {
            let at = shared.clock.take(1);
            lanes::ended(shared.lanes.on(&Lane::Channel(id.get()))).await;
            if messages(everywhere, (id, bucket)).await? {
                let tables = &shared.tables;
                let bucket = vec![
                    tables.messages.delete_bucket(id, bucket, at),
                    tables.reaction_counts.delete_bucket(id, bucket, at),
                    tables.message_edits.delete_bucket(id, bucket, at),
                    tables.attachments.delete_bucket(id, bucket, at),
                ];
                remove(everywhere, bucket).await?;
            } else {
                let tables = &shared.tables;
                // Former contents of a message that was never stored here.
                let edits = tables.message_edits.delete_bucket(id, bucket, at);
                remove(everywhere, vec![edits, tables.message_buckets.delete(id, bucket, at)]).await?;
            }
        }
        tokio::time::sleep(BETWEEN_STEPS).await;
    }
    Err(do_not_go(format_args!("channel {id}")))
}

/// Walks over a bucket as each data centre has it and removes what hangs on its messages; says whether there is anything.
///
/// The messages themselves go afterwards, all with one tombstone, and their former contents and files likewise: taken away
/// step by step they would leave tombstones for the next step to read over.
async fn messages(everywhere: &Everywhere<'_>, of: (ChannelId, u32)) -> Result<bool, StoreError> {
    let (mut seen, mut files) = (HashSet::new(), HashSet::new());
    let mut is_any = false;
    for reader in everywhere.readers() {
        let mut below = i64::MAX;
        loop {
            let traces = everywhere.shared.tables.messages.traces(reader, of, below, STEP_ROWS).await?;
            let is_last = traces.len() < STEP_ROWS as usize;
            // The last step takes the files, if any, below the oldest message.
            let from = traces.last().filter(|_| !is_last).map_or(i64::MIN, |last| bound(last.message_id()));
            is_any |= note_files(everywhere, reader, of, from..below, &mut files).await?;
            is_any |= !traces.is_empty();
            hanging_on(everywhere, reader, of.0, &traces, &mut seen).await?;
            if is_last {
                break;
            }
            below = from;
            tokio::time::sleep(BETWEEN_STEPS).await;
        }
    }
    Ok(is_any)
}

/// Notes the objects of files whose rows are about to go, those that no earlier data centre showed; says whether there are
/// files.
async fn note_files(
    everywhere: &Everywhere<'_>,
    reader: &Reader<'_>,
    of: (ChannelId, u32),
    messages: Range<i64>,
    seen: &mut HashSet<AttachmentId>,
) -> Result<bool, StoreError> {
    let shared = everywhere.shared;
    let mut files = shared.tables.attachments.between(reader, of, messages).await?;
    let is_any = !files.is_empty();
    if seen.len() > SEEN_MAX {
        seen.clear();
    }
    files.retain(|file| seen.insert(file.id));
    everywhere.write(removals(shared, &files, shared.clock.take(1))?).await?;
    Ok(is_any)
}

/// Removes reactions and index rows of messages that no earlier data centre showed.
async fn hanging_on(
    everywhere: &Everywhere<'_>,
    reader: &Reader<'_>,
    channel_id: ChannelId,
    traces: &[Trace],
    seen: &mut HashSet<MessageId>,
) -> Result<(), StoreError> {
    let (Some(newest), Some(oldest)) = (traces.first(), traces.last()) else { return Ok(()) };
    let tables = &everywhere.shared.tables;
    let counts = &tables.reaction_counts;
    let reacted = counts.messages_between(reader, channel_id, oldest.message_id(), newest.message_id()).await?;
    let at = everywhere.shared.clock.take(1);
    if seen.len() > SEEN_MAX {
        seen.clear();
    }
    let mut mutations = Vec::with_capacity(traces.len());
    for message_id in reacted.into_iter().collect::<BTreeSet<MessageId>>() {
        mutations.push(tables.reactions.clear(channel_id, message_id, None, at)?);
    }
    for trace in traces {
        let message_id = trace.message_id();
        if let Some(author_id) = trace.author_id()
            && seen.insert(message_id)
        {
            mutations.push(tables.messages_by_author.delete(author_id, message_id, channel_id, at));
        }
    }
    remove(everywhere, mutations).await
}

/// Pins, and the channel's own rows where the deletion did not get to them.
async fn leftovers(everywhere: &Everywhere<'_>, id: ChannelId) -> Result<(), StoreError> {
    let shared = everywhere.shared;
    let tables = &shared.tables;
    let at = shared.clock.take(1);
    let mut rows = vec![tables.pins.delete_all(id, at)];
    match tables.channels.guild_of(&shared.calls, id).await? {
        Some(Some(guild_id)) => rows.push(tables.channels_by_guild.delete(guild_id, id, at)),
        Some(None) => rows.push(tables.dms.delete(id, at)),
        None => return remove(everywhere, rows).await,
    }
    rows.push(tables.channels.delete(id, at));
    remove(everywhere, rows).await
}

/// Removes a guild: what is many in walks until one finds nothing, then what one deletion each removes.
pub async fn guild(everywhere: &Everywhere<'_>, id: GuildId) -> Result<(), StoreError> {
    let shared = everywhere.shared;
    let tables = &shared.tables;
    for _ in 0..PASSES_MAX {
        let at = shared.clock.take(1);
        lanes::ended(shared.lanes.on(&Lane::Guild(id.get()))).await;
        let mut is_any = false;
        for reader in everywhere.readers() {
            is_any |= members(everywhere, reader, id).await?;
            is_any |= invites(everywhere, reader, id).await?;
            is_any |= channels(everywhere, reader, id).await?;
            is_any |= webhooks(everywhere, reader, id).await?;
            is_any |= audit_log(everywhere, reader, id, at).await?;
        }
        let mut rest = vec![
            tables.members.delete_all(id, at),
            tables.invites_by_guild.delete_all(id, at),
            tables.channels_by_guild.delete_all(id, at),
            tables.webhooks_by_guild.delete_all(id, at),
            tables.audit_log_buckets.delete_all(id, at),
        ];
        if is_any {
            remove(everywhere, rest).await?;
            tokio::time::sleep(BETWEEN_STEPS).await;
            continue;
        }
        rest.extend([
            tables.bans.delete_all(id, at),
            tables.roles.delete_all(id, at),
            tables.emojis.delete_all(id, at),
            tables.stage_instances.delete_all(id, at),
            tables.retentions.delete(id, at),
            tables.guilds.delete(id, at),
        ]);
        return remove(everywhere, rest).await;
    }
    Err(do_not_go(format_args!("guild {id}")))
}

/// Takes a guild's members off their lists of guilds.
async fn members(everywhere: &Everywhere<'_>, reader: &Reader<'_>, id: GuildId) -> Result<bool, StoreError> {
    let tables = &everywhere.shared.tables;
    let mut after = None;
    loop {
        let members = tables.members.ids_above(reader, id, after, STEP_ROWS).await?;
        let Some(last) = members.last() else { return Ok(after.is_some()) };
        after = Some(*last);
        let at = everywhere.shared.clock.take(1);
        remove(everywhere, members.iter().map(|user_id| tables.guilds_by_user.delete(*user_id, id, at)).collect())
            .await?;
        tokio::time::sleep(BETWEEN_STEPS).await;
    }
}

/// Removes a guild's invites and gives their codes free.
async fn invites(everywhere: &Everywhere<'_>, reader: &Reader<'_>, id: GuildId) -> Result<bool, StoreError> {
    let tables = &everywhere.shared.tables;
    let mut after = String::new();
    loop {
        let codes = tables.invites_by_guild.codes_above(reader, id, &after, STEP_ROWS).await?;
        let Some(last) = codes.last() else { return Ok(!after.is_empty()) };
        after.clone_from(last);
        let at = everywhere.shared.clock.take(1);
        let mut rows = Vec::with_capacity(codes.len());
        for code in &codes {
            rows.push(tables.invites.delete(code, at)?);
        }
        remove(everywhere, rows).await?;
        let releases: SmallVec<_> = codes.iter().map(|code| invite_release(id, code.clone())).collect();
        cas::release(everywhere.shared, releases).await?;
        tokio::time::sleep(BETWEEN_STEPS).await;
    }
}

/// Removes a guild's webhooks.
async fn webhooks(everywhere: &Everywhere<'_>, reader: &Reader<'_>, id: GuildId) -> Result<bool, StoreError> {
    let tables = &everywhere.shared.tables;
    let mut after = None;
    loop {
        let ids = tables.webhooks_by_guild.ids_above(reader, id, after, STEP_ROWS).await?;
        let Some(last) = ids.last() else { return Ok(after.is_some()) };
        after = Some(*last);
        let at = everywhere.shared.clock.take(1);
        remove(everywhere, ids.iter().map(|webhook_id| tables.webhooks.delete(*webhook_id, at)).collect()).await?;
        tokio::time::sleep(BETWEEN_STEPS).await;
    }
}

/// Removes a guild's audit log, a tombstone a bucket.
async fn audit_log(everywhere: &Everywhere<'_>, reader: &Reader<'_>, id: GuildId, at: i64) -> Result<bool, StoreError> {
    let tables = &everywhere.shared.tables;
    let buckets = tables.audit_log_buckets.of_at(reader, id).await?;
    let rows = buckets.iter().map(|bucket| tables.audit_log.delete_bucket(id, *bucket, at));
    remove(everywhere, rows.collect()).await?;
    Ok(!buckets.is_empty())
}

/// Notes the channels that the deletion did not see: another data centre had just made them.
async fn channels(everywhere: &Everywhere<'_>, reader: &Reader<'_>, id: GuildId) -> Result<bool, StoreError> {
    let tables = &everywhere.shared.tables;
    let ids = tables.channels_by_guild.ids_at(reader, id).await?;
    let at = everywhere.shared.clock.take(1);
    let jobs = ids.iter().map(|channel_id| tables.purges.put(Job::all_of(Purge::Channel(*channel_id)), at));
    everywhere.write(jobs.collect()).await?;
    let rows = ids.iter().map(|channel_id| tables.channels.delete(*channel_id, at));
    everywhere.write(rows.collect()).await?;
    Ok(!ids.is_empty())
}
