//! Virtual time and what happens on it: messages between actors, commits, timers.
//!
//! From one actor to another messages arrive in the order in which they were sent, and that is all that is promised:
//! links have delays of their own, and pauses.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;

use rand::Rng as _;
use rand_chacha::ChaCha8Rng;
use rookery_guild::Subscriber;
use rookery_model::call::Call;
use rookery_model::gateway::{Event, SubscriberId};
use rookery_model::store::Write;
use rookery_model::user::User;
use rookery_model::{ChannelId, GuildId, MessageId, UserId};
use rookery_session::{Connection, Payload};
use rookery_user::UserSession;

use crate::fact::Fact;

/// What has an owner of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OwnerKey {
    Guild(GuildId),
    Dm(ChannelId),
}

/// A socket between a client and the region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketId(pub u64);

/// Who sends and receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Actor {
    /// Whoever makes calls.
    Outside,
    Owner(OwnerKey),
    User(UserId),
    Session(SubscriberId),
}

/// What the owner of a guild or DM is told.
pub enum GuildMessage {
    Call { caller: UserId, call: Box<Call>, operation: u64 },
    Subscribe(Subscriber),
    Unsubscribe(SubscriberId),
    UserUpdated(Box<User>),
}

/// What the owner of a user is told.
pub enum UserMessage {
    Subscribe(Box<UserSession>, Box<str>),
    Unsubscribe(SubscriberId),
    /// An event of a DM, with its number among those of the DM for this user.
    Deliver {
        dm: ChannelId,
        number: u64,
        event: Arc<Event>,
        payload: Arc<Payload>,
        fact: Box<Fact>,
    },
    GuildJoined(GuildId),
    GuildLeft(GuildId),
    Mentioned(ChannelId, MessageId),
    Acknowledge(ChannelId, MessageId),
}

/// What a session is told.
pub enum Input {
    Dispatch(Arc<Payload>),
    Own(Box<Event>),
    Attach {
        socket: SocketId,
        connection: Box<Connection>,
        seq: u64,
    },
    GuildJoined(GuildId),
    GuildLeft(GuildId),
    /// Whether the guild could not answer, or the session may not ask.
    NotSubscribed(GuildId, Refusal),
    Subscribed(GuildId),
    NotReady,
}

/// Why a guild's events do not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Ask again later.
    Unavailable,
    /// No such guild for this user.
    Unknown,
}

/// How a batch ended, as the owner hears it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitResult {
    Durable,
    /// Certainly not stored.
    Failed,
    /// Stored or not: the store does not say.
    Unknown,
}

/// A batch that becomes durable, or does not.
pub struct Batch {
    pub key: Option<OwnerKey>,
    pub writes: Vec<Write>,
    pub operation: Option<u64>,
}

/// Something that happens at its time.
pub enum Job {
    ToGuild(OwnerKey, GuildMessage),
    ToUser(UserId, UserMessage),
    ToSession(SubscriberId, Input),
    Durable(Batch),
    Committed { actor: Actor, incarnation: u64, commit: u64, result: CommitResult },
    LoadGuild(OwnerKey, u64),
    LoadUser(UserId, u64),
    RowsRead { key: OwnerKey, incarnation: u64, ticket: u64 },
    WakeSession(SubscriberId),
    WakeSocket(SocketId),
    ClientConnects(usize),
    ClientReads(usize, SocketId),
    ClientBeats(usize, SocketId),
    Act(usize),
}

/// How badly things go in a world.
#[derive(Clone, Debug)]
pub struct Weather {
    pub link_ms_max: u64,
    pub load_ms_max: u64,
    pub commit_ms_max: u64,
    /// Of a thousand batches: how many fail, and of how many nobody knows.
    pub failing: u32,
    pub unknown: u32,
    /// Of a thousand batches: how many are refused at once.
    pub refused: u32,
    /// Of a thousand loads: how many fail.
    pub loads_failing: u32,
}

impl Weather {
    /// Nothing goes wrong any more.
    pub const CALM: Self =
        Self { link_ms_max: 2, load_ms_max: 2, commit_ms_max: 2, failing: 0, unknown: 0, refused: 0, loads_failing: 0 };

    /// The weather of a world.
    pub fn of(rng: &mut ChaCha8Rng) -> Self {
        let stormy = rng.random_bool(0.4);
        let some = |rng: &mut ChaCha8Rng, most: u32| if stormy { rng.random_range(0..=most) } else { 0 };
        Self {
            link_ms_max: *pick(rng, &[0, 3, 30, 300]),
            load_ms_max: *pick(rng, &[0, 20, 500]),
            commit_ms_max: *pick(rng, &[0, 10, 200, 1_500]),
            failing: some(rng, 40),
            unknown: some(rng, 40),
            refused: some(rng, 10),
            loads_failing: some(rng, 300),
        }
    }
}

/// One of several.
pub fn pick<'a, T>(rng: &mut ChaCha8Rng, of: &'a [T]) -> &'a T {
    &of[rng.random_range(0..of.len())]
}

struct Entry {
    at_ms: u64,
    number: u64,
    job: Job,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Entry {}
impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Entry {
    /// The heap gives its greatest: the earliest, and of two at one time the one that was put in first.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at_ms, other.number).cmp(&(self.at_ms, self.number))
    }
}

/// What is going to happen.
pub struct Bus {
    jobs: BinaryHeap<Entry>,
    next_number: u64,
    /// When the newest message of a link arrives.
    links: HashMap<(Actor, Actor), u64>,
    /// Actors that take nothing until then.
    paused: HashMap<Actor, u64>,
    /// When the newest batch becomes durable: the store commits in order.
    durable_at_ms: u64,
}

impl Bus {
    /// Nothing yet.
    pub fn new() -> Self {
        Self {
            jobs: BinaryHeap::new(),
            next_number: 0,
            links: HashMap::new(),
            paused: HashMap::new(),
            durable_at_ms: 0,
        }
    }

    /// Lets something happen at a time.
    pub fn at(&mut self, at_ms: u64, job: Job) {
        self.next_number += 1;
        self.jobs.push(Entry { at_ms, number: self.next_number, job });
    }

    /// The next thing that happens.
    pub fn pop(&mut self) -> Option<(u64, Job)> {
        self.jobs.pop().map(|entry| (entry.at_ms, entry.job))
    }

    /// When a message that is sent now arrives.
    pub fn arrival_ms(&mut self, now_ms: u64, from: Actor, to: Actor, delay_ms: u64) -> u64 {
        let paused = self.paused.get(&to).copied().unwrap_or(0);
        let last = self.links.entry((from, to)).or_default();
        *last = (now_ms + delay_ms).max(*last).max(paused);
        *last
    }

    /// Lets an actor take nothing for a while.
    pub fn pause(&mut self, actor: Actor, until_ms: u64) {
        self.paused.insert(actor, until_ms);
    }

    /// No actor pauses any more.
    pub fn resume_all(&mut self) {
        self.paused.clear();
    }

    /// When a batch that is submitted now is durable.
    pub fn durable_ms(&mut self, now_ms: u64, delay_ms: u64) -> u64 {
        self.durable_at_ms = self.durable_at_ms.max(now_ms + delay_ms);
        self.durable_at_ms
    }
}

impl Default for Bus {
    fn default() -> Self {
        Self::new()
    }
}
