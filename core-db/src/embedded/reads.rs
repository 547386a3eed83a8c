//! The engine's interface: what each call reads from which table.

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
use tokio::sync::oneshot;

use super::EmbeddedEngine;
use super::db::{Db, OnDamage};
use super::message_page::messages_page;
use super::queue::Job;
use super::shared::Phase;
use crate::doomed::Hidden;
use crate::dump::{DamagedRow, DumpCursor, DumpPage, Section};
use crate::engine::{Answer, Commit, Engine, MessageRange, OwnReaction, PinRow};
use crate::leases::{check_region, check_swap};
use crate::lower::lower;
use crate::tables::{
    Table, accounts, applications, applications_by_owner, attachments, audit_log, bans, channels, channels_by_guild,
    dms, dms_by_user, emojis, guilds, guilds_by_user, imports, invites, invites_by_guild, leases, members,
    message_edits, messages, messages_by_author, operations, outbox, pins, reaction_counts, reactions, read_states,
    relationships, retentions, roles, settings, stage_instances, unique_keys, virtual_shard_leases, webhooks,
    webhooks_by_guild, worker_leases,
};
use crate::{MessagePage, StoreError, StoreHealth, StoreStats, row};

/// Pages up to this many rows are read on the caller's task.
const PAGE_ROWS: usize = 100;

impl EmbeddedEngine {
    /// A read of a few rows.
    fn few<'a, T: Send + 'a>(&'a self, read: impl FnOnce(&Db) -> Result<T, StoreError> + Send + 'a) -> Answer<'a, T> {
        Box::pin(self.read(read))
    }

    /// A read of a few or of many rows.
    fn rows<T: Send + 'static>(
        &self,
        limit: usize,
        read: impl FnOnce(&Db) -> Result<T, StoreError> + Send + 'static,
    ) -> Answer<'_, T> {
        if limit <= PAGE_ROWS { Box::pin(self.read(read)) } else { Box::pin(self.scan(read)) }
    }

    /// A read of what may be being removed: then it is not there, looked at before the read as well as after it.
    pub(super) async fn unless_removed<T: Default>(
        &self,
        removed: impl Fn(&Hidden<'_>) -> bool,
        read: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let hidden = self.shared.doomed.hidden();
        let answer = read.await?;
        Ok(if removed(&hidden) { T::default() } else { answer })
    }

    /// A read inside a guild; what it finds in one that is being removed is not there.
    fn of_guild<T: Send + Default + 'static>(
        &self,
        id: GuildId,
        limit: usize,
        read: impl FnOnce(&Db) -> Result<T, StoreError> + Send + 'static,
    ) -> Answer<'_, T> {
        Box::pin(self.unless_removed(move |hidden| hidden.guild(id), self.rows(limit, read)))
    }

    /// Likewise inside a channel.
    fn of_channel<'a, T: Send + Default + 'a>(
        &'a self,
        id: ChannelId,
        read: impl FnOnce(&Db) -> Result<T, StoreError> + Send + 'a,
    ) -> Answer<'a, T> {
        Box::pin(self.unless_removed(move |hidden| hidden.channel(id), self.read(read)))
    }
}

impl Engine for EmbeddedEngine {
    fn submit(&self, batch: Vec<Write>) -> Result<Commit, StoreError> {
        let steps = lower(batch)?;
        let (done, commit) = oneshot::channel();
        self.send(Job::Batch { steps, done })?;
        Ok(Commit::new(commit))
    }

    fn claim(&self, key: UniqueKey, owner: u64) -> Answer<'_, Result<(), u64>> {
        Box::pin(async move {
            let key = unique_keys::key(&key)?;
            let (done, answer) = oneshot::channel();
            self.send(Job::Claim { key, owner, done })?;
            Self::answer(answer).await
        })
    }

    fn raise_id_ceiling(&self, ceiling_ms: u64) -> Answer<'_, ()> {
        Box::pin(async move {
            let (done, answer) = oneshot::channel();
            self.send(Job::RaiseCeiling { ceiling_ms, done })?;
            Self::answer(answer).await
        })
    }

    fn health(&self) -> StoreHealth {
        self.shared.health.read().clone()
    }

    fn stats(&self) -> StoreStats {
        let corrupt_rows = self.shared.db.read().as_ref().map_or(0, |db| db.damage().count());
        let purges_pending = self.shared.doomed.len() as u64;
        StoreStats { purges_pending, corrupt_rows, ..self.shared.counters.snapshot() }
    }

    fn background_removals(&self) -> u64 {
        self.shared.removals.load(std::sync::atomic::Ordering::Acquire)
    }

    fn close(&self) -> Answer<'_, ()> {
        Box::pin(async move {
            self.queue.write().take();
            let mut phase = self.shared.phase.subscribe();
            // An error means that the sender is gone, and it lives in `self`.
            let _closed = phase.wait_for(|phase| *phase == Phase::Closed).await;
            Ok(())
        })
    }

    fn unique<'a>(&'a self, key: &'a UniqueKey) -> Answer<'a, Option<u64>> {
        self.few(|db| match unique_keys::key(key) {
            Ok(key) => unique_keys::get(db, &key),
            // What cannot be stored is not there.
            Err(_) => Ok(None),
        })
    }

    fn id_ceiling(&self) -> Answer<'_, u64> {
        self.few(leases::id_ceiling)
    }

    fn operation<'a>(&'a self, id: &'a [u8]) -> Answer<'a, Option<OperationRow>> {
        self.few(|db| operations::get(db, id))
    }

    fn accounts<'a>(&'a self, ids: &'a [UserId]) -> Answer<'a, Vec<Account>> {
        if ids.len() <= PAGE_ROWS {
            return self.few(|db| accounts::get(db, ids));
        }
        let ids = ids.to_vec();
        self.rows(ids.len(), move |db| accounts::get(db, &ids))
    }

    fn application(&self, id: ApplicationId) -> Answer<'_, Option<Application>> {
        self.few(move |db| applications::get(db, id))
    }

    fn applications_of(&self, owner: UserId) -> Answer<'_, Vec<Application>> {
        self.few(move |db| applications_by_owner::of(db, owner))
    }

    fn guild(&self, id: GuildId) -> Answer<'_, Option<GuildProperties>> {
        self.few(move |db| guilds::get(db, id))
    }

    fn guild_channels(&self, id: GuildId) -> Answer<'_, Vec<Channel>> {
        self.rows(usize::MAX, move |db| channels_by_guild::of(db, id))
    }

    fn guild_roles(&self, id: GuildId) -> Answer<'_, Vec<Role>> {
        self.of_guild(id, usize::MAX, move |db| roles::of(db, id))
    }

    fn guild_members_page(&self, id: GuildId, after: Option<UserId>, limit: usize) -> Answer<'_, Vec<MemberRow>> {
        self.of_guild(id, limit, move |db| {
            let after = members::page_start(id, after);
            // A member who is missing here would have lost roles and time-outs.
            let read = |key: &[u8], bytes: &[u8]| row::decode(Table::Members, key, bytes).map(Some);
            db.page_of_prefix(Table::Members, &members::prefix(id), after.as_ref(), limit, OnDamage::Refuse, read)
        })
    }

    fn member(&self, guild_id: GuildId, user_id: UserId) -> Answer<'_, Option<MemberRow>> {
        self.of_guild(guild_id, 1, move |db| members::get(db, guild_id, user_id))
    }

    fn guilds_of_user(&self, user_id: UserId) -> Answer<'_, Vec<GuildId>> {
        Box::pin(async move {
            let hidden = self.shared.doomed.hidden();
            let mut guilds = self.read(|db| guilds_by_user::of(db, user_id)).await?;
            guilds.retain(|id| !hidden.guild(*id));
            Ok(guilds)
        })
    }

    fn ban(&self, guild_id: GuildId, user_id: UserId) -> Answer<'_, Option<BanRow>> {
        self.of_guild(guild_id, 1, move |db| bans::get(db, guild_id, user_id))
    }

    fn bans_page(&self, guild_id: GuildId, after: Option<UserId>, limit: usize) -> Answer<'_, Vec<BanRow>> {
        self.of_guild(guild_id, limit, move |db| {
            let after = bans::page_start(guild_id, after);
            // A ban that is missing here would be lifted.
            let read = |key: &[u8], bytes: &[u8]| row::decode(Table::Bans, key, bytes).map(Some);
            db.page_of_prefix(Table::Bans, &bans::prefix(guild_id), after.as_ref(), limit, OnDamage::Refuse, read)
        })
    }

    fn invite<'a>(&'a self, code: &'a str) -> Answer<'a, Option<InviteRow>> {
        Box::pin(async move {
            let hidden = self.shared.doomed.hidden();
            let invite = self.read(|db| invites::get(db, code)).await?;
            Ok(invite.filter(|invite| !hidden.guild(invite.guild_id)))
        })
    }

    fn guild_invites(&self, guild_id: GuildId) -> Answer<'_, Vec<InviteRow>> {
        self.of_guild(guild_id, usize::MAX, move |db| {
            let mut damaged = Vec::new();
            let invites = invites_by_guild::of(db, guild_id, &mut damaged)?;
            damaged.iter().for_each(|error| db.damage().note(error));
            Ok(invites)
        })
    }

    fn channel(&self, id: ChannelId) -> Answer<'_, Option<Channel>> {
        self.few(move |db| channels::get(db, id))
    }

    fn dm(&self, id: ChannelId) -> Answer<'_, Option<DmRow>> {
        self.few(move |db| dms::get(db, id))
    }

    fn dms_of_user(&self, user_id: UserId) -> Answer<'_, Vec<ChannelId>> {
        self.few(move |db| dms_by_user::of(db, user_id))
    }

    fn read_states(&self, user_id: UserId) -> Answer<'_, Vec<ReadState>> {
        self.rows(usize::MAX, move |db| {
            let read = |key: &[u8], bytes: &[u8]| row::decode(Table::ReadStates, key, bytes).map(Some);
            let prefix = read_states::prefix(user_id);
            db.page_of_prefix(Table::ReadStates, &prefix, None, usize::MAX, OnDamage::LeaveOut, read)
        })
    }

    fn read_state(&self, user_id: UserId, channel_id: ChannelId) -> Answer<'_, Option<ReadState>> {
        self.few(move |db| read_states::get(db, user_id, channel_id))
    }

    fn message(&self, channel_id: ChannelId, id: MessageId) -> Answer<'_, Option<MessageRow>> {
        self.of_channel(channel_id, move |db| {
            let hidden = self.shared.doomed.hidden();
            let message = messages::get(db, channel_id, id)?;
            Ok(message.filter(|message| !hidden.message_of(message.author_id, id)))
        })
    }

    fn messages(&self, channel_id: ChannelId, range: MessageRange, limit: usize) -> Answer<'_, MessagePage> {
        // An erasure may have left long stretches of messages that nobody sees.
        if limit <= PAGE_ROWS && !self.shared.doomed.any_user() {
            return self
                .of_channel(channel_id, move |db| messages_page(db, &self.shared.doomed, channel_id, range, limit));
        }
        let shared = self.shared.clone();
        let page = self.scan(move |db| messages_page(db, &shared.doomed, channel_id, range, limit));
        Box::pin(self.unless_removed(move |hidden| hidden.channel(channel_id), page))
    }

    fn last_message_id(&self, channel_id: ChannelId) -> Answer<'_, Option<MessageId>> {
        if self.shared.doomed.any_user() {
            return Box::pin(async move {
                let page = self.messages(channel_id, MessageRange::Latest, 1).await?;
                Ok(page.first().map(|message| message.id))
            });
        }
        self.of_channel(channel_id, move |db| {
            let read = |key: &[u8], _: &[u8]| messages::ids(key).map(|(_, id)| Some(id));
            let prefix = messages::prefix(channel_id);
            Ok(db.page_of_prefix(Table::Messages, &prefix, None, 1, OnDamage::LeaveOut, read)?.pop())
        })
    }

    fn messages_of_author(
        &self,
        author_id: UserId,
        before: Option<MessageId>,
        limit: usize,
    ) -> Answer<'_, Vec<(ChannelId, MessageId)>> {
        Box::pin(async move {
            let hidden = self.shared.doomed.hidden();
            let mut found = self
                .rows(limit, move |db| {
                    let after = messages_by_author::page_start(author_id, before);
                    let prefix = messages_by_author::prefix(author_id);
                    let read = |key: &[u8], _: &[u8]| messages_by_author::ids(key).map(Some);
                    db.page_of_prefix(Table::MessagesByAuthor, &prefix, after.as_ref(), limit, OnDamage::LeaveOut, read)
                })
                .await?;
            found.retain(|(channel_id, id)| !hidden.channel(*channel_id) && !hidden.message_of(author_id, *id));
            Ok(found)
        })
    }

    fn reaction_counts<'a>(
        &'a self,
        channel_id: ChannelId,
        message_ids: &'a [MessageId],
    ) -> Answer<'a, Vec<ReactionCountRow>> {
        self.of_channel(channel_id, move |db| reaction_counts::of(db, channel_id, message_ids))
    }

    fn own_reactions<'a>(
        &'a self,
        channel_id: ChannelId,
        message_ids: &'a [MessageId],
        user_id: UserId,
    ) -> Answer<'a, Vec<OwnReaction>> {
        self.of_channel(channel_id, move |db| reactions::own(db, channel_id, message_ids, user_id))
    }

    fn reactions_of<'a>(
        &'a self,
        channel_id: ChannelId,
        message_id: MessageId,
        emoji: &'a ReactionEmoji,
        after: Option<UserId>,
        limit: usize,
    ) -> Answer<'a, Vec<UserId>> {
        self.of_channel(channel_id, move |db| {
            let Ok(prefix) = reactions::emoji_prefix(channel_id, message_id, emoji) else { return Ok(Vec::new()) };
            let after = reactions::page_start(&prefix, after);
            let read = |key: &[u8], _: &[u8]| reactions::user(key, &prefix).map(Some);
            db.page_of_prefix(Table::Reactions, &prefix, after.as_ref(), limit, OnDamage::LeaveOut, read)
        })
    }

    fn pins(&self, channel_id: ChannelId) -> Answer<'_, Vec<PinRow>> {
        self.of_channel(channel_id, move |db| pins::of(db, channel_id))
    }

    fn retention(&self, guild_id: GuildId) -> Answer<'_, Option<RetentionRow>> {
        self.few(move |db| retentions::get(db, guild_id))
    }

    fn message_edits(
        &self,
        channel_id: ChannelId,
        message_id: MessageId,
        limit: usize,
    ) -> Answer<'_, Vec<MessageEditRow>> {
        self.of_channel(channel_id, move |db| {
            let hidden = self.shared.doomed.hidden();
            let prefix = message_edits::message_prefix(channel_id, message_id);
            db.page_of_prefix(Table::MessageEdits, &prefix, None, limit, OnDamage::LeaveOut, |key, bytes| {
                let edit: MessageEditRow = row::decode(Table::MessageEdits, key, bytes)?;
                Ok((!hidden.message_of(edit.author_id, message_id)).then_some(edit))
            })
        })
    }

    fn attachments(&self, channel_id: ChannelId, message_id: MessageId) -> Answer<'_, Vec<AttachmentRow>> {
        self.of_channel(channel_id, move |db| {
            let hidden = self.shared.doomed.hidden();
            let prefix = attachments::message_prefix(channel_id, message_id);
            db.page_of_prefix(Table::Attachments, &prefix, None, usize::MAX, OnDamage::LeaveOut, |key, bytes| {
                let attachment: AttachmentRow = row::decode(Table::Attachments, key, bytes)?;
                Ok((!hidden.message_of(attachment.author_id, message_id)).then_some(attachment))
            })
        })
    }

    fn guild_emojis(&self, guild_id: GuildId) -> Answer<'_, Vec<EmojiRow>> {
        self.of_guild(guild_id, usize::MAX, move |db| emojis::of(db, guild_id))
    }

    fn guild_stage_instances(&self, guild_id: GuildId) -> Answer<'_, Vec<StageInstance>> {
        self.of_guild(guild_id, usize::MAX, move |db| stage_instances::of(db, guild_id))
    }

    fn webhook(&self, id: WebhookId) -> Answer<'_, Option<WebhookRow>> {
        Box::pin(async move {
            let hidden = self.shared.doomed.hidden();
            let webhook = self.read(|db| webhooks::get(db, id)).await?;
            Ok(webhook.filter(|webhook| !hidden.guild(webhook.guild_id) && !hidden.channel(webhook.channel_id)))
        })
    }

    fn guild_webhooks(&self, guild_id: GuildId) -> Answer<'_, Vec<WebhookRow>> {
        self.of_guild(guild_id, usize::MAX, move |db| webhooks_by_guild::of(db, guild_id))
    }

    fn audit_log(
        &self,
        guild_id: GuildId,
        before: Option<AuditLogEntryId>,
        limit: usize,
    ) -> Answer<'_, Vec<AuditLogRow>> {
        self.of_guild(guild_id, limit, move |db| {
            let after = audit_log::page_start(guild_id, before);
            let read = |key: &[u8], bytes: &[u8]| row::decode(Table::AuditLog, key, bytes).map(Some);
            let prefix = audit_log::prefix(guild_id);
            db.page_of_prefix(Table::AuditLog, &prefix, after.as_ref(), limit, OnDamage::LeaveOut, read)
        })
    }

    fn settings(&self, user_id: UserId, kind: u8) -> Answer<'_, Option<SettingsRow>> {
        self.few(move |db| settings::get(db, user_id, kind))
    }

    fn relationships(&self, user_id: UserId) -> Answer<'_, Vec<RelationshipRow>> {
        self.rows(usize::MAX, move |db| relationships::of(db, user_id))
    }

    fn outbox(&self, queue: OutboxQueue, after: Option<OutboxPlace>, limit: usize) -> Answer<'_, Vec<OutboxRow>> {
        self.rows(limit, move |db| {
            let after = after.map(|place| outbox::key(queue, place));
            // Or one damaged row would hold up all the work behind it.
            let read = |key: &[u8], bytes: &[u8]| outbox::decode(key, bytes).map(Some);
            db.page_of_prefix(Table::Outbox, &outbox::prefix(queue), after.as_ref(), limit, OnDamage::LeaveOut, read)
        })
    }

    fn swap_lease(&self, swap: LeaseSwap) -> Answer<'_, bool> {
        Box::pin(async move {
            check_swap(&swap)?;
            let (done, answer) = oneshot::channel();
            self.send(Job::Swap { swap, done })?;
            Self::answer(answer).await
        })
    }

    fn worker_lease(&self, worker_id: u16) -> Answer<'_, Option<WorkerLease>> {
        self.few(move |db| worker_leases::get(db, worker_id))
    }

    fn worker_leases(&self) -> Answer<'_, Vec<WorkerLease>> {
        self.rows(usize::MAX, worker_leases::all)
    }

    fn virtual_shard_lease<'a>(&'a self, region: &'a str, virtual_shard: u16) -> Answer<'a, Option<VirtualShardLease>> {
        self.few(move |db| match check_region(region) {
            Ok(()) => virtual_shard_leases::get(db, region, virtual_shard),
            // What cannot be stored is not there.
            Err(_) => Ok(None),
        })
    }

    fn virtual_shard_leases<'a>(&'a self, region: &'a str) -> Answer<'a, Vec<VirtualShardLease>> {
        let region = region.to_owned();
        self.rows(usize::MAX, move |db| match check_region(&region) {
            Ok(()) => virtual_shard_leases::of(db, &region),
            Err(_) => Ok(Vec::new()),
        })
    }

    fn import_under_way(&self) -> Answer<'_, Option<ImportRow>> {
        self.few(imports::get)
    }

    fn dump(&self, section: Section, after: Option<DumpCursor>, limit: usize) -> Answer<'_, DumpPage> {
        let shared = self.shared.clone();
        Box::pin(
            self.scan(move |db| super::dump::page(db, &shared.doomed.hidden(), section, after.as_ref(), limit.max(1))),
        )
    }

    fn damaged_beside(&self) -> Answer<'_, Vec<DamagedRow>> {
        Box::pin(self.scan(|db| Ok(super::dump::damaged_beside(db))))
    }

    fn identity(&self) -> String {
        self.shared.identity.clone()
    }

    fn dump_estimate(&self) -> Answer<'_, u64> {
        // Rows written more than once count more than once until they are merged.
        let trees = [Table::Messages, Table::Accounts];
        self.few(move |db| Ok(trees.iter().map(|table| db.tree(*table).approximate_len() as u64).sum()))
    }
}
