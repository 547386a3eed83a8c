//! A world: its actors, and the loop that lets things happen to them in the order of virtual time.

use std::collections::BTreeMap;

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rookery_model::gateway::{Identify, Intents, Resume, SubscriberId};
use rookery_model::{DeviceId, UserId};
use rookery_session::{Action as SessionAction, Frame, Session, SessionInit};
use rookery_user::{SessionClient, UserSession};

use crate::actions::{self, Action, Deed};
use crate::bus::{Actor, GuildMessage, Input, Job, OwnerKey, SocketId, UserMessage, Weather};
use crate::check::{Invariant, Violation};
use crate::client::{Client, Leave};
use crate::env::{Counts, Env, Live, RECONNECT};
use crate::guild_owner::GuildOwner;
use crate::plant::Plant;
use crate::session_process::{SessionProcess, Sockets, reject};
use crate::setup;
use crate::socket::FromClient;
use crate::user_owner::UserOwner;

/// How long a world has to come to rest once nothing goes wrong any more.
const REST_MS: u64 = 600_000;
/// Between two looks whether it has.
const LOOK_MS: u64 = 1_000;

/// Everything there is.
pub struct World {
    pub(crate) env: Env,
    pub(crate) guilds: BTreeMap<OwnerKey, GuildOwner>,
    users: BTreeMap<UserId, UserOwner>,
    sessions: BTreeMap<SubscriberId, SessionProcess>,
    sockets: Sockets,
    pub(crate) clients: Vec<Client>,
    actions: Vec<Action>,
    next_subscriber: u64,
    next_socket: u64,
    is_over: bool,
}

impl rookery_test_seeds::World for World {
    type Plant = Plant;
    type Action = Action;
    type Counts = Counts;
    type Invariant = Invariant;

    fn new(seed: u64, plant: Plant) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let weather = Weather::of(&mut rng);
        let sizes = setup::sizes(&mut rng);
        let mut env = Env::new(ChaCha8Rng::seed_from_u64(rng.random()), weather, sizes, plant);
        let clients = setup::populate(&mut env, &mut rng);
        let actions = actions::actions(&mut rng);
        Self {
            env,
            guilds: BTreeMap::new(),
            users: BTreeMap::new(),
            sessions: BTreeMap::new(),
            sockets: Sockets::new(),
            clients,
            actions,
            next_subscriber: 0,
            next_socket: 0,
            is_over: false,
        }
    }

    fn actions(&self) -> &[Action] {
        &self.actions
    }

    fn set_actions(&mut self, actions: Vec<Action>) {
        self.actions = actions;
    }

    fn keep_trace(&mut self) {
        self.env.trace = Some(Vec::new());
    }

    fn trace(&self) -> &[String] {
        self.env.trace.as_deref().unwrap_or_default()
    }

    fn run(&mut self) -> Result<Counts, Violation> {
        for client in &mut self.clients {
            let pause_ms = self.env.rng.random_range(0..2_000);
            client.connect_in(&mut self.env, pause_ms);
        }
        self.env.bus.at(self.env.now_ms + 3_000, Job::Act(0));
        let mut rest_from_ms = None;
        let mut look_at_ms = 0;
        while let Some((at_ms, job)) = self.env.bus.pop() {
            self.env.now_ms = self.env.now_ms.max(at_ms);
            self.happen(job);
            if let Some(violation) = self.env.check.violation() {
                return Err(violation.clone());
            }
            if self.is_over {
                let from_ms = *rest_from_ms.get_or_insert(self.env.now_ms);
                if self.env.now_ms >= look_at_ms {
                    look_at_ms = self.env.now_ms + LOOK_MS;
                    match self.restlessness() {
                        None => break,
                        Some(violation) if self.env.now_ms > from_ms + REST_MS => return Err(violation),
                        Some(_) => {}
                    }
                }
            }
        }
        self.env.check.close();
        if let Some(violation) = self.env.check.violation() {
            return Err(violation.clone());
        }
        let counts =
            Counts { received: self.env.check.received, actions: self.actions.len() as u64, ..self.env.counts };
        Ok(counts)
    }
}

impl World {
    fn happen(&mut self, job: Job) {
        let env = &mut self.env;
        match job {
            Job::ToGuild(key, message) => {
                if let Some(waiting) = env.guilds.get_mut(&key) {
                    *waiting -= 1;
                }
                let owner = self.guilds.entry(key).or_insert_with(|| GuildOwner::new(key));
                owner.receive(env, message);
                if owner.is_refusing() && owner.leave_if_idle(env) {
                    self.guilds.remove(&key);
                }
            }
            Job::ToUser(id, message) => {
                if let Some(waiting) = env.users.get_mut(&id) {
                    *waiting -= 1;
                }
                self.users.entry(id).or_insert_with(|| UserOwner::new(id)).receive(env, message);
            }
            Job::ToSession(id, input) => match (self.sessions.get_mut(&id), input) {
                (Some(session), input) => {
                    session.receive(env, input);
                    env.bus.at(env.now_ms, Job::WakeSession(id));
                }
                (None, Input::Attach { socket, connection, .. }) => {
                    reject(env, &mut self.sockets, socket, connection);
                }
                (None, _) => {}
            },
            Job::Durable(batch) => env.store.apply(batch.key, &batch.writes, batch.operation),
            Job::Committed { actor, incarnation, commit, result } => match actor {
                Actor::Owner(key) => {
                    if let Some(owner) = self.guilds.get_mut(&key) {
                        owner.committed(env, incarnation, commit, result);
                    }
                }
                Actor::User(id) => {
                    if let Some(owner) = self.users.get_mut(&id) {
                        owner.committed(env, incarnation, commit, result);
                    }
                }
                Actor::Outside | Actor::Session(_) => {}
            },
            Job::LoadGuild(key, incarnation) => {
                self.guilds.entry(key).or_insert_with(|| GuildOwner::new(key)).load(env, incarnation);
            }
            Job::LoadUser(id, incarnation) => {
                self.users.entry(id).or_insert_with(|| UserOwner::new(id)).load(env, incarnation);
            }
            Job::RowsRead { key, incarnation, ticket } => {
                if let Some(owner) = self.guilds.get_mut(&key) {
                    owner.rows_read(env, incarnation, ticket);
                }
            }
            Job::WakeSession(id) => self.wake_session(id),
            Job::WakeSocket(id) => self.drive(id),
            Job::ClientConnects(index) => {
                self.next_socket += 1;
                self.clients[index].connect(env, &mut self.sockets, SocketId(self.next_socket));
            }
            Job::ClientReads(index, socket) => self.clients[index].read(env, &mut self.sockets, socket),
            Job::ClientBeats(index, socket) => self.clients[index].beat(env, &mut self.sockets, socket),
            Job::Act(number) => self.act(number),
        }
    }

    fn wake_session(&mut self, id: SubscriberId) {
        if let Some(session) = self.sessions.get_mut(&id)
            && session.round(&mut self.env, &mut self.sockets)
        {
            self.sessions.remove(&id);
        }
    }

    /// Moves frames of a connection that belongs to no session yet.
    fn drive(&mut self, id: SocketId) {
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        let Some(mut connection) = socket.connection.take() else {
            if let Some(session) = socket.session {
                self.wake_session(session);
            }
            return;
        };
        let now_ms = self.env.now_ms;
        loop {
            while let Some(transmit) = connection.poll_transmit() {
                socket.queue(&mut self.env, transmit);
            }
            match connection.poll_action() {
                Some(SessionAction::Identify(request)) => return self.identify(id, *connection, &request),
                Some(SessionAction::Resume(request)) => return self.resume(id, connection, &request),
                Some(SessionAction::Close(code)) => return socket.close(&mut self.env, Some(code.code())),
                _ => {}
            }
            match socket.to_server.pop_front() {
                Some(FromClient::Frame(bytes)) => connection.handle_frame(now_ms, Frame::Binary(&bytes)),
                Some(FromClient::Closed(_)) => {
                    self.sockets.remove(&id);
                    return;
                }
                None if connection.poll_timeout().is_some_and(|due_ms| due_ms <= now_ms) => {
                    connection.handle_timeout(now_ms);
                }
                None => break,
            }
        }
        if let Some(due_ms) = connection.poll_timeout() {
            self.env.bus.at(due_ms, Job::WakeSocket(id));
        }
        socket.connection = Some(connection);
    }

    fn identify(&mut self, socket_id: SocketId, connection: rookery_session::Connection, request: &Identify) {
        let env = &mut self.env;
        let Some(socket) = self.sockets.get_mut(&socket_id) else { return };
        let user_id = self.clients[socket.client].user_id;
        let is_bot = env.store.users.get(&user_id).is_some_and(|user| user.bot);
        self.next_subscriber += 1;
        let id = SubscriberId(self.next_subscriber);
        let session_id: Box<str> = format!("session{}", id.0).into();
        let init = SessionInit::from_identify(session_id.clone(), user_id, is_bot, Intents::all(), request);
        let Ok(mut init) = init else {
            return env.violate(Invariant::NoPanic, "a good IDENTIFY was refused");
        };
        let asked = init.intents;
        if env.plant == Plant::ContentForAll {
            init.intents = init.intents.map(|intents| intents | Intents::MESSAGE_CONTENT);
        }
        env.counts.identified += 1;
        env.live.insert(id, Live { user_id, session_id: session_id.clone(), intents: asked, signals: 0, waiting: 0 });
        env.by_session_id.insert(session_id.clone(), id);
        env.check.begin(id);
        socket.session = Some(id);
        let subscriber = UserSession {
            id,
            device: DeviceId::new(1),
            epoch: 0,
            intents: init.intents,
            shard: init.shard.map(|shard| [shard.id, shard.count]),
            client: SessionClient::default(),
        };
        let large_threshold = request.large_threshold.unwrap_or(50).clamp(50, 250);
        let session = Session::new(init, connection);
        self.sessions.insert(id, SessionProcess::new(id, session, socket_id, large_threshold));
        if env.tell_user(Actor::Outside, user_id, UserMessage::Subscribe(Box::new(subscriber), session_id)).is_err() {
            env.tell_session(Actor::Outside, id, Input::NotReady);
        }
        env.bus.at(env.now_ms, Job::WakeSession(id));
    }

    fn resume(&mut self, socket: SocketId, mut connection: Box<rookery_session::Connection>, request: &Resume) {
        let env = &mut self.env;
        let found = env.by_session_id.get(&*request.session_id).copied();
        let Some((id, live)) = found.and_then(|id| env.live.get(&id).map(|live| (id, live))) else {
            return reject(env, &mut self.sockets, socket, connection);
        };
        if live.waiting >= env.sizes.inbox_capacity {
            // It has too much to do at this moment: the next attempt finds out.
            connection.invalid_session(env.now_ms, true);
            if let Some(socket) = self.sockets.get_mut(&socket) {
                socket.connection = Some(connection);
            }
            return env.bus.at(env.now_ms + 10, Job::WakeSocket(socket));
        }
        let input = Input::Attach { socket, connection, seq: request.seq };
        env.tell_session(Actor::Outside, id, input);
    }

    fn act(&mut self, number: usize) {
        let Some(action) = self.actions.get(number).copied() else { return self.rest() };
        let deed = actions::deed(&self.env, action);
        self.env.note(|| format!("ACTION {number}: {deed:?}"));
        self.carry_out(deed);
        let after_ms = self.actions.get(number + 1).map_or(500, |next| next.after_ms);
        self.env.bus.at(self.env.now_ms + after_ms, Job::Act(number + 1));
    }

    fn carry_out(&mut self, deed: Deed) {
        let env = &mut self.env;
        let clients = self.clients.len();
        match deed {
            Deed::Call { key, by, call } => {
                let operation = env.operation();
                let message = GuildMessage::Call { caller: by, call, operation };
                // Calls come by way of many tasks, in any order: each has a link of its own as far as that goes.
                let from = Actor::User(by);
                env.counts.unavailable += u64::from(env.tell_guild(from, key, message).is_err());
            }
            Deed::Acknowledge(user, channel, message) => {
                let _ = env.tell_user(Actor::Outside, user, UserMessage::Acknowledge(channel, message));
            }
            Deed::Rename(user, name) => {
                let Some(known) = env.store.users.get_mut(&user) else { return };
                known.username = name;
                let renamed = known.clone();
                let keys: Vec<OwnerKey> = env.guilds.keys().copied().collect();
                for key in keys {
                    let message = GuildMessage::UserUpdated(Box::new(renamed.clone()));
                    let _ = env.tell_guild_if_loaded(Actor::Outside, key, message);
                }
            }
            Deed::Cut(n) => self.clients[n % clients].cut(env, &mut self.sockets, Leave::Broken),
            Deed::CutUnnoticed(n) => self.clients[n % clients].cut(env, &mut self.sockets, Leave::Unnoticed),
            Deed::Stall(n, ms) => self.clients[n % clients].stalled_until_ms = env.now_ms + ms,
            Deed::GoodBye(n) => self.clients[n % clients].leave(env, &mut self.sockets, Leave::GoodBye),
            Deed::Drain(one_of) => {
                let ids: Vec<SubscriberId> = env.live.keys().copied().collect();
                for id in ids {
                    if env.rng.random_ratio(1, one_of) {
                        env.signal(id, RECONNECT);
                    }
                }
            }
            Deed::PauseOwner(n, ms) => {
                let keys: Vec<OwnerKey> = env.guilds.keys().copied().collect();
                if !keys.is_empty() {
                    env.bus.pause(Actor::Owner(keys[n % keys.len()]), env.now_ms + ms);
                }
            }
            Deed::PauseUser(n, ms) => {
                let user = self.clients[n % clients].user_id;
                env.bus.pause(Actor::User(user), env.now_ms + ms);
            }
            Deed::PauseSession(n, ms) => {
                let ids: Vec<SubscriberId> = env.live.keys().copied().collect();
                if !ids.is_empty() {
                    env.bus.pause(Actor::Session(ids[n % ids.len()]), env.now_ms + ms);
                }
            }
            Deed::Evict => {
                self.guilds.retain(|_, owner| !owner.leave_if_idle(env));
                self.users.retain(|_, owner| !owner.leave_if_idle(env));
            }
            Deed::Nothing => {}
        }
    }

    /// From here on nothing goes wrong.
    fn rest(&mut self) {
        self.is_over = true;
        self.env.note(|| "from here on nothing goes wrong".into());
        self.env.weather = Weather::CALM;
        self.env.bus.resume_all();
        for client in &mut self.clients {
            client.stalled_until_ms = 0;
            client.read_ms_max = 0;
        }
        // Something happens even if nobody has anything to do.
        for look in 1..=REST_MS / LOOK_MS + 2 {
            self.env.bus.at(self.env.now_ms + look * LOOK_MS, Job::WakeSession(SubscriberId(0)));
        }
    }

    /// Whether a session has a connection.
    pub(crate) fn is_attached(&self, id: SubscriberId) -> bool {
        self.sessions.get(&id).is_some_and(SessionProcess::is_attached)
    }
}
