//! A client: it connects, identifies or resumes, reads at its own pace, and believes what it is told.

use std::sync::Arc;

use rand::Rng as _;
use rookery_model::UserId;
use rookery_model::gateway::event::Ready;
use rookery_model::gateway::{Intents, SubscriberId};
use rookery_session::{Connection, Encoding, GatewayParams, cbor, etf};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::bus::{Job, SocketId};
use crate::check::Invariant;
use crate::env::Env;
use crate::fact::{Data, Fact};
use crate::model::Model;
use crate::session_process::Sockets;
use crate::socket::{FromClient, Socket};

const HEARTBEAT_MS: u64 = 41_250;

/// A program that somebody runs.
pub struct Client {
    pub index: usize,
    pub user_id: UserId,
    pub intents: Option<Intents>,
    pub shard: Option<[u32; 2]>,
    pub large_threshold: Option<u32>,
    pub encoding: Encoding,
    /// How long it takes between two looks at its socket.
    pub read_ms_max: u64,
    pub socket: Option<SocketId>,
    pub session: Option<Known>,
    pub model: Model,
    /// Until then it reads nothing and sends nothing.
    pub stalled_until_ms: u64,
    /// Whether it is to connect: not yet, or already about to.
    is_connecting: bool,
}

/// The session that it holds.
pub struct Known {
    pub session_id: String,
    pub subscriber: SubscriberId,
    pub seq: u64,
}

/// Why a client leaves its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// To come back with RESUME.
    Broken,
    /// As `Broken`, and the region does not notice.
    Unnoticed,
    /// With 1000: the session is over.
    GoodBye,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    op: u8,
    #[serde(default)]
    t: Option<String>,
    #[serde(default)]
    s: Option<u64>,
    #[serde(borrow)]
    d: Option<&'a RawValue>,
}

struct Received<'a> {
    op: u8,
    name: Option<String>,
    seq: Option<u64>,
    data: Data<'a>,
}

impl Client {
    /// A client that did nothing yet.
    pub fn new(index: usize, user_id: UserId) -> Self {
        Self {
            index,
            user_id,
            intents: None,
            shard: None,
            large_threshold: None,
            encoding: Encoding::Json,
            read_ms_max: 0,
            socket: None,
            session: None,
            model: Model::default(),
            stalled_until_ms: 0,
            is_connecting: false,
        }
    }

    /// Connects after a pause, unless it is about to.
    pub fn connect_in(&mut self, env: &mut Env, pause_ms: u64) {
        if self.socket.is_none() && !std::mem::replace(&mut self.is_connecting, true) {
            env.bus.at(env.now_ms + pause_ms, Job::ClientConnects(self.index));
        }
    }

    /// Opens a connection and sends IDENTIFY or RESUME at once.
    pub fn connect(&mut self, env: &mut Env, sockets: &mut Sockets, id: SocketId) {
        self.is_connecting = false;
        let params = GatewayParams { encoding: self.encoding, ..GatewayParams::default() };
        let connection = Connection::new(env.now_ms, Arc::clone(&env.sizes.session), params);
        let mut socket = Socket::new(id, self.index, Box::new(connection));
        socket.to_server.push_back(FromClient::Frame(self.opening()));
        sockets.insert(id, socket);
        self.socket = Some(id);
        env.bus.at(env.now_ms, Job::WakeSocket(id));
        let first_ms = env.rng.random_range(1..HEARTBEAT_MS);
        env.bus.at(env.now_ms + first_ms, Job::ClientBeats(self.index, id));
    }

    fn opening(&self) -> Vec<u8> {
        let payload = match &self.session {
            Some(known) => {
                json!({"op": 6, "d": {"token": "t", "session_id": known.session_id, "seq": known.seq}})
            }
            None => {
                let mut d = json!({"token": "t", "properties": {}});
                if let Some(intents) = self.intents {
                    d["intents"] = intents.bits().into();
                }
                if let Some(shard) = self.shard {
                    d["shard"] = json!(shard);
                }
                if let Some(threshold) = self.large_threshold {
                    d["large_threshold"] = threshold.into();
                }
                json!({"op": 2, "d": d})
            }
        };
        self.encode(&payload)
    }

    fn encode(&self, payload: &Value) -> Vec<u8> {
        match self.encoding {
            Encoding::Json => payload.to_string().into_bytes(),
            Encoding::Etf => etf::to_vec(payload).unwrap_or_default(),
            Encoding::Cbor => cbor::to_vec(payload).unwrap_or_default(),
        }
    }

    fn send(&self, env: &mut Env, sockets: &mut Sockets, frame: Vec<u8>) {
        if let Some(socket) = self.socket.and_then(|id| sockets.get_mut(&id)).filter(|s| s.closed.is_none()) {
            socket.to_server.push_back(FromClient::Frame(frame));
            let job = socket.session.map_or(Job::WakeSocket(socket.id), Job::WakeSession);
            env.bus.at(env.now_ms, job);
        }
    }

    /// Sends a heartbeat, and sees to the next.
    pub fn beat(&mut self, env: &mut Env, sockets: &mut Sockets, socket: SocketId) {
        if self.socket != Some(socket) {
            return;
        }
        if env.now_ms >= self.stalled_until_ms {
            let seq = self.session.as_ref().map(|known| known.seq);
            let frame = self.encode(&json!({"op": 1, "d": seq}));
            self.send(env, sockets, frame);
        }
        env.bus.at(env.now_ms + HEARTBEAT_MS, Job::ClientBeats(self.index, socket));
    }

    /// Leaves its connection, of which some of what is under way still arrives.
    pub fn leave(&mut self, env: &mut Env, sockets: &mut Sockets, leave: Leave) {
        let Some(id) = self.socket.take() else { return };
        let code = if leave == Leave::GoodBye { Some(1000) } else { None };
        if leave == Leave::GoodBye {
            self.session = None;
            self.model = Model::default();
        }
        if let Some(socket) = sockets.get_mut(&id) {
            socket.lose_frames(0);
            if leave != Leave::Unnoticed {
                socket.to_server.push_back(FromClient::Closed(code));
                let job = socket.session.map_or(Job::WakeSocket(id), Job::WakeSession);
                env.bus.at(env.now_ms, job);
            }
        }
        let pause_ms = env.rng.random_range(0..3_000);
        self.connect_in(env, pause_ms);
    }

    /// The connection breaks: of what is under way it gets a part.
    pub fn cut(&mut self, env: &mut Env, sockets: &mut Sockets, leave: Leave) {
        let Some(id) = self.socket else { return };
        env.counts.cut += 1;
        let Some(socket) = sockets.get_mut(&id) else { return };
        let arrives = env.rng.random_range(0..=socket.to_client.len());
        socket.lose_frames(arrives);
        // Neither side can send any more.
        while let Some(transmit) = sockets.get_mut(&id).and_then(Socket::read) {
            self.take(env, sockets, &transmit.into_bytes());
            if self.socket != Some(id) {
                return;
            }
        }
        self.leave(env, sockets, leave);
    }

    /// Reads some of what came.
    pub fn read(&mut self, env: &mut Env, sockets: &mut Sockets, id: SocketId) {
        if self.socket != Some(id) {
            return;
        }
        if env.now_ms < self.stalled_until_ms {
            return env.bus.at(self.stalled_until_ms, Job::ClientReads(self.index, id));
        }
        let most = env.rng.random_range(1..=16);
        for _ in 0..most {
            let Some(transmit) = sockets.get_mut(&id).and_then(Socket::read) else { break };
            self.take(env, sockets, &transmit.into_bytes());
            if self.socket != Some(id) {
                return;
            }
        }
        let Some(socket) = sockets.get_mut(&id) else { return };
        if let Some(session) = socket.session {
            // There is room again.
            env.bus.at(env.now_ms, Job::WakeSession(session));
        }
        let has_more = socket.looked();
        if let (Some(code), false) = (socket.closed, has_more) {
            return self.closed(env, sockets, code);
        }
        if has_more {
            let pause_ms = if self.read_ms_max > 0 { env.rng.random_range(0..=self.read_ms_max) } else { 0 };
            env.bus.at(env.now_ms + pause_ms, Job::ClientReads(self.index, id));
        }
    }

    fn closed(&mut self, env: &mut Env, sockets: &mut Sockets, code: Option<u16>) {
        if let Some(id) = self.socket.take() {
            sockets.remove(&id);
        }
        match code {
            Some(4007) => env.violate(Invariant::State, "a number was refused that was given out"),
            Some(code @ (4001..=4006 | 4008 | 4010..=4014)) => {
                env.violate(Invariant::NoPanic, format!("closed with {code}"));
            }
            _ => {}
        }
        let pause_ms = env.rng.random_range(0..2_000);
        self.connect_in(env, pause_ms);
    }

    fn take(&mut self, env: &mut Env, sockets: &mut Sockets, bytes: &[u8]) {
        let received = match self.decode(bytes) {
            Ok(received) => received,
            Err(error) => return env.violate(Invariant::Truth, format!("a frame cannot be read: {error}")),
        };
        match (received.op, received.name, received.seq) {
            (0, Some(name), Some(seq)) => self.take_event(env, &name, seq, &received.data),
            (7, ..) => {
                env.counts.reconnects += 1;
                self.leave(env, sockets, Leave::Broken);
            }
            (9, ..) => {
                if received.data.get::<bool>() == Ok(false) {
                    self.session = None;
                    self.model = Model::default();
                }
                let opening = self.opening();
                self.send(env, sockets, opening);
            }
            (10 | 11, ..) => {}
            (op, ..) => env.violate(Invariant::Truth, format!("opcode {op} came")),
        }
    }

    fn decode<'a>(&self, bytes: &'a [u8]) -> Result<Received<'a>, String> {
        if self.encoding == Encoding::Json {
            let envelope: Envelope<'a> = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
            let data = Data::Json(envelope.d.map_or("null", RawValue::get));
            return Ok(Received { op: envelope.op, name: envelope.t, seq: envelope.s, data });
        }
        let value = match self.encoding {
            Encoding::Cbor => cbor::from_slice(bytes).map_err(|error| error.to_string()),
            _ => etf::from_slice(bytes).map_err(|error| error.to_string()),
        };
        let mut value: Value = value?;
        let op = value["op"].as_u64().and_then(|op| u8::try_from(op).ok()).ok_or("no opcode")?;
        Ok(Received {
            op,
            name: value["t"].as_str().map(str::to_owned),
            seq: value["s"].as_u64(),
            data: Data::Tree(value["d"].take()),
        })
    }

    fn take_event(&mut self, env: &mut Env, name: &str, seq: u64, data: &Data<'_>) {
        if name == "READY" {
            return self.take_ready(env, seq, data);
        }
        let Some(known) = &mut self.session else {
            return env.violate(Invariant::Order, format!("{name} before READY"));
        };
        let id = known.subscriber;
        if seq <= known.seq {
            return env.violate(Invariant::NoRepeat, format!("{id:?}: number {seq} ({name}) after {}", known.seq));
        }
        if seq != known.seq + 1 {
            return env.violate(Invariant::NoGap, format!("{id:?}: number {seq} ({name}) after {}", known.seq));
        }
        known.seq = seq;
        let (source, fact) = match Fact::read(name, data) {
            Ok(Some(read)) => read,
            Ok(None) => return,
            Err(error) => return env.violate(Invariant::Truth, format!("{name}: {error}")),
        };
        env.note(|| format!("client {} ({}): {seq} {fact:?}", self.index, self.user_id));
        let follows = self.intents.is_none_or(|intents| intents.contains(Intents::GUILDS));
        env.check.receive(id, source, fact.clone());
        if let Err(nonsense) = self.model.apply(source, &fact, follows) {
            env.check.nonsense(id, source, &nonsense);
        }
    }

    fn take_ready(&mut self, env: &mut Env, seq: u64, data: &Data<'_>) {
        let ready: Ready = match data.get() {
            Ok(ready) => ready,
            Err(error) => return env.violate(Invariant::Truth, format!("READY: {error}")),
        };
        if self.session.is_some() {
            return env.violate(Invariant::NoRepeat, format!("READY of {} again", ready.session_id));
        }
        let subscriber = env.by_session_id.get(&*ready.session_id).copied();
        let Some(subscriber) = subscriber.filter(|_| seq == 1) else {
            return env.violate(Invariant::Truth, format!("READY of {} out of place", ready.session_id));
        };
        env.note(|| format!("client {} ({}): READY of {subscriber:?}", self.index, self.user_id));
        self.model = Model::default();
        self.model.dms = ready.private_channels.iter().map(|channel| channel.id).collect();
        if ready.guilds.iter().any(|guild| !self.holds_guild(guild.id)) {
            env.violate(Invariant::Visibility, "READY names a guild of another shard");
        }
        self.session = Some(Known { session_id: ready.session_id, subscriber, seq });
    }

    /// Whether a guild's events are to come to it: `(guild_id >> 22) % num_shards == shard_id`.
    pub fn holds_guild(&self, id: rookery_model::GuildId) -> bool {
        self.shard.is_none_or(|[shard, count]| (id.get() >> 22) % u64::from(count) == u64::from(shard))
    }
}
