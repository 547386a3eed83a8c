//! The engine's interface: what each call asks of which table.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::{StreamExt as _, TryStreamExt as _};
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

use super::shared::Shared;
use super::tables::unique_keys::Key;
use super::{CqlEngine, Place, cas, dump, lease, outbox, pages};
use crate::dump::{DumpCursor, DumpPage, Section};
use crate::engine::{Answer, Commit, Engine, LeaseRow, MessageRange, OwnReaction, PinRow};
use crate::leases::check_region;
use crate::{MessagePage, StoreError, StoreHealth, StoreStats};

/// Webhooks of a guild that are read at a time.
const WEBHOOKS_CONCURRENT: usize = 16;

/// A page's limit in CQL's type.
fn rows(limit: usize) -> i32 {
    i32::try_from(limit).unwrap_or(i32::MAX)
}

impl CqlEngine {
    /// A read; refused once the store is closed.
    fn read<'a, T, F>(&'a self, read: impl FnOnce(&'a Shared) -> F + Send + 'a) -> Answer<'a, T>
    where
        T: Send + 'a,
        F: Future<Output = Result<T, StoreError>> + Send + 'a,
    {
        Box::pin(async move {
            let shared: &'a Arc<Shared> = self.shared();
            shared.check_open()?;
            read(shared).await
        })
    }
}

impl Engine for CqlEngine {
    fn submit(&self, batch: Vec<Write>) -> Result<Commit, StoreError> {
        self.submit_batch(batch)
    }

    fn claim(&self, key: UniqueKey, owner: u64) -> Answer<'_, Result<(), u64>> {
        // The place in the order is taken now, not when the answer is first asked for.
        let claim = self.shared().check_held().and_then(|()| {
            let place = Place::take(self.shared())?;
            let claim = cas::claim(self.shared(), key, owner)?;
            Ok(async move {
                let _place = place;
                claim.await
            })
        });
        Box::pin(async move { self.finish(claim?).await })
    }

    fn raise_id_ceiling(&self, ceiling_ms: u64) -> Answer<'_, ()> {
        self.read(move |shared| lease::raise_id_ceiling(shared, ceiling_ms))
    }

    fn raise_write_timestamps(&self, floor_us: i64) {
        self.shared().clock.raise_floor(floor_us);
    }

    fn last_write_timestamp_us(&self) -> i64 {
        self.shared().clock.last_us()
    }

    fn read_widely(&self) {
        self.widen_reads();
    }

    fn health(&self) -> StoreHealth {
        self.shared().health()
    }

    fn stats(&self) -> StoreStats {
        StoreStats { purges_pending: self.shared().doomed.len() as u64, ..self.shared().calls.counters.snapshot() }
    }

    fn background_removals(&self) -> u64 {
        self.shared().removals.load(Ordering::Acquire)
    }

    fn close(&self) -> Answer<'_, ()> {
        Box::pin(async move {
            self.shut_down().await;
            Ok(())
        })
    }

    fn unique<'a>(&'a self, key: &'a UniqueKey) -> Answer<'a, Option<u64>> {
        self.read(move |shared| async move {
            // What cannot be stored is not there.
            let Ok(key) = Key::of(key) else { return Ok(None) };
            Ok(shared.tables.unique_keys.get(&shared.calls, &key).await?.map(i64::cast_unsigned))
        })
    }

    fn id_ceiling(&self) -> Answer<'_, u64> {
        self.read(lease::id_ceiling)
    }

    fn leases(&self) -> Answer<'_, Vec<LeaseRow>> {
        self.read(lease::all)
    }

    fn identity(&self) -> String {
        format!("cql:{}", self.shared().config.keyspace)
    }

    fn operation<'a>(&'a self, id: &'a [u8]) -> Answer<'a, Option<OperationRow>> {
        self.read(move |shared| shared.tables.operations.get(&shared.calls, id))
    }

    fn accounts<'a>(&'a self, ids: &'a [UserId]) -> Answer<'a, Vec<Account>> {
        self.read(move |shared| shared.tables.accounts.get(&shared.calls, ids))
    }

    fn application(&self, id: ApplicationId) -> Answer<'_, Option<Application>> {
        self.read(move |shared| shared.tables.applications.get(&shared.calls, id))
    }

    fn applications_of(&self, owner: UserId) -> Answer<'_, Vec<Application>> {
        self.read(move |shared| async move {
            let mut found = Vec::new();
            for id in shared.tables.applications_by_owner.of(&shared.calls, owner).await? {
                let application = shared.tables.applications.get(&shared.calls, id).await?;
                // The row of a former owner stays behind when an application changes hands.
                found.extend(application.filter(|application| application.owner_id == owner));
            }
            Ok(found)
        })
    }

    fn guild(&self, id: GuildId) -> Answer<'_, Option<GuildProperties>> {
        self.read(move |shared| shared.tables.guilds.get(&shared.calls, id))
    }

    fn guild_channels(&self, id: GuildId) -> Answer<'_, Vec<Channel>> {
        self.read(move |shared| shared.tables.channels_by_guild.of(&shared.calls, id))
    }

    fn guild_roles(&self, id: GuildId) -> Answer<'_, Vec<Role>> {
        self.read(move |shared| async move {
            let hidden = shared.doomed.hidden();
            Ok(hidden.in_guild(id, shared.tables.roles.of(&shared.calls, id).await?))
        })
    }

    fn guild_members_page(&self, id: GuildId, after: Option<UserId>, limit: usize) -> Answer<'_, Vec<MemberRow>> {
        self.read(move |shared| async move {
            let hidden = shared.doomed.hidden();
            if limit == 0 {
                return Ok(Vec::new());
            }
            Ok(hidden.in_guild(id, shared.tables.members.page(&shared.calls, id, after, rows(limit)).await?))
        })
    }

    fn member(&self, guild_id: GuildId, user_id: UserId) -> Answer<'_, Option<MemberRow>> {
        self.read(move |shared| async move {
            let hidden = shared.doomed.hidden();
            Ok(hidden.in_guild(guild_id, shared.tables.members.get(&shared.calls, guild_id, user_id).await?))
        })
    }

    fn guilds_of_user(&self, user_id: UserId) -> Answer<'_, Vec<GuildId>> {
        self.read(move |shared| async move {
            let hidden = shared.doomed.hidden();
            let mut guilds = shared.tables.guilds_by_user.of(&shared.calls, user_id).await?;
            guilds.retain(|id| !hidden.guild(*id));
            Ok(guilds)
        })
    }

    fn ban(&self, guild_id: GuildId, user_id: UserId) -> Answer<'_, Option<BanRow>> {
        self.read(move |shared| async move {
            let hidden = shared.doomed.hidden();
            Ok(hidden.in_guild(guild_id, shared.tables.bans.get(&shared.calls, guild_id, user_id).await?))
        })
    }

    fn bans_page(&self, guild_id: GuildId, after: Option<UserId>, limit: usize) -> Answer<'_, Vec<BanRow>> {
        self.read(move |shared| async move {
            let hidden = shared.doomed.hidden();
            if limit == 0 {
                return Ok(Vec::new());
            }
            Ok(hidden.in_guild(guild_id, shared.tables.bans.page(&shared.calls, guild_id, after, rows(limit)).await?))
        })
    }

    fn invite<'a>(&'a self, code: &'a str) -> Answer<'a, Option<InviteRow>> {
        self.read(move |shared| async move {
            let hidden = shared.doomed.hidden();
            let invite = shared.tables.invites.get(&shared.calls, code).await?;
            Ok(invite.filter(|invite| !hidden.guild(invite.guild_id)))
        })
    }

    fn guild_invites(&self, guild_id: GuildId) -> Answer<'_, Vec<InviteRow>> {
        self.read(move |shared| async move {
            let hidden = shared.doomed.hidden();
            let mut found = Vec::new();
            for code in shared.tables.invites_by_guild.codes(&shared.calls, guild_id).await? {
                let invite = shared.tables.invites.get(&shared.calls, &code).await?;
                found.extend(invite.filter(|invite| invite.guild_id == guild_id));
            }
            Ok(hidden.in_guild(guild_id, found))
        })
    }

    fn channel(&self, id: ChannelId) -> Answer<'_, Option<Channel>> {
        self.read(move |shared| async move {
            match shared.tables.channels.guild_of(&shared.calls, id).await? {
                None => Ok(None),
                Some(Some(guild_id)) => shared.tables.channels_by_guild.get(&shared.calls, guild_id, id).await,
                Some(None) => Ok(shared.tables.dms.get(&shared.calls, id).await?.map(|dm| dm.channel)),
            }
        })
    }

    fn dm(&self, id: ChannelId) -> Answer<'_, Option<DmRow>> {
        self.read(move |shared| shared.tables.dms.get(&shared.calls, id))
    }

    fn dms_of_user(&self, user_id: UserId) -> Answer<'_, Vec<ChannelId>> {
        self.read(move |shared| shared.tables.dms_by_user.of(&shared.calls, user_id))
    }

    fn read_states(&self, user_id: UserId) -> Answer<'_, Vec<ReadState>> {
        self.read(move |shared| shared.tables.read_states.of(&shared.calls, user_id))
    }

    fn read_state(&self, user_id: UserId, channel_id: ChannelId) -> Answer<'_, Option<ReadState>> {
        self.read(move |shared| shared.tables.read_states.get(&shared.calls, user_id, channel_id))
    }

    fn message(&self, channel_id: ChannelId, id: MessageId) -> Answer<'_, Option<MessageRow>> {
        self.read(move |shared| async move {
            let hidden = shared.doomed.hidden();
            let message = shared.tables.messages.get(&shared.calls, channel_id, id).await?;
            let message = message.filter(|message| !hidden.message_of(message.author_id, id));
            Ok(hidden.in_channel(channel_id, message))
        })
    }

    fn messages(&self, channel_id: ChannelId, range: MessageRange, limit: usize) -> Answer<'_, MessagePage> {
        self.read(move |shared| async move {
            let hidden = shared.doomed.hidden();
            Ok(hidden.in_channel(channel_id, pages::page(shared, &hidden, channel_id, range, limit).await?).into())
        })
    }

    fn last_message_id(&self, channel_id: ChannelId) -> Answer<'_, Option<MessageId>> {
        self.read(move |shared| async move {
            let hidden = shared.doomed.hidden();
            let newest = pages::page(shared, &hidden, channel_id, MessageRange::Latest, 1).await?;
            Ok(hidden.in_channel(channel_id, newest.first().map(|message| message.id)))
        })
    }

    fn messages_of_author(
        &self,
        author_id: UserId,
        before: Option<MessageId>,
        limit: usize,
    ) -> Answer<'_, Vec<(ChannelId, MessageId)>> {
        self.read(move |shared| async move {
            let hidden = shared.doomed.hidden();
            if limit == 0 {
                return Ok(Vec::new());
            }
            let index = &shared.tables.messages_by_author;
            let mut found = index.below(&shared.calls, author_id, before, rows(limit)).await?;
            found.retain(|(channel_id, id)| !hidden.channel(*channel_id) && !hidden.message_of(author_id, *id));
            Ok(found)
        })
    }

    fn reaction_counts<'a>(
        &'a self,
        channel_id: ChannelId,
        message_ids: &'a [MessageId],
    ) -> Answer<'a, Vec<ReactionCountRow>> {
        self.read(move |shared| async move {
            let hidden = shared.doomed.hidden();
            let counts = shared.tables.reaction_counts.of(&shared.calls, channel_id, message_ids).await?;
            Ok(hidden.in_channel(channel_id, counts))
        })
    }

    fn own_reactions<'a>(
        &'a self,
        channel_id: ChannelId,
        message_ids: &'a [MessageId],
        user_id: UserId,
    ) -> Answer<'a, Vec<OwnReaction>> {
        self.read(move |shared| async move {
            let hidden = shared.doomed.hidden();
            let counts = shared.tables.reaction_counts.of(&shared.calls, channel_id, message_ids).await?;
            let own = shared.tables.reactions.own(&shared.calls, channel_id, user_id, counts).await?;
            Ok(hidden.in_channel(channel_id, own))
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
        self.read(move |shared| async move {
            let hidden = shared.doomed.hidden();
            if limit == 0 {
                return Ok(Vec::new());
            }
            let of = (channel_id, message_id);
            let users = shared.tables.reactions.page(&shared.calls, of, emoji, after, rows(limit)).await?;
            Ok(hidden.in_channel(channel_id, users))
        })
    }

    fn pins(&self, channel_id: ChannelId) -> Answer<'_, Vec<PinRow>> {
        self.read(move |shared| async move {
            let hidden = shared.doomed.hidden();
            Ok(hidden.in_channel(channel_id, shared.tables.pins.of(&shared.calls, channel_id).await?))
        })
    }

    fn retention(&self, guild_id: GuildId) -> Answer<'_, Option<RetentionRow>> {
        self.read(move |shared| shared.tables.retentions.get(&shared.calls, guild_id))
    }

    fn message_edits(
        &self,
        channel_id: ChannelId,
        message_id: MessageId,
        limit: usize,
    ) -> Answer<'_, Vec<MessageEditRow>> {
        self.read(move |shared| async move {
            let hidden = shared.doomed.hidden();
            if limit == 0 {
                return Ok(Vec::new());
            }
            let edits = &shared.tables.message_edits;
            let mut found = edits.of(&shared.calls, channel_id, message_id, rows(limit)).await?;
            found.retain(|edit| !hidden.message_of(edit.author_id, message_id));
            Ok(hidden.in_channel(channel_id, found))
        })
    }

    fn attachments(&self, channel_id: ChannelId, message_id: MessageId) -> Answer<'_, Vec<AttachmentRow>> {
        self.read(move |shared| async move {
            let hidden = shared.doomed.hidden();
            let mut found = shared.tables.attachments.of(&shared.calls, channel_id, &[message_id]).await?;
            found.retain(|attachment| !hidden.message_of(attachment.author_id, message_id));
            Ok(hidden.in_channel(channel_id, found))
        })
    }

    fn guild_emojis(&self, guild_id: GuildId) -> Answer<'_, Vec<EmojiRow>> {
        self.read(move |shared| async move {
            let hidden = shared.doomed.hidden();
            Ok(hidden.in_guild(guild_id, shared.tables.emojis.of(&shared.calls, guild_id).await?))
        })
    }

    fn guild_stage_instances(&self, guild_id: GuildId) -> Answer<'_, Vec<StageInstance>> {
        self.read(move |shared| async move {
            let hidden = shared.doomed.hidden();
            Ok(hidden.in_guild(guild_id, shared.tables.stage_instances.of(&shared.calls, guild_id).await?))
        })
    }

    fn webhook(&self, id: WebhookId) -> Answer<'_, Option<WebhookRow>> {
        self.read(move |shared| async move {
            let hidden = shared.doomed.hidden();
            let webhook = shared.tables.webhooks.get(&shared.calls, id).await?;
            Ok(webhook.filter(|webhook| !hidden.guild(webhook.guild_id) && !hidden.channel(webhook.channel_id)))
        })
    }

    fn guild_webhooks(&self, guild_id: GuildId) -> Answer<'_, Vec<WebhookRow>> {
        self.read(move |shared| async move {
            let hidden = shared.doomed.hidden();
            let tables = &shared.tables;
            let ids = tables.webhooks_by_guild.of(&shared.calls, guild_id).await?;
            let found: Vec<Option<WebhookRow>> = futures_util::stream::iter(ids)
                .map(|(id, _)| tables.webhooks.get(&shared.calls, id))
                .buffered(WEBHOOKS_CONCURRENT)
                .try_collect()
                .await?;
            let mut found: Vec<WebhookRow> = found.into_iter().flatten().collect();
            found.retain(|webhook| webhook.guild_id == guild_id);
            Ok(hidden.in_guild(guild_id, found))
        })
    }

    fn audit_log(
        &self,
        guild_id: GuildId,
        before: Option<AuditLogEntryId>,
        limit: usize,
    ) -> Answer<'_, Vec<AuditLogRow>> {
        self.read(move |shared| async move {
            let hidden = shared.doomed.hidden();
            let buckets = shared.tables.audit_log_buckets.of(&shared.calls, guild_id).await?;
            let page = shared.tables.audit_log.page(&shared.calls, guild_id, buckets, before, limit).await?;
            Ok(hidden.in_guild(guild_id, page))
        })
    }

    fn settings(&self, user_id: UserId, kind: u8) -> Answer<'_, Option<SettingsRow>> {
        self.read(move |shared| shared.tables.settings.get(&shared.calls, user_id, kind))
    }

    fn relationships(&self, user_id: UserId) -> Answer<'_, Vec<RelationshipRow>> {
        self.read(move |shared| shared.tables.relationships.of(&shared.calls, user_id))
    }

    fn outbox(&self, queue: OutboxQueue, after: Option<OutboxPlace>, limit: usize) -> Answer<'_, Vec<OutboxRow>> {
        self.read(move |shared| outbox::page(shared, queue, after, limit))
    }

    fn swap_lease(&self, swap: LeaseSwap) -> Answer<'_, bool> {
        Box::pin(async move {
            self.shared().check_held()?;
            self.finish(cas::swap_lease(self.shared().clone(), swap)).await
        })
    }

    fn worker_lease(&self, worker_id: u16) -> Answer<'_, Option<WorkerLease>> {
        self.read(move |shared| {
            cas::read_lease(shared, move || shared.tables.worker_leases.get(&shared.calls, worker_id))
        })
    }

    fn worker_leases(&self) -> Answer<'_, Vec<WorkerLease>> {
        self.read(|shared| shared.tables.worker_leases.all(&shared.calls))
    }

    fn virtual_shard_lease<'a>(&'a self, region: &'a str, virtual_shard: u16) -> Answer<'a, Option<VirtualShardLease>> {
        self.read(move |shared| async move {
            // What cannot be stored is not there.
            let Ok(()) = check_region(region) else { return Ok(None) };
            let leases = &shared.tables.virtual_shard_leases;
            cas::read_lease(shared, || leases.get(&shared.calls, region, virtual_shard)).await
        })
    }

    fn virtual_shard_leases<'a>(&'a self, region: &'a str) -> Answer<'a, Vec<VirtualShardLease>> {
        self.read(move |shared| async move {
            let Ok(()) = check_region(region) else { return Ok(Vec::new()) };
            shared.tables.virtual_shard_leases.of(&shared.calls, region).await
        })
    }

    fn import_under_way(&self) -> Answer<'_, Option<ImportRow>> {
        self.read(|shared| shared.tables.imports.get(&shared.calls))
    }

    fn dump(&self, section: Section, after: Option<DumpCursor>, limit: usize) -> Answer<'_, DumpPage> {
        self.read(move |shared| dump::page(shared, section, after, limit))
    }

    // Nodes estimate only the ranges that are theirs.
    fn dump_estimate(&self) -> Answer<'_, u64> {
        self.read(|_| async { Ok(0) })
    }
}
