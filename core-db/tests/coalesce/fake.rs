//! An engine whose moments a test decides: when a read looks and answers, when a write applies and is acknowledged.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

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
use rookery_model::user::{Account, Application, User};
use rookery_model::webhook::WebhookRow;
use rookery_model::{ApplicationId, AuditLogEntryId, ChannelId, GuildId, MessageId, UserId, WebhookId};
use tokio::sync::oneshot;
use tokio::time::sleep;

use crate::dice::Dice;
use crate::ms;

/// What becomes of the next write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Fine,
    /// Refused, and never applied.
    Failed,
    /// Acknowledged as unknown first, applied later.
    UnknownApplied,
    UnknownLost,
}

/// How long things take, virtual milliseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Delays {
    /// From the call of a read until it looks at the rows.
    pub look: u64,
    /// From then until it answers.
    pub answer: u64,
    pub apply: u64,
    pub acknowledge: u64,
}

#[derive(Default)]
pub struct Rows {
    /// By channel and id: when it was submitted and the content, none if deleted. The last one submitted wins.
    messages: BTreeMap<(ChannelId, MessageId), (u64, Option<MessageRow>)>,
    /// Until when channels were emptied.
    emptied: HashMap<ChannelId, u64>,
    all_emptied: u64,
    holders: HashMap<UniqueKey, u64>,
}

impl Rows {
    pub fn apply(&mut self, at: u64, batch: &[Write]) {
        for write in batch {
            match write {
                Write::PutMessage(row) => self.set(at, row.channel_id, row.id, Some(row.clone())),
                Write::DeleteMessage { channel_id, message_id } => self.set(at, *channel_id, *message_id, None),
                Write::DeleteChannel { channel_id, .. } => drop(self.emptied.insert(*channel_id, at)),
                // All channels are of one guild here.
                Write::DeleteGuild(_) => self.all_emptied = at,
                _ => {}
            }
        }
    }

    fn set(&mut self, at: u64, channel_id: ChannelId, id: MessageId, row: Option<MessageRow>) {
        let stored = self.messages.entry((channel_id, id)).or_default();
        if stored.0 <= at {
            *stored = (at, row);
        }
    }

    fn of(&self, channel_id: ChannelId) -> impl DoubleEndedIterator<Item = &MessageRow> {
        let emptied = self.emptied.get(&channel_id).copied().unwrap_or_default().max(self.all_emptied);
        let rows = self.messages.range((channel_id, MessageId::new(0))..=(channel_id, MessageId::new(u64::MAX)));
        rows.filter(move |(_, (at, _))| *at > emptied).filter_map(|(_, (_, row))| row.as_ref())
    }

    pub fn page(&self, channel_id: ChannelId, range: MessageRange, limit: usize) -> Vec<MessageRow> {
        let rows = self.of(channel_id);
        match range {
            MessageRange::Latest => rows.rev().take(limit).cloned().collect(),
            MessageRange::Before(id) => rows.rev().filter(|row| row.id < id).take(limit).cloned().collect(),
            MessageRange::After(id) => {
                let mut page: Vec<_> = rows.filter(|row| row.id > id).take(limit).cloned().collect();
                page.reverse();
                page
            }
        }
    }
}

/// The engine.
#[derive(Default)]
pub struct Fake {
    rows: Arc<Mutex<Rows>>,
    submitted: AtomicU64,
    /// Fixed ones, where no dice are given.
    delays: Delays,
    dice: Mutex<Option<Dice>>,
    fate: Mutex<Option<Fate>>,
    fail_reads: AtomicU64,
    reads: AtomicU64,
    reading: AtomicI64,
    removals: AtomicU64,
}

/// Counts a read as one on its way while it lives.
struct Reading<'a>(&'a Fake);

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.0.reading.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Fake {
    /// With delays that do not change.
    pub fn with(delays: Delays) -> Arc<Self> {
        Arc::new(Self { delays, ..Self::default() })
    }
    /// With delays out of a seed.
    pub fn with_dice(seed: u64) -> Arc<Self> {
        Arc::new(Self { dice: Mutex::new(Some(Dice::new(seed))), ..Self::default() })
    }
    /// Reads that were called.
    pub fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }
    /// Reads on their way.
    pub fn reading(&self) -> i64 {
        self.reading.load(Ordering::Relaxed)
    }
    /// How many of the next reads fail.
    pub fn fail_reads(&self, count: u64) {
        self.fail_reads.store(count, Ordering::Relaxed);
    }
    /// What becomes of the next write.
    pub fn set_fate(&self, fate: Fate) {
        *self.fate.lock().unwrap() = Some(fate);
    }
    /// The rows, as another process would find and change them.
    pub fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap()
    }
    /// The moment of one more write.
    pub fn next_moment(&self) -> u64 {
        self.submitted.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Removes messages as a job does that runs in the engine.
    pub fn remove_in_the_background(&self, batch: &[Write]) {
        let moment = self.next_moment();
        self.rows().apply(moment, batch);
        self.removals.fetch_add(1, Ordering::AcqRel);
    }

    fn next_delays(&self) -> Delays {
        match &mut *self.dice.lock().unwrap() {
            Some(dice) => {
                let mut some = || dice.one_of(&[0, 0, 1, 2, 5, 9, 20]);
                Delays { look: some(), answer: some(), apply: some(), acknowledge: some() }
            }
            None => self.delays,
        }
    }

    async fn read<T>(&self, look: impl FnOnce(&Rows) -> T) -> Result<T, StoreError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.reading.fetch_add(1, Ordering::Relaxed);
        let _reading = Reading(self);
        let delays = self.next_delays();
        pause(delays.look).await;
        let answer = look(&self.rows());
        pause(delays.answer).await;
        let failing = |left: u64| left.checked_sub(1);
        if self.fail_reads.fetch_update(Ordering::Relaxed, Ordering::Relaxed, failing).is_ok() {
            return Err(StoreError::Unavailable("a read was told to fail".into()));
        }
        Ok(answer)
    }
}

async fn pause(delay_ms: u64) {
    if delay_ms > 0 {
        sleep(ms(delay_ms)).await;
    }
}

/// What these tests do not ask for.
macro_rules! absent {
    ($($name:ident<$life:lifetime>($($arg:ident: $kind:ty),*) -> $answer:ty;)*) => {$(
        fn $name<$life>(&$life self, $(_: $kind),*) -> Answer<$life, $answer> {
            Box::pin(async { Err(StoreError::Unavailable(concat!(stringify!($name), " is not part of the test").into())) })
        }
    )*};
}

impl Engine for Fake {
    fn submit(&self, batch: Vec<Write>) -> Result<Commit, StoreError> {
        let fate = self.fate.lock().unwrap().take().unwrap_or(Fate::Fine);
        let (at, delays, rows) = (self.next_moment(), self.next_delays(), self.rows.clone());
        if delays.apply + delays.acknowledge == 0 && fate == Fate::Fine {
            rows.lock().unwrap().apply(at, &batch);
            return Ok(Commit::from_future(async { Ok(()) }));
        }
        let (done, commit) = oneshot::channel();
        tokio::spawn(async move {
            if fate == Fate::Fine {
                pause(delays.apply).await;
                rows.lock().unwrap().apply(at, &batch);
                pause(delays.acknowledge).await;
                return drop(done.send(Ok(())));
            }
            pause(delays.acknowledge).await;
            let unknown = || Err(StoreError::Unknown("a timeout".into()));
            drop(done.send(if fate == Fate::Failed { Err(StoreError::Unwritable("full".into())) } else { unknown() }));
            if fate == Fate::UnknownApplied {
                pause(delays.apply).await;
                rows.lock().unwrap().apply(at, &batch);
            }
        });
        Ok(Commit::new(commit))
    }

    fn claim(&self, key: UniqueKey, value: u64) -> Answer<'_, Result<(), u64>> {
        Box::pin(async move {
            let delays = self.next_delays();
            pause(delays.apply).await;
            let holder = *self.rows().holders.entry(key).or_insert(value);
            pause(delays.acknowledge).await;
            Ok(if holder == value { Ok(()) } else { Err(holder) })
        })
    }

    fn raise_id_ceiling(&self, _: u64) -> Answer<'_, ()> {
        Box::pin(async { Ok(()) })
    }
    fn health(&self) -> StoreHealth {
        StoreHealth::writable()
    }
    fn stats(&self) -> StoreStats {
        StoreStats::default()
    }
    fn background_removals(&self) -> u64 {
        self.removals.load(Ordering::Acquire)
    }
    fn close(&self) -> Answer<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    fn unique<'a>(&'a self, key: &'a UniqueKey) -> Answer<'a, Option<u64>> {
        Box::pin(self.read(|rows| rows.holders.get(key).copied()))
    }
    fn accounts<'a>(&'a self, ids: &'a [UserId]) -> Answer<'a, Vec<Account>> {
        Box::pin(self.read(|_| ids.iter().map(|id| Account::new(User::new(*id, "somebody"))).collect()))
    }
    fn message(&self, channel_id: ChannelId, id: MessageId) -> Answer<'_, Option<MessageRow>> {
        Box::pin(self.read(move |rows| rows.of(channel_id).find(|row| row.id == id).cloned()))
    }
    fn messages(&self, channel_id: ChannelId, range: MessageRange, limit: usize) -> Answer<'_, MessagePage> {
        Box::pin(self.read(move |rows| rows.page(channel_id, range, limit).into()))
    }
    fn last_message_id(&self, channel_id: ChannelId) -> Answer<'_, Option<MessageId>> {
        Box::pin(self.read(move |rows| rows.of(channel_id).next_back().map(|row| row.id)))
    }

    absent! {
        id_ceiling<'a>() -> u64;
        operation<'a>(id: &'a [u8]) -> Option<OperationRow>;
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
        swap_lease<'a>(swap: LeaseSwap) -> bool;
        worker_lease<'a>(worker_id: u16) -> Option<WorkerLease>;
        worker_leases<'a>() -> Vec<WorkerLease>;
        virtual_shard_lease<'a>(region: &'a str, virtual_shard: u16) -> Option<VirtualShardLease>;
        virtual_shard_leases<'a>(region: &'a str) -> Vec<VirtualShardLease>;
        import_under_way<'a>() -> Option<ImportRow>;
        dump<'a>(section: Section, after: Option<DumpCursor>, limit: usize) -> DumpPage;
        dump_estimate<'a>() -> u64;
    }
}
