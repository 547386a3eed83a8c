//! What each write of the model does to the tables.
//!
//! Most writes are lowered where they are submitted, on the caller's thread. Those that depend on stored rows are
//! lowered by the committer, in their place in the order.

use rookery_model::channel::ChannelType;
use rookery_model::store::{UniqueKey, Write};
use rookery_model::{ChannelId, GuildId, MessageId, UserId};

use crate::StoreError;
use crate::key::Parts;
use crate::row;
use crate::tables::purges::Purge;
use crate::tables::{
    Change, Sink, Table, View, accounts, applications, attachments, audit_log, bans, channels_by_guild, dms,
    dms_by_user, emojis, guilds, imports, invites, invites_by_guild, members, message_edits, messages,
    messages_by_author, operations, outbox, pins, purges, reaction_counts, reactions, read_states, relationships,
    retentions, roles, settings, stage_instances, unique_keys, webhooks, webhooks_by_guild,
};

/// A part of a batch.
#[derive(Debug)]
pub(crate) enum Step {
    /// What to change is known.
    Change(Change),
    /// What to change depends on stored rows.
    Lookup(Lookup),
}

/// A write that depends on stored rows.
#[derive(Clone, Debug)]
pub(crate) enum Lookup {
    DeleteGuild(GuildId),
    DeleteChannel {
        guild_id: Option<GuildId>,
        channel_id: ChannelId,
    },
    DeleteMessage {
        channel_id: ChannelId,
        message_id: MessageId,
    },
    EraseUser {
        user_id: UserId,
        through: MessageId,
    },
    /// A key in `unique_keys`, and who must hold it.
    Release {
        key: crate::key::Key,
        owner: u64,
    },
    /// Prefixes in `reactions` and `reaction_counts`.
    ClearReactions {
        reactions: crate::key::Key,
        counts: crate::key::Key,
    },
    /// All rows that begin with a prefix.
    DeletePrefix(Table, crate::key::Key),
}

impl Sink for Vec<Step> {
    fn change(&mut self, change: Change) {
        self.push(Step::Change(change));
    }
}

/// Lowers a batch as far as possible without reading.
pub(crate) fn lower(batch: Vec<Write>) -> Result<Vec<Step>, StoreError> {
    // A message with its operation comes to four rows.
    let mut steps = Vec::with_capacity(batch.len() * 3 + 1);
    for write in batch {
        lower_one(write, &mut steps)?;
    }
    Ok(steps)
}

fn lower_one(write: Write, steps: &mut Vec<Step>) -> Result<(), StoreError> {
    match write {
        Write::PutAccount(account) => accounts::put(steps, &account)?,
        Write::PutApplication(application) => applications::put(steps, &application)?,
        Write::DeleteApplication { application_id, owner_id } => applications::delete(steps, application_id, owner_id),
        Write::PutGuild(guild) => guilds::put(steps, &guild)?,
        Write::DeleteGuild(id) => steps.push(Step::Lookup(Lookup::DeleteGuild(id))),
        Write::PutChannel(channel) => channels_by_guild::put(steps, &channel)?,
        Write::DeleteChannel { guild_id, channel_id } => {
            steps.push(Step::Lookup(Lookup::DeleteChannel { guild_id, channel_id }));
        }
        Write::PutRole { guild_id, role } => roles::put(steps, guild_id, &role)?,
        Write::DeleteRole { guild_id, role_id } => roles::delete(steps, guild_id, role_id),
        Write::PutMember(member) => members::put(steps, &member)?,
        Write::DeleteMember { guild_id, user_id } => members::delete(steps, guild_id, user_id),
        Write::PutBan(ban) => bans::put(steps, &ban)?,
        Write::DeleteBan { guild_id, user_id } => bans::delete(steps, guild_id, user_id),
        Write::PutInvite(invite) => invites::put(steps, &invite)?,
        Write::DeleteInvite { guild_id, code } => invites::delete(steps, guild_id, &code)?,
        Write::PutMessage(message) => messages::put(steps, &message)?,
        Write::DeleteMessage { channel_id, message_id } => {
            steps.push(Step::Lookup(Lookup::DeleteMessage { channel_id, message_id }));
        }
        Write::PutMessageEdit(edit) => message_edits::put(steps, &edit)?,
        Write::PutAttachment(attachment) => attachments::put(steps, &attachment)?,
        Write::DeleteAttachment(attachment) => attachments::delete(steps, &attachment, outbox::now())?,
        Write::PutEmoji(emoji) => emojis::put(steps, &emoji)?,
        Write::DeleteEmoji { guild_id, emoji_id } => emojis::delete(steps, guild_id, emoji_id),
        Write::PutStageInstance(stage) => stage_instances::put(steps, &stage)?,
        Write::DeleteStageInstance { guild_id, channel_id } => stage_instances::delete(steps, guild_id, channel_id),
        Write::PutWebhook(webhook) => webhooks::put(steps, &webhook)?,
        Write::DeleteWebhook { guild_id, webhook_id } => webhooks::delete(steps, guild_id, webhook_id),
        Write::PutAuditLogEntry(entry) => audit_log::put(steps, &entry)?,
        Write::PutReaction(reaction) => reactions::put(steps, &reaction)?,
        Write::DeleteReaction(reaction) => reactions::delete(steps, &reaction)?,
        Write::PutReactionCount(count) => reaction_counts::put(steps, &count)?,
        Write::DeleteReactionCount { channel_id, message_id, emoji } => {
            reaction_counts::delete(steps, channel_id, message_id, &emoji)?;
        }
        Write::ClearReactions { channel_id, message_id, emoji } => {
            let (reactions, counts) = match &emoji {
                Some(emoji) => (
                    reactions::emoji_prefix(channel_id, message_id, emoji)?,
                    reaction_counts::key(channel_id, message_id, emoji)?,
                ),
                None => (
                    reactions::message_prefix(channel_id, message_id),
                    reaction_counts::message_prefix(channel_id, message_id),
                ),
            };
            steps.push(Step::Lookup(Lookup::ClearReactions { reactions, counts }));
        }
        Write::PutPin { channel_id, message_id, pinned_at } => pins::put(steps, channel_id, message_id, pinned_at),
        Write::DeletePin { channel_id, message_id } => pins::delete(steps, channel_id, message_id),
        Write::PutDm(dm) => dms::put(steps, &dm)?,
        Write::PutDmListing { user_id, channel_id } => dms_by_user::put(steps, user_id, channel_id),
        Write::DeleteDmListing { user_id, channel_id } => dms_by_user::delete(steps, user_id, channel_id),
        Write::PutReadState(state) => read_states::put(steps, &state)?,
        Write::PutSettings(set) => settings::put(steps, &set)?,
        Write::DeleteSettings(user_id) => {
            steps.push(Step::Lookup(Lookup::DeletePrefix(Table::Settings, settings::prefix(user_id))));
        }
        Write::PutRelationship(relationship) => relationships::put(steps, &relationship)?,
        Write::DeleteRelationship { user_id, other_id } => relationships::delete(steps, user_id, other_id),
        Write::PutOperation(operation) => operations::put(steps, &operation)?,
        Write::PutOutbox(row) => outbox::put(steps, &row)?,
        Write::DeleteOutbox { queue, place } => outbox::delete(steps, queue, place),
        Write::EraseUser { user_id, through } => steps.push(Step::Lookup(Lookup::EraseUser { user_id, through })),
        Write::PutRetention(retention) => retentions::put(steps, &retention)?,
        Write::DeleteRetention(guild_id) => retentions::delete(steps, guild_id),
        Write::PutImport(import) => imports::put(steps, &import)?,
        Write::DeleteImport => imports::delete(steps),
        Write::DeleteUnique { key, owner } => {
            steps.push(Step::Lookup(Lookup::Release { key: unique_keys::key(&key)?, owner }));
        }
    }
    Ok(())
}

/// Lowers a write that depends on stored rows.
///
/// What may be large, the contents of channels and guilds, is not removed here but noted for the background; readers
/// do not see it from now on.
pub(crate) fn look_up(lookup: &Lookup, view: &impl View) -> Result<Vec<Change>, StoreError> {
    let mut changes = Vec::new();
    match lookup {
        Lookup::DeleteGuild(id) => delete_guild(view, *id, &mut changes)?,
        Lookup::DeleteChannel { guild_id: Some(guild_id), channel_id } => {
            delete_guild_channel(view, *guild_id, *channel_id, &mut changes)?;
        }
        Lookup::DeleteChannel { guild_id: None, channel_id } => delete_dm(view, *channel_id, &mut changes)?,
        Lookup::DeleteMessage { channel_id, message_id } => {
            delete_message(view, *channel_id, *message_id, &mut changes)?;
        }
        Lookup::EraseUser { user_id, through } => {
            // A late retry of an earlier erasure must not shorten one that goes further.
            let pending = purges::through(view, Purge::User(*user_id))?;
            purges::put_user(&mut changes, *user_id, pending.map_or(*through, |pending| pending.max(*through)));
        }
        Lookup::Release { key, owner } => release(view, key.clone(), *owner, &mut changes)?,
        Lookup::ClearReactions { reactions, counts } => {
            for (table, prefix) in [(Table::Reactions, reactions), (Table::ReactionCounts, counts)] {
                delete_prefix(view, table, prefix, &mut changes)?;
            }
        }
        Lookup::DeletePrefix(table, prefix) => delete_prefix(view, *table, prefix, &mut changes)?,
    }
    Ok(changes)
}

fn delete_prefix(
    view: &impl View,
    table: Table,
    prefix: &crate::key::Key,
    changes: &mut Vec<Change>,
) -> Result<(), StoreError> {
    for (key, _) in view.scan(table, prefix, usize::MAX)? {
        let parts = Parts::of(&key, table).ok_or_else(|| row::corrupt(table, &key, "key of another table"))?;
        changes.delete(table, crate::key::Key::of(table).tail(parts.tail()));
    }
    Ok(())
}

fn delete_guild(view: &impl View, id: GuildId, changes: &mut Vec<Change>) -> Result<(), StoreError> {
    guilds::delete(changes, id);
    retentions::delete(changes, id);
    for channel_id in channels_by_guild::ids_of(view, id)? {
        channels_by_guild::delete(changes, id, channel_id);
        purges::put(changes, Purge::Channel(channel_id));
    }
    purges::put(changes, Purge::Guild(id));
    Ok(())
}

fn delete_guild_channel(
    view: &impl View,
    guild_id: GuildId,
    channel_id: ChannelId,
    changes: &mut Vec<Change>,
) -> Result<(), StoreError> {
    channels_by_guild::delete(changes, guild_id, channel_id);
    stage_instances::delete(changes, guild_id, channel_id);
    // A damaged one leads nowhere without its channel.
    for invite in invites_by_guild::of(view, guild_id, &mut Vec::new())? {
        if invite.channel_id == channel_id {
            invites::delete(changes, guild_id, &invite.code)?;
            release_invite_code(view, guild_id, invite.code, changes)?;
        }
    }
    for (webhook_id, of) in webhooks_by_guild::ids_of(view, guild_id)? {
        if of == channel_id {
            webhooks::delete(changes, guild_id, webhook_id);
        }
    }
    purges::put(changes, Purge::Channel(channel_id));
    Ok(())
}

/// Gives a key free if it is held by whom it is taken from.
fn release(view: &impl View, key: crate::key::Key, owner: u64, changes: &mut Vec<Change>) -> Result<(), StoreError> {
    if unique_keys::get(view, &key)? == Some(owner) {
        changes.delete(Table::UniqueKeys, key);
    }
    Ok(())
}

/// Gives a code free that nobody else can give free any more.
pub(crate) fn release_invite_code(
    view: &impl View,
    guild_id: GuildId,
    code: String,
    changes: &mut Vec<Change>,
) -> Result<(), StoreError> {
    release(view, unique_keys::key(&UniqueKey::InviteCode(code))?, guild_id.get(), changes)
}

fn delete_dm(view: &impl View, id: ChannelId, changes: &mut Vec<Change>) -> Result<(), StoreError> {
    if let Some(dm) = dms::get(view, id)? {
        for user_id in &dm.user_ids {
            dms_by_user::delete(changes, *user_id, id);
        }
        if let (ChannelType::Dm, [one, other]) = (dm.channel.kind, &dm.user_ids[..]) {
            release(view, unique_keys::key(&UniqueKey::DmPair(*one, *other))?, id.get(), changes)?;
        }
    }
    dms::delete(changes, id);
    purges::put(changes, Purge::Channel(id));
    Ok(())
}

fn delete_message(
    view: &impl View,
    channel_id: ChannelId,
    id: MessageId,
    changes: &mut Vec<Change>,
) -> Result<(), StoreError> {
    match messages::get(view, channel_id, id) {
        Ok(Some(message)) => messages_by_author::delete(changes, message.author_id, id, channel_id),
        Ok(None) => {}
        // A damaged row can be deleted like any other; only its index row stays.
        Err(StoreError::Corrupt { .. }) => {}
        Err(error) => return Err(error),
    }
    changes.delete(Table::Messages, messages::key(channel_id, id));
    pins::delete(changes, channel_id, id);
    attachments::delete_of_message(view, channel_id, id, changes)?;
    delete_prefix(view, Table::MessageEdits, &message_edits::message_prefix(channel_id, id), changes)?;
    delete_prefix(view, Table::Reactions, &reactions::message_prefix(channel_id, id), changes)?;
    delete_prefix(view, Table::ReactionCounts, &reaction_counts::message_prefix(channel_id, id), changes)
}
