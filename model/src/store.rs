//! What the cores ask the store to write, in terms of the model.
//!
//! A batch of writes is one unit of acknowledgement: it is durable as a whole before anybody hears of it. The store
//! promises no isolation between rows of a batch, and the last write by timestamp wins.

use serde::{Deserialize, Serialize};

use crate::audit_log::AuditLogRow;
use crate::channel::Channel;
use crate::embed::Embed;
use crate::guild::{BanRow, GuildProperties};
use crate::invite::InviteRow;
use crate::member::MemberRow;
use crate::message::{Attachment, Emoji, MessageRow, ReactionEmoji};
use crate::outbox::{OutboxPlace, OutboxQueue, OutboxRow};
use crate::relationship::RelationshipRow;
use crate::role::Role;
use crate::stage_instance::StageInstance;
use crate::user::{Account, Application};
use crate::webhook::WebhookRow;
use crate::{
    ApplicationId, AttachmentId, ChannelId, EmojiId, GuildId, MessageId, RoleId, Timestamp, UserId, WebhookId,
};

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
    /// The message of the call that goes on in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call_message_id: Option<MessageId>,
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

/// What a message held until it was edited.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MessageEditRow {
    pub channel_id: ChannelId,
    pub message_id: MessageId,
    /// When it was replaced by what came next.
    pub edited_at: Timestamp,
    /// Of the message: former contents are erased with it.
    pub author_id: UserId,
    pub content: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attachment>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub embeds: Vec<Embed>,
}

/// A file of a message, and where its bytes are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachmentRow {
    pub channel_id: ChannelId,
    pub message_id: MessageId,
    pub id: AttachmentId,
    /// Of the message.
    pub author_id: UserId,
    pub filename: String,
    #[serde(default)]
    pub content_type: Option<String>,
    pub size_bytes: u64,
    /// Its name in the object store.
    pub object_key: String,
}

/// A custom emoji of a guild.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EmojiRow {
    pub guild_id: GuildId,
    /// Who made it.
    #[serde(default)]
    pub user_id: Option<UserId>,
    pub emoji: Emoji,
}

/// One of a user's sets of settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingsRow {
    pub user_id: UserId,
    /// The API's number of the set.
    pub kind: u8,
    /// As the client encoded it.
    #[serde(with = "serde_bytes")]
    pub body: Vec<u8>,
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
    /// The guild and all that belongs to it: channels, messages, roles, members, invites, bans, emojis, webhooks, audit
    /// log.
    DeleteGuild(GuildId),
    PutChannel(Channel),
    /// The channel, its messages with all that hangs on them, pins, invites and webhooks.
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
    PutEmoji(EmojiRow),
    DeleteEmoji {
        guild_id: GuildId,
        emoji_id: EmojiId,
    },
    /// A stage goes live, or has another topic; it goes with its channel.
    PutStageInstance(StageInstance),
    DeleteStageInstance {
        guild_id: GuildId,
        channel_id: ChannelId,
    },
    PutWebhook(WebhookRow),
    DeleteWebhook {
        guild_id: GuildId,
        webhook_id: WebhookId,
    },
    /// Entries are not changed, and go with their guild.
    PutAuditLogEntry(AuditLogRow),
    PutMessage(MessageRow),
    /// The message with all that hangs on it: former contents, files, reactions, pin.
    DeleteMessage {
        channel_id: ChannelId,
        message_id: MessageId,
    },
    /// Former contents; they go with their message.
    PutMessageEdit(MessageEditRow),
    PutAttachment(AttachmentRow),
    /// The row as it was put: its object is queued for removal in the outbox, as it is when the message goes.
    DeleteAttachment(AttachmentRow),
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
    PutSettings(SettingsRow),
    /// All settings of a user.
    DeleteSettings(UserId),
    PutRelationship(RelationshipRow),
    DeleteRelationship {
        user_id: UserId,
        other_id: UserId,
    },
    PutOperation(OperationRow),
    PutOutbox(OutboxRow),
    /// The work is done.
    DeleteOutbox {
        queue: OutboxQueue,
        place: OutboxPlace,
    },
    /// All that a user wrote, everywhere, up to a message id: messages with their former contents, files, reactions and
    /// pins.
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
