//! What all actors of a world share.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use rand::Rng as _;
use rand_chacha::ChaCha8Rng;
use rookery_guild::{IdSource, Subscriber};
use rookery_model::gateway::{Event, Intents, SubscriberId};
use rookery_model::store::Write;
use rookery_model::{ChannelId, Snowflake, Timestamp, UserId};
use rookery_session::{Payload, SessionConfig};

use crate::bus::{Actor, Batch, Bus, CommitResult, GuildMessage, Input, Job, OwnerKey, UserMessage, Weather};
use crate::check::{Check, Invariant};
use crate::fact::Fact;
use crate::plant::Plant;
use crate::store::Store;

/// When the worlds begin.
pub const EPOCH_MS: u64 = 1_700_000_000_000;

/// What a session is told besides events.
pub const LOST: u8 = 1;
pub const RECONNECT: u8 = 4;

/// Bounds of the queues.
#[derive(Clone, Debug)]
pub struct Sizes {
    pub session: Arc<SessionConfig>,
    pub inbox_capacity: usize,
    pub mailbox_capacity: usize,
    pub in_flight_max: usize,
    pub subscribe_concurrency: usize,
    /// Bytes that a socket takes ahead of its client.
    pub socket_bytes: usize,
}

/// A session that has a process.
pub struct Live {
    pub user_id: UserId,
    pub session_id: Box<str>,
    /// As its client asked; none for people.
    pub intents: Option<Intents>,
    pub signals: u8,
    /// Entries on their way to it.
    pub waiting: usize,
}

rookery_test_seeds::tally! {
    /// How often things happened, so that a run that reaches nothing is seen.
    pub struct Counts {
        actions,
        accepted,
        refused,
        unavailable,
        received,
        identified,
        resumed,
        invalidated,
        cut,
        too_slow,
        timed_out,
        reconnects,
        lost,
        reloads,
        failed_commits,
        subscribed,
        joined,
        left,
        evicted,
    }
    never {
        /// Snapshots of guilds that the session had already.
        resubscribed,
    }
}

/// Everything that is not an actor's own.
pub struct Env {
    pub now_ms: u64,
    pub rng: ChaCha8Rng,
    pub weather: Weather,
    pub sizes: Sizes,
    pub bus: Bus,
    pub store: Store,
    pub check: Check,
    pub counts: Counts,
    pub plant: Plant,
    /// Sessions with a process.
    pub live: BTreeMap<SubscriberId, Live>,
    /// Owners that are loaded or loading, with what is on its way to them.
    pub guilds: BTreeMap<OwnerKey, usize>,
    pub users: BTreeMap<UserId, usize>,
    /// Subscribers by the session ids that their clients know.
    pub by_session_id: BTreeMap<Box<str>, SubscriberId>,
    pub trace: Option<Vec<String>>,
    next_commit: u64,
    next_incarnation: u64,
    next_operation: u64,
    sent_of_dms: BTreeMap<(UserId, ChannelId), u64>,
    ids: (u64, u16),
}

/// A thing for which there was no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl IdSource for Env {
    fn next_id(&mut self) -> Snowflake {
        let (ms, sequence) = &mut self.ids;
        if EPOCH_MS + self.now_ms > *ms {
            (*ms, *sequence) = (EPOCH_MS + self.now_ms, 0);
        } else {
            *sequence += 1;
        }
        Snowflake::from_parts(*ms, 1, *sequence)
    }
}

impl Env {
    /// An environment in which nothing happened yet.
    pub fn new(rng: ChaCha8Rng, weather: Weather, sizes: Sizes, plant: Plant) -> Self {
        Self {
            now_ms: 0,
            rng,
            weather,
            sizes,
            bus: Bus::new(),
            store: Store::default(),
            check: Check::default(),
            counts: Counts::default(),
            plant,
            live: BTreeMap::new(),
            guilds: BTreeMap::new(),
            users: BTreeMap::new(),
            by_session_id: BTreeMap::new(),
            trace: None,
            next_commit: 0,
            next_incarnation: 0,
            next_operation: 0,
            sent_of_dms: BTreeMap::new(),
            ids: (0, 0),
        }
    }

    /// The time as the cores hear it.
    pub const fn now(&self) -> Timestamp {
        Timestamp::from_unix_ms((EPOCH_MS + self.now_ms) as i64)
    }

    /// Writes a line into the trace, if there is one.
    pub fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>8} ms  {}", self.now_ms, line()));
        }
    }

    /// A number that no loaded owner had before.
    pub fn incarnation(&mut self) -> u64 {
        self.next_incarnation += 1;
        self.next_incarnation
    }

    /// A new operation's number.
    pub fn operation(&mut self) -> u64 {
        self.next_operation += 1;
        self.next_operation
    }

    /// Whether something of so many in a thousand happens now.
    pub fn chance(&mut self, permille: u32) -> bool {
        permille > 0 && self.rng.random_ratio(permille.min(1_000), 1_000)
    }

    fn delay(&mut self, max_ms: u64) -> u64 {
        if max_ms == 0 { 0 } else { self.rng.random_range(0..=max_ms) }
    }

    fn arrival_ms(&mut self, from: Actor, to: Actor) -> u64 {
        let delay_ms = self.delay(self.weather.link_ms_max);
        self.bus.arrival_ms(self.now_ms, from, to, delay_ms)
    }

    /// Sends a message to the owner of a guild or DM, loading it if need be.
    ///
    /// # Errors
    /// Its mailbox is full.
    pub fn tell_guild(&mut self, from: Actor, key: OwnerKey, message: GuildMessage) -> Result<(), Full> {
        if let Entry::Vacant(entry) = self.guilds.entry(key) {
            entry.insert(0);
            self.load_guild(key, 0);
        }
        self.tell_guild_if_loaded(from, key, message)
    }

    /// Sends a message to the owner of a guild or DM if it is loaded.
    ///
    /// # Errors
    /// Its mailbox is full.
    pub fn tell_guild_if_loaded(&mut self, from: Actor, key: OwnerKey, message: GuildMessage) -> Result<(), Full> {
        let Some(waiting) = self.guilds.get_mut(&key) else { return Ok(()) };
        if *waiting >= self.sizes.mailbox_capacity {
            return Err(Full);
        }
        *waiting += 1;
        let at_ms = self.arrival_ms(from, Actor::Owner(key));
        self.bus.at(at_ms, Job::ToGuild(key, message));
        Ok(())
    }

    /// Lets an owner read its rows, after a pause.
    pub fn load_guild(&mut self, key: OwnerKey, pause_ms: u64) {
        let incarnation = self.incarnation();
        let at_ms = self.now_ms + pause_ms + self.delay(self.weather.load_ms_max);
        self.bus.at(at_ms, Job::LoadGuild(key, incarnation));
    }

    /// As [`Self::load_guild`] for a user.
    pub fn load_user(&mut self, id: UserId, pause_ms: u64) {
        let incarnation = self.incarnation();
        let at_ms = self.now_ms + pause_ms + self.delay(self.weather.load_ms_max);
        self.bus.at(at_ms, Job::LoadUser(id, incarnation));
    }

    /// Sends a message to the owner of a user, loading it if need be.
    ///
    /// # Errors
    /// Its mailbox is full.
    pub fn tell_user(&mut self, from: Actor, id: UserId, message: UserMessage) -> Result<(), Full> {
        if let Entry::Vacant(entry) = self.users.entry(id) {
            entry.insert(0);
            self.load_user(id, 0);
        }
        let capacity = self.sizes.mailbox_capacity;
        let waiting = self.users.entry(id).or_default();
        if *waiting >= capacity {
            return Err(Full);
        }
        *waiting += 1;
        let at_ms = self.arrival_ms(from, Actor::User(id));
        self.bus.at(at_ms, Job::ToUser(id, message));
        Ok(())
    }

    /// Sends a message to the owner of a user if it is loaded; if it has no room, the user's sessions are lost.
    pub fn tell_user_if_loaded(&mut self, from: Actor, id: UserId, message: UserMessage) {
        if self.users.contains_key(&id) && self.tell_user(from, id, message).is_err() {
            self.lose_user(id);
        }
    }

    /// Sends an event of a DM to a user, with what the truth wants them to be told by it.
    pub fn tell_of_dm(&mut self, dm: ChannelId, user: UserId, event: Arc<Event>, payload: Arc<Payload>, fact: Fact) {
        if !self.users.contains_key(&user) {
            return;
        }
        let number = self.sent_of_dms.get(&(user, dm)).copied().unwrap_or(0) + 1;
        let message = UserMessage::Deliver { dm, number, event, payload, fact: Box::new(fact) };
        match self.tell_user(Actor::Owner(OwnerKey::Dm(dm)), user, message) {
            Ok(()) => drop(self.sent_of_dms.insert((user, dm), number)),
            Err(Full) => self.lose_user(user),
        }
    }

    /// Sends something to a session; false if it is no more. One without room loses it and itself.
    pub fn tell_session(&mut self, from: Actor, id: SubscriberId, input: Input) -> bool {
        let capacity = self.sizes.inbox_capacity;
        let Some(live) = self.live.get_mut(&id) else { return false };
        if live.waiting >= capacity {
            self.signal(id, LOST);
            return true;
        }
        live.waiting += 1;
        let at_ms = self.arrival_ms(from, Actor::Session(id));
        self.bus.at(at_ms, Job::ToSession(id, input));
        true
    }

    /// Tells a session something that finds room always.
    pub fn signal(&mut self, id: SubscriberId, signal: u8) {
        if let Some(live) = self.live.get_mut(&id) {
            live.signals |= signal;
            self.bus.at(self.now_ms, Job::WakeSession(id));
        }
    }

    /// Ends the sessions of a user, who would go on with a gap.
    pub fn lose_user(&mut self, user: UserId) {
        let theirs: Vec<SubscriberId> =
            self.live.iter().filter(|(_, live)| live.user_id == user).map(|(id, _)| *id).collect();
        theirs.into_iter().for_each(|id| self.signal(id, LOST));
    }

    /// Submits a batch; its number, or none if the store takes none now.
    pub fn submit(
        &mut self,
        actor: Actor,
        incarnation: u64,
        writes: Vec<Write>,
        operation: Option<u64>,
    ) -> Option<u64> {
        if self.chance(self.weather.refused) {
            self.counts.failed_commits += 1;
            return None;
        }
        self.next_commit += 1;
        let commit = self.next_commit;
        let (result, is_stored) = if self.chance(self.weather.failing) {
            (CommitResult::Failed, false)
        } else if self.chance(self.weather.unknown) {
            (CommitResult::Unknown, self.rng.random_bool(0.5))
        } else {
            (CommitResult::Durable, true)
        };
        self.counts.failed_commits += u64::from(result != CommitResult::Durable);
        let delay_ms = self.delay(self.weather.commit_ms_max);
        let durable_ms = self.bus.durable_ms(self.now_ms, delay_ms);
        if is_stored {
            let key = if let Actor::Owner(key) = actor { Some(key) } else { None };
            self.bus.at(durable_ms, Job::Durable(Batch { key, writes, operation }));
        }
        // News of it may overtake that of another batch.
        let told_ms = durable_ms + self.delay(self.weather.commit_ms_max / 4);
        self.bus.at(told_ms, Job::Committed { actor, incarnation, commit, result });
        self.note(|| format!("{actor:?} submits batch {commit}: {result:?}"));
        Some(commit)
    }

    /// A session as its client asked for it, whatever became of that on the way.
    pub fn as_asked(&self, subscriber: &Subscriber) -> Subscriber {
        let live = self.live.get(&subscriber.id);
        Subscriber { intents: live.map_or(subscriber.intents, |live| live.intents), ..subscriber.clone() }
    }

    /// A core did what it must never do.
    pub fn violate(&mut self, invariant: Invariant, what: impl Into<String>) {
        self.check.violate(invariant, what);
    }
}
