//! Frozen and thawed sessions: the client sees what it would have seen.

#[path = "behaviour/common.rs"]
mod common;

use common::*;
use proptest::prelude::*;
use rookery_session::{
    Action, Connection, Frame, Freezer, FrozenPayloads, FrozenSession, Payload, Session, SessionConfig, ThawError,
    ThawedPayloads,
};
use serde_json::{Value, json};
use std::sync::Arc;

/// The session, as another process would have it.
fn moved(session: &Session, now_ms: u64, config: Arc<SessionConfig>) -> Option<Session> {
    let mut freezer = Freezer::new();
    let frozen = session.freeze(now_ms, &mut freezer)?;
    let payloads = ThawedPayloads::new(through_bytes(&freezer.finish())).expect("a sound table");
    // The clock begins anew there.
    Some(Session::thaw(now_ms, config, through_bytes(&frozen), &payloads).expect("a sound session"))
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Shared(u64),
    Own(u64),
    Typing,
    /// So many messages are sent and read.
    Read(usize),
    Heartbeat,
    Wait(u64),
    Detach,
    /// From so many numbers before what the client has.
    Resume(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1..100u64).prop_map(Step::Shared),
        2 => (1..100u64).prop_map(Step::Own),
        2 => Just(Step::Typing),
        5 => (0..8usize).prop_map(Step::Read),
        1 => Just(Step::Heartbeat),
        1 => (0..200_000u64).prop_map(Step::Wait),
        1 => Just(Step::Detach),
        2 => prop_oneof![4 => Just(0), 1 => 1..4u64].prop_map(Step::Resume),
    ]
}

/// A client and what it saw of a session, which may be moved on the way.
struct History {
    query: &'static str,
    config: Arc<SessionConfig>,
    now_ms: u64,
    session: Session,
    reader: Reader,
    seq: u64,
    seen: Vec<Value>,
}

impl History {
    fn new(query: &'static str) -> Self {
        let config = SessionConfig {
            unsent_max_events: 12,
            replay_max_events: 30,
            replay_acknowledged_max_events: 4,
            ..SessionConfig::default()
        };
        let config = Arc::new(config);
        let (session, reader) = session_with(query, ALL_INTENTS, config.clone());
        Self { query, config, now_ms: 0, session, reader, seq: 0, seen: Vec::new() }
    }

    fn act(&mut self, step: Step) {
        self.session.observe_time(self.now_ms);
        match step {
            Step::Shared(n) => {
                self.session.handle_dispatch(Payload::new(numbered(n)));
            }
            Step::Own(n) => {
                self.session.handle_own_dispatch(&numbered(n));
            }
            Step::Typing => {
                self.session.handle_dispatch(Payload::new(typing()));
            }
            Step::Read(count) => self.read(count),
            Step::Heartbeat => {
                let bytes = encode(params(self.query).encoding, &json!({"op": 1, "d": self.seq}));
                self.session.handle_frame(self.now_ms, Frame::Binary(&bytes));
            }
            Step::Wait(ms) => {
                self.now_ms += ms;
                self.session.handle_timeout(self.now_ms);
            }
            Step::Detach => self.session.handle_detached(self.now_ms),
            Step::Resume(older) => self.resume(older),
        }
        while let Some(action) = self.session.poll_action() {
            self.seen.push(json!(format!("{action:?}")));
            if matches!(action, Action::Close(_)) {
                self.session.handle_detached(self.now_ms);
            }
        }
    }

    fn read(&mut self, count: usize) {
        for _ in 0..count {
            let Some(transmit) = self.session.poll_transmit() else { return };
            let payload = self.reader.read(&transmit);
            if let Some(seq) = payload["s"].as_u64() {
                assert_eq!(seq, self.seq + 1);
                self.seq = seq;
            }
            self.seen.push(payload);
        }
    }

    fn resume(&mut self, older: u64) {
        let seq = self.seq.saturating_sub(older);
        let mut connection = Connection::new(self.now_ms, self.config.clone(), params(self.query));
        let mut reader = Reader::new(params(self.query));
        reader.read(&connection.poll_transmit().expect("HELLO"));
        match self.session.resume(self.now_ms, connection, seq) {
            Ok(()) => {
                (self.reader, self.seq) = (reader, seq);
                self.seen.push(json!("resumed"));
            }
            Err(mut refused) => {
                let answers = std::iter::from_fn(|| refused.poll_transmit()).map(|t| reader.read(&t));
                self.seen.extend(answers);
                // The old socket is gone all the same.
                self.session.handle_detached(self.now_ms);
            }
        }
    }
}

const QUERIES: [&str; 5] = [
    "encoding=json",
    "encoding=etf",
    "encoding=cbor",
    "encoding=json&compress=zlib-stream",
    "encoding=cbor&compress=zstd-stream",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_moved_session_goes_on_as_it_would_have(
        query in prop::sample::select(&QUERIES[..]),
        before in prop::collection::vec(step(), 0..60),
        after in prop::collection::vec(step(), 0..60),
    ) {
        let [mut stayed, mut went] = [(), ()].map(|()| History::new(query));
        for history in [&mut stayed, &mut went] {
            before.iter().for_each(|step| history.act(*step));
            history.session.observe_time(history.now_ms);
        }
        let session = moved(&went.session, went.now_ms, went.config.clone());
        prop_assert_eq!(session.is_none(), went.session.is_ended());
        let Some(session) = session else { return Ok(()) };
        went.session = session;
        stayed.session.handle_detached(stayed.now_ms);
        prop_assert_eq!(went.session.last_seq(), stayed.session.last_seq());
        prop_assert_eq!(went.session.poll_timeout(), stayed.session.poll_timeout());
        // Then the client comes back, and whatever else.
        for history in [&mut stayed, &mut went] {
            [Step::Resume(0), Step::Read(3)].iter().chain(&after).for_each(|step| history.act(*step));
        }
        prop_assert_eq!(went.seen, stayed.seen);
    }

    #[test]
    fn damaged_data_is_refused_or_harmless(
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        in_table in any::<bool>(),
    ) {
        let (table, session) = written_down();
        let damage = |bytes: &[u8], damaged: bool| {
            let mut bytes = bytes.to_vec();
            if damaged {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            bytes
        };
        let (table, session) = (damage(&table, in_table), damage(&session, !in_table));
        let Ok(table) = ciborium::from_reader::<FrozenPayloads, _>(table.as_slice()) else { return Ok(()) };
        let Ok(session) = ciborium::from_reader::<FrozenSession, _>(session.as_slice()) else { return Ok(()) };
        let Ok(payloads) = ThawedPayloads::new(table) else { return Ok(()) };
        let Ok(mut session) = Session::thaw(5, config(), session, &payloads) else { return Ok(()) };
        for seq in [0, 3, session.last_seq(), u64::MAX] {
            for query in QUERIES {
                let resumed = session.resume(6, Connection::new(6, config(), params(query)), seq).is_ok();
                let mut reader = Reader::new(params(query));
                while let Some(transmit) = session.poll_transmit() {
                    // What was not refused is what it was.
                    if resumed {
                        reader.read(&transmit);
                    }
                }
                session.handle_dispatch(Payload::new(numbered(9)));
                session.handle_timeout(7);
                let _ = session.freeze(7, &mut Freezer::new());
            }
        }
    }
}

/// A table and a session of some events, as bytes.
fn written_down() -> (Vec<u8>, Vec<u8>) {
    let (mut session, _) = session("v=10", ALL_INTENTS);
    session.handle_own_dispatch(&ready("s1"));
    (1..8).for_each(|n| {
        session.handle_dispatch(Payload::new(numbered(n)));
    });
    let mut freezer = Freezer::new();
    let frozen = session.freeze(1, &mut freezer).expect("it is not over");
    let [mut table, mut bytes] = [Vec::new(), Vec::new()];
    ciborium::into_writer(&freezer.finish(), &mut table).expect("data");
    ciborium::into_writer(&frozen, &mut bytes).expect("data");
    (table, bytes)
}

#[test]
fn what_many_have_is_written_once() {
    let events: Vec<_> =
        (0..100).map(|n| Payload::new(message_create(message(n + 1, 2, &"text ".repeat(100)), Some(1)))).collect();
    let mut sessions: Vec<_> = (0..1_000).map(|_| session("v=10", ALL_INTENTS)).collect();
    let mut freezer = Freezer::new();
    let mut bytes = Vec::new();
    for (session, _) in &mut sessions {
        events.iter().for_each(|event| assert!(session.handle_dispatch(event.clone())));
        ciborium::into_writer(&session.freeze(1, &mut freezer).expect("alive"), &mut bytes).expect("data");
    }
    assert!(bytes.len() < 1_000 * (100 * 6 + 200), "{} bytes of sessions", bytes.len());
    let table = freezer.finish();
    assert_eq!(table.len(), 100);
    // Thawed ones share the table again.
    let payloads = ThawedPayloads::new(table.clone()).expect("sound");
    let mut rest = bytes.as_slice();
    let mut freezer = Freezer::new();
    for _ in 0..1_000 {
        let frozen: FrozenSession = ciborium::from_reader(&mut rest).expect("a session");
        let session = Session::thaw(0, config(), frozen.clone(), &payloads).expect("sound");
        assert_eq!(session.freeze(0, &mut freezer), Some(frozen));
    }
    assert_eq!(freezer.finish(), table);
}

#[test]
fn what_cannot_be_is_refused() {
    let (table, session) = written_down();
    let with = |change: &dyn Fn(&mut Value)| {
        let mut value: Value =
            serde_json::to_value(ciborium::from_reader::<FrozenSession, _>(session.as_slice()).expect("a session"))
                .expect("JSON");
        change(&mut value);
        let frozen = serde_json::from_value::<FrozenSession>(value).expect("the same shape");
        let payloads = ThawedPayloads::new(ciborium::from_reader(table.as_slice()).expect("a table")).expect("sound");
        Session::thaw(5, config(), frozen, &payloads).err()
    };
    assert_eq!(with(&|_| ()), None);
    assert_eq!(with(&|v| v["version"] = json!(2)), Some(ThawError::Version(2)));
    assert_eq!(with(&|v| v["first_seq"] = json!(0)), Some(ThawError::Numbers));
    assert_eq!(with(&|v| v["first_seq"] = json!(u64::MAX)), Some(ThawError::Numbers));
    assert_eq!(with(&|v| v["next_unsent"] = json!(99)), Some(ThawError::Numbers));
    assert_eq!(with(&|v| v["next_unsent"] = json!(0)), Some(ThawError::Numbers));
    assert_eq!(with(&|v| v["intents"] = json!(1u64 << 60)), Some(ThawError::Init));
    assert_eq!(with(&|v| v["shard"] = json!([2, 2])), Some(ThawError::Init));
    assert_eq!(with(&|v| v["session_id"] = json!("")), Some(ThawError::Init));
    assert_eq!(with(&|v| v["events"][3] = json!({"s": 99})), Some(ThawError::NoSuchPayload));
    assert_eq!(with(&|v| v["events"][0]["o"]["name"] = json!("A\",\"s\":1")), Some(ThawError::OwnDamaged));
    // Nobody waits longer than the window.
    let far = |v: &mut Value| v["remaining_ms"] = json!(u64::MAX);
    assert_eq!(with(&far), None);

    let mut table: Value =
        serde_json::to_value(ciborium::from_reader::<FrozenPayloads, _>(table.as_slice()).expect("a table"))
            .expect("JSON");
    table["payloads"][2]["checksum"] = json!(1);
    let table: FrozenPayloads = serde_json::from_value(table).expect("the same shape");
    assert_eq!(ThawedPayloads::new(table).err(), Some(ThawError::Damaged(2)));
}

#[test]
fn the_window_goes_on_where_it_was() {
    let (mut session, _) = session("v=10", ALL_INTENTS);
    session.handle_detached(1_000);
    let mut freezer = Freezer::new();
    let frozen = session.freeze(101_000, &mut freezer).expect("alive");
    let payloads = ThawedPayloads::new(freezer.finish()).expect("sound");
    let mut session = Session::thaw(7, config(), frozen, &payloads).expect("sound");
    assert_eq!(session.poll_timeout(), Some(200_007));
    session.handle_timeout(200_007);
    assert!(session.is_ended());
    assert_eq!(session.freeze(200_007, &mut Freezer::new()), None);
}
