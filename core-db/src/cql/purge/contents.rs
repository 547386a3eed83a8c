//! The contents of deleted channels and guilds.

use std::collections::BTreeSet;

use rookery_model::{ChannelId, GuildId, MessageId};
use smallvec::SmallVec;

use super::STEP_ROWS;
use crate::StoreError;
use crate::cql::batches::write_all;
use crate::cql::cas;
use crate::cql::counters::Counters;
use crate::cql::lanes::{self, Lane};
use crate::cql::lower::invite_release;
use crate::cql::outbox::removals;
use crate::cql::shared::Shared;
use crate::cql::statement::Mutation;

/// Takes one step of a channel; says whether nothing is left.
pub async fn step_of_channel(shared: &Shared, id: ChannelId) -> Result<bool, StoreError> {
    lanes::ended(shared.lanes.on(&Lane::Channel(id.get()))).await;
    channel(shared, id).await
}

/// Likewise of a guild.
pub async fn step_of_guild(shared: &Shared, id: GuildId) -> Result<bool, StoreError> {
    lanes::ended(shared.lanes.on(&Lane::Guild(id.get()))).await;
    guild(shared, id).await
}

async fn remove(shared: &Shared, mutations: Vec<Mutation>) -> Result<(), StoreError> {
    let rows = mutations.len() as u64;
    write_all(shared, mutations).await?;
    Counters::add(&shared.calls.counters.purged_rows, rows);
    Ok(())
}

/// A step of a channel: the newest rows of its newest bucket, or what is left when there is none.
async fn channel(shared: &Shared, id: ChannelId) -> Result<bool, StoreError> {
    shared.buckets.forget(id);
    // Not the remembered ones: this process may have removed those already.
    let buckets = shared.tables.message_buckets.of(&shared.calls, id).await?;
    match buckets.first() {
        Some(bucket) => messages(shared, id, *bucket).await.map(|()| false),
        None => leftovers(shared, id).await.map(|()| true),
    }
}

async fn messages(shared: &Shared, id: ChannelId, bucket: u32) -> Result<(), StoreError> {
    let (tables, calls) = (&shared.tables, &shared.calls);
    let traces = tables.messages.traces(calls, id, bucket, STEP_ROWS).await?;
    let at = shared.clock.take(1);
    // A range over what was read, so that the next start begins where this one ended; the last one takes the rest.
    let is_last = traces.len() < STEP_ROWS as usize;
    let first = match traces.last() {
        Some(trace) if !is_last => trace.message_id(),
        _ => MessageId::new(0),
    };
    let reacted: BTreeSet<MessageId> =
        tables.reaction_counts.messages_from(calls, id, bucket, first).await?.into_iter().collect();
    let files = tables.attachments.from(calls, id, bucket, first).await?;
    remove(shared, removals(shared, &files, at)?).await?;
    let mut indexes = Vec::with_capacity(traces.len());
    for message_id in reacted {
        indexes.push(tables.reactions.clear(id, message_id, None, at)?);
    }
    let authored = traces.iter().filter_map(|trace| Some((trace.author_id()?, trace.message_id())));
    indexes.extend(authored.map(|(author, message_id)| tables.messages_by_author.delete(author, message_id, id, at)));
    // The rows themselves last: while they stand, what hangs on them can be found again.
    remove(shared, indexes).await?;
    let hanging = vec![
        tables.reaction_counts.delete_from(id, bucket, first, at),
        tables.message_edits.delete_from(id, bucket, first, at),
        tables.attachments.delete_from(id, bucket, first, at),
    ];
    remove(shared, hanging).await?;
    remove(shared, vec![tables.messages.delete_from(id, bucket, first, at)]).await?;
    if is_last {
        remove(shared, vec![tables.message_buckets.delete(id, bucket, at)]).await?;
    }
    Ok(())
}

/// Pins, and the channel's own rows where the deletion did not get to them.
async fn leftovers(shared: &Shared, id: ChannelId) -> Result<(), StoreError> {
    let tables = &shared.tables;
    let at = shared.clock.take(1);
    let mut rows = vec![tables.pins.delete_all(id, at)];
    match tables.channels.guild_of(&shared.calls, id).await? {
        Some(Some(guild_id)) => rows.push(tables.channels_by_guild.delete(guild_id, id, at)),
        Some(None) => rows.push(tables.dms.delete(id, at)),
        None => return remove(shared, rows).await,
    }
    rows.push(tables.channels.delete(id, at));
    remove(shared, rows).await
}

/// A step of a guild: members, then invites, then webhooks, then what one deletion each removes.
async fn guild(shared: &Shared, id: GuildId) -> Result<bool, StoreError> {
    let (tables, calls) = (&shared.tables, &shared.calls);
    let members = tables.members.first(calls, id, STEP_ROWS).await?;
    if let Some(last) = members.last() {
        let at = shared.clock.take(1);
        remove(shared, members.iter().map(|user_id| tables.guilds_by_user.delete(*user_id, id, at)).collect()).await?;
        remove(shared, vec![tables.members.delete_up_to(id, *last, at)]).await?;
        return Ok(false);
    }
    let codes = tables.invites_by_guild.first(calls, id, STEP_ROWS).await?;
    if !codes.is_empty() {
        invites(shared, id, codes).await?;
        return Ok(false);
    }
    let webhooks = tables.webhooks_by_guild.first(calls, id, STEP_ROWS).await?;
    if !webhooks.is_empty() {
        let at = shared.clock.take(1);
        remove(shared, webhooks.iter().map(|webhook| tables.webhooks.delete(*webhook, at)).collect()).await?;
        // The index last, here and below: while it stands, the rows can be found again.
        remove(shared, webhooks.iter().map(|webhook| tables.webhooks_by_guild.delete(id, *webhook, at)).collect())
            .await?;
        return Ok(false);
    }
    rest_of_guild(shared, id).await.map(|()| true)
}

/// What one deletion a partition removes.
async fn rest_of_guild(shared: &Shared, id: GuildId) -> Result<(), StoreError> {
    let tables = &shared.tables;
    let logged = tables.audit_log_buckets.of(&shared.calls, id).await?;
    let at = shared.clock.take(1);
    remove(shared, logged.into_iter().map(|bucket| tables.audit_log.delete_bucket(id, bucket, at)).collect()).await?;
    let rest = vec![
        tables.audit_log_buckets.delete_all(id, at),
        tables.emojis.delete_all(id, at),
        tables.bans.delete_all(id, at),
        tables.roles.delete_all(id, at),
        tables.channels_by_guild.delete_all(id, at),
        tables.guilds.delete(id, at),
    ];
    remove(shared, rest).await
}

async fn invites(shared: &Shared, id: GuildId, codes: Vec<String>) -> Result<(), StoreError> {
    let tables = &shared.tables;
    let at = shared.clock.take(1);
    let mut rows = Vec::with_capacity(codes.len());
    for code in &codes {
        rows.push(tables.invites.delete(code, at)?);
    }
    remove(shared, rows).await?;
    let releases: SmallVec<_> = codes.iter().map(|code| invite_release(id, code.clone())).collect();
    cas::release(shared, releases).await?;
    // The index last: while it stands, the codes can be found again.
    remove(shared, codes.iter().map(|code| tables.invites_by_guild.delete(id, code, at)).collect()).await
}
