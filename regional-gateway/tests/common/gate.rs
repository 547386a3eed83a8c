//! A store whose commits a test holds back or fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rookery_core_db::dump::{DumpCursor, DumpPage, Section};
use rookery_core_db::engine::Answer;
use rookery_core_db::{
    Commit, Engine, MessagePage, MessageRange, OwnReaction, PinRow, StoreError, StoreHealth, StoreStats, UniqueKey,
    Write,
};
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
    SettingsRow,
};
use rookery_model::user::{Account, Application};
use rookery_model::webhook::WebhookRow;
use rookery_model::{ApplicationId, AuditLogEntryId, ChannelId, GuildId, MessageId, UserId, WebhookId};
use tokio::sync::watch;

pub struct Gate {
    inner: Arc<dyn Engine>,
    held: watch::Sender<bool>,
    /// Batches are lost: never written, and the commit says that nobody knows.
    losing: AtomicBool,
    refusing: AtomicBool,
    /// Guilds cannot be read.
    blind: AtomicBool,
    /// How many of the next batches are lost, besides.
    losing_next: AtomicUsize,
    holding_newest: watch::Sender<bool>,
    /// Looks at a channel's newest message that have seen it and are held back.
    newest_held: watch::Sender<usize>,
}

impl Gate {
    pub fn new(inner: Arc<dyn Engine>) -> Self {
        Self {
            inner,
            held: watch::Sender::new(false),
            losing: AtomicBool::new(false),
            refusing: AtomicBool::new(false),
            blind: AtomicBool::new(false),
            losing_next: AtomicUsize::new(0),
            holding_newest: watch::Sender::new(false),
            newest_held: watch::Sender::new(0),
        }
    }
    /// The next batches are lost, those after them are not.
    pub fn lose_next(&self, batches: usize) {
        self.losing_next.store(batches, Ordering::SeqCst);
    }
    /// From now on looks at a channel's newest message see it and tell it later.
    pub fn hold_newest(&self, holding: bool) {
        self.holding_newest.send_replace(holding);
    }
    /// Waits until such a look is held back.
    pub async fn newest_is_held(&self) {
        self.newest_held.subscribe().wait_for(|held| *held > 0).await.unwrap();
    }
    /// From now on commits resolve only after [`Self::open`].
    pub fn hold(&self) {
        self.held.send_replace(true);
    }
    pub fn open(&self) {
        self.held.send_replace(false);
    }
    pub fn lose(&self, losing: bool) {
        self.losing.store(losing, Ordering::SeqCst);
    }
    /// As when the database is away.
    pub fn blind(&self, blind: bool) {
        self.blind.store(blind, Ordering::SeqCst);
    }
    /// As when the disk is full.
    pub fn refuse(&self, refusing: bool) {
        self.refusing.store(refusing, Ordering::SeqCst);
    }
}

impl Engine for Gate {
    fn submit(&self, batch: Vec<Write>) -> Result<Commit, StoreError> {
        if self.refusing.load(Ordering::SeqCst) {
            return Ok(Commit::from_future(async { Err(StoreError::Unwritable("no room".into())) }));
        }
        let lost = |left: usize| left.checked_sub(1);
        let is_lost = self.losing.load(Ordering::SeqCst)
            || self.losing_next.fetch_update(Ordering::SeqCst, Ordering::SeqCst, lost).is_ok();
        let commit = if is_lost { None } else { Some(self.inner.submit(batch)?) };
        let mut held = self.held.subscribe();
        Ok(Commit::from_future(async move {
            held.wait_for(|held| !held).await.ok();
            match commit {
                Some(commit) => commit.await,
                None => Err(StoreError::Unknown("lost".into())),
            }
        }))
    }
    fn claim(&self, key: UniqueKey, value: u64) -> Answer<'_, Result<(), u64>> {
        self.inner.claim(key, value)
    }
    fn raise_id_ceiling(&self, ceiling_ms: u64) -> Answer<'_, ()> {
        self.inner.raise_id_ceiling(ceiling_ms)
    }
    fn health(&self) -> StoreHealth {
        if self.refusing.load(Ordering::SeqCst) {
            return StoreHealth::unwritable("no room");
        }
        self.inner.health()
    }
    fn stats(&self) -> StoreStats {
        self.inner.stats()
    }
    fn close(&self) -> Answer<'_, ()> {
        self.inner.close()
    }
    fn unique<'a>(&'a self, key: &'a UniqueKey) -> Answer<'a, Option<u64>> {
        self.inner.unique(key)
    }
    fn id_ceiling(&self) -> Answer<'_, u64> {
        self.inner.id_ceiling()
    }
    fn operation<'a>(&'a self, id: &'a [u8]) -> Answer<'a, Option<OperationRow>> {
        self.inner.operation(id)
    }
    fn accounts<'a>(&'a self, ids: &'a [UserId]) -> Answer<'a, Vec<Account>> {
        self.inner.accounts(ids)
    }
    fn application(&self, id: ApplicationId) -> Answer<'_, Option<Application>> {
        self.inner.application(id)
    }
    fn applications_of(&self, owner: UserId) -> Answer<'_, Vec<Application>> {
        self.inner.applications_of(owner)
    }
    fn guild(&self, id: GuildId) -> Answer<'_, Option<GuildProperties>> {
        if self.blind.load(Ordering::SeqCst) {
            return Box::pin(async { Err(StoreError::Unavailable("away".into())) });
        }
        self.inner.guild(id)
    }
    fn guild_channels(&self, id: GuildId) -> Answer<'_, Vec<Channel>> {
        self.inner.guild_channels(id)
    }
    fn guild_roles(&self, id: GuildId) -> Answer<'_, Vec<Role>> {
        self.inner.guild_roles(id)
    }
    fn guild_members_page(&self, id: GuildId, after: Option<UserId>, limit: usize) -> Answer<'_, Vec<MemberRow>> {
        self.inner.guild_members_page(id, after, limit)
    }
    fn member(&self, guild_id: GuildId, user_id: UserId) -> Answer<'_, Option<MemberRow>> {
        self.inner.member(guild_id, user_id)
    }
    fn guilds_of_user(&self, user_id: UserId) -> Answer<'_, Vec<GuildId>> {
        self.inner.guilds_of_user(user_id)
    }
    fn ban(&self, guild_id: GuildId, user_id: UserId) -> Answer<'_, Option<BanRow>> {
        self.inner.ban(guild_id, user_id)
    }
    fn bans_page(&self, guild_id: GuildId, after: Option<UserId>, limit: usize) -> Answer<'_, Vec<BanRow>> {
        self.inner.bans_page(guild_id, after, limit)
    }
    fn invite<'a>(&'a self, code: &'a str) -> Answer<'a, Option<InviteRow>> {
        self.inner.invite(code)
    }
    fn guild_invites(&self, guild_id: GuildId) -> Answer<'_, Vec<InviteRow>> {
        self.inner.guild_invites(guild_id)
    }
    fn channel(&self, id: ChannelId) -> Answer<'_, Option<Channel>> {
        self.inner.channel(id)
    }
    fn dm(&self, id: ChannelId) -> Answer<'_, Option<DmRow>> {
        self.inner.dm(id)
    }
    fn dms_of_user(&self, user_id: UserId) -> Answer<'_, Vec<ChannelId>> {
        self.inner.dms_of_user(user_id)
    }
    fn read_states(&self, user_id: UserId) -> Answer<'_, Vec<ReadState>> {
        self.inner.read_states(user_id)
    }
    fn read_state(&self, user_id: UserId, channel_id: ChannelId) -> Answer<'_, Option<ReadState>> {
        self.inner.read_state(user_id, channel_id)
    }
    fn message(&self, channel_id: ChannelId, id: MessageId) -> Answer<'_, Option<MessageRow>> {
        self.inner.message(channel_id, id)
    }
    fn messages(&self, channel_id: ChannelId, range: MessageRange, limit: usize) -> Answer<'_, MessagePage> {
        self.inner.messages(channel_id, range, limit)
    }
    fn last_message_id(&self, channel_id: ChannelId) -> Answer<'_, Option<MessageId>> {
        Box::pin(async move {
            let newest = self.inner.last_message_id(channel_id).await;
            let mut held = self.holding_newest.subscribe();
            if *held.borrow() {
                self.newest_held.send_modify(|held| *held += 1);
                held.wait_for(|held| !held).await.ok();
            }
            newest
        })
    }
    fn messages_of_author(
        &self,
        author_id: UserId,
        before: Option<MessageId>,
        limit: usize,
    ) -> Answer<'_, Vec<(ChannelId, MessageId)>> {
        self.inner.messages_of_author(author_id, before, limit)
    }
    fn reaction_counts<'a>(
        &'a self,
        channel_id: ChannelId,
        message_ids: &'a [MessageId],
    ) -> Answer<'a, Vec<ReactionCountRow>> {
        self.inner.reaction_counts(channel_id, message_ids)
    }
    fn own_reactions<'a>(
        &'a self,
        channel_id: ChannelId,
        message_ids: &'a [MessageId],
        user_id: UserId,
    ) -> Answer<'a, Vec<OwnReaction>> {
        self.inner.own_reactions(channel_id, message_ids, user_id)
    }
    fn reactions_of<'a>(
        &'a self,
        channel_id: ChannelId,
        message_id: MessageId,
        emoji: &'a ReactionEmoji,
        after: Option<UserId>,
        limit: usize,
    ) -> Answer<'a, Vec<UserId>> {
        self.inner.reactions_of(channel_id, message_id, emoji, after, limit)
    }
    fn pins(&self, channel_id: ChannelId) -> Answer<'_, Vec<PinRow>> {
        self.inner.pins(channel_id)
    }
    fn retention(&self, guild_id: GuildId) -> Answer<'_, Option<RetentionRow>> {
        self.inner.retention(guild_id)
    }
    fn message_edits(
        &self,
        channel_id: ChannelId,
        message_id: MessageId,
        limit: usize,
    ) -> Answer<'_, Vec<MessageEditRow>> {
        self.inner.message_edits(channel_id, message_id, limit)
    }
    fn attachments(&self, channel_id: ChannelId, message_id: MessageId) -> Answer<'_, Vec<AttachmentRow>> {
        self.inner.attachments(channel_id, message_id)
    }
    fn guild_emojis(&self, guild_id: GuildId) -> Answer<'_, Vec<EmojiRow>> {
        self.inner.guild_emojis(guild_id)
    }
    fn guild_stage_instances(&self, guild_id: GuildId) -> Answer<'_, Vec<StageInstance>> {
        self.inner.guild_stage_instances(guild_id)
    }
    fn webhook(&self, id: WebhookId) -> Answer<'_, Option<WebhookRow>> {
        self.inner.webhook(id)
    }
    fn guild_webhooks(&self, guild_id: GuildId) -> Answer<'_, Vec<WebhookRow>> {
        self.inner.guild_webhooks(guild_id)
    }
    fn audit_log(
        &self,
        guild_id: GuildId,
        before: Option<AuditLogEntryId>,
        limit: usize,
    ) -> Answer<'_, Vec<AuditLogRow>> {
        self.inner.audit_log(guild_id, before, limit)
    }
    fn settings(&self, user_id: UserId, kind: u8) -> Answer<'_, Option<SettingsRow>> {
        self.inner.settings(user_id, kind)
    }
    fn relationships(&self, user_id: UserId) -> Answer<'_, Vec<RelationshipRow>> {
        self.inner.relationships(user_id)
    }
    fn outbox(&self, queue: OutboxQueue, after: Option<OutboxPlace>, limit: usize) -> Answer<'_, Vec<OutboxRow>> {
        self.inner.outbox(queue, after, limit)
    }
    fn swap_lease(&self, swap: LeaseSwap) -> Answer<'_, bool> {
        self.inner.swap_lease(swap)
    }
    fn worker_lease(&self, worker_id: u16) -> Answer<'_, Option<WorkerLease>> {
        self.inner.worker_lease(worker_id)
    }
    fn worker_leases(&self) -> Answer<'_, Vec<WorkerLease>> {
        self.inner.worker_leases()
    }
    fn virtual_shard_lease<'a>(&'a self, region: &'a str, virtual_shard: u16) -> Answer<'a, Option<VirtualShardLease>> {
        self.inner.virtual_shard_lease(region, virtual_shard)
    }
    fn virtual_shard_leases<'a>(&'a self, region: &'a str) -> Answer<'a, Vec<VirtualShardLease>> {
        self.inner.virtual_shard_leases(region)
    }
    fn import_under_way(&self) -> Answer<'_, Option<ImportRow>> {
        self.inner.import_under_way()
    }
    fn dump(&self, section: Section, after: Option<DumpCursor>, limit: usize) -> Answer<'_, DumpPage> {
        self.inner.dump(section, after, limit)
    }
    fn dump_estimate(&self) -> Answer<'_, u64> {
        self.inner.dump_estimate()
    }
}
