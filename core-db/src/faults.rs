//! An engine that misbehaves as a database cluster may: for tests of this crate and of its callers.
//!
//! Writes and claims may end with an unknown outcome, applied or not; the queue may be full; reads may be answered by a
//! replica that is some batches behind. All of it follows from a seed.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
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

use crate::dump::{DumpCursor, DumpPage, Section};
use crate::engine::{Answer, Commit, Engine, MessageRange, OwnReaction, PinRow};
use crate::{MessagePage, StoreError, StoreHealth, StoreStats};

/// How often what goes wrong, in thousandths.
#[derive(Clone, Copy, Debug, Default)]
pub struct FaultPlan {
    /// Where the dice start.
    pub seed: u64,
    /// A write, claim or swap applies, and the answer is `Unknown`.
    pub applied_unknown: u64,
    /// A write, claim or swap does not apply, and the answer is `Unknown`.
    pub lost_unknown: u64,
    /// A write is refused with `Busy`.
    pub busy: u64,
    /// A write does not apply and is acknowledged: a mistake that no engine may make, for those who look for mistakes.
    pub forgotten: u64,
    /// A read is answered by the replica.
    pub stale: u64,
    /// How many writes the replica is behind.
    pub lag: usize,
}

/// What a throw of the dice says about a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Fine,
    Busy,
    Lost,
    Forgotten,
    AppliedUnknown,
}

/// What the replica has not seen yet.
enum Late {
    Batch(Vec<Write>),
    Claim(UniqueKey, u64),
}

/// A replica that is behind.
struct Replica {
    engine: Arc<dyn Engine>,
    late: Mutex<VecDeque<Late>>,
}

impl Replica {
    /// Gives the replica one more write, and those that it must not be behind any more.
    fn note(&self, late: Late, lag: usize) {
        let mut queue = self.late.lock();
        queue.push_back(late);
        while queue.len() > lag {
            if let Some(next) = queue.pop_front() {
                self.apply(next);
            }
        }
    }

    /// The replica's own trouble is not part of the plan: tests give it a healthy engine.
    fn apply(&self, late: Late) {
        match late {
            Late::Batch(batch) => drop(self.engine.submit(batch)),
            Late::Claim(key, owner) => {
                let engine = self.engine.clone();
                tokio::spawn(async move { engine.claim(key, owner).await });
            }
        }
    }

    /// Waits until everything that was submitted to the replica can be read there.
    async fn settle(&self) -> Result<(), StoreError> {
        self.engine.submit(Vec::new())?.await
    }
}

/// An engine with faults.
pub struct FaultEngine {
    inner: Arc<dyn Engine>,
    replica: Option<Replica>,
    plan: FaultPlan,
    dice: AtomicU64,
    injected: AtomicU64,
}

impl FaultEngine {
    /// Faults in front of an engine.
    pub fn new(inner: Arc<dyn Engine>, plan: FaultPlan) -> Self {
        Self { inner, replica: None, plan, dice: AtomicU64::new(plan.seed), injected: AtomicU64::new(0) }
    }

    /// Likewise, with a second, empty engine as the replica that is behind.
    pub fn with_replica(inner: Arc<dyn Engine>, replica: Arc<dyn Engine>, plan: FaultPlan) -> Self {
        let replica = Replica { engine: replica, late: Mutex::new(VecDeque::new()) };
        Self { replica: Some(replica), ..Self::new(inner, plan) }
    }

    /// Faults so far.
    pub fn injected(&self) -> u64 {
        self.injected.load(Ordering::Relaxed)
    }

    /// Lets the replica catch up.
    pub async fn catch_up(&self) -> Result<(), StoreError> {
        let Some(replica) = &self.replica else { return Ok(()) };
        let late: Vec<_> = replica.late.lock().drain(..).collect();
        late.into_iter().for_each(|late| replica.apply(late));
        replica.settle().await
    }

    /// A number below 1,000 (SplitMix64).
    fn throw(&self) -> u64 {
        let mut state = self.dice.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (state ^ (state >> 31)) % 1_000
    }

    fn fate(&self) -> Fate {
        let plan = &self.plan;
        let fates = [
            (plan.applied_unknown, Fate::AppliedUnknown),
            (plan.lost_unknown, Fate::Lost),
            (plan.busy, Fate::Busy),
            (plan.forgotten, Fate::Forgotten),
        ];
        let mut thrown = self.throw();
        let fallen = fates.into_iter().find_map(|(share, fate)| match thrown.checked_sub(share) {
            Some(rest) => {
                thrown = rest;
                None
            }
            None => Some(fate),
        });
        let Some(fate) = fallen else { return Fate::Fine };
        self.injected.fetch_add(1, Ordering::Relaxed);
        fate
    }

    /// The engine that answers the next read.
    fn reader(&self) -> &Arc<dyn Engine> {
        match &self.replica {
            Some(replica) if self.throw() < self.plan.stale => {
                self.injected.fetch_add(1, Ordering::Relaxed);
                &replica.engine
            }
            _ => &self.inner,
        }
    }

    fn note(&self, late: impl FnOnce() -> Late) {
        if let Some(replica) = &self.replica {
            replica.note(late(), self.plan.lag);
        }
    }
}

fn unknown<T>() -> Result<T, StoreError> {
    Err(StoreError::Unknown("a timeout was injected".into()))
}

/// Reads go to the engine or to its replica, once what the replica was given is there.
macro_rules! reads {
    ($($name:ident<$life:lifetime>($($arg:ident: $kind:ty),*) -> $answer:ty;)*) => {$(
        fn $name<$life>(&$life self, $($arg: $kind),*) -> Answer<$life, $answer> {
            Box::pin(async move {
                let reader = self.reader();
                if let Some(replica) = &self.replica {
                    replica.settle().await?;
                }
                reader.$name($($arg),*).await
            })
        }
    )*};
}

impl Engine for FaultEngine {
    fn submit(&self, batch: Vec<Write>) -> Result<Commit, StoreError> {
        match self.fate() {
            Fate::Busy => Err(StoreError::Busy),
            Fate::Lost => Ok(Commit::from_future(async { unknown() })),
            Fate::Forgotten => Ok(Commit::from_future(async { Ok(()) })),
            fate => {
                let commit = self.inner.submit(batch.clone())?;
                self.note(|| Late::Batch(batch));
                if fate == Fate::Fine {
                    return Ok(commit);
                }
                Ok(Commit::from_future(async move {
                    commit.await?;
                    unknown()
                }))
            }
        }
    }

    fn claim(&self, key: UniqueKey, value: u64) -> Answer<'_, Result<(), u64>> {
        Box::pin(async move {
            let fate = self.fate();
            if matches!(fate, Fate::Lost | Fate::Busy) {
                return unknown();
            }
            if fate == Fate::Forgotten {
                return Ok(Ok(()));
            }
            let claim = self.inner.claim(key.clone(), value).await?;
            if claim.is_ok() {
                self.note(|| Late::Claim(key, value));
            }
            if fate == Fate::Fine { Ok(claim) } else { unknown() }
        })
    }

    fn raise_id_ceiling(&self, ceiling_ms: u64) -> Answer<'_, ()> {
        self.inner.raise_id_ceiling(ceiling_ms)
    }
    fn health(&self) -> StoreHealth {
        self.inner.health()
    }
    fn stats(&self) -> StoreStats {
        self.inner.stats()
    }
    fn close(&self) -> Answer<'_, ()> {
        self.inner.close()
    }
    fn forget_pages(&self) {
        self.inner.forget_pages();
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
    // A compare-and-set is read at SERIAL, a lease likewise: never stale.
    fn id_ceiling(&self) -> Answer<'_, u64> {
        self.inner.id_ceiling()
    }
    fn swap_lease(&self, swap: LeaseSwap) -> Answer<'_, bool> {
        Box::pin(async move {
            let fate = self.fate();
            if matches!(fate, Fate::Lost | Fate::Busy) {
                return unknown();
            }
            let applied = self.inner.swap_lease(swap).await?;
            if fate == Fate::Fine { Ok(applied) } else { unknown() }
        })
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

    reads! {
        unique<'a>(key: &'a UniqueKey) -> Option<u64>;
        operation<'a>(id: &'a [u8]) -> Option<OperationRow>;
        accounts<'a>(ids: &'a [UserId]) -> Vec<Account>;
        application<'a>(id: ApplicationId) -> Option<Application>;
        applications_of<'a>(owner: UserId) -> Vec<Application>;
        guild<'a>(id: GuildId) -> Option<GuildProperties>;
        guild_channels<'a>(id: GuildId) -> Vec<Channel>;
        guild_roles<'a>(id: GuildId) -> Vec<Role>;
        guild_members_page<'a>(id: GuildId, after: Option<UserId>, limit: usize) -> Vec<MemberRow>;
        member<'a>(guild_id: GuildId, user_id: UserId) -> Option<MemberRow>;
        guilds_of_user<'a>(user_id: UserId) -> Vec<GuildId>;
        ban<'a>(guild_id: GuildId, user_id: UserId) -> Option<BanRow>;
        bans_page<'a>(guild_id: GuildId, after: Option<UserId>, limit: usize) -> Vec<BanRow>;
        invite<'a>(code: &'a str) -> Option<InviteRow>;
        guild_invites<'a>(guild_id: GuildId) -> Vec<InviteRow>;
        channel<'a>(id: ChannelId) -> Option<Channel>;
        dm<'a>(id: ChannelId) -> Option<DmRow>;
        dms_of_user<'a>(user_id: UserId) -> Vec<ChannelId>;
        read_states<'a>(user_id: UserId) -> Vec<ReadState>;
        read_state<'a>(user_id: UserId, channel_id: ChannelId) -> Option<ReadState>;
        message<'a>(channel_id: ChannelId, id: MessageId) -> Option<MessageRow>;
        messages<'a>(channel_id: ChannelId, range: MessageRange, limit: usize) -> MessagePage;
        last_message_id<'a>(channel_id: ChannelId) -> Option<MessageId>;
        messages_of_author<'a>(author_id: UserId, before: Option<MessageId>, limit: usize)
            -> Vec<(ChannelId, MessageId)>;
        reaction_counts<'a>(channel_id: ChannelId, message_ids: &'a [MessageId]) -> Vec<ReactionCountRow>;
        own_reactions<'a>(channel_id: ChannelId, message_ids: &'a [MessageId], user_id: UserId) -> Vec<OwnReaction>;
        reactions_of<'a>(
            channel_id: ChannelId, message_id: MessageId, emoji: &'a ReactionEmoji, after: Option<UserId>, limit: usize
        ) -> Vec<UserId>;
        pins<'a>(channel_id: ChannelId) -> Vec<PinRow>;
        retention<'a>(guild_id: GuildId) -> Option<RetentionRow>;
        message_edits<'a>(channel_id: ChannelId, message_id: MessageId, limit: usize) -> Vec<MessageEditRow>;
        attachments<'a>(channel_id: ChannelId, message_id: MessageId) -> Vec<AttachmentRow>;
        guild_emojis<'a>(guild_id: GuildId) -> Vec<EmojiRow>;
        guild_stage_instances<'a>(guild_id: GuildId) -> Vec<StageInstance>;
        webhook<'a>(id: WebhookId) -> Option<WebhookRow>;
        guild_webhooks<'a>(guild_id: GuildId) -> Vec<WebhookRow>;
        audit_log<'a>(guild_id: GuildId, before: Option<AuditLogEntryId>, limit: usize) -> Vec<AuditLogRow>;
        settings<'a>(user_id: UserId, kind: u8) -> Option<SettingsRow>;
        relationships<'a>(user_id: UserId) -> Vec<RelationshipRow>;
        outbox<'a>(queue: OutboxQueue, after: Option<OutboxPlace>, limit: usize) -> Vec<OutboxRow>;
        import_under_way<'a>() -> Option<ImportRow>;
        dump<'a>(section: Section, after: Option<DumpCursor>, limit: usize) -> DumpPage;
        dump_estimate<'a>() -> u64;
    }
}
