//! The engine's interface: which reads are shared, which go through.

use std::sync::Arc;

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
use rookery_model::{ApplicationId, AuditLogEntryId, ChannelId, GuildId, MessageId, UserId, WebhookId};

use super::acknowledgement::{Acknowledgement, EpochEnd};
use super::epochs::Part;
use super::query::Query;
use super::{Call, CoalescingEngine};
use crate::dump::{DamagedRow, DumpCursor, DumpPage, Section};
use crate::engine::{Answer, Commit, Engine, LeaseRow, MessageRange, OwnReaction, PinRow};
use crate::{MessagePage, StoreError, StoreHealth, StoreStats};

/// A call of the engine with arguments of its own.
macro_rules! ask {
    ($name:ident($($arg:expr),*)) => {
        move |engine: Arc<dyn Engine>| -> Call<_> { Box::pin(async move { engine.$name($($arg),*).await }) }
    };
}

impl Engine for CoalescingEngine {
    fn submit(&self, batch: Vec<Write>) -> Result<Commit, StoreError> {
        let changed = self.epochs.changed_by(&batch);
        let commit = self.inner.submit(batch)?;
        if changed.is_empty() {
            return Ok(commit);
        }
        // After the engine took the batch: a call of the new epoch asks an engine that knows of it.
        self.epochs.raise(&changed);
        Ok(Commit::from_future(Acknowledgement::new(commit, EpochEnd::new(self.epochs.clone(), changed))))
    }

    fn claim(&self, key: UniqueKey, value: u64) -> Answer<'_, Result<(), u64>> {
        Box::pin(async move {
            // A caller that goes away leaves a claim behind that may succeed.
            let _end = EpochEnd::new(self.epochs.clone(), self.epochs.stripes([Part::Unique(&key)]));
            self.inner.claim(key, value).await
        })
    }

    fn raise_id_ceiling(&self, ceiling_ms: u64) -> Answer<'_, ()> {
        self.inner.raise_id_ceiling(ceiling_ms)
    }

    fn health(&self) -> StoreHealth {
        self.inner.health()
    }

    fn stats(&self) -> StoreStats {
        self.with_read_stats(self.inner.stats())
    }

    fn forget_pages(&self) {
        self.inner.forget_pages();
        self.begin_new_epoch_of_messages();
    }

    fn read_widely(&self) {
        self.inner.read_widely();
    }

    fn raise_write_timestamps(&self, floor_us: i64) {
        self.inner.raise_write_timestamps(floor_us);
    }

    fn last_write_timestamp_us(&self) -> i64 {
        self.inner.last_write_timestamp_us()
    }

    fn background_removals(&self) -> u64 {
        self.inner.background_removals()
    }

    fn close(&self) -> Answer<'_, ()> {
        Box::pin(async move {
            let closed = self.inner.close().await;
            // A closed store answers `Closed`, not what it remembers.
            self.begin_new_epoch_of_messages();
            closed
        })
    }

    fn unique<'a>(&'a self, key: &'a UniqueKey) -> Answer<'a, Option<u64>> {
        self.shared(Query::Unique(key.clone()), |engine| {
            let key = key.clone();
            Box::pin(async move { engine.unique(&key).await })
        })
    }

    fn id_ceiling(&self) -> Answer<'_, u64> {
        self.inner.id_ceiling()
    }

    // No two ask for one operation.
    fn operation<'a>(&'a self, id: &'a [u8]) -> Answer<'a, Option<OperationRow>> {
        self.inner.operation(id)
    }

    fn accounts<'a>(&'a self, ids: &'a [UserId]) -> Answer<'a, Vec<Account>> {
        self.shared(Query::Accounts(ids.to_vec()), |engine| {
            let ids = ids.to_vec();
            Box::pin(async move { engine.accounts(&ids).await })
        })
    }

    fn application(&self, id: ApplicationId) -> Answer<'_, Option<Application>> {
        self.shared(Query::Application(id), ask!(application(id)))
    }

    fn applications_of(&self, owner: UserId) -> Answer<'_, Vec<Application>> {
        self.shared(Query::ApplicationsOf(owner), ask!(applications_of(owner)))
    }

    fn guild(&self, id: GuildId) -> Answer<'_, Option<GuildProperties>> {
        self.shared(Query::Guild(id), ask!(guild(id)))
    }

    fn guild_channels(&self, id: GuildId) -> Answer<'_, Vec<Channel>> {
        self.shared(Query::GuildChannels(id), ask!(guild_channels(id)))
    }

    fn guild_roles(&self, id: GuildId) -> Answer<'_, Vec<Role>> {
        self.shared(Query::GuildRoles(id), ask!(guild_roles(id)))
    }

    fn guild_members_page(&self, id: GuildId, after: Option<UserId>, limit: usize) -> Answer<'_, Vec<MemberRow>> {
        self.shared(Query::GuildMembersPage(id, after, limit), ask!(guild_members_page(id, after, limit)))
    }

    fn member(&self, guild_id: GuildId, user_id: UserId) -> Answer<'_, Option<MemberRow>> {
        self.shared(Query::Member(guild_id, user_id), ask!(member(guild_id, user_id)))
    }

    fn guilds_of_user(&self, user_id: UserId) -> Answer<'_, Vec<GuildId>> {
        self.shared(Query::GuildsOfUser(user_id), ask!(guilds_of_user(user_id)))
    }

    fn ban(&self, guild_id: GuildId, user_id: UserId) -> Answer<'_, Option<BanRow>> {
        self.shared(Query::Ban(guild_id, user_id), ask!(ban(guild_id, user_id)))
    }

    fn bans_page(&self, guild_id: GuildId, after: Option<UserId>, limit: usize) -> Answer<'_, Vec<BanRow>> {
        self.shared(Query::BansPage(guild_id, after, limit), ask!(bans_page(guild_id, after, limit)))
    }

    fn invite<'a>(&'a self, code: &'a str) -> Answer<'a, Option<InviteRow>> {
        self.shared(Query::Invite(code.to_owned()), |engine| {
            let code = code.to_owned();
            Box::pin(async move { engine.invite(&code).await })
        })
    }

    fn guild_invites(&self, guild_id: GuildId) -> Answer<'_, Vec<InviteRow>> {
        self.shared(Query::GuildInvites(guild_id), ask!(guild_invites(guild_id)))
    }

    fn channel(&self, id: ChannelId) -> Answer<'_, Option<Channel>> {
        self.shared(Query::Channel(id), ask!(channel(id)))
    }

    fn dm(&self, id: ChannelId) -> Answer<'_, Option<DmRow>> {
        self.shared(Query::Dm(id), ask!(dm(id)))
    }

    fn dms_of_user(&self, user_id: UserId) -> Answer<'_, Vec<ChannelId>> {
        self.shared(Query::DmsOfUser(user_id), ask!(dms_of_user(user_id)))
    }

    fn read_states(&self, user_id: UserId) -> Answer<'_, Vec<ReadState>> {
        self.shared(Query::ReadStates(user_id), ask!(read_states(user_id)))
    }

    fn read_state(&self, user_id: UserId, channel_id: ChannelId) -> Answer<'_, Option<ReadState>> {
        self.shared(Query::ReadState(user_id, channel_id), ask!(read_state(user_id, channel_id)))
    }

    fn message(&self, channel_id: ChannelId, id: MessageId) -> Answer<'_, Option<MessageRow>> {
        self.shared(Query::Message(channel_id, id), ask!(message(channel_id, id)))
    }

    fn messages(&self, channel_id: ChannelId, range: MessageRange, limit: usize) -> Answer<'_, MessagePage> {
        match self.pages_for(range, limit) {
            Some(pages) => Box::pin(self.newest(pages, channel_id, limit)),
            None => self.shared(Query::Messages(channel_id, range, limit), ask!(messages(channel_id, range, limit))),
        }
    }

    fn last_message_id(&self, channel_id: ChannelId) -> Answer<'_, Option<MessageId>> {
        self.shared(Query::LastMessageId(channel_id), ask!(last_message_id(channel_id)))
    }

    // Erasure alone asks, once.
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
        self.shared(Query::ReactionCounts(channel_id, message_ids.to_vec()), move |engine| {
            let message_ids = message_ids.to_vec();
            Box::pin(async move { engine.reaction_counts(channel_id, &message_ids).await })
        })
    }

    fn own_reactions<'a>(
        &'a self,
        channel_id: ChannelId,
        message_ids: &'a [MessageId],
        user_id: UserId,
    ) -> Answer<'a, Vec<OwnReaction>> {
        self.shared(Query::OwnReactions(channel_id, message_ids.to_vec(), user_id), move |engine| {
            let message_ids = message_ids.to_vec();
            Box::pin(async move { engine.own_reactions(channel_id, &message_ids, user_id).await })
        })
    }

    fn reactions_of<'a>(
        &'a self,
        channel_id: ChannelId,
        message_id: MessageId,
        emoji: &'a ReactionEmoji,
        after: Option<UserId>,
        limit: usize,
    ) -> Answer<'a, Vec<UserId>> {
        let query = Query::ReactionsOf(channel_id, message_id, emoji.clone(), after, limit);
        self.shared(query, move |engine| {
            let emoji = emoji.clone();
            Box::pin(async move { engine.reactions_of(channel_id, message_id, &emoji, after, limit).await })
        })
    }

    fn pins(&self, channel_id: ChannelId) -> Answer<'_, Vec<PinRow>> {
        self.shared(Query::Pins(channel_id), ask!(pins(channel_id)))
    }

    fn guild_emojis(&self, guild_id: GuildId) -> Answer<'_, Vec<EmojiRow>> {
        self.shared(Query::GuildEmojis(guild_id), ask!(guild_emojis(guild_id)))
    }

    fn guild_stage_instances(&self, guild_id: GuildId) -> Answer<'_, Vec<StageInstance>> {
        self.shared(Query::GuildStageInstances(guild_id), ask!(guild_stage_instances(guild_id)))
    }

    fn webhook(&self, id: WebhookId) -> Answer<'_, Option<WebhookRow>> {
        self.shared(Query::Webhook(id), ask!(webhook(id)))
    }

    fn guild_webhooks(&self, guild_id: GuildId) -> Answer<'_, Vec<WebhookRow>> {
        self.shared(Query::GuildWebhooks(guild_id), ask!(guild_webhooks(guild_id)))
    }

    fn settings(&self, user_id: UserId, kind: u8) -> Answer<'_, Option<SettingsRow>> {
        self.shared(Query::Settings(user_id, kind), ask!(settings(user_id, kind)))
    }

    fn relationships(&self, user_id: UserId) -> Answer<'_, Vec<RelationshipRow>> {
        self.shared(Query::Relationships(user_id), ask!(relationships(user_id)))
    }

    // What follows is asked by moderators, operators and jobs, not by herds.
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

    fn audit_log(
        &self,
        guild_id: GuildId,
        before: Option<AuditLogEntryId>,
        limit: usize,
    ) -> Answer<'_, Vec<AuditLogRow>> {
        self.inner.audit_log(guild_id, before, limit)
    }

    fn outbox(&self, queue: OutboxQueue, after: Option<OutboxPlace>, limit: usize) -> Answer<'_, Vec<OutboxRow>> {
        self.inner.outbox(queue, after, limit)
    }

    // Leases are read to be changed: everybody looks for themselves.
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

    fn retention(&self, guild_id: GuildId) -> Answer<'_, Option<RetentionRow>> {
        self.inner.retention(guild_id)
    }

    fn damaged_beside(&self) -> Answer<'_, Vec<DamagedRow>> {
        self.inner.damaged_beside()
    }

    fn leases(&self) -> Answer<'_, Vec<LeaseRow>> {
        self.inner.leases()
    }

    fn identity(&self) -> String {
        self.inner.identity()
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
