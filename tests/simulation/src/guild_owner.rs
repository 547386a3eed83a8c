//! The owner of a guild or DM: what `owners/guild` of the region does around the core, without its tasks.
//!
//! Commands one after the other; locks and rows before a decision; what follows from a decision waits until its rows and
//! those of all earlier ones are durable; after a batch that failed the core is loaded anew.

mod deliver;
mod recover;

use std::collections::{BTreeMap, VecDeque};

use rookery_guild::{Caller, Dispatch, Effect, Given, GuildCore, Limits, LockKey, Need, Outcome, Subscriber};
use rookery_model::call::{Call, Reply};
use rookery_model::gateway::SubscriberId;
use rookery_model::user::User;
use rookery_model::{ApiError, ChannelId, UserId};

use crate::bus::{Actor, CommitResult, GuildMessage, Job, OwnerKey};
use crate::check::Invariant;
use crate::env::Env;
use crate::fact::Fact;
use crate::shell::locks::{Locks, Ticket};
use crate::store::Rows;
use crate::truth::{self, Decided};

const READ_ROUNDS_MAX: u32 = 8;

/// The owner of a guild or DM.
pub struct GuildOwner {
    key: OwnerKey,
    inbox: VecDeque<GuildMessage>,
    loaded: Option<Box<Loaded>>,
    /// The guild is not there: everybody is told so until nobody asks any more.
    is_refusing: bool,
}

struct Loaded {
    core: GuildCore,
    incarnation: u64,
    truth: Truth,
    pipeline: VecDeque<Entry>,
    locks: Locks<LockKey>,
    ready: VecDeque<Ticket>,
    parked: BTreeMap<Ticket, Parked>,
    /// Who is handed events; behind the core by what is not durable yet.
    /// With the number of each subscription.
    subscribers: BTreeMap<SubscriberId, (Subscriber, u64)>,
    /// Subscriptions so far.
    subscriptions: u64,
    next_ticket: Ticket,
    health: Health,
    untold: Vec<Untold>,
    untold_users: BTreeMap<UserId, Box<User>>,
    is_missed: bool,
}

/// What was decided, which the core must agree with.
struct Truth {
    rows: Rows,
    subscribed: BTreeMap<SubscriberId, Subscriber>,
    names: BTreeMap<UserId, String>,
    /// For a planted bug: who could read a channel when its last message came.
    readers: BTreeMap<ChannelId, rookery_guild::Audience>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Sound,
    Ahead,
    Failed,
    Deleted,
    /// The rows are being read again.
    Reloading,
}

struct Entry {
    commit: Option<u64>,
    result: Option<CommitResult>,
    pending: Pending,
}

struct Parked {
    caller: UserId,
    call: Box<Call>,
    operation: u64,
    locks: Vec<LockKey>,
    given: Given,
    needs: Vec<Need>,
    rounds: u32,
}

/// What follows an outcome once it is durable.
#[derive(Default)]
struct Pending {
    effects: Vec<Effect>,
    dispatches: Vec<Dispatch>,
    reply: Option<Result<Reply, ApiError>>,
    locks: Option<(Ticket, Vec<LockKey>)>,
    snapshot_for: Option<Subscriber>,
    /// The session that gets none, if everything before that holds.
    no_snapshot_for: Option<SubscriberId>,
    recorded: Option<u64>,
    user_updated: Option<Box<User>>,
    /// What the truth wants sessions, or the users of a DM, to be told.
    due: Vec<(SubscriberId, Vec<Fact>)>,
    due_of_dm: Vec<(UserId, Fact)>,
    /// Subscriptions that came before it.
    subscriptions: u64,
}

struct Untold {
    operation: u64,
    effects: Vec<Effect>,
    dispatches: Vec<Dispatch>,
    due_of_dm: Vec<(UserId, Fact)>,
}

impl GuildOwner {
    /// An owner that is not loaded yet.
    pub const fn new(key: OwnerKey) -> Self {
        Self { key, inbox: VecDeque::new(), loaded: None, is_refusing: false }
    }

    /// Takes a message out of the mailbox.
    pub fn receive(&mut self, env: &mut Env, message: GuildMessage) {
        self.inbox.push_back(message);
        self.run(env);
    }

    /// The rows were read, or could not be.
    pub fn load(&mut self, env: &mut Env, incarnation: u64) {
        if env.chance(env.weather.loads_failing) {
            // Nobody waits for longer than that: they are told, and ask again.
            self.refuse_all(env, crate::bus::Refusal::Unavailable);
            return env.load_guild(self.key, 50);
        }
        let Some(core) = load(env, self.key) else {
            if let Some(mut loaded) = self.loaded.take() {
                loaded.lose_all(env);
            }
            self.is_refusing = true;
            return self.run(env);
        };
        match &mut self.loaded {
            Some(loaded) => loaded.reloaded(env, self.key, core),
            None => self.loaded = Some(Box::new(Loaded::new(env, self.key, core, incarnation))),
        }
        self.run(env);
    }

    /// A batch is durable, or failed.
    pub fn committed(&mut self, env: &mut Env, incarnation: u64, commit: u64, result: CommitResult) {
        let Some(loaded) = self.loaded.as_mut().filter(|loaded| loaded.incarnation == incarnation) else { return };
        for entry in loaded.pipeline.iter_mut().filter(|entry| entry.commit == Some(commit)) {
            entry.result = Some(result);
        }
        loaded.settle_front(env, self.key);
        self.run(env);
    }

    /// Rows came for a call.
    pub fn rows_read(&mut self, env: &mut Env, incarnation: u64, ticket: Ticket) {
        let Some(loaded) = self.loaded.as_mut().filter(|loaded| loaded.incarnation == incarnation) else { return };
        let Some(mut call) = loaded.parked.remove(&ticket) else { return };
        if loaded.health != Health::Sound {
            let unavailable = Err(rookery_model::ErrorCode::Unavailable.into());
            loaded.answer(env, self.key, ticket, call.locks, unavailable);
        } else {
            for need in std::mem::take(&mut call.needs) {
                env.store.fill(self.key, need, &mut call.given);
            }
            loaded.proceed(env, self.key, ticket, call);
        }
        self.run(env);
    }

    /// Leaves memory if nobody is subscribed and nothing is under way.
    pub fn leave_if_idle(&mut self, env: &mut Env) -> bool {
        let is_idle = self.loaded.as_ref().is_none_or(|loaded| loaded.is_idle()) && self.inbox.is_empty();
        let nothing_comes = env.guilds.get(&self.key) == Some(&0);
        if is_idle && nothing_comes && (self.loaded.is_some() || self.is_refusing) {
            env.guilds.remove(&self.key);
            env.counts.evicted += 1;
            return true;
        }
        false
    }

    /// Whether its guild is not there.
    pub const fn is_refusing(&self) -> bool {
        self.is_refusing
    }

    /// Who is subscribed, as the truth has it.
    pub fn has_subscriber(&self, id: SubscriberId) -> bool {
        self.loaded.as_ref().is_some_and(|loaded| loaded.truth.subscribed.contains_key(&id))
    }

    fn run(&mut self, env: &mut Env) {
        if self.is_refusing {
            return self.refuse_all(env, crate::bus::Refusal::Unknown);
        }
        let Some(loaded) = &mut self.loaded else { return };
        loop {
            loaded.run_ready(env, self.key);
            if !matches!(loaded.health, Health::Sound | Health::Reloading) && loaded.pipeline.is_empty() {
                if loaded.health == Health::Deleted {
                    loaded.fail_parked(env);
                    self.loaded = None;
                    self.is_refusing = true;
                    return self.refuse_all(env, crate::bus::Refusal::Unknown);
                }
                loaded.recover(env, self.key);
            }
            let most = env.sizes.in_flight_max;
            let has_room = loaded.parked.len() < most && loaded.pipeline.len() < most;
            if loaded.health != Health::Sound || !has_room {
                return;
            }
            let Some(message) = self.inbox.pop_front() else { return };
            loaded.command(env, self.key, message);
        }
    }

    fn refuse_all(&mut self, env: &mut Env, refusal: crate::bus::Refusal) {
        for message in self.inbox.drain(..) {
            match message {
                GuildMessage::Subscribe(subscriber) => deliver::refuse(env, self.key, subscriber.id, refusal),
                GuildMessage::Call { .. } => env.counts.unavailable += 1,
                GuildMessage::UserUpdated(user) => {
                    if let Some(loaded) = &mut self.loaded {
                        loaded.untold_users.insert(user.id, user);
                    }
                }
                GuildMessage::Unsubscribe(_) => {}
            }
        }
    }
}

/// The core out of its rows.
fn load(env: &Env, key: OwnerKey) -> Option<GuildCore> {
    let limits = Limits::default();
    match key {
        OwnerKey::Guild(_) => env.store.guild_state(key).map(|state| GuildCore::load(state, limits)),
        OwnerKey::Dm(_) => env.store.dm_state(key).map(|state| GuildCore::load_dm(state, limits)),
    }
}

impl Truth {
    fn load(env: &Env, key: OwnerKey) -> Self {
        Self {
            rows: env.store.spaces.get(&key).cloned().unwrap_or_default(),
            subscribed: BTreeMap::new(),
            names: env.store.users.iter().map(|(id, user)| (*id, user.username.clone())).collect(),
            readers: BTreeMap::new(),
        }
    }
}

impl Loaded {
    fn new(env: &Env, key: OwnerKey, core: GuildCore, incarnation: u64) -> Self {
        Self {
            core,
            incarnation,
            truth: Truth::load(env, key),
            pipeline: VecDeque::new(),
            locks: Locks::default(),
            ready: VecDeque::new(),
            parked: BTreeMap::new(),
            subscribers: BTreeMap::new(),
            subscriptions: 0,
            next_ticket: 0,
            health: Health::Sound,
            untold: Vec::new(),
            untold_users: BTreeMap::new(),
            is_missed: false,
        }
    }

    fn is_idle(&self) -> bool {
        let is_settled = self.pipeline.is_empty() && self.parked.is_empty() && self.ready.is_empty();
        self.subscribers.is_empty() && is_settled && self.health == Health::Sound
    }

    fn mark(&mut self, health: Health) {
        if self.health == Health::Sound || health == Health::Failed && self.health == Health::Ahead {
            self.health = health;
        }
    }

    fn command(&mut self, env: &mut Env, key: OwnerKey, message: GuildMessage) {
        match message {
            GuildMessage::Call { caller, call, operation } => {
                let ticket = self.next_ticket;
                self.next_ticket += 1;
                let locks = GuildCore::locks(&call);
                let parked =
                    Parked { caller, call, operation, locks, given: Given::default(), needs: Vec::new(), rounds: 0 };
                self.proceed(env, key, ticket, parked);
            }
            GuildMessage::Subscribe(subscriber) => self.subscribe(env, key, subscriber),
            GuildMessage::Unsubscribe(id) => self.unsubscribe(id),
            GuildMessage::UserUpdated(user) => {
                self.truth.names.insert(user.id, user.username.clone());
                let outcome = self.core.user_updated(&user);
                let due = self.due_of_name(user.id);
                self.submit(env, key, outcome, None, Pending { due, user_updated: Some(user), ..Pending::default() });
            }
        }
    }

    /// Takes a call as far as it gets: to a lock that another holds, to a reading, or to its decision.
    fn proceed(&mut self, env: &mut Env, key: OwnerKey, ticket: Ticket, mut call: Parked) {
        for lock in &call.locks {
            if !self.locks.acquire(*lock, ticket) {
                self.parked.insert(ticket, call);
                return;
            }
        }
        let caller = caller(env, call.caller);
        let needs = self.core.needs(env.now(), &caller, &call.call, &call.given);
        if needs.is_empty() {
            return self.decide(env, key, ticket, call, &caller);
        }
        call.rounds += 1;
        if call.rounds > READ_ROUNDS_MAX {
            env.violate(Invariant::NoPanic, format!("a call asks for rows without end: {:?}", call.call));
            return;
        }
        call.needs = needs;
        self.parked.insert(ticket, call);
        let delay_ms = env.weather.load_ms_max / 4;
        let at_ms = env.now_ms + if delay_ms > 0 { rand::Rng::random_range(&mut env.rng, 0..=delay_ms) } else { 0 };
        env.bus.at(at_ms, Job::RowsRead { key, incarnation: self.incarnation, ticket });
    }

    fn run_ready(&mut self, env: &mut Env, key: OwnerKey) {
        while let Some(ticket) = self.ready.pop_front() {
            if self.health == Health::Sound
                && let Some(call) = self.parked.remove(&ticket)
            {
                self.proceed(env, key, ticket, call);
            }
        }
    }

    fn decide(&mut self, env: &mut Env, key: OwnerKey, ticket: Ticket, call: Parked, caller: &Caller) {
        let Parked { call, operation, locks, given, .. } = call;
        let now = env.now();
        match self.core.handle(now, caller, &call, &given, env) {
            Ok(mut outcome) => {
                env.note(|| format!("{key:?}: {} does {call:?}", caller.id()));
                let mut pending = Pending { locks: Some((ticket, locks)), ..Pending::default() };
                self.decided(env, key, &call, caller, &outcome, &mut pending);
                self.plant_stale_audience(env, &mut outcome);
                self.submit(env, key, outcome, Some(operation), pending);
            }
            Err(error) => {
                if error.status >= 500 {
                    env.violate(Invariant::NoPanic, format!("{call:?}: {error}"));
                }
                self.answer(env, key, ticket, locks, Err(error));
            }
        }
    }

    /// Brings the truth up to what was decided, and notes who is to be told what of it.
    fn decided(
        &mut self,
        env: &mut Env,
        key: OwnerKey,
        call: &Call,
        caller: &Caller,
        outcome: &Outcome,
        pending: &mut Pending,
    ) {
        if matches!(key, OwnerKey::Dm(_)) {
            pending.due_of_dm = truth::facts_of_dm(&self.truth.rows, &outcome.writes, call, caller.id());
            outcome.writes.iter().for_each(|write| self.truth.rows.apply(write));
            return deliver::check_dm(env, &outcome.dispatches, &pending.due_of_dm);
        }
        let Some(before) = self.truth.rows.guild.clone() else {
            return env.violate(Invariant::Truth, format!("a guild that is gone did {call:?}"));
        };
        if !before.members.contains_key(&caller.id()) {
            // Whoever joins is known as they are called now.
            self.truth.names.insert(caller.id(), caller.user.username.clone());
        }
        let messages_before = if outcome.writes.is_empty() { None } else { Some(self.truth.rows.messages.clone()) };
        outcome.writes.iter().for_each(|write| self.truth.rows.apply(write));
        let decided = Decided {
            before: &before,
            after: self.truth.rows.guild.as_ref(),
            writes: &outcome.writes,
            messages_before: messages_before.as_ref().unwrap_or(&self.truth.rows.messages),
            call,
            caller: caller.id(),
            now: env.now(),
            names: &self.truth.names,
        };
        pending.due = self.truth.subscribed.values().map(|viewer| (viewer.id, decided.facts_for(viewer))).collect();
        match &self.truth.rows.guild {
            Some(after) => self.truth.subscribed.retain(|_, viewer| after.members.contains_key(&viewer.user_id)),
            None => self.truth.subscribed.clear(),
        }
    }

    fn due_of_name(&self, user: UserId) -> Vec<(SubscriberId, Vec<Fact>)> {
        let Some(guild) = &self.truth.rows.guild else { return Vec::new() };
        let Some(row) = guild.members.get(&user) else { return Vec::new() };
        let member = truth::member_fact(guild, row, &self.truth.names);
        let fact = Fact::Member(crate::fact::Change::Update, Box::new(member));
        let follows =
            |s: &&Subscriber| s.user_id == user || truth::wants(s, rookery_model::gateway::Intents::GUILD_MEMBERS);
        self.truth.subscribed.values().filter(follows).map(|s| (s.id, vec![fact.clone()])).collect()
    }

    /// Puts an outcome's rows on their way, and what follows it behind them.
    fn submit(&mut self, env: &mut Env, key: OwnerKey, outcome: Outcome, operation: Option<u64>, mut pending: Pending) {
        let Outcome { writes, reply, dispatches, effects } = outcome;
        pending.subscriptions = self.subscriptions;
        let mut commit = None;
        if !writes.is_empty() {
            pending.recorded = operation;
            commit = env.submit(Actor::Owner(key), self.incarnation, writes, operation);
            if commit.is_none() {
                self.mark(Health::Ahead);
                let reply = operation.map(|_| Err(rookery_model::ErrorCode::Unavailable.into()));
                let refused = Pending { reply, locks: pending.locks, ..Pending::default() };
                return self.enqueue(env, key, None, refused);
            }
        }
        pending.dispatches = dispatches;
        pending.effects = effects;
        pending.reply = operation.map(|_| Ok(reply));
        self.enqueue(env, key, commit, pending);
    }

    /// Answers a call without an outcome, behind everything that was decided before it.
    fn answer(
        &mut self,
        env: &mut Env,
        key: OwnerKey,
        ticket: Ticket,
        locks: Vec<LockKey>,
        result: Result<Reply, ApiError>,
    ) {
        let pending = Pending { reply: Some(result), locks: Some((ticket, locks)), ..Pending::default() };
        self.enqueue(env, key, None, pending);
    }

    fn enqueue(&mut self, env: &mut Env, key: OwnerKey, commit: Option<u64>, pending: Pending) {
        if commit.is_none() && self.pipeline.is_empty() {
            self.settle(env, key, CommitResult::Durable, pending);
        } else {
            let result = if commit.is_none() { Some(CommitResult::Durable) } else { None };
            self.pipeline.push_back(Entry { commit, result, pending });
        }
    }

    fn settle_front(&mut self, env: &mut Env, key: OwnerKey) {
        while let Some(result) = self.pipeline.front().and_then(|entry| entry.result) {
            if let Some(entry) = self.pipeline.pop_front() {
                self.settle(env, key, result, entry.pending);
            }
        }
    }
}

/// Who calls, as their account stands now.
fn caller(env: &Env, id: UserId) -> Caller {
    let user = env.store.users.get(&id).cloned();
    Caller::new(user.unwrap_or_else(|| rookery_model::user::User::new(id, "nobody")))
}
