//! Sessions over broken connections, on virtual time, from seeds.
//!
//! A server emits events into a session; a client reads its byte stream in pieces of any length, loses the connection
//! at any byte, is late with heartbeats, resumes from the right number, from an older one or from one that was never
//! given out, on connections of any encoding and compression; the server's process ends, and the next one continues
//! with what it wrote down. Whatever happens: the numbers that the client sees have no
//! gap, what it holds is what the server numbered, each event once and in order, and INVALID SESSION comes only when
//! there is a reason for it.
//!
//! `ROOKERY_SIM_SEED=n` runs one seed, `ROOKERY_SIM_SEEDS=n` so many.

#[path = "behaviour/common.rs"]
mod common;

use common::*;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rookery_session::{
    Action, Compression, Connection, Encoding, EndReason, Frame, Freezer, GatewayParams, Payload, Session,
    SessionConfig, ThawedPayloads, ZlibMode,
};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::Arc;

const SEEDS: u64 = 10_000;
const STEPS: usize = 60;

/// What the server numbered: the event's name, and its own number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Truth {
    Ready,
    Resumed,
    Event(u64),
    /// An event of this session alone.
    Own(u64),
    /// An event that may be lost, and takes its number with it.
    Typing,
}

/// The socket between the two, in both directions; the server's side is a stream of bytes.
struct Link {
    to_client: VecDeque<u8>,
    reader: Reader,
    params: GatewayParams,
    /// Set when the server closed; what it sent before may still arrive.
    closed_with: Option<u16>,
    /// A connection that has no session (yet).
    connection: Option<Connection>,
    next_heartbeat_ms: u64,
}

/// What the client knows.
#[derive(Default)]
struct Client {
    session_id: Option<String>,
    seq: u64,
    received: Vec<Truth>,
    acknowledged: u64,
    /// The number it resumed with, until an answer.
    resuming: Option<u64>,
}

struct World {
    rng: ChaCha8Rng,
    config: Arc<SessionConfig>,
    now_ms: u64,
    session: Option<Session>,
    /// Everything that the session numbered and may not lose, in order.
    truth: Vec<Truth>,
    sessions_made: u32,
    events_made: u64,
    link: Option<Link>,
    client: Client,
    /// Encoding in which the session writes its own events.
    encoding_of_session: Encoding,
    /// So many events were there at the last restart, and are kept in one encoding only.
    frozen_after: usize,
    counts: Counts,
}

/// That the runs reach what they are meant to reach.
#[derive(Default)]
struct Counts {
    delivered: u64,
    resumed: u64,
    invalid: u64,
    invalid_seq: u64,
    too_slow: u64,
    timed_out: u64,
    overflowed: u64,
    typing: u64,
    moved: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let unsent_max_events = rng.random_range(4..20);
        let config = SessionConfig {
            unsent_max_events,
            replay_max_events: unsent_max_events + rng.random_range(1..40),
            replay_acknowledged_max_events: rng.random_range(0..8),
            // A client here does in a minute what others do in a day.
            rate_events: None,
            zlib: if rng.random() { ZlibMode::Shared } else { ZlibMode::Context },
            zlib_window_bits: 9,
            ..SessionConfig::default()
        };
        Self {
            rng,
            config: Arc::new(config),
            now_ms: 0,
            session: None,
            truth: Vec::new(),
            sessions_made: 0,
            events_made: 0,
            link: None,
            client: Client::default(),
            encoding_of_session: Encoding::Json,
            frozen_after: 0,
            counts: Counts::default(),
        }
    }

    fn step(&mut self) {
        match self.rng.random_range(0..100) {
            0..45 => self.emit(),
            45..75 => self.client_reads(),
            75..83 => self.cut(),
            83..93 => self.pass_time(1..20_000),
            93..97 => self.pass_time(20_000..90_000),
            97..98 => self.pass_time(250_000..400_000),
            98 => self.restart(),
            _ => self.reconnect_is_asked_for(),
        }
        if self.link.is_none() {
            self.connect(false);
        }
    }

    /// The server has an event, or several at once.
    fn emit(&mut self) {
        for _ in 0..self.rng.random_range(1..=6) {
            self.events_made += 1;
            let n = self.events_made;
            let Some(session) = &mut self.session else { return };
            if self.rng.random_bool(0.1) {
                session.handle_dispatch(Payload::new(typing()));
                continue;
            }
            let own = self.rng.random_bool(0.05);
            let taken = if own {
                session.handle_own_dispatch(&numbered(n))
            } else {
                session.handle_dispatch(Payload::new(numbered(n)))
            };
            if taken {
                self.truth.push(if own { Truth::Own(n) } else { Truth::Event(n) });
            }
        }
        self.pump();
    }

    fn pass_time(&mut self, span_ms: std::ops::Range<u64>) {
        let end_ms = self.now_ms + self.rng.random_range(span_ms);
        let late = self.rng.random_bool(0.2);
        while self.now_ms < end_ms {
            let heartbeat_ms =
                self.link.as_ref().filter(|l| !late && l.closed_with.is_none()).map(|l| l.next_heartbeat_ms);
            let session_ms = self.session.as_ref().and_then(Session::poll_timeout);
            let connection_ms = self.link.as_ref().and_then(|l| l.connection.as_ref()?.poll_timeout());
            let due_ms = [heartbeat_ms, session_ms, connection_ms].into_iter().flatten().min();
            self.now_ms = due_ms.unwrap_or(end_ms).clamp(self.now_ms, end_ms);
            if heartbeat_ms.is_some_and(|at_ms| at_ms <= self.now_ms) {
                self.heartbeat();
            }
            if let Some(session) = &mut self.session {
                session.handle_timeout(self.now_ms);
            }
            if let Some(connection) = self.link.as_mut().and_then(|l| l.connection.as_mut()) {
                connection.handle_timeout(self.now_ms);
            }
            self.pump();
        }
    }

    fn heartbeat(&mut self) {
        let d = if self.client.seq == 0 { Value::Null } else { json!(self.client.seq) };
        if self.link.as_ref().is_some_and(|l| l.connection.is_none()) {
            self.client.acknowledged = self.client.acknowledged.max(self.client.seq);
        }
        self.client_sends(&json!({"op": 1, "d": d}));
        if let Some(link) = &mut self.link {
            link.next_heartbeat_ms = self.now_ms + 41_250;
        }
    }

    fn reconnect_is_asked_for(&mut self) {
        if let Some(session) = &mut self.session {
            session.request_reconnect();
        }
        self.pump();
    }

    /// The process ends with a word to the client or without, and the next one has what it wrote down.
    fn restart(&mut self) {
        let Some(session) = self.session.take() else { return };
        let mut freezer = Freezer::new();
        let frozen = session.freeze(self.now_ms, &mut freezer);
        drop(session);
        let payloads = ThawedPayloads::new(through_bytes(&freezer.finish())).expect("a sound table");
        self.session = frozen.map(|frozen| {
            self.counts.moved += 1;
            Session::thaw(self.now_ms, Arc::clone(&self.config), through_bytes(&frozen), &payloads)
                .expect("a sound session")
        });
        self.frozen_after = self.truth.len();
        self.cut();
    }

    /// The connection breaks: of what is under way, the client gets a part that may end inside a message.
    fn cut(&mut self) {
        let Some(link) = &mut self.link else { return };
        let arrives = self.rng.random_range(0..=link.to_client.len());
        link.to_client.truncate(arrives);
        // Neither side can send any more.
        link.closed_with = Some(1006);
        while self.client_takes_a_message() {}
        self.lose_link();
    }

    fn lose_link(&mut self) {
        if self.link.take().is_some_and(|link| link.connection.is_none())
            && let Some(session) = &mut self.session
        {
            session.handle_detached(self.now_ms);
        }
        self.client.resuming = None;
        self.pump();
    }

    /// The client opens a connection and sends IDENTIFY or RESUME at once.
    fn connect(&mut self, honest: bool) {
        let keep_encoding = honest || self.rng.random_bool(0.7);
        let params = GatewayParams {
            version: 10,
            encoding: if keep_encoding {
                self.encoding_of_session
            } else {
                *[Encoding::Json, Encoding::Etf, Encoding::Cbor].choose(&mut self.rng).expect("three")
            },
            compression: *[Compression::None, Compression::ZlibStream, Compression::ZstdStream]
                .choose(&mut self.rng)
                .expect("three"),
        };
        self.link = Some(Link {
            to_client: VecDeque::new(),
            reader: Reader::new(params),
            params,
            closed_with: None,
            connection: Some(Connection::new(self.now_ms, Arc::clone(&self.config), params)),
            next_heartbeat_ms: self.now_ms + self.rng.random_range(1..41_250),
        });
        let Some(session_id) = self.client.session_id.clone() else {
            return self.client_sends(&identify(ALL_INTENTS));
        };
        let seq = match self.rng.random_range(0..20) {
            0 if !honest => {
                let last_seq = self.session.as_ref().map_or(0, Session::last_seq);
                last_seq.max(self.client.seq) + self.rng.random_range(1..5)
            }
            1 if !honest => self.rng.random_range(0..=self.client.seq),
            _ => self.client.seq,
        };
        if seq <= self.client.seq {
            // It forgets what it claims not to have.
            self.client.received.truncate(seq as usize);
            self.client.seq = seq;
        }
        self.client.resuming = Some(seq);
        self.client_sends(&json!({"op": 6, "d": {"token": "t", "session_id": session_id, "seq": seq}}));
    }

    fn client_sends(&mut self, payload: &Value) {
        let Some(link) = self.link.as_mut().filter(|l| l.closed_with.is_none()) else { return };
        let bytes = encode(link.params.encoding, payload);
        match (&mut link.connection, &mut self.session) {
            (Some(connection), _) => connection.handle_frame(self.now_ms, Frame::Binary(&bytes)),
            (None, Some(session)) => session.handle_frame(self.now_ms, Frame::Binary(&bytes)),
            (None, None) => unreachable!("a link without connection has a session"),
        }
        self.pump();
    }

    /// What a shell does after every call: actions, then frames while the socket takes them.
    fn pump(&mut self) {
        if let Some(session) = &mut self.session {
            session.observe_time(self.now_ms);
        }
        while let Some(action) = self.next_action() {
            match action {
                Action::Identify(_) => self.start_session(),
                Action::Resume(resume) => self.resume(&resume.session_id, resume.seq),
                Action::Close(code) => {
                    match code.code() {
                        4000 => self.counts.too_slow += 1,
                        4009 => self.counts.timed_out += 1,
                        4007 => self.counts.invalid_seq += 1,
                        other => panic!("closed with {other}"),
                    }
                    let link = self.link.as_mut().expect("what is closed is there");
                    link.closed_with = Some(code.code());
                    if link.connection.is_none() {
                        self.session.as_mut().expect("attached").handle_detached(self.now_ms);
                    }
                }
                Action::Ended(reason) => {
                    self.counts.overflowed += u64::from(reason == EndReason::ReplayOverflow);
                    self.session = None;
                }
                other => panic!("{other:?}"),
            }
        }
        let Some(link) = self.link.as_mut().filter(|l| l.closed_with.is_none()) else { return };
        // A socket's buffer takes a message if it has any room.
        while link.to_client.len() < 1_000 {
            let transmit = match (&mut link.connection, &mut self.session) {
                (Some(connection), _) => connection.poll_transmit(),
                (None, Some(session)) => session.poll_transmit(),
                (None, None) => None,
            };
            let Some(transmit) = transmit else { break };
            link.to_client.extend((transmit.len() as u32).to_be_bytes());
            link.to_client.push_back(u8::from(transmit.is_binary));
            transmit.slices().into_iter().for_each(|piece| link.to_client.extend(piece));
        }
    }

    fn next_action(&mut self) -> Option<Action> {
        let of_link = self.link.as_mut().and_then(|l| l.connection.as_mut()?.poll_action());
        of_link.or_else(|| self.session.as_mut()?.poll_action())
    }

    fn start_session(&mut self) {
        let link = self.link.as_mut().expect("it identified");
        let connection = link.connection.take().expect("without session");
        self.sessions_made += 1;
        let id = format!("session{}", self.sessions_made);
        let init =
            rookery_session::SessionInit { session_id: id.clone().into(), user_id: BOT, intents: None, shard: None };
        self.encoding_of_session = link.params.encoding;
        let mut session = Session::new(init, connection);
        assert!(session.handle_own_dispatch(&ready(&id)));
        self.truth = vec![Truth::Ready];
        self.frozen_after = 0;
        self.session = Some(session);
    }

    fn resume(&mut self, session_id: &str, seq: u64) {
        let link = self.link.as_mut().expect("it resumed");
        let mut connection = link.connection.take().expect("without session");
        let Some(session) = self.session.as_mut().filter(|s| s.session_id() == session_id) else {
            connection.invalid_session(self.now_ms, false);
            link.connection = Some(connection);
            return;
        };
        let last_seq = session.last_seq();
        assert!(last_seq >= self.truth.len() as u64);
        let encoding = link.params.encoding;
        match session.resume(self.now_ms, connection, seq) {
            Ok(()) => {
                assert!(seq <= last_seq);
                self.encoding_of_session = encoding;
                self.truth.push(Truth::Resumed);
            }
            Err(connection) => {
                let received = self.client.received.iter().take(seq as usize).filter(|t| **t != Truth::Typing).count();
                let missed = self.truth.get(received..).unwrap_or_default();
                let too_old = last_seq.saturating_sub(seq) > self.config.replay_max_events as u64;
                let acknowledged = seq < self.client.acknowledged;
                let frozen = received < self.frozen_after;
                let other_encoding = encoding != self.encoding_of_session
                    && (frozen || missed.iter().any(|t| matches!(t, Truth::Own(_) | Truth::Ready)));
                // Own events may have been written in an encoding before the last one.
                let written_before = (frozen || missed.iter().any(|t| matches!(t, Truth::Own(_) | Truth::Ready)))
                    && missed.contains(&Truth::Resumed);
                assert!(
                    seq > last_seq || too_old || acknowledged || other_encoding || written_before,
                    "refused without reason: seq {seq} of {last_seq}, {missed:?}"
                );
                link.connection = Some(*connection);
            }
        }
    }

    /// The client reads what arrived, or a part of it.
    fn client_reads(&mut self) {
        let most = self.rng.random_range(1..12);
        for _ in 0..most {
            if !self.client_takes_a_message() {
                break;
            }
        }
        self.client_notices_the_end();
        self.pump();
    }

    fn client_notices_the_end(&mut self) {
        let Some(link) = &self.link else { return };
        let Some(code) = link.closed_with.filter(|_| link.to_client.is_empty()) else { return };
        if code == 4007 {
            // It said a number that it never got: it goes back to what it has.
            self.client.resuming = None;
        }
        self.lose_link();
    }

    /// Reads one whole message; false if there is none.
    fn client_takes_a_message(&mut self) -> bool {
        let Some(link) = &mut self.link else { return false };
        if link.to_client.len() < 5 {
            return false;
        }
        let head: Vec<u8> = link.to_client.iter().take(5).copied().collect();
        let len = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        if link.to_client.len() < 5 + len {
            return false;
        }
        let data: Vec<u8> = link.to_client.drain(..5 + len).skip(5).collect();
        let payload = link.reader.read_bytes(&data, head[4] == 1);
        match payload["op"].as_u64().expect("an opcode") {
            0 => self.client_gets_event(&payload),
            7 => self.lose_link(),
            9 => {
                self.counts.invalid += 1;
                assert_eq!(payload["d"], false);
                self.client = Client::default();
                self.client_sends(&identify(ALL_INTENTS));
            }
            10 | 11 => {}
            other => panic!("opcode {other}"),
        }
        true
    }

    fn client_gets_event(&mut self, payload: &Value) {
        self.counts.delivered += 1;
        let seq = payload["s"].as_u64().expect("a number");
        assert_eq!(seq, self.client.seq + 1, "the numbers have no gap");
        let received = self.client.received.iter().filter(|t| **t != Truth::Typing).count();
        let truth = if payload["t"] == "TYPING_START" { Truth::Typing } else { self.truth[received] };
        let (name, number) = match truth {
            Truth::Typing => {
                self.counts.typing += 1;
                ("TYPING_START", None)
            }
            Truth::Ready => ("READY", None),
            Truth::Resumed => ("RESUMED", None),
            Truth::Event(n) | Truth::Own(n) => ("MESSAGE_DELETE", Some(n)),
        };
        assert_eq!(payload["t"], name);
        if let Some(number) = number {
            let id = &payload["d"]["id"];
            assert_eq!(id.as_u64().or_else(|| id.as_str()?.parse().ok()), Some(number), "not the event of that number");
        }
        self.client.seq = seq;
        self.client.received.push(truth);
        match truth {
            Truth::Ready => {
                self.client.session_id = payload["d"]["session_id"].as_str().map(str::to_owned);
            }
            Truth::Resumed if received + 1 == self.truth.len() || self.client.resuming.is_some() => {
                self.counts.resumed += 1;
                self.client.resuming = None;
            }
            _ => {}
        }
    }

    /// From here on nothing goes wrong: the client must get to where the server is.
    fn settle(&mut self) {
        self.lose_link();
        for _ in 0..10_000 {
            if self.link.is_none() {
                self.connect(true);
            }
            while self.client_takes_a_message() {}
            self.client_notices_the_end();
            self.pump();
            let arrived = self.link.as_ref().is_some_and(|l| l.to_client.is_empty() && l.connection.is_none());
            if arrived && self.session.as_ref().is_some_and(|session| session.last_seq() == self.client.seq) {
                self.client.received.retain(|t| *t != Truth::Typing);
                assert_eq!(self.client.received, self.truth, "the client holds what the server numbered");
                return;
            }
        }
        panic!("the client never catches up");
    }
}

fn run(seed: u64) -> Counts {
    let mut world = World::new(seed);
    world.connect(true);
    for _ in 0..STEPS {
        world.step();
    }
    world.settle();
    world.counts
}

#[test]
fn nothing_is_lost_repeated_or_out_of_order() {
    let seeds = rookery_test_seeds::seeds(SEEDS);
    let mut sum = Counts::default();
    let whole_run = seeds.end - seeds.start >= SEEDS;
    for seed in seeds {
        let counts = std::panic::catch_unwind(|| run(seed)).unwrap_or_else(|_| panic!("ROOKERY_SIM_SEED={seed} fails"));
        sum.delivered += counts.delivered;
        sum.resumed += counts.resumed;
        sum.invalid += counts.invalid;
        sum.invalid_seq += counts.invalid_seq;
        sum.too_slow += counts.too_slow;
        sum.timed_out += counts.timed_out;
        sum.overflowed += counts.overflowed;
        sum.typing += counts.typing;
        sum.moved += counts.moved;
    }
    println!(
        "{} delivered, {} resumed, {} invalid sessions, {} invalid numbers, {} too slow, {} timed out, {} overflowed, \
         {} typing, {} moved",
        sum.delivered,
        sum.resumed,
        sum.invalid,
        sum.invalid_seq,
        sum.too_slow,
        sum.timed_out,
        sum.overflowed,
        sum.typing,
        sum.moved
    );
    if whole_run {
        let reached = [
            sum.delivered,
            sum.resumed,
            sum.invalid,
            sum.invalid_seq,
            sum.too_slow,
            sum.timed_out,
            sum.overflowed,
            sum.typing,
            sum.moved,
        ];
        assert!(reached.iter().all(|n| *n > 500), "a case is hardly reached");
    }
}
