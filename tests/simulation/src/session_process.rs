//! The process of a session: what `gateway/session_task.rs` of the region does around the core, without its task.

use std::collections::{BTreeMap, VecDeque};

use rookery_guild::Subscriber;
use rookery_model::UserId;
use rookery_model::gateway::{Capabilities, CloseCode, Event, SubscriberId};
use rookery_session::{Action, Connection, Frame, Session};

use crate::bus::{Actor, GuildMessage, Input, Job, OwnerKey, Refusal, SocketId, UserMessage};
use crate::env::{Env, LOST, RECONNECT};
use crate::plant::Plant;
use crate::shell::subscriptions::Subscriptions;
use crate::socket::{FromClient, Socket};

/// A running session.
pub struct SessionProcess {
    id: SubscriberId,
    user_id: UserId,
    session: Session,
    inbox: VecDeque<Input>,
    socket: Option<SocketId>,
    subscriptions: Subscriptions,
    large_threshold: u32,
    last_word: Option<CloseCode>,
    /// When it is woken next.
    timer_ms: u64,
}

/// The sockets of a world.
pub type Sockets = BTreeMap<SocketId, Socket>;

impl SessionProcess {
    /// A session on the socket whose client identified.
    pub fn new(id: SubscriberId, session: Session, socket: SocketId, large_threshold: u32) -> Self {
        Self {
            id,
            user_id: session.user_id(),
            session,
            inbox: VecDeque::new(),
            socket: Some(socket),
            subscriptions: Subscriptions::default(),
            large_threshold,
            last_word: None,
            timer_ms: u64::MAX,
        }
    }

    /// Whether the session waits for RESUME.
    pub fn is_attached(&self) -> bool {
        self.session.is_attached()
    }

    /// Something came for it; to be followed by [`Self::round`].
    pub fn receive(&mut self, env: &mut Env, input: Input) {
        let is_swappable = |input: &Input| matches!(input, Input::Dispatch(_));
        let swap = env.plant == Plant::SwappedEvents
            && is_swappable(&input)
            && self.inbox.back().is_some_and(is_swappable)
            && env.chance(300);
        if swap && let Some(last) = self.inbox.pop_back() {
            self.inbox.push_back(input);
            self.inbox.push_back(last);
        } else {
            self.inbox.push_back(input);
        }
    }

    /// One look at every source; whether the session is over.
    pub fn round(&mut self, env: &mut Env, sockets: &mut Sockets) -> bool {
        let now_ms = env.now_ms;
        self.session.observe_time(now_ms);
        self.receive_signals(env);
        self.receive_frames(env, sockets, now_ms);
        while let Some(input) = self.inbox.pop_front() {
            if let Some(live) = env.live.get_mut(&self.id) {
                live.waiting -= 1;
            }
            self.take_input(env, sockets, now_ms, input);
        }
        if self.session.poll_timeout().is_some_and(|due_ms| due_ms <= now_ms) {
            self.session.handle_timeout(now_ms);
        }
        self.carry_out(env, sockets, now_ms);
        if !self.session.is_ended() {
            self.ask_guilds(env, now_ms);
            self.transmit(env, sockets);
            self.carry_out(env, sockets, now_ms);
        }
        if self.session.is_ended() {
            self.take_leave(env, sockets);
            return true;
        }
        let guilds = self.subscriptions.poll_timeout().filter(|_| self.session.has_room());
        if let Some(due_ms) = [guilds, self.session.poll_timeout()].into_iter().flatten().min() {
            let due_ms = due_ms.max(now_ms + 1);
            if self.timer_ms <= now_ms || due_ms < self.timer_ms {
                self.timer_ms = due_ms;
                env.bus.at(due_ms, Job::WakeSession(self.id));
            }
        }
        false
    }

    fn receive_signals(&mut self, env: &mut Env) {
        let Some(live) = env.live.get_mut(&self.id) else { return };
        let signals = std::mem::take(&mut live.signals);
        if signals & LOST != 0 {
            env.counts.lost += 1;
            self.last_word = Some(CloseCode::UnknownError);
            self.session.revoke();
        }
        if signals & RECONNECT != 0 {
            self.session.request_reconnect();
        }
    }

    fn receive_frames(&mut self, env: &mut Env, sockets: &mut Sockets, now_ms: u64) {
        while let Some(came) =
            self.socket.and_then(|id| sockets.get_mut(&id)).and_then(|socket| socket.to_server.pop_front())
        {
            match came {
                FromClient::Frame(bytes) => self.session.handle_frame(now_ms, Frame::Binary(&bytes)),
                FromClient::Closed(code) => {
                    self.close_socket(env, sockets, None);
                    self.session.handle_client_close(now_ms, code);
                }
            }
            self.carry_out(env, sockets, now_ms);
        }
    }

    fn take_input(&mut self, env: &mut Env, sockets: &mut Sockets, now_ms: u64, input: Input) {
        match input {
            Input::Dispatch(payload) => {
                let dropped =
                    env.plant == Plant::DroppedWhileDetached && !self.session.is_attached() && env.chance(200);
                if !dropped {
                    self.session.handle_dispatch(payload);
                }
            }
            Input::Own(event) => self.take_own(&event),
            Input::Attach { socket, connection, seq } => self.attach(env, sockets, socket, *connection, seq),
            Input::GuildJoined(id) => {
                if self.session.holds_guild(id) {
                    self.subscriptions.want(id);
                }
            }
            Input::GuildLeft(id) => drop(self.subscriptions.left(id)),
            Input::NotSubscribed(id, Refusal::Unavailable) => self.subscriptions.failed(id, now_ms),
            Input::NotSubscribed(id, Refusal::Unknown) => drop(self.subscriptions.left(id)),
            Input::Subscribed(id) => self.subscriptions.confirmed(id),
            Input::NotReady => {
                self.last_word = Some(CloseCode::UnknownError);
                self.session.revoke();
            }
        }
    }

    fn take_own(&mut self, event: &Event) {
        let taken = self.session.handle_own_dispatch(event);
        match event {
            Event::Ready(ready) => ready.guilds.iter().for_each(|guild| self.subscriptions.want(guild.id)),
            Event::GuildCreate(_) if taken => self.subscriptions.measured(self.session.last_event_bytes()),
            _ => {}
        }
    }

    fn attach(&mut self, env: &mut Env, sockets: &mut Sockets, socket: SocketId, connection: Connection, seq: u64) {
        let from = if env.plant == Plant::ReplayFromSeq { seq.saturating_sub(1) } else { seq };
        match self.session.resume(env.now_ms, connection, from) {
            Ok(()) => {
                env.counts.resumed += 1;
                self.close_socket(env, sockets, Some(CloseCode::UnknownError.code()));
                self.socket = Some(socket);
                if let Some(socket) = sockets.get_mut(&socket) {
                    socket.session = Some(self.id);
                }
                self.receive_frames(env, sockets, env.now_ms);
            }
            Err(connection) => {
                env.counts.invalidated += 1;
                if let Some(its) = sockets.get_mut(&socket) {
                    its.connection = Some(connection);
                    env.bus.at(env.now_ms, Job::WakeSocket(socket));
                }
            }
        }
    }

    fn carry_out(&mut self, env: &mut Env, sockets: &mut Sockets, now_ms: u64) {
        while let Some(action) = self.session.poll_action() {
            match action {
                Action::Close(code) => {
                    match code {
                        CloseCode::SessionTimedOut => env.counts.timed_out += 1,
                        CloseCode::UnknownError => env.counts.too_slow += 1,
                        _ => {}
                    }
                    while let Some(transmit) = self.session.poll_transmit() {
                        if let Some(socket) = self.socket.and_then(|id| sockets.get_mut(&id)) {
                            socket.queue(env, transmit);
                        }
                    }
                    self.close_socket(env, sockets, Some(code.code()));
                    self.session.handle_detached(now_ms);
                }
                Action::Ended(reason) => {
                    env.note(|| format!("{:?} is over: {reason:?}", self.id));
                    self.close_socket(env, sockets, self.last_word.map(CloseCode::code));
                }
                Action::Identify(_) | Action::Resume(_) => self.session.close(CloseCode::AlreadyAuthenticated),
                _ => {}
            }
        }
    }

    fn close_socket(&mut self, env: &mut Env, sockets: &mut Sockets, code: Option<u16>) {
        let Some(id) = self.socket.take() else { return };
        if let Some(socket) = sockets.get_mut(&id) {
            socket.close(env, code);
        }
    }

    fn ask_guilds(&mut self, env: &mut Env, now_ms: u64) {
        while self.subscriptions.is_starting() && self.session.has_room() {
            let at_once = env.sizes.subscribe_concurrency;
            let room_bytes = self.session.room_bytes();
            let Some(guild_id) = self.subscriptions.next(now_ms, at_once, room_bytes, |_| true) else { return };
            let subscriber = Subscriber {
                id: self.id,
                user_id: self.user_id,
                intents: self.session.intents(),
                large_threshold: self.large_threshold,
                capabilities: Capabilities::empty(),
            };
            let key = OwnerKey::Guild(guild_id);
            if env.tell_guild(Actor::Session(self.id), key, GuildMessage::Subscribe(subscriber)).is_err() {
                self.subscriptions.failed(guild_id, now_ms);
            }
        }
    }

    fn transmit(&mut self, env: &mut Env, sockets: &mut Sockets) {
        let Some(socket) = self.socket.and_then(|id| sockets.get_mut(&id)) else { return };
        while socket.has_room(env) {
            let Some(transmit) = self.session.poll_transmit() else { return };
            socket.queue(env, transmit);
        }
    }

    /// Leaves no trace: registry, owners, and connections that came too late.
    fn take_leave(&mut self, env: &mut Env, sockets: &mut Sockets) {
        self.close_socket(env, sockets, self.last_word.map(CloseCode::code));
        env.live.remove(&self.id);
        env.check.end(self.id);
        for input in self.inbox.drain(..) {
            if let Input::Attach { socket, connection, .. } = input {
                reject(env, sockets, socket, connection);
            }
        }
        let from = Actor::Session(self.id);
        for guild_id in self.subscriptions.take() {
            let _ = env.tell_guild_if_loaded(from, OwnerKey::Guild(guild_id), GuildMessage::Unsubscribe(self.id));
        }
        if env.users.contains_key(&self.user_id) {
            let _ = env.tell_user(from, self.user_id, UserMessage::Unsubscribe(self.id));
        }
    }
}

/// Gives a connection back whose session is no more.
pub fn reject(env: &mut Env, sockets: &mut Sockets, socket: SocketId, mut connection: Box<Connection>) {
    connection.invalid_session(env.now_ms, false);
    env.counts.invalidated += 1;
    if let Some(its) = sockets.get_mut(&socket) {
        its.connection = Some(connection);
        env.bus.at(env.now_ms, Job::WakeSocket(socket));
    }
}
