//! What the cores ask the store to write, in terms of the model.
//!
//! A batch of writes is one unit of acknowledgement: it is durable as a whole before anybody hears of it. The store
//! promises no isolation between rows of a batch, and the last write by timestamp wins.

use serde::{Deserialize, Serialize};

use crate::channel::Channel;
use crate::guild::{BanRow, GuildProperties};
use crate::invite::InviteRow;
use crate::member::MemberRow;
use crate::message::{MessageRow, ReactionEmoji};
use crate::role::Role;
use crate::user::{Account, Application};
use crate::{ApplicationId, ChannelId, GuildId, MessageId, RoleId, Timestamp, UserId};

/// A key under which only one row may ever be written at a time.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum UniqueKey {
    /// Lower-cased e-mail address → user.
    Email(String),
    /// Lower-cased username → user.
    Username(String),
    /// Invite code → guild.
    InviteCode(String),
    /// The DM between two users, lower id first → channel.
    DmPair(UserId, UserId),
}

/// How far a user has read a channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadState {
    pub user_id: UserId,
    pub channel_id: ChannelId,
    pub last_message_id: Option<MessageId>,
    pub mention_count: u32,
    #[serde(default)]
    pub last_pin_timestamp: Option<Timestamp>,
}

/// A DM or group DM: its channel and who is in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DmRow {
    /// `recipients` is left empty here; see `user_ids`.
    pub channel: Channel,
    /// Everybody in it, the opener included.
    pub user_ids: Vec<UserId>,
}

/// How often an emoji stands on a message; the order of emojis is that of `first_at`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReactionCountRow {
    pub channel_id: ChannelId,
    pub message_id: MessageId,
    pub emoji: ReactionEmoji,
    pub count: u32,
    pub first_at: Timestamp,
}

/// One user's reaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReactionRow {
    pub channel_id: ChannelId,
    pub message_id: MessageId,
    pub emoji: ReactionEmoji,
    pub user_id: UserId,
}

/// The outcome of a mutation under its operation id, so that a retry gets the same answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationRow {
    /// Time-ordered (UUID version 7), so that old ones are purged by range.
    #[serde(with = "serde_bytes")]
    pub id: Vec<u8>,
    /// Who asked; another user's retry with the same id is not answered from it.
    pub user_id: Option<UserId>,
    /// The encoded reply.
    #[serde(with = "serde_bytes")]
    pub reply: Vec<u8>,
}

/// How long a guild keeps messages; pinned ones are kept for as long as they are pinned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetentionRow {
    pub guild_id: GuildId,
    /// Messages older than this many days are removed.
    pub max_age_days: u32,
}

/// An import that a store has begun and not finished: it holds a part of an archive, and is not served until it holds all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportRow {
    /// Which archive.
    pub archive_id: String,
    /// Segments whose rows are all durable here, in the archive's order.
    pub segments_done: u32,
}

/// One write. Puts replace the whole row; deletes of what is not there are no error.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Write {
    PutAccount(Account),
    PutApplication(Application),
    DeleteApplication {
        application_id: ApplicationId,
        owner_id: UserId,
    },
    PutGuild(GuildProperties),
    /// The guild and all that belongs to it: channels, messages, roles, members, invites, bans.
    DeleteGuild(GuildId),
    PutChannel(Channel),
    /// The channel, its messages, pins, reactions and invites.
    DeleteChannel {
        guild_id: Option<GuildId>,
        channel_id: ChannelId,
    },
    PutRole {
        guild_id: GuildId,
        role: Role,
    },
    DeleteRole {
        guild_id: GuildId,
        role_id: RoleId,
    },
    PutMember(MemberRow),
    DeleteMember {
        guild_id: GuildId,
        user_id: UserId,
    },
    PutBan(BanRow),
    DeleteBan {
        guild_id: GuildId,
        user_id: UserId,
    },
    PutInvite(InviteRow),
    DeleteInvite {
        guild_id: GuildId,
        code: String,
    },
    PutMessage(MessageRow),
    DeleteMessage {
        channel_id: ChannelId,
        message_id: MessageId,
    },
    PutReaction(ReactionRow),
    DeleteReaction(ReactionRow),
    PutReactionCount(ReactionCountRow),
    DeleteReactionCount {
        channel_id: ChannelId,
        message_id: MessageId,
        emoji: ReactionEmoji,
    },
    /// All reactions of a message, or all of one emoji: rows and counts.
    ClearReactions {
        channel_id: ChannelId,
        message_id: MessageId,
        emoji: Option<ReactionEmoji>,
    },
    PutPin {
        channel_id: ChannelId,
        message_id: MessageId,
        pinned_at: Timestamp,
    },
    DeletePin {
        channel_id: ChannelId,
        message_id: MessageId,
    },
    PutDm(DmRow),
    /// Whether a DM stands in a user's list.
    PutDmListing {
        user_id: UserId,
        channel_id: ChannelId,
    },
    DeleteDmListing {
        user_id: UserId,
        channel_id: ChannelId,
    },
    PutReadState(ReadState),
    PutOperation(OperationRow),
    /// All that a user wrote, everywhere, up to a message id: messages with their reactions and pins.
    EraseUser {
        user_id: UserId,
        through: MessageId,
    },
    PutRetention(RetentionRow),
    /// The guild keeps messages for ever again.
    DeleteRetention(GuildId),
    PutImport(ImportRow),
    DeleteImport,
    /// Gives a key free if `owner` holds it. Whoever else holds it by then keeps it, which is no error.
    DeleteUnique {
        key: UniqueKey,
        owner: u64,
    },
}
