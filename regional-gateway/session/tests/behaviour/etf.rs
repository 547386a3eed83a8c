//! The external term format: what clients send, what they get, and what hostile ones try.

use crate::common::*;
use proptest::prelude::*;
use rookery_model::channel::{Overwrite, OverwriteType};
use rookery_model::gateway::Event;
use rookery_model::message::Message;
use rookery_model::{ChannelId, Permissions, Snowflake, Timestamp};
use rookery_session::etf::{Error, MAX_DEPTH, from_slice, map_entries, to_vec};
use rookery_session::{ClientPayload, Encoding, Frame, Payload};
use serde::Deserialize;
use serde_json::{Value, json};

/// `{"op": 1, "d": 251}` as erlpack in JavaScript writes it: keys as binaries.
const ERLPACK_HEARTBEAT: &[u8] = b"\x83t\0\0\0\x02m\0\0\0\x02opa\x01m\0\0\0\x01da\xfb";

#[test]
fn terms_as_erlpack_and_erlang_write_them() {
    assert_eq!(to_vec(&json!({"d": 251, "op": 1})), Ok(b"\x83t\0\0\0\x02m\0\0\0\x01da\xfbm\0\0\0\x02opa\x01".to_vec()));
    assert_eq!(from_slice::<Value>(ERLPACK_HEARTBEAT), Ok(json!({"op": 1, "d": 251})));
    // Atoms as keys, in all four forms, and the three spellings of null.
    let atoms = b"\x83t\0\0\0\x04s\x02aas\x03nild\0\x02abs\x09undefinedw\x02acs\x04nullv\0\x02ads\x04true";
    assert_eq!(from_slice::<Value>(atoms), Ok(json!({"aa": null, "ab": null, "ac": null, "ad": true})));
    // Erlang writes [0, 1] as a string; tuples count as lists.
    assert_eq!(from_slice::<Value>(b"\x83k\0\x02\0\x01"), Ok(json!([0, 1])));
    assert_eq!(from_slice::<Vec<i64>>(b"\x83k\0\x02\0\x01"), Ok(vec![0, 1]));
    assert_eq!(from_slice::<String>(b"\x83k\0\x02ab"), Ok("ab".into()));
    assert_eq!(from_slice::<Value>(b"\x83h\x02a\x01s\x03foo"), Ok(json!([1, "foo"])));
    assert_eq!(from_slice::<Value>(b"\x83l\0\0\0\x01a\x05j"), Ok(json!([5])));
    assert_eq!(from_slice::<Value>(b"\x83j"), Ok(json!([])));
    // Floats, old and new; integers above 32 bits come as floats from JavaScript.
    let mut old = b"\x83c".to_vec();
    old.extend(format!("{:<31}", "1.50000000000000000000e+00").replace(' ', "\0").bytes());
    assert_eq!(from_slice::<f64>(&old), Ok(1.5));
    let mut new = b"\x83F".to_vec();
    new.extend(1_700_000_000_000f64.to_be_bytes());
    assert_eq!(from_slice::<u64>(&new), Ok(1_700_000_000_000));
    // Integers of every size.
    assert_eq!(from_slice::<i64>(b"\x83b\xff\xff\xff\xfe"), Ok(-2));
    assert_eq!(from_slice::<u64>(b"\x83n\x08\0\xff\xff\xff\xff\xff\xff\xff\xff"), Ok(u64::MAX));
    assert_eq!(from_slice::<i64>(b"\x83n\x08\x01\0\0\0\0\0\0\0\x80"), Ok(i64::MIN));
    assert_eq!(from_slice::<u64>(b"\x83o\0\0\0\x0a\0\x07\0\0\0\0\0\0\0\0\0"), Ok(7));
    assert_eq!(from_slice::<i64>(b"\x83n\x08\x01\x01\0\0\0\0\0\0\x80"), Err(Error::IntegerTooLarge));
    assert_eq!(from_slice::<u64>(b"\x83n\x09\0\0\0\0\0\0\0\0\0\x01"), Err(Error::IntegerTooLarge));
}

#[test]
fn what_elixir_clients_identify_with_is_understood() {
    // `shard: [0, 1]` becomes a string term, and atoms are used where they can be.
    let mut term = b"\x83t\0\0\0\x02s\x02opa\x02s\x01dt\0\0\0\x04".to_vec();
    term.extend(b"m\0\0\0\x05tokenm\0\0\0\x01tm\0\0\0\x07intentsb\0\0\x02\x01");
    term.extend(b"m\0\0\0\x05shardk\0\x02\0\x01m\0\0\0\x08compresss\x05false");
    let payload = ClientPayload::decode(Encoding::Etf, Frame::Binary(&term));
    let Ok(ClientPayload::Identify(identify)) = payload else { panic!("{payload:?}") };
    assert_eq!(identify.intent_bits, Some(513));
    assert_eq!(identify.shard_pair, Some(vec![0, 1]));
}

#[test]
fn every_client_payload_reads_the_same_in_both_encodings() {
    let payloads = [
        json!({"op": 1, "d": null}),
        json!({"op": 1, "d": 5_000_000_000u64}),
        identify(513),
        json!({"op": 2, "d": {"token": "t", "intents": 0, "presence": {"since": {"secs_since_epoch": 5}, "status": "dnd"}}}),
        json!({"op": 3, "d": {"since": 1.5e12, "activities": [{"name": "x", "type": 0}], "status": "idle", "afk": true}}),
        json!({"op": 4, "d": {"guild_id": "5", "channel_id": null, "self_mute": true}}),
        json!({"op": 6, "d": {"token": "t", "session_id": "s", "seq": 3}}),
        json!({"op": 8, "d": {"guild_id": 41771983423143937u64, "user_ids": ["7", 8], "nonce": "n"}}),
        json!({"op": 14, "d": {"guild_id": "5", "typing": true, "channels": {"9": [[0, 99], [100, 199]]}}}),
        json!({"op": 31, "d": {"guild_ids": ["5"]}}),
    ];
    for payload in payloads {
        let of = |encoding| {
            ClientPayload::decode(encoding, Frame::Binary(&encode(encoding, &payload)))
                .unwrap_or_else(|code| panic!("{encoding:?} {payload}: {code:?}"))
        };
        assert_eq!(of(Encoding::Json), of(Encoding::Etf), "{payload}");
    }
}

#[test]
fn snowflakes_are_integers_and_timestamps_and_permissions_text() {
    let event = message_create(message(175_928_847_299_117_063, 2, "hi"), Some(1));
    let (mut session, mut reader) = session("encoding=etf", ALL_INTENTS);
    session.handle_dispatch(Payload::new(event));
    let payload = drain(&mut session, &mut reader).remove(0);
    assert_eq!((&payload["t"], &payload["s"], &payload["op"]), (&json!("MESSAGE_CREATE"), &json!(1), &json!(0)));
    assert_eq!(payload["d"]["id"], 175_928_847_299_117_063u64);
    assert_eq!(payload["d"]["timestamp"], "2016-04-30T11:18:25.796000+00:00");
    let overwrite = Overwrite {
        id: Snowflake(5),
        kind: OverwriteType::Role,
        allow: Permissions::VIEW_CHANNEL,
        deny: Permissions::empty(),
    };
    let bytes = to_vec(&overwrite).expect("ETF");
    assert_eq!(from_slice::<Value>(&bytes), Ok(json!({"id": 5, "type": 0, "allow": "1024", "deny": "0"})));
    assert_eq!(from_slice::<Overwrite>(&bytes), Ok(overwrite));
    assert_eq!(from_slice::<Timestamp>(&to_vec(&Timestamp(-5)).expect("ETF")), Ok(Timestamp(-5)));
}

#[test]
fn a_message_comes_back_whole() {
    let mut original = message(10, 2, "häßlich 🐦");
    original.referenced_message = Some(Some(Box::new(message(9, 3, ""))));
    original.mentions = vec![user(4)];
    let bytes = to_vec(&original).expect("ETF");
    assert_eq!(from_slice::<Message>(&bytes), Ok(original));
}

#[test]
fn hostile_terms_are_refused_without_harm() {
    let deep = |levels: usize| {
        let mut term = vec![131];
        (0..levels).for_each(|_| term.extend(b"l\0\0\0\x01"));
        term.push(b'j');
        term.extend(vec![b'j'; levels]);
        term
    };
    // The empty list inside is a level too.
    assert!(from_slice::<Value>(&deep(usize::from(MAX_DEPTH) - 1)).is_ok());
    assert_eq!(from_slice::<Value>(&deep(usize::from(MAX_DEPTH))), Err(Error::Depth));
    assert_eq!(from_slice::<Value>(&deep(100_000)), Err(Error::Depth));
    assert_eq!(from_slice::<serde::de::IgnoredAny>(&deep(100_000)).err(), Some(Error::Depth));
    let tuples: Vec<u8> = std::iter::once(131).chain(b"h\x01".repeat(100_000)).collect();
    assert_eq!(from_slice::<Value>(&tuples), Err(Error::Depth));

    // Counts that the bytes cannot hold.
    for term in
        [&b"\x83l\xff\xff\xff\xff"[..], b"\x83t\xff\xff\xff\xffjj", b"\x83i\xff\xff\xff\xffj", b"\x83m\xff\xff\xff\xff"]
    {
        assert_eq!(from_slice::<Value>(term), Err(Error::Truncated));
    }
    assert_eq!(from_slice::<Value>(b"\x83P\xff\xff\xff\xff\x78\x9c"), Err(Error::Compressed));
    assert_eq!(from_slice::<Value>(b"\x83g"), Err(Error::Tag(b'g')));
    assert_eq!(from_slice::<Value>(b"\x82j"), Err(Error::Version));
    assert_eq!(from_slice::<Value>(b"\x83jj"), Err(Error::TrailingBytes));
    assert_eq!(from_slice::<Value>(b"\x83l\0\0\0\x01jm"), Err(Error::ImproperList));
    assert_eq!(from_slice::<Value>(b"\x83m\0\0\0\x01\xff"), Err(Error::NotUtf8));
    assert_eq!(from_slice::<Value>(b""), Err(Error::Truncated));
    assert!(from_slice::<[u8; 2]>(b"\x83l\0\0\0\x03a\x01a\x02a\x03j").is_err());
    assert_eq!(map_entries(b"\x83j", |_, _| ()), Err(Error::NotAMap));
}

#[test]
fn every_cut_of_a_payload_is_refused() {
    let whole = encode(Encoding::Etf, &identify(513));
    for end in 0..whole.len() {
        let cut = ClientPayload::decode(Encoding::Etf, Frame::Binary(&whole[..end]));
        assert_eq!(cut.map_err(|code| code.code()), Err(4002), "{end}");
    }
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_filter_map("finite", |f| f.is_finite().then(|| Value::from(f))),
        ".*".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            prop::collection::btree_map(".*", inner, 0..8).prop_map(|m| m.into_iter().collect::<Value>()),
        ]
    })
}

#[derive(Deserialize)]
struct Typed {
    #[expect(dead_code, reason = "read, not looked at")]
    a: Option<Vec<ChannelId>>,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn values_come_back(value in value()) {
        let bytes = to_vec(&value).expect("ETF");
        prop_assert_eq!(from_slice::<Value>(&bytes), Ok(value));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
        let mut versioned = vec![131];
        versioned.extend(&bytes);
        let _ = from_slice::<Value>(&versioned);
        let _ = from_slice::<Event>(&versioned);
        let _ = from_slice::<Typed>(&versioned);
        let _ = ClientPayload::decode(Encoding::Etf, Frame::Binary(&versioned));
        let _ = ClientPayload::decode(Encoding::Json, Frame::Binary(&bytes));
    }

    #[test]
    fn damaged_payloads_never_panic(at in 0usize..200, byte in any::<u8>(), value in value()) {
        let mut bytes = encode(Encoding::Etf, &json!({"op": 2, "d": {"token": "t", "properties": value, "shard": [0, 1]}}));
        let at = at % bytes.len();
        bytes[at] = byte;
        let _ = ClientPayload::decode(Encoding::Etf, Frame::Binary(&bytes));
        let _ = from_slice::<Value>(&bytes);
    }
}
