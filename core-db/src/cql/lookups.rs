//! Writes that depend on stored rows.
//!
//! They run after everything submitted before them on their lanes has ended, and change rows with the timestamp of
//! their own place in the order: what was submitted after them survives, whenever it arrives.

use rookery_model::channel::ChannelType;
use rookery_model::store::UniqueKey;
use rookery_model::{ChannelId, GuildId, MessageId, UserId};
use smallvec::SmallVec;

use super::cas::Release;
use super::lower::{Lookup, invite_release};
use super::outbox::removals;
use super::purge;
use super::shared::Shared;
use super::statement::Mutation;
use super::tables::messages_to_purge::Due;
use super::tables::purges::Job;
use crate::StoreError;
use crate::tables::purges::Purge;

/// What a look-up found to do.
#[derive(Debug, Default)]
pub struct Found {
    /// Background work to note before anything else: if this process dies half-way, the rest is still removed.
    pub jobs: Vec<Mutation>,
    pub rows: Vec<Mutation>,
    pub releases: SmallVec<[Release; 1]>,
    /// What points to the rows, and to the keys: after these, so that a repetition finds what is left to do.
    pub indexes: Vec<Mutation>,
    /// What nobody sees from now on.
    pub doomed: Vec<(Purge, MessageId)>,
    /// The day under which a marked message waits.
    pub day: Option<i32>,
}

/// Finds out what a write changes.
pub async fn look_up(shared: &Shared, lookup: &Lookup, at: i64) -> Result<Found, StoreError> {
    match lookup {
        Lookup::Guild(id) => delete_guild(shared, *id, at).await,
        Lookup::Channel { guild_id, channel_id } => delete_channel(shared, *guild_id, *channel_id, at).await,
        Lookup::Dm(id) => delete_dm(shared, *id, at).await,
        Lookup::EraseUser { user_id, through } => Ok(erase_user(shared, *user_id, *through, at)),
        Lookup::Message { channel_id, message_id } => delete_message(shared, *channel_id, *message_id, at).await,
    }
}

impl Found {
    fn doom(&mut self, shared: &Shared, purge: Purge, at: i64) {
        self.doom_through(shared, purge, MessageId::new(u64::MAX), at);
    }

    fn doom_through(&mut self, shared: &Shared, purge: Purge, through: MessageId, at: i64) {
        self.jobs.push(shared.tables.purges.put(Job::Contents(purge, through), at));
        self.doomed.push((purge, through));
    }
}

fn erase_user(shared: &Shared, id: UserId, through: MessageId, at: i64) -> Found {
    // Each is noted on its own, so a late retry of an earlier erasure does not shorten one that goes further.
    // As it is stored, so that what is read back is equal.
    let through = MessageId::new(through.get().min(i64::MAX.cast_unsigned()));
    let mut found = Found::default();
    found.doom_through(shared, Purge::User(id), through, at);
    found
}

async fn delete_guild(shared: &Shared, id: GuildId, at: i64) -> Result<Found, StoreError> {
    let tables = &shared.tables;
    let mut found = Found::default();
    found.rows.push(tables.guilds.delete(id, at));
    found.rows.push(tables.retentions.delete(id, at));
    for channel_id in tables.channels_by_guild.ids_of(&shared.calls, id).await? {
        found.indexes.push(tables.channels.delete(channel_id, at));
        // Row by row: what another data centre has and this one does not see yet is for the background to find.
        found.rows.push(tables.channels_by_guild.delete(id, channel_id, at));
        found.doom(shared, Purge::Channel(channel_id), at);
    }
    found.doom(shared, Purge::Guild(id), at);
    Ok(found)
}

async fn delete_channel(
    shared: &Shared,
    guild_id: GuildId,
    channel_id: ChannelId,
    at: i64,
) -> Result<Found, StoreError> {
    let tables = &shared.tables;
    let mut found = Found::default();
    found.rows.push(tables.channels_by_guild.delete(guild_id, channel_id, at));
    // Not worth asking whether the stage was live: channels are seldom deleted.
    found.rows.push(tables.stage_instances.delete(guild_id, channel_id, at));
    found.indexes.push(tables.channels.delete(channel_id, at));
    for code in tables.invites_by_guild.codes(&shared.calls, guild_id).await? {
        let invite = tables.invites.get(&shared.calls, &code).await?;
        if invite.is_some_and(|invite| invite.channel_id == channel_id) {
            found.rows.push(tables.invites.delete(&code, at)?);
            found.indexes.push(tables.invites_by_guild.delete(guild_id, &code, at));
            found.releases.push(invite_release(guild_id, code));
        }
    }
    for (webhook_id, of) in tables.webhooks_by_guild.of(&shared.calls, guild_id).await? {
        if of == channel_id {
            found.rows.push(tables.webhooks.delete(webhook_id, at));
            found.indexes.push(tables.webhooks_by_guild.delete(guild_id, webhook_id, at));
        }
    }
    found.doom(shared, Purge::Channel(channel_id), at);
    Ok(found)
}

async fn delete_dm(shared: &Shared, id: ChannelId, at: i64) -> Result<Found, StoreError> {
    let tables = &shared.tables;
    let mut found = Found::default();
    if let Some(dm) = tables.dms.get(&shared.calls, id).await? {
        found.rows.extend(dm.user_ids.iter().map(|user_id| tables.dms_by_user.delete(*user_id, id, at)));
        if let (ChannelType::Dm, [one, other]) = (dm.channel.kind, &dm.user_ids[..]) {
            found.releases.push(Release { key: UniqueKey::DmPair(*one, *other), owner: id.get() });
        }
    }
    // The row says who is in it, so it is also the way to their lists and to the key of the pair.
    found.indexes.push(tables.dms.delete(id, at));
    found.indexes.push(tables.channels.delete(id, at));
    found.doom(shared, Purge::Channel(id), at);
    Ok(found)
}

async fn delete_message(
    shared: &Shared,
    channel_id: ChannelId,
    message_id: MessageId,
    at: i64,
) -> Result<Found, StoreError> {
    let (tables, calls) = (&shared.tables, &shared.calls);
    let counted = [message_id];
    let (author, is_pinned, counts, files) = tokio::try_join!(
        tables.messages.author(calls, channel_id, message_id),
        tables.pins.exists(calls, channel_id, message_id),
        tables.reaction_counts.of(calls, channel_id, &counted),
        tables.attachments.of(calls, channel_id, &counted),
    )?;
    let mut found = Found { jobs: removals(shared, &files, at)?, ..Found::default() };
    match author {
        Some(author_id) => {
            let due = Due { channel_id, message_id, deleted_at_us: at };
            let day = purge::due_day(message_id, at);
            if !shared.known_days.contains(day) {
                found.jobs.push(tables.purges.put(Job::Day(day), at));
                found.day = Some(day);
            }
            found.jobs.push(tables.messages_to_purge.put(day, due));
            found.rows.push(tables.messages.mark_deleted(channel_id, message_id, at));
            found.indexes.extend(
                author_id.map(|author_id| tables.messages_by_author.delete(author_id, message_id, channel_id, at)),
            );
        }
        // Nothing to mark. If a put whose outcome was unknown still arrives, this keeps it out.
        None => found.rows.push(tables.messages.delete(channel_id, message_id, at)),
    }
    // A partition of its own that nobody reads again: one tombstone, without asking what is in it.
    found.rows.push(tables.reactions.clear(channel_id, message_id, None, at)?);
    // Seldom read, so that a tombstone is cheaper than to ask whether it was edited.
    found.rows.push(tables.message_edits.delete_of_message(channel_id, message_id, at));
    // Each by itself: a file that is not seen here keeps its row, which alone leads to its object.
    found.rows.extend(files.iter().map(|file| tables.attachments.delete(file, at)));
    // These share partitions with what others read: no tombstone where there is nothing. Where a write of unknown
    // outcome may still arrive, nothing that is there yet is no proof.
    let may_arrive = shared.doubts.are_in(channel_id.get());
    if may_arrive || !counts.is_empty() {
        found.rows.push(tables.reaction_counts.delete_of_message(channel_id, message_id, at));
    }
    if may_arrive || is_pinned {
        found.rows.push(tables.pins.delete(channel_id, message_id, at));
    }
    Ok(found)
}
