//! The owner of a user: what `owners/user` of the region does around the core, without its tasks.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use rookery_model::channel::Channel;
use rookery_model::gateway::event::{Ready, ReadyAuth};
use rookery_model::gateway::{Event, Intents, SubscriberId};
use rookery_model::guild::UnavailableGuild;
use rookery_model::user::CurrentUser;
use rookery_model::{ChannelId, GuildId, UserId};
use rookery_session::Payload;
use rookery_user::{Limits, Moment, Outcome, UserCore, UserSession};

use crate::bus::{Actor, CommitResult, Input, UserMessage};
use crate::check::Invariant;
use crate::env::{Env, LOST};
use crate::fact::{Fact, Source};

/// The owner of a user.
pub struct UserOwner {
    id: UserId,
    inbox: VecDeque<UserMessage>,
    loaded: Option<Box<Loaded>>,
}

struct Loaded {
    core: UserCore,
    incarnation: u64,
    pipeline: VecDeque<(Option<u64>, Option<CommitResult>, Pending)>,
    sessions: BTreeMap<SubscriberId, UserSession>,
    truth: Truth,
    is_ahead: bool,
    has_failed: bool,
    is_missed: bool,
    is_reloading: bool,
    /// Something was refused while the rows could not be read.
    has_refused: bool,
}

/// What the core must agree with.
#[derive(Default)]
struct Truth {
    dms: BTreeSet<ChannelId>,
    is_bot: bool,
    /// The number of the newest event of each DM.
    numbers: BTreeMap<ChannelId, u64>,
}

#[derive(Default)]
struct Pending {
    sends: Vec<(Vec<SubscriberId>, Outgoing)>,
    due: Vec<(SubscriberId, Source, Fact)>,
    /// It writes something, and others wait to hear whether that is stored.
    writes: bool,
}

enum Outgoing {
    Shared(Arc<Payload>),
    Ready(Box<Ready>),
    GuildJoined(GuildId),
    GuildLeft(GuildId),
}

impl Outgoing {
    fn input(&self) -> Input {
        match self {
            Self::Shared(payload) => Input::Dispatch(Arc::clone(payload)),
            Self::Ready(ready) => Input::Own(Box::new(Event::Ready(ready.clone()))),
            Self::GuildJoined(id) => Input::GuildJoined(*id),
            Self::GuildLeft(id) => Input::GuildLeft(*id),
        }
    }
}

impl UserOwner {
    /// An owner that is not loaded yet.
    pub const fn new(id: UserId) -> Self {
        Self { id, inbox: VecDeque::new(), loaded: None }
    }

    /// Takes a message out of the mailbox.
    pub fn receive(&mut self, env: &mut Env, message: UserMessage) {
        self.inbox.push_back(message);
        self.run(env);
    }

    /// The rows were read, or could not be.
    pub fn load(&mut self, env: &mut Env, incarnation: u64) {
        if env.chance(env.weather.loads_failing) {
            // Sessions lose what is refused here, so they end with it.
            if let Some(loaded) = &mut self.loaded {
                loaded.has_refused = true;
                loaded.lose_all(env);
            }
            for message in self.inbox.drain(..) {
                if let UserMessage::Subscribe(session, _) = message {
                    env.tell_session(Actor::User(self.id), session.id, Input::NotReady);
                }
            }
            return env.load_user(self.id, 50);
        }
        let state = env.store.user_state(self.id);
        let truth =
            Truth { dms: state.dm_ids.iter().copied().collect(), is_bot: state.is_bot, numbers: BTreeMap::new() };
        let core = UserCore::load(state, Limits::default());
        match &mut self.loaded {
            Some(loaded) => loaded.reloaded(env, core, truth, incarnation),
            None => {
                self.loaded = Some(Box::new(Loaded {
                    core,
                    incarnation,
                    pipeline: VecDeque::new(),
                    sessions: BTreeMap::new(),
                    truth,
                    is_ahead: false,
                    has_failed: false,
                    is_missed: false,
                    is_reloading: false,
                    has_refused: false,
                }));
            }
        }
        self.run(env);
    }

    /// A batch is durable, or failed.
    pub fn committed(&mut self, env: &mut Env, incarnation: u64, commit: u64, result: CommitResult) {
        let Some(loaded) = self.loaded.as_mut().filter(|loaded| loaded.incarnation == incarnation) else { return };
        for entry in loaded.pipeline.iter_mut().filter(|entry| entry.0 == Some(commit)) {
            entry.1 = Some(result);
        }
        while let Some((_, Some(result), _)) = loaded.pipeline.front() {
            let result = *result;
            if let Some((_, _, pending)) = loaded.pipeline.pop_front() {
                loaded.settle(env, self.id, result, pending);
            }
        }
        self.run(env);
    }

    /// Leaves memory if there is no session and nothing under way.
    pub fn leave_if_idle(&mut self, env: &mut Env) -> bool {
        let is_idle = self
            .loaded
            .as_ref()
            .is_some_and(|loaded| loaded.sessions.is_empty() && loaded.pipeline.is_empty() && !loaded.is_reloading);
        if is_idle && self.inbox.is_empty() && env.users.get(&self.id) == Some(&0) {
            env.users.remove(&self.id);
            env.counts.evicted += 1;
            return true;
        }
        false
    }

    fn run(&mut self, env: &mut Env) {
        let Some(loaded) = &mut self.loaded else { return };
        loop {
            if loaded.is_reloading {
                return;
            }
            if loaded.is_ahead && loaded.pipeline.is_empty() {
                loaded.is_reloading = true;
                env.counts.reloads += 1;
                return env.load_user(self.id, 0);
            }
            if loaded.is_ahead || loaded.pipeline.len() >= env.sizes.in_flight_max {
                return;
            }
            let Some(message) = self.inbox.pop_front() else { return };
            loaded.command(env, self.id, message);
        }
    }
}

impl Loaded {
    fn command(&mut self, env: &mut Env, user: UserId, message: UserMessage) {
        match message {
            UserMessage::Subscribe(session, session_id) => self.subscribe(env, user, *session, &session_id),
            UserMessage::Unsubscribe(id) => self.unsubscribe(id),
            UserMessage::Deliver { dm, number, event, payload, fact } => {
                let last = self.truth.numbers.insert(dm, number);
                if last.is_some_and(|last| last + 1 != number) {
                    env.violate(Invariant::Order, format!("{user}: event {number} of {dm} follows {last:?}"));
                }
                let due = self.due_of_dm(dm, *fact);
                let sessions = self.core.deliver(&event);
                self.send(env, user, sessions, Outgoing::Shared(payload), due);
            }
            UserMessage::GuildJoined(id) => {
                let sessions = self.core.guild_joined(id);
                self.send(env, user, sessions, Outgoing::GuildJoined(id), Vec::new());
            }
            UserMessage::GuildLeft(id) => {
                let sessions = self.core.guild_left(id);
                self.send(env, user, sessions, Outgoing::GuildLeft(id), Vec::new());
            }
            UserMessage::Mentioned(channel, message) => {
                let outcome = self.core.mentioned(channel, message);
                self.submit(env, user, outcome, Pending { writes: true, ..Pending::default() });
            }
            UserMessage::Acknowledge(channel, message) => {
                let outcome = self.core.acknowledge(channel, message, false, None, None);
                let is_news = !outcome.writes.is_empty();
                let told = self.sessions.keys().filter(|_| is_news);
                let due = told.map(|id| (*id, Source::User, Fact::Ack(channel, message))).collect();
                self.submit(env, user, outcome, Pending { due, writes: true, ..Pending::default() });
            }
        }
    }

    /// Who is to be told of a DM's event: the sessions of the shard for DMs that asked for its kind.
    fn due_of_dm(&mut self, dm: ChannelId, fact: Fact) -> Vec<(SubscriberId, Source, Fact)> {
        let intent = match &fact {
            Fact::DmCreate(_) => {
                // Told to people whose list did not have it.
                if !self.truth.dms.insert(dm) || self.truth.is_bot {
                    return Vec::new();
                }
                Intents::empty()
            }
            Fact::DmDelete(_) => {
                self.truth.dms.remove(&dm);
                Intents::empty()
            }
            Fact::Typing(..) => Intents::DIRECT_MESSAGE_TYPING,
            Fact::Reaction(..) => Intents::DIRECT_MESSAGE_REACTIONS,
            _ => Intents::DIRECT_MESSAGES,
        };
        let told = self.sessions.values().filter(|session| {
            session.shard.is_none_or(|[shard, _]| shard == 0)
                && session.intents.is_none_or(|intents| intents.contains(intent))
        });
        told.map(|session| (session.id, Source::Dm(dm), fact.clone())).collect()
    }

    fn subscribe(&mut self, env: &mut Env, user: UserId, session: UserSession, session_id: &str) {
        let id = session.id;
        let Ok(subscribed) = self.core.subscribe(Moment::default(), session.clone()) else {
            env.tell_session(Actor::User(user), id, Input::NotReady);
            return;
        };
        let mut ready = ready(env, user, session_id, &session);
        ready.private_channels = subscribed
            .dm_ids
            .iter()
            .filter_map(|dm| env.store.dm_state(crate::bus::OwnerKey::Dm(*dm)))
            .map(|state| Channel {
                recipients: state.users.into_iter().filter(|other| other.id != user).collect(),
                ..state.row.channel
            })
            .collect();
        ready.guilds =
            subscribed.guild_ids.iter().map(|id| UnavailableGuild { id: *id, unavailable: Some(true) }).collect();
        ready.read_state = subscribed.read_states;
        self.sessions.insert(id, session);
        self.send(env, user, vec![id], Outgoing::Ready(Box::new(ready)), Vec::new());
    }

    fn submit(&mut self, env: &mut Env, user: UserId, outcome: Outcome, mut pending: Pending) {
        let Outcome { writes, dispatches } = outcome;
        let shared = |event: Arc<Event>| Outgoing::Shared(Payload::new(Arc::unwrap_or_clone(event)));
        pending.sends.extend(dispatches.into_iter().map(|dispatch| (dispatch.sessions, shared(dispatch.event))));
        if writes.is_empty() {
            return self.enqueue(env, user, None, pending);
        }
        match env.submit(Actor::User(user), self.incarnation, writes, None) {
            Some(commit) => self.enqueue(env, user, Some(commit), pending),
            None => {
                self.is_ahead = true;
                self.enqueue(env, user, None, Pending::default());
            }
        }
    }

    fn send(
        &mut self,
        env: &mut Env,
        user: UserId,
        sessions: Vec<SubscriberId>,
        outgoing: Outgoing,
        due: Vec<(SubscriberId, Source, Fact)>,
    ) {
        if !sessions.is_empty() || !due.is_empty() {
            self.enqueue(env, user, None, Pending { sends: vec![(sessions, outgoing)], due, writes: false });
        }
    }

    fn enqueue(&mut self, env: &mut Env, user: UserId, commit: Option<u64>, pending: Pending) {
        if commit.is_none() && self.pipeline.is_empty() {
            self.settle(env, user, CommitResult::Durable, pending);
        } else {
            let result = if commit.is_none() { Some(CommitResult::Durable) } else { None };
            self.pipeline.push_back((commit, result, pending));
        }
    }

    /// An outcome's commit is resolved: tells everybody, or nobody.
    fn settle(&mut self, env: &mut Env, user: UserId, result: CommitResult, pending: Pending) {
        if result != CommitResult::Durable {
            (self.is_ahead, self.has_failed) = (true, true);
        }
        if self.has_failed && pending.writes && result != CommitResult::Failed {
            self.is_missed |= !pending.sends.is_empty();
        }
        // Events of others are durable by their own owners' word: a failure here does not take them back.
        if self.has_failed && pending.writes {
            return;
        }
        for (id, source, fact) in pending.due {
            env.check.expect(id, source, vec![fact]);
        }
        for (sessions, outgoing) in pending.sends {
            for id in sessions {
                if self.sessions.contains_key(&id) && !env.tell_session(Actor::User(user), id, outgoing.input()) {
                    self.unsubscribe(id);
                }
            }
        }
    }

    fn unsubscribe(&mut self, id: SubscriberId) {
        self.sessions.remove(&id);
        self.core.unsubscribe(id);
    }

    fn reloaded(&mut self, env: &mut Env, mut core: UserCore, truth: Truth, incarnation: u64) {
        if std::mem::take(&mut self.has_refused) {
            self.truth = truth;
        } else {
            // Lists and numbers go on: what comes from guilds and DMs did not pause.
            core.keep_lists_of(&self.core);
        }
        self.core = core;
        self.incarnation = incarnation;
        (self.is_ahead, self.has_failed, self.is_reloading) = (false, false, false);
        if std::mem::take(&mut self.is_missed) {
            // They start anew and see it in READY.
            self.lose_all(env);
        }
        for (id, session) in &self.sessions {
            if self.core.subscribe(Moment::default(), session.clone()).is_err() {
                env.signal(*id, LOST);
            }
        }
    }

    fn lose_all(&mut self, env: &mut Env) {
        for id in std::mem::take(&mut self.sessions).into_keys() {
            env.signal(id, LOST);
        }
        // Whoever starts anew reads what was missed.
        self.truth.numbers.clear();
    }
}

/// READY without guilds, DMs and read states.
fn ready(env: &Env, id: UserId, session_id: &str, session: &UserSession) -> Ready {
    let user = env.store.users.get(&id).cloned().unwrap_or_else(|| rookery_model::user::User::new(id, "nobody"));
    Ready {
        v: 10,
        user: CurrentUser {
            user,
            email: None,
            verified: true,
            mfa_enabled: false,
            locale: "en-US".into(),
            premium_type: 0,
            bio: String::new(),
            token: None,
        },
        guilds: Vec::new(),
        session_id: session_id.to_owned(),
        resume_gateway_url: "wss://localhost".into(),
        session_type: "normal".into(),
        shard: session.shard,
        application: None,
        private_channels: Vec::new(),
        relationships: Vec::new(),
        presences: Vec::new(),
        sessions: Vec::new(),
        geo_ordered_rtc_regions: Vec::new(),
        auth: ReadyAuth {},
        user_settings: ReadyAuth {},
        read_state: None,
        trace: Vec::new(),
    }
}
