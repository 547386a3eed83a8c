//! What each write of the model does to the tables.
//!
//! Lowering happens where a batch is submitted, on the caller's thread: it refuses what cannot be stored, and takes the
//! timestamps, one a write, in the order of the batch.

use rookery_model::outbox::{OutboxQueue, OutboxRow};
use rookery_model::store::{UniqueKey, Write};
use rookery_model::{ChannelId, GuildId, MessageId, UserId};
use smallvec::SmallVec;

use super::cas::Release;
use super::lanes::{Lane, Passes};
use super::outbox::{hour_of, removals};
use super::shared::Shared;
use super::statement::Mutation;
use super::tables::unique_keys::Key;
use crate::StoreError;
use crate::bucket::{bucket_of, bucket_of_id};

/// A batch, ready to be executed: in stages, each durable before the next begins.
///
/// There is no isolation between rows, so what a crash between two of them leaves is decided by their order: index rows
/// that point to nothing, which readers pass over, and never a row that no index finds; a write whose operation is not
/// recorded, so that a retry repeats it, and never an operation that vouches for a write that did not happen.
#[derive(Debug, Default)]
pub struct Plan {
    /// What points to rows, and what must be there when they change: former contents, files, work that follows.
    pub indexes: Vec<Mutation>,
    /// The rows, put or deleted.
    pub rows: Vec<Mutation>,
    /// What to change depends on stored rows, with the timestamp of the change.
    pub lookups: Vec<(Lookup, i64)>,
    /// Keys to give free, by compare-and-set.
    pub releases: SmallVec<[Release; 1]>,
    /// What points to rows that are gone, and lists of what is there by now.
    pub trailing: Vec<Mutation>,
    /// What tells a retry that all of it was done.
    pub operations: Vec<Mutation>,
    /// Index rows of buckets among `indexes`.
    pub buckets: Vec<(ChannelId, u32)>,
    /// Likewise of hours of the outbox.
    pub hours: Vec<(OutboxQueue, i32)>,
    /// Whether a guild keeps messages for another time than before.
    pub retention_changed: bool,
    /// Whose order matters.
    pub passes: Passes,
}

/// A write that depends on stored rows: the deletion of something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    Guild(GuildId),
    Channel { guild_id: GuildId, channel_id: ChannelId },
    Dm(ChannelId),
    EraseUser { user_id: UserId, through: MessageId },
    Message { channel_id: ChannelId, message_id: MessageId },
}

impl Plan {
    /// Whether the batch reads what earlier ones wrote.
    pub fn waits(&self) -> bool {
        !self.lookups.is_empty() || !self.releases.is_empty()
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        let stages = [&self.indexes, &self.rows, &self.trailing, &self.operations];
        stages.into_iter().all(Vec::is_empty) && !self.waits()
    }

    fn pass(&mut self, lane: Lane) {
        // Batches mostly stay on one lane; the others are sorted out when it is entered.
        if self.passes.last() != Some(&lane) {
            self.passes.push(lane);
        }
    }

    fn channel(&mut self, id: ChannelId) {
        self.pass(Lane::Channel(id.get()));
    }

    fn guild(&mut self, id: GuildId) {
        self.pass(Lane::Guild(id.get()));
    }

    /// A row that nothing points to.
    fn push(&mut self, row: Mutation) {
        self.rows.push(row);
    }

    /// A row to put, and what points to it.
    fn put_indexed(&mut self, index: Mutation, row: Mutation) {
        self.indexes.push(index);
        self.rows.push(row);
    }

    /// A row to delete, and what points to it.
    fn delete_indexed(&mut self, row: Mutation, index: Mutation) {
        self.rows.push(row);
        self.trailing.push(index);
    }
}

/// Lowers a batch.
pub fn lower(shared: &Shared, batch: Vec<Write>) -> Result<Plan, StoreError> {
    let mut plan = Plan { rows: Vec::with_capacity(batch.len()), ..Plan::default() };
    let first = shared.clock.take(batch.len());
    for (at, write) in (first..).zip(batch) {
        lower_one(shared, write, at, &mut plan)?;
    }
    Ok(plan)
}

fn lower_one(shared: &Shared, write: Write, at: i64, plan: &mut Plan) -> Result<(), StoreError> {
    let tables = &shared.tables;
    match write {
        Write::PutAccount(account) => plan.push(tables.accounts.put(&account, at)),
        Write::PutApplication(application) => plan.put_indexed(
            tables.applications_by_owner.put(application.owner_id, application.id, at),
            tables.applications.put(&application, at),
        ),
        Write::DeleteApplication { application_id, owner_id } => plan.delete_indexed(
            tables.applications.delete(application_id, at),
            tables.applications_by_owner.delete(owner_id, application_id, at),
        ),
        Write::PutReadState(state) => plan.push(tables.read_states.put(&state, at)),
        Write::PutSettings(settings) => plan.push(tables.settings.put(&settings, at)?),
        Write::DeleteSettings(user_id) => plan.push(tables.settings.delete_all(user_id, at)),
        Write::PutRelationship(relationship) => plan.push(tables.relationships.put(&relationship, at)?),
        Write::DeleteRelationship { user_id, other_id } => {
            plan.push(tables.relationships.delete(user_id, other_id, at));
        }
        Write::PutOutbox(row) => put_outbox(shared, &row, at, plan)?,
        // Last: work is struck off only when what came of it is there.
        Write::DeleteOutbox { queue, place } => plan.trailing.push(tables.outbox.delete(queue, place, at)),
        Write::PutOperation(operation) => plan.operations.push(tables.operations.put(&operation, at)?),
        Write::EraseUser { user_id, through } => {
            plan.pass(Lane::User(user_id.get()));
            plan.lookups.push((Lookup::EraseUser { user_id, through }, at));
        }
        Write::PutImport(import) => plan.push(tables.imports.put(&import, at)),
        Write::DeleteImport => plan.push(tables.imports.delete(at)),
        Write::DeleteUnique { key, owner } => {
            Key::of(&key)?;
            plan.pass(Lane::Unique(key.clone()));
            plan.releases.push(Release { key, owner });
        }
        // By name, so that a new write does not compile until it is lowered.
        write @ (Write::PutGuild(_)
        | Write::DeleteGuild(_)
        | Write::PutRole { .. }
        | Write::DeleteRole { .. }
        | Write::PutMember(_)
        | Write::DeleteMember { .. }
        | Write::PutBan(_)
        | Write::DeleteBan { .. }
        | Write::PutInvite(_)
        | Write::DeleteInvite { .. }
        | Write::PutEmoji(_)
        | Write::DeleteEmoji { .. }
        | Write::PutStageInstance(_)
        | Write::DeleteStageInstance { .. }
        | Write::PutWebhook(_)
        | Write::DeleteWebhook { .. }
        | Write::PutAuditLogEntry(_)
        | Write::PutRetention(_)
        | Write::DeleteRetention(_)) => of_guild(shared, write, at, plan)?,
        write @ (Write::PutChannel(_)
        | Write::DeleteChannel { .. }
        | Write::PutDm(_)
        | Write::PutDmListing { .. }
        | Write::DeleteDmListing { .. }) => of_channel(shared, write, at, plan)?,
        write @ (Write::PutMessage(_)
        | Write::DeleteMessage { .. }
        | Write::PutMessageEdit(_)
        | Write::PutAttachment(_)
        | Write::DeleteAttachment(_)
        | Write::PutReaction(_)
        | Write::DeleteReaction(_)
        | Write::PutReactionCount(_)
        | Write::DeleteReactionCount { .. }
        | Write::ClearReactions { .. }
        | Write::PutPin { .. }
        | Write::DeletePin { .. }) => of_message(shared, write, at, plan)?,
    }
    Ok(())
}

/// Lowers writes about guilds.
fn of_guild(shared: &Shared, write: Write, at: i64, plan: &mut Plan) -> Result<(), StoreError> {
    let tables = &shared.tables;
    match write {
        Write::PutGuild(guild) => {
            plan.guild(guild.id);
            plan.push(tables.guilds.put(&guild, at));
        }
        Write::DeleteGuild(id) => {
            plan.guild(id);
            plan.lookups.push((Lookup::Guild(id), at));
        }
        Write::PutRole { guild_id, role } => {
            plan.guild(guild_id);
            plan.push(tables.roles.put(guild_id, &role, at));
        }
        Write::DeleteRole { guild_id, role_id } => {
            plan.guild(guild_id);
            plan.push(tables.roles.delete(guild_id, role_id, at));
        }
        Write::PutMember(member) => {
            plan.guild(member.guild_id);
            plan.put_indexed(
                tables.guilds_by_user.put(member.user_id, member.guild_id, at),
                tables.members.put(&member, at),
            );
        }
        Write::DeleteMember { guild_id, user_id } => {
            plan.guild(guild_id);
            plan.delete_indexed(
                tables.members.delete(guild_id, user_id, at),
                tables.guilds_by_user.delete(user_id, guild_id, at),
            );
        }
        Write::PutBan(ban) => {
            plan.guild(ban.guild_id);
            plan.push(tables.bans.put(&ban, at));
        }
        Write::DeleteBan { guild_id, user_id } => {
            plan.guild(guild_id);
            plan.push(tables.bans.delete(guild_id, user_id, at));
        }
        Write::PutInvite(invite) => {
            plan.guild(invite.guild_id);
            plan.put_indexed(
                tables.invites_by_guild.put(invite.guild_id, &invite.code, at),
                tables.invites.put(&invite, at)?,
            );
        }
        Write::DeleteInvite { guild_id, code } => {
            plan.guild(guild_id);
            plan.delete_indexed(tables.invites.delete(&code, at)?, tables.invites_by_guild.delete(guild_id, &code, at));
        }
        write @ (Write::PutEmoji(_)
        | Write::DeleteEmoji { .. }
        | Write::PutStageInstance(_)
        | Write::DeleteStageInstance { .. }
        | Write::PutWebhook(_)
        | Write::DeleteWebhook { .. }
        | Write::PutAuditLogEntry(_)) => beside_guild(shared, write, at, plan)?,
        Write::PutRetention(retention) => {
            plan.guild(retention.guild_id);
            plan.retention_changed = true;
            plan.push(tables.retentions.put(retention, at));
        }
        Write::DeleteRetention(guild_id) => {
            plan.guild(guild_id);
            plan.retention_changed = true;
            plan.push(tables.retentions.delete(guild_id, at));
        }
        other => return Err(misplaced(&other)),
    }
    Ok(())
}

/// Lowers writes about what a guild has besides.
fn beside_guild(shared: &Shared, write: Write, at: i64, plan: &mut Plan) -> Result<(), StoreError> {
    let tables = &shared.tables;
    match write {
        Write::PutEmoji(emoji) => {
            plan.guild(emoji.guild_id);
            plan.push(tables.emojis.put(&emoji, at)?);
        }
        Write::DeleteEmoji { guild_id, emoji_id } => {
            plan.guild(guild_id);
            plan.push(tables.emojis.delete(guild_id, emoji_id, at));
        }
        Write::PutStageInstance(stage) => {
            plan.guild(stage.guild_id);
            plan.push(tables.stage_instances.put(&stage, at)?);
        }
        Write::DeleteStageInstance { guild_id, channel_id } => {
            plan.guild(guild_id);
            plan.push(tables.stage_instances.delete(guild_id, channel_id, at));
        }
        Write::PutWebhook(webhook) => {
            plan.guild(webhook.guild_id);
            plan.put_indexed(tables.webhooks_by_guild.put(&webhook, at), tables.webhooks.put(&webhook, at)?);
        }
        Write::DeleteWebhook { guild_id, webhook_id } => {
            plan.guild(guild_id);
            plan.delete_indexed(
                tables.webhooks.delete(webhook_id, at),
                tables.webhooks_by_guild.delete(guild_id, webhook_id, at),
            );
        }
        Write::PutAuditLogEntry(entry) => {
            plan.guild(entry.guild_id);
            let bucket = bucket_of_id(entry.id.0);
            plan.put_indexed(
                tables.audit_log_buckets.put(entry.guild_id, bucket, at),
                tables.audit_log.put(&entry, at)?,
            );
        }
        other => return Err(misplaced(&other)),
    }
    Ok(())
}

/// Lowers writes about channels and what is in them.
fn of_channel(shared: &Shared, write: Write, at: i64, plan: &mut Plan) -> Result<(), StoreError> {
    let tables = &shared.tables;
    match write {
        Write::PutChannel(channel) => {
            let Some(guild_id) = channel.guild_id else {
                return Err(StoreError::Invalid(format!(
                    "channel {} has no guild: DMs are written by PutDm",
                    channel.id
                )));
            };
            plan.guild(guild_id);
            plan.channel(channel.id);
            plan.put_indexed(
                tables.channels.put(channel.id, Some(guild_id), at),
                tables.channels_by_guild.put(guild_id, &channel, at),
            );
        }
        Write::DeleteChannel { guild_id, channel_id } => {
            plan.channel(channel_id);
            plan.pass(Lane::Released);
            let lookup = match guild_id {
                Some(guild_id) => {
                    plan.guild(guild_id);
                    Lookup::Channel { guild_id, channel_id }
                }
                None => Lookup::Dm(channel_id),
            };
            plan.lookups.push((lookup, at));
        }
        Write::PutDm(dm) => {
            plan.channel(dm.channel.id);
            plan.put_indexed(tables.channels.put(dm.channel.id, None, at), tables.dms.put(&dm, at));
        }
        Write::PutDmListing { user_id, channel_id } => {
            // Last: a list names only what is there.
            plan.trailing.push(tables.dms_by_user.put(user_id, channel_id, at));
        }
        Write::DeleteDmListing { user_id, channel_id } => {
            plan.push(tables.dms_by_user.delete(user_id, channel_id, at));
        }
        other => return Err(misplaced(&other)),
    }
    Ok(())
}

/// Lowers writes about messages and what hangs on them.
fn of_message(shared: &Shared, write: Write, at: i64, plan: &mut Plan) -> Result<(), StoreError> {
    let tables = &shared.tables;
    match write {
        Write::PutMessage(message) => {
            let (channel_id, bucket) = (message.channel_id, bucket_of(message.id));
            plan.channel(channel_id);
            plan.put_indexed(
                tables.messages_by_author.put(message.author_id, message.id, channel_id, at),
                tables.messages.put(&message, at)?,
            );
            if !plan.buckets.contains(&(channel_id, bucket)) && !shared.buckets.is_stored(channel_id, bucket) {
                plan.buckets.push((channel_id, bucket));
                plan.indexes.push(tables.message_buckets.put(channel_id, bucket, at));
            }
        }
        Write::DeleteMessage { channel_id, message_id } => {
            plan.channel(channel_id);
            plan.lookups.push((Lookup::Message { channel_id, message_id }, at));
        }
        Write::PutMessageEdit(edit) => {
            plan.channel(edit.channel_id);
            // Before the row that has other contents by now.
            plan.indexes.push(tables.message_edits.put(&edit, at)?);
        }
        Write::PutAttachment(attachment) => {
            plan.channel(attachment.channel_id);
            // What leads to an object is there before the message that shows it.
            plan.indexes.push(tables.attachments.put(&attachment, at)?);
        }
        Write::DeleteAttachment(attachment) => {
            plan.channel(attachment.channel_id);
            plan.indexes.extend(removals(shared, std::slice::from_ref(&attachment), at)?);
            plan.push(tables.attachments.delete(&attachment, at));
        }
        Write::PutReaction(reaction) => {
            plan.channel(reaction.channel_id);
            plan.push(tables.reactions.put(&reaction, at)?);
        }
        Write::DeleteReaction(reaction) => {
            plan.channel(reaction.channel_id);
            plan.push(tables.reactions.delete(&reaction, at)?);
        }
        Write::PutReactionCount(count) => {
            plan.channel(count.channel_id);
            plan.push(tables.reaction_counts.put(&count, at)?);
        }
        Write::DeleteReactionCount { channel_id, message_id, emoji } => {
            plan.channel(channel_id);
            plan.push(tables.reaction_counts.delete(channel_id, message_id, &emoji, at)?);
        }
        // By range: what there is need not be known.
        Write::ClearReactions { channel_id, message_id, emoji } => {
            plan.channel(channel_id);
            let counts = match &emoji {
                Some(emoji) => tables.reaction_counts.delete(channel_id, message_id, emoji, at)?,
                None => tables.reaction_counts.delete_of_message(channel_id, message_id, at),
            };
            plan.push(tables.reactions.clear(channel_id, message_id, emoji.as_ref(), at)?);
            plan.push(counts);
        }
        Write::PutPin { channel_id, message_id, pinned_at } => {
            plan.channel(channel_id);
            plan.push(tables.pins.put(channel_id, message_id, pinned_at, at));
        }
        Write::DeletePin { channel_id, message_id } => {
            plan.channel(channel_id);
            plan.push(tables.pins.delete(channel_id, message_id, at));
        }
        other => return Err(misplaced(&other)),
    }
    Ok(())
}

/// Lowers work to do, with its hour in the index where that is not known to be stored.
///
/// Before the rows that it follows from: a crash in between leaves work about nothing, and never a row that nobody works
/// on. Whoever does the work therefore leaves alone what is younger than a write may take.
fn put_outbox(shared: &Shared, row: &OutboxRow, at: i64, plan: &mut Plan) -> Result<(), StoreError> {
    plan.indexes.push(shared.tables.outbox.put(row, at)?);
    let hour = (row.queue, hour_of(row.place.queued_at));
    if !plan.hours.contains(&hour) && !shared.known_hours.contains(hour.0, hour.1) {
        plan.hours.push(hour);
        plan.indexes.push(shared.tables.outbox_hours.put(hour.0, hour.1, at));
    }
    Ok(())
}

/// A write that `lower_one` gave to the wrong function; nothing of its content is told.
fn misplaced(write: &Write) -> StoreError {
    StoreError::Invalid(format!("a write was lowered as another kind: {:?}", std::mem::discriminant(write)))
}

/// The key of an invite's code, held by its guild.
pub fn invite_release(guild_id: GuildId, code: String) -> Release {
    Release { key: UniqueKey::InviteCode(code), owner: guild_id.get() }
}
