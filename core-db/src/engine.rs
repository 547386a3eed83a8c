//! What an engine must do; see [`Store`](crate::Store) for the meaning of each call.
//!
//! The trait promises only what CQL gives: the last write by order of submission wins, a claim is a compare-and-set,
//! and a reader may see some rows of a batch before others. No caller may rely on more.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use rookery_model::audit_log::AuditLogRow;
use rookery_model::channel::Channel;
use rookery_model::guild::{BanRow, GuildProperties};
use rookery_model::invite::InviteRow;
use rookery_model::lease::{LeaseSwap, VirtualShardLease, WorkerLease};
use rookery_model::member::MemberRow;
use rookery_model::message::{MessageRow, ReactionEmoji};
use rookery_model::outbox::{OutboxPlace, OutboxQueue, OutboxRow};
use rookery_model::relationship::RelationshipRow;
use rookery_model::role::Role;
use rookery_model::stage_instance::StageInstance;
use rookery_model::store::{
    AttachmentRow, DmRow, EmojiRow, ImportRow, MessageEditRow, OperationRow, ReactionCountRow, ReadState, RetentionRow,
    SettingsRow, UniqueKey, Write,
};
use rookery_model::user::{Account, Application};
use rookery_model::webhook::WebhookRow;
use rookery_model::{ApplicationId, AuditLogEntryId, ChannelId, GuildId, MessageId, Timestamp, UserId, WebhookId};
use tokio::sync::oneshot;

use crate::dump::{DamagedRow, DumpCursor, DumpPage, Section};
use crate::{MessagePage, StoreError, StoreHealth, StoreStats};

/// The future of an engine's answer.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Which messages of a channel a page holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MessageRange {
    /// The newest.
    Latest,
    /// The newest of those with a lower id.
    Before(MessageId),
    /// The oldest of those with a higher id.
    After(MessageId),
}

/// A pin of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PinRow {
    pub message_id: MessageId,
    pub pinned_at: Timestamp,
}

/// What a node has used so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LeaseRow {
    pub node_id: u64,
    /// No id of its was issued above this moment, Unix milliseconds.
    pub id_ceiling_ms: u64,
    /// No write of its has a higher timestamp, Unix microseconds; 0 of the node that asks, and where there are none.
    pub write_timestamp_ceiling_us: i64,
}

/// One user's own emoji on a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnReaction {
    pub message_id: MessageId,
    pub emoji: ReactionEmoji,
}

/// Resolves when a batch is durable, or failed; dropping it does not take the batch back.
#[must_use = "a batch is acknowledged only when its commit resolved"]
pub struct Commit {
    outcome: Outcome,
}

enum Outcome {
    Waiting(oneshot::Receiver<Result<(), StoreError>>),
    Boxed(Answer<'static, ()>),
}

impl Commit {
    /// A commit that an engine's worker resolves.
    pub fn new(outcome: oneshot::Receiver<Result<(), StoreError>>) -> Self {
        Self { outcome: Outcome::Waiting(outcome) }
    }
    /// A commit out of any future.
    pub fn from_future(outcome: impl Future<Output = Result<(), StoreError>> + Send + 'static) -> Self {
        Self { outcome: Outcome::Boxed(Box::pin(outcome)) }
    }
}

impl Future for Commit {
    type Output = Result<(), StoreError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.outcome {
            // A worker that went away without an answer may have written the batch.
            Outcome::Waiting(receiver) => Pin::new(receiver)
                .poll(cx)
                .map(|result| result.unwrap_or_else(|_| Err(StoreError::Unknown("the store stopped".into())))),
            Outcome::Boxed(future) => future.as_mut().poll(cx),
        }
    }
}

impl fmt::Debug for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Commit").finish_non_exhaustive()
    }
}

/// A storage engine.
pub trait Engine: Send + Sync + 'static {
    fn submit(&self, batch: Vec<Write>) -> Result<Commit, StoreError>;
    fn claim(&self, key: UniqueKey, value: u64) -> Answer<'_, Result<(), u64>>;
    fn raise_id_ceiling(&self, ceiling_ms: u64) -> Answer<'_, ()>;
    fn health(&self) -> StoreHealth;
    fn stats(&self) -> StoreStats;
    fn close(&self) -> Answer<'_, ()>;
    /// Serves no page that was read before; an engine that keeps none has nothing to do.
    fn forget_pages(&self) {}
    /// Reads what a majority of all replicas has, for a while; an engine with one of each has nothing to do.
    fn read_widely(&self) {}
    /// Write timestamps lie above this from now on; an engine whose writes are ordered otherwise has nothing to do.
    fn raise_write_timestamps(&self, _floor_us: i64) {}
    /// The highest write timestamp that was used, Unix microseconds; 0 where writes are ordered otherwise.
    fn last_write_timestamp_us(&self) -> i64 {
        0
    }
    /// How often messages went in the background, by no batch that names their channels: raised after readers see it.
    fn background_removals(&self) -> u64 {
        0
    }

    fn unique<'a>(&'a self, key: &'a UniqueKey) -> Answer<'a, Option<u64>>;
    fn id_ceiling(&self) -> Answer<'_, u64>;
    fn operation<'a>(&'a self, id: &'a [u8]) -> Answer<'a, Option<OperationRow>>;

    fn accounts<'a>(&'a self, ids: &'a [UserId]) -> Answer<'a, Vec<Account>>;
    fn application(&self, id: ApplicationId) -> Answer<'_, Option<Application>>;
    fn applications_of(&self, owner: UserId) -> Answer<'_, Vec<Application>>;

    fn guild(&self, id: GuildId) -> Answer<'_, Option<GuildProperties>>;
    fn guild_channels(&self, id: GuildId) -> Answer<'_, Vec<Channel>>;
    fn guild_roles(&self, id: GuildId) -> Answer<'_, Vec<Role>>;
    fn guild_members_page(&self, id: GuildId, after: Option<UserId>, limit: usize) -> Answer<'_, Vec<MemberRow>>;
    fn member(&self, guild_id: GuildId, user_id: UserId) -> Answer<'_, Option<MemberRow>>;
    fn guilds_of_user(&self, user_id: UserId) -> Answer<'_, Vec<GuildId>>;
    fn ban(&self, guild_id: GuildId, user_id: UserId) -> Answer<'_, Option<BanRow>>;
    fn bans_page(&self, guild_id: GuildId, after: Option<UserId>, limit: usize) -> Answer<'_, Vec<BanRow>>;
    fn invite<'a>(&'a self, code: &'a str) -> Answer<'a, Option<InviteRow>>;
    fn guild_invites(&self, guild_id: GuildId) -> Answer<'_, Vec<InviteRow>>;

    fn channel(&self, id: ChannelId) -> Answer<'_, Option<Channel>>;
    fn dm(&self, id: ChannelId) -> Answer<'_, Option<DmRow>>;
    fn dms_of_user(&self, user_id: UserId) -> Answer<'_, Vec<ChannelId>>;
    fn read_states(&self, user_id: UserId) -> Answer<'_, Vec<ReadState>>;
    fn read_state(&self, user_id: UserId, channel_id: ChannelId) -> Answer<'_, Option<ReadState>>;

    fn message(&self, channel_id: ChannelId, id: MessageId) -> Answer<'_, Option<MessageRow>>;
    fn messages(&self, channel_id: ChannelId, range: MessageRange, limit: usize) -> Answer<'_, MessagePage>;
    fn last_message_id(&self, channel_id: ChannelId) -> Answer<'_, Option<MessageId>>;
    fn messages_of_author(
        &self,
        author_id: UserId,
        before: Option<MessageId>,
        limit: usize,
    ) -> Answer<'_, Vec<(ChannelId, MessageId)>>;
    fn reaction_counts<'a>(
        &'a self,
        channel_id: ChannelId,
        message_ids: &'a [MessageId],
    ) -> Answer<'a, Vec<ReactionCountRow>>;
    fn own_reactions<'a>(
        &'a self,
        channel_id: ChannelId,
        message_ids: &'a [MessageId],
        user_id: UserId,
    ) -> Answer<'a, Vec<OwnReaction>>;
    fn reactions_of<'a>(
        &'a self,
        channel_id: ChannelId,
        message_id: MessageId,
        emoji: &'a ReactionEmoji,
        after: Option<UserId>,
        limit: usize,
    ) -> Answer<'a, Vec<UserId>>;
    fn pins(&self, channel_id: ChannelId) -> Answer<'_, Vec<PinRow>>;
    fn retention(&self, guild_id: GuildId) -> Answer<'_, Option<RetentionRow>>;

    fn message_edits(
        &self,
        channel_id: ChannelId,
        message_id: MessageId,
        limit: usize,
    ) -> Answer<'_, Vec<MessageEditRow>>;
    fn attachments(&self, channel_id: ChannelId, message_id: MessageId) -> Answer<'_, Vec<AttachmentRow>>;
    fn guild_emojis(&self, guild_id: GuildId) -> Answer<'_, Vec<EmojiRow>>;
    fn guild_stage_instances(&self, guild_id: GuildId) -> Answer<'_, Vec<StageInstance>>;
    fn webhook(&self, id: WebhookId) -> Answer<'_, Option<WebhookRow>>;
    fn guild_webhooks(&self, guild_id: GuildId) -> Answer<'_, Vec<WebhookRow>>;
    fn audit_log(
        &self,
        guild_id: GuildId,
        before: Option<AuditLogEntryId>,
        limit: usize,
    ) -> Answer<'_, Vec<AuditLogRow>>;
    fn settings(&self, user_id: UserId, kind: u8) -> Answer<'_, Option<SettingsRow>>;
    fn relationships(&self, user_id: UserId) -> Answer<'_, Vec<RelationshipRow>>;
    fn outbox(&self, queue: OutboxQueue, after: Option<OutboxPlace>, limit: usize) -> Answer<'_, Vec<OutboxRow>>;

    /// Puts a lease in the place of what stands there, if it is what is expected; says whether it did.
    fn swap_lease(&self, swap: LeaseSwap) -> Answer<'_, bool>;
    fn worker_lease(&self, worker_id: u16) -> Answer<'_, Option<WorkerLease>>;
    fn worker_leases(&self) -> Answer<'_, Vec<WorkerLease>>;
    fn virtual_shard_lease<'a>(&'a self, region: &'a str, virtual_shard: u16) -> Answer<'a, Option<VirtualShardLease>>;
    fn virtual_shard_leases<'a>(&'a self, region: &'a str) -> Answer<'a, Vec<VirtualShardLease>>;

    fn import_under_way(&self) -> Answer<'_, Option<ImportRow>>;
    fn dump(&self, section: Section, after: Option<DumpCursor>, limit: usize) -> Answer<'_, DumpPage>;
    fn dump_estimate(&self) -> Answer<'_, u64>;
    /// Damaged rows of tables that no section of a dump shows.
    fn damaged_beside(&self) -> Answer<'_, Vec<DamagedRow>> {
        Box::pin(async { Ok(Vec::new()) })
    }
    /// What each node has used; an engine that one process uses has one row.
    fn leases(&self) -> Answer<'_, Vec<LeaseRow>> {
        Box::pin(async { Ok(vec![LeaseRow { id_ceiling_ms: self.id_ceiling().await?, ..LeaseRow::default() }]) })
    }
    /// What tells a store from others of any engine.
    fn identity(&self) -> String {
        String::new()
    }
}
