//! The handle that the rest of the program holds.

mod copying;

use std::sync::Arc;
use std::time::Duration;

use rookery_model::channel::Channel;
use rookery_model::guild::{BanRow, GuildProperties};
use rookery_model::invite::InviteRow;
use rookery_model::member::MemberRow;
use rookery_model::message::{MessageRow, ReactionEmoji};
use rookery_model::role::Role;
use rookery_model::store::{DmRow, OperationRow, ReactionCountRow, ReadState, RetentionRow, UniqueKey, Write};
use rookery_model::user::{Account, Application, User};
use rookery_model::{ApplicationId, ChannelId, GuildId, MessageId, Timestamp, UserId};

use crate::coalesce::CoalescingEngine;
use crate::cql::{self, CqlEngine, Migrated};
use crate::engine::{Commit, Engine, MessageRange, OwnReaction, PinRow};
use crate::{CoalesceConfig, CqlConfig, EmbeddedConfig, MessagePage, OpenError, StoreError, StoreHealth, StoreStats};

/// A store; cloning it is cheap and every clone means the same store.
#[derive(Clone)]
pub struct Store {
    pub(crate) engine: Arc<dyn Engine>,
}

impl Store {
    /// Wraps an engine.
    pub fn new(engine: Arc<dyn Engine>) -> Self {
        Self { engine }
    }

    /// Wraps an engine so that equal reads share its calls, and newest pages are kept, as far as they are configured.
    pub fn coalescing(engine: Arc<dyn Engine>, config: &CoalesceConfig) -> Self {
        if !config.enabled && config.page_cache_bytes == 0 {
            return Self::new(engine);
        }
        Self::new(Arc::new(CoalescingEngine::new(engine, config)))
    }

    /// The engine, to wrap it in another.
    pub fn engine(&self) -> Arc<dyn Engine> {
        self.engine.clone()
    }

    /// Opens the embedded engine, repairing a torn tail; blocks while the journal is read.
    pub fn open_embedded(config: EmbeddedConfig) -> Result<Self, OpenError> {
        let coalesce = config.coalesce.clone();
        Ok(Self::coalescing(Arc::new(crate::embedded::EmbeddedEngine::open(config)?), &coalesce))
    }

    /// Opens a store in a CQL cluster whose schema is there already (see [`Store::migrate_cql`]).
    pub async fn open_cql(config: CqlConfig) -> Result<Self, OpenError> {
        let coalesce = config.coalesce.clone();
        Ok(Self::coalescing(Arc::new(CqlEngine::open(config).await?), &coalesce))
    }

    /// Likewise, trying again with growing pauses for as long as the cluster cannot be reached.
    ///
    /// `waiting` hears why and how long the next pause is. What waiting does not mend is answered at once.
    pub async fn open_cql_when_reachable(
        config: CqlConfig,
        waiting: impl FnMut(&OpenError, Duration),
    ) -> Result<Self, OpenError> {
        let engine = cql::when_reachable(|| CqlEngine::open(config.clone()), waiting).await?;
        Ok(Self::coalescing(Arc::new(engine), &config.coalesce))
    }

    /// Makes the keyspaces and tables of a CQL cluster, or brings them to this version.
    ///
    /// Safe to repeat, and for several processes at once.
    pub async fn migrate_cql(config: CqlConfig) -> Result<Migrated, OpenError> {
        cql::migrate(config).await
    }

    /// Likewise, trying again with growing pauses for as long as the cluster cannot be reached.
    pub async fn migrate_cql_when_reachable(
        config: CqlConfig,
        waiting: impl FnMut(&OpenError, Duration),
    ) -> Result<Migrated, OpenError> {
        cql::when_reachable(|| cql::migrate(config.clone()), waiting).await
    }

    /// Takes a batch in the order of calls; the commit resolves when it is durable.
    ///
    /// The order of calls is the order of application. The batch is acknowledged as a whole; the embedded engine also
    /// applies it as a whole, other engines may not. `Busy` and `Invalid` are answered at once, with nothing written.
    pub fn submit(&self, batch: Vec<Write>) -> Result<Commit, StoreError> {
        self.engine.submit(batch)
    }

    /// Submits a batch and waits until it is durable.
    pub async fn write(&self, batch: Vec<Write>) -> Result<(), StoreError> {
        self.engine.submit(batch)?.await
    }

    /// Claims a unique key for an owner, durably, if nobody holds it; else says who does.
    ///
    /// A claim by the holder itself answers `Ok(Ok(()))`, so that a claim whose outcome was unknown can be repeated.
    pub async fn claim(&self, key: UniqueKey, value: u64) -> Result<Result<(), u64>, StoreError> {
        self.engine.claim(key, value).await
    }

    /// Who holds a unique key.
    pub async fn unique(&self, key: &UniqueKey) -> Result<Option<u64>, StoreError> {
        self.engine.unique(key).await
    }

    /// No id was ever issued above this moment, Unix milliseconds; 0 for a new store.
    pub async fn id_ceiling(&self) -> Result<u64, StoreError> {
        self.engine.id_ceiling().await
    }

    /// Raises the ceiling durably, before ids up to it are issued; a lower one changes nothing.
    pub async fn raise_id_ceiling(&self, ceiling_ms: u64) -> Result<(), StoreError> {
        self.engine.raise_id_ceiling(ceiling_ms).await
    }

    /// Whether writes are taken.
    pub fn health(&self) -> StoreHealth {
        self.engine.health()
    }

    /// Counters since the store was opened.
    pub fn stats(&self) -> StoreStats {
        self.engine.stats()
    }

    /// Makes everything submitted durable and lets go of the files; later calls answer `Closed`.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.engine.close().await
    }

    /// Has all write timestamps lie above this, Unix microseconds: what others used whose rows this process writes from now on.
    pub fn raise_write_timestamps(&self, floor_us: i64) {
        self.engine.raise_write_timestamps(floor_us);
    }

    /// The highest write timestamp that was used so far, Unix microseconds; 0 where an engine has none.
    pub fn last_write_timestamp_us(&self) -> i64 {
        self.engine.last_write_timestamp_us()
    }

    /// Serves no page of messages that was read before now: call it when this process takes channels over, which another
    /// one may have written since.
    pub fn forget_pages(&self) {
        self.engine.forget_pages();
    }

    /// Reads agree with a majority of all replicas for a while: call it when this process takes over what processes of another
    /// data centre wrote, which the replicas near by may lack yet.
    pub fn read_widely(&self) {
        self.engine.read_widely();
    }

    /// The stored outcome of an operation.
    pub async fn operation(&self, id: &[u8]) -> Result<Option<OperationRow>, StoreError> {
        self.engine.operation(id).await
    }

    /// An account.
    pub async fn account(&self, id: UserId) -> Result<Option<Account>, StoreError> {
        Ok(self.engine.accounts(&[id]).await?.pop())
    }

    /// Users in the order asked for; those that do not exist are left out, and those whose account is damaged.
    pub async fn users(&self, ids: &[UserId]) -> Result<Vec<User>, StoreError> {
        crate::users::sound(&*self.engine, ids).await
    }

    /// The account with an e-mail address, in any case of letters.
    pub async fn account_by_email(&self, email: &str) -> Result<Option<Account>, StoreError> {
        self.account_by_key(UniqueKey::Email(email.to_lowercase())).await
    }

    /// The account with a username, in any case of letters.
    pub async fn account_by_username(&self, username: &str) -> Result<Option<Account>, StoreError> {
        self.account_by_key(UniqueKey::Username(username.to_lowercase())).await
    }

    async fn account_by_key(&self, key: UniqueKey) -> Result<Option<Account>, StoreError> {
        match self.engine.unique(&key).await? {
            Some(id) => self.account(UserId::new(id)).await,
            None => Ok(None),
        }
    }

    /// An application.
    pub async fn application(&self, id: ApplicationId) -> Result<Option<Application>, StoreError> {
        self.engine.application(id).await
    }

    /// The applications of an owner, oldest first.
    pub async fn applications_of(&self, owner: UserId) -> Result<Vec<Application>, StoreError> {
        self.engine.applications_of(owner).await
    }

    /// A guild's properties.
    pub async fn guild(&self, id: GuildId) -> Result<Option<GuildProperties>, StoreError> {
        self.engine.guild(id).await
    }

    /// The channels of a guild, by id.
    pub async fn guild_channels(&self, id: GuildId) -> Result<Vec<Channel>, StoreError> {
        self.engine.guild_channels(id).await
    }

    /// The roles of a guild, by id.
    pub async fn guild_roles(&self, id: GuildId) -> Result<Vec<Role>, StoreError> {
        self.engine.guild_roles(id).await
    }

    /// Members of a guild by user id, above `after`.
    pub async fn guild_members_page(
        &self,
        id: GuildId,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Vec<MemberRow>, StoreError> {
        self.engine.guild_members_page(id, after, limit).await
    }

    /// A member.
    pub async fn member(&self, guild_id: GuildId, user_id: UserId) -> Result<Option<MemberRow>, StoreError> {
        self.engine.member(guild_id, user_id).await
    }

    /// The guilds of a user, by id.
    pub async fn guilds_of_user(&self, user_id: UserId) -> Result<Vec<GuildId>, StoreError> {
        self.engine.guilds_of_user(user_id).await
    }

    /// A ban.
    pub async fn ban(&self, guild_id: GuildId, user_id: UserId) -> Result<Option<BanRow>, StoreError> {
        self.engine.ban(guild_id, user_id).await
    }

    /// Bans of a guild by user id, above `after`.
    pub async fn bans_page(
        &self,
        guild_id: GuildId,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Vec<BanRow>, StoreError> {
        self.engine.bans_page(guild_id, after, limit).await
    }

    /// An invite by its code; whether it still holds is for the caller to say.
    pub async fn invite(&self, code: &str) -> Result<Option<InviteRow>, StoreError> {
        self.engine.invite(code).await
    }

    /// The invites of a guild, by code.
    pub async fn guild_invites(&self, guild_id: GuildId) -> Result<Vec<InviteRow>, StoreError> {
        self.engine.guild_invites(guild_id).await
    }

    /// A channel of a guild, a DM or a group DM; `guild_id` says which.
    pub async fn channel(&self, id: ChannelId) -> Result<Option<Channel>, StoreError> {
        self.engine.channel(id).await
    }

    /// A DM or group DM.
    pub async fn dm(&self, id: ChannelId) -> Result<Option<DmRow>, StoreError> {
        self.engine.dm(id).await
    }

    /// The DMs that stand in a user's list, by id.
    pub async fn dms_of_user(&self, user_id: UserId) -> Result<Vec<ChannelId>, StoreError> {
        self.engine.dms_of_user(user_id).await
    }

    /// All read states of a user, by channel.
    pub async fn read_states(&self, user_id: UserId) -> Result<Vec<ReadState>, StoreError> {
        self.engine.read_states(user_id).await
    }

    /// How far a user has read a channel.
    pub async fn read_state(&self, user_id: UserId, channel_id: ChannelId) -> Result<Option<ReadState>, StoreError> {
        self.engine.read_state(user_id, channel_id).await
    }

    /// A message.
    pub async fn message(&self, channel_id: ChannelId, id: MessageId) -> Result<Option<MessageRow>, StoreError> {
        self.engine.message(channel_id, id).await
    }

    /// A page of messages, newest first whatever the range.
    pub async fn messages(
        &self,
        channel_id: ChannelId,
        range: MessageRange,
        limit: usize,
    ) -> Result<MessagePage, StoreError> {
        self.engine.messages(channel_id, range, limit).await
    }

    /// A page around a message, newest first: half of it before, the message itself if it exists, the rest after.
    pub async fn messages_around(
        &self,
        channel_id: ChannelId,
        id: MessageId,
        limit: usize,
    ) -> Result<MessagePage, StoreError> {
        let older = limit / 2;
        let newer = limit.saturating_sub(older).saturating_sub(1);
        let mut page = match newer {
            0 => Vec::new(),
            _ => self.engine.messages(channel_id, MessageRange::After(id), newer).await?.to_vec(),
        };
        page.extend(self.engine.message(channel_id, id).await?);
        if older > 0 {
            page.extend_from_slice(&self.engine.messages(channel_id, MessageRange::Before(id), older).await?);
        }
        Ok(page.into())
    }

    /// The newest message of a channel.
    pub async fn last_message_id(&self, channel_id: ChannelId) -> Result<Option<MessageId>, StoreError> {
        self.engine.last_message_id(channel_id).await
    }

    /// A user's messages everywhere, newest first, with ids below `before`; for erasure.
    pub async fn messages_of_author(
        &self,
        author_id: UserId,
        before: Option<MessageId>,
        limit: usize,
    ) -> Result<Vec<(ChannelId, MessageId)>, StoreError> {
        self.engine.messages_of_author(author_id, before, limit).await
    }

    /// The reactions on messages: those of a message stand together, in the order in which the emojis first came.
    pub async fn reaction_counts(
        &self,
        channel_id: ChannelId,
        message_ids: &[MessageId],
    ) -> Result<Vec<ReactionCountRow>, StoreError> {
        self.engine.reaction_counts(channel_id, message_ids).await
    }

    /// Which emojis a user has on messages.
    pub async fn own_reactions(
        &self,
        channel_id: ChannelId,
        message_ids: &[MessageId],
        user_id: UserId,
    ) -> Result<Vec<OwnReaction>, StoreError> {
        self.engine.own_reactions(channel_id, message_ids, user_id).await
    }

    /// Who reacted with an emoji, by user id, above `after`.
    pub async fn reactions_of(
        &self,
        channel_id: ChannelId,
        message_id: MessageId,
        emoji: &ReactionEmoji,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Vec<UserId>, StoreError> {
        self.engine.reactions_of(channel_id, message_id, emoji, after, limit).await
    }

    /// The pins of a channel, newest pin first, pinned before `before`.
    pub async fn pins(
        &self,
        channel_id: ChannelId,
        before: Option<Timestamp>,
        limit: usize,
    ) -> Result<Vec<PinRow>, StoreError> {
        let mut pins = self.engine.pins(channel_id).await?;
        pins.retain(|pin| before.is_none_or(|before| pin.pinned_at < before));
        pins.truncate(limit);
        Ok(pins)
    }

    /// How long a guild keeps messages; none for ever.
    pub async fn retention(&self, guild_id: GuildId) -> Result<Option<RetentionRow>, StoreError> {
        self.engine.retention(guild_id).await
    }

    /// How many messages of a channel are pinned.
    pub async fn pin_count(&self, channel_id: ChannelId) -> Result<usize, StoreError> {
        Ok(self.engine.pins(channel_id).await?.len())
    }
}
