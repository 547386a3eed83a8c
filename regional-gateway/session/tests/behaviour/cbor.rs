//! CBOR: what clients send, what they get, and what hostile ones try.

use crate::common::*;
use proptest::prelude::*;
use rookery_model::channel::{Overwrite, OverwriteType};
use rookery_model::gateway::Event;
use rookery_model::{Permissions, Snowflake};
use rookery_session::cbor::{Error, MAX_DEPTH, from_slice, to_vec};
use rookery_session::{ClientPayload, Encoding, Frame, Payload};
use serde_json::{Value, json};
use std::collections::BTreeMap;

#[test]
fn items_in_their_shortest_form() {
    // From RFC 8949, appendix A.
    let examples: [(Value, &[u8]); 16] = [
        (json!(0), &[0x00]),
        (json!(23), &[0x17]),
        (json!(24), &[0x18, 0x18]),
        (json!(255), &[0x18, 0xff]),
        (json!(1_000), &[0x19, 0x03, 0xe8]),
        (json!(1_000_000), &[0x1a, 0x00, 0x0f, 0x42, 0x40]),
        (json!(1_000_000_000_000u64), &[0x1b, 0x00, 0x00, 0x00, 0xe8, 0xd4, 0xa5, 0x10, 0x00]),
        (json!(u64::MAX), &[0x1b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        (json!(-1), &[0x20]),
        (json!(-1_000), &[0x39, 0x03, 0xe7]),
        (json!(i64::MIN), &[0x3b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        (json!(1.1), &[0xfb, 0x3f, 0xf1, 0x99, 0x99, 0x99, 0x99, 0x99, 0x9a]),
        (json!([false, true, null]), &[0x83, 0xf4, 0xf5, 0xf6]),
        (json!("IETF"), &[0x64, 0x49, 0x45, 0x54, 0x46]),
        (json!({"a": 1, "b": [2, 3]}), &[0xa2, 0x61, 0x61, 0x01, 0x61, 0x62, 0x82, 0x02, 0x03]),
        (json!([]), &[0x80]),
    ];
    for (value, bytes) in examples {
        assert_eq!(to_vec(&value).as_deref(), Ok(bytes), "{value}");
        assert_eq!(from_slice::<Value>(bytes), Ok(value));
    }
    // Other forms of the same: half and single floats, lengths that come at the end, floats that are whole.
    assert_eq!(from_slice::<Value>(&[0xf9, 0x3e, 0x00]), Ok(json!(1.5)));
    assert_eq!(from_slice::<Value>(&[0xfa, 0x47, 0xc3, 0x50, 0x00]), Ok(json!(100_000)));
    assert_eq!(from_slice::<Value>(&[0xbf, 0x61, 0x61, 0x9f, 0x01, 0xff, 0xff]), Ok(json!({"a": [1]})));
    assert_eq!(from_slice::<Value>(&[0x7f, 0x61, 0x61, 0x61, 0x62, 0xff]), Ok(json!("ab")));
}

#[test]
fn lists_and_maps_of_every_length_have_it_in_front() {
    for len in [0, 1, 23, 24, 255, 256, 65_535, 65_536] {
        let list: Vec<u64> = (0..len).collect();
        let bytes = to_vec(&json!([list, "behind"])).expect("CBOR");
        let (head, head_bytes) = (bytes[1] & 0x1f, bytes.len());
        assert_ne!(head, 31, "no indefinite length");
        assert_eq!(from_slice::<Value>(&bytes), Ok(json!([list, "behind"])), "{len} in {head_bytes}");
    }
    let map: BTreeMap<String, u64> = (0..300).map(|n| (n.to_string(), n)).collect();
    assert_eq!(from_slice(&to_vec(&map).expect("CBOR")), Ok(map));
}

#[test]
fn ids_are_integers_also_as_text_where_they_are_keys() {
    let event = message_create(message(175_928_847_299_117_063, 2, "hi"), Some(1));
    let (mut session, mut reader) = session("encoding=cbor", ALL_INTENTS);
    session.handle_dispatch(Payload::new(event));
    let transmit = session.poll_transmit().expect("a frame");
    assert!(transmit.is_binary);
    let payload = reader.read(&transmit);
    assert_eq!((&payload["t"], &payload["s"], &payload["op"]), (&json!("MESSAGE_CREATE"), &json!(1), &json!(0)));
    assert_eq!(payload["d"]["id"], 175_928_847_299_117_063u64);
    assert_eq!(payload["d"]["timestamp"], "2016-04-30T11:18:25.796000+00:00");
    let overwrite = Overwrite {
        id: Snowflake(5),
        kind: OverwriteType::Role,
        allow: Permissions::VIEW_CHANNEL,
        deny: Permissions::empty(),
    };
    let bytes = to_vec(&overwrite).expect("CBOR");
    assert_eq!(from_slice::<Value>(&bytes), Ok(json!({"id": 5, "type": 0, "allow": "1024", "deny": "0"})));
    assert_eq!(from_slice::<Overwrite>(&bytes), Ok(overwrite));
    let by_id = to_vec(&BTreeMap::from([(Snowflake(5), 1)])).expect("CBOR");
    assert_eq!(from_slice::<Value>(&by_id), Ok(json!({"5": 1})));
}

#[test]
fn every_client_payload_reads_the_same_as_in_json() {
    let payloads = [
        json!({"op": 1, "d": null}),
        json!({"op": 1}),
        json!({"op": 1.0, "d": 5_000_000_000u64}),
        identify(513),
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
        assert_eq!(of(Encoding::Json), of(Encoding::Cbor), "{payload}");
    }
    // JavaScript encoders write large integers as floats.
    let mut large = b"\xa2\x62op\x06\x61d\xa3\x65token\x61t\x6asession_id\x61s\x63seq\xfb".to_vec();
    large.extend(5_000_000_000f64.to_be_bytes());
    let resume = ClientPayload::decode(Encoding::Cbor, Frame::Binary(&large));
    assert!(matches!(resume, Ok(ClientPayload::Resume(resume)) if resume.seq == 5_000_000_000));
}

#[test]
fn hostile_items_are_refused_without_harm() {
    let deep = |levels: usize| [vec![0x81; levels], vec![0x80]].concat();
    assert!(from_slice::<Value>(&deep(MAX_DEPTH - 2)).is_ok());
    for levels in [MAX_DEPTH, 100_000] {
        assert_eq!(from_slice::<Value>(&deep(levels)), Err(Error::Item), "{levels}");
        assert_eq!(from_slice::<Value>(&vec![0x9f; levels]), Err(Error::Item), "{levels}");
        assert_eq!(from_slice::<Value>(&vec![0xc1; levels]), Err(Error::Item), "{levels}");
    }
    let refused: [&[u8]; 12] = [
        b"",
        // Lengths that the bytes cannot hold.
        b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\xbb\x7f\xff\xff\xff\xff\xff\xff\xff",
        b"\x7b\x7f\xff\xff\xff\xff\xff\xff\xff",
        b"\x5b\x7f\xff\xff\xff\xff\xff\xff\xff",
        // Byte strings, tags, a big number, keys that are no text, text that is not UTF-8, an end without a beginning.
        b"\x41a",
        b"\xc0\x61a",
        b"\xc2\x49\x01\x00\x00\x00\x00\x00\x00\x00\x00",
        b"\xa1\x80\x01",
        b"\x61\xff",
        b"\xff",
        b"\x3b\xff\xff\xff\xff\xff\xff\xff\xff",
    ];
    for bytes in refused {
        assert_eq!(from_slice::<Value>(bytes), Err(Error::Item), "{bytes:?}");
        assert_eq!(close_code_of("encoding=cbor", Frame::Binary(bytes)), Some(4002), "{bytes:?}");
    }
    assert_eq!(from_slice::<Value>(b"\x01\x01"), Err(Error::TrailingBytes));
    assert_eq!(close_code_of("encoding=cbor", Frame::Text(r#"{"op":1,"d":null}"#)), Some(4002));
    assert_eq!(close_code_of("encoding=cbor", Frame::Binary(&encode(Encoding::Cbor, &json!({"op": 5})))), Some(4001));
}

#[test]
fn every_cut_of_a_payload_is_refused() {
    let whole = encode(Encoding::Cbor, &identify(513));
    for end in 0..whole.len() {
        let cut = ClientPayload::decode(Encoding::Cbor, Frame::Binary(&whole[..end]));
        assert_eq!(cut.map_err(|code| code.code()), Err(4002), "{end}");
    }
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_filter_map("broken", |f| (f.is_finite() && f.fract() != 0.0).then(|| Value::from(f))),
        ".*".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 40, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..40).prop_map(Value::from),
            prop::collection::btree_map(".*", inner, 0..40).prop_map(|m| m.into_iter().collect::<Value>()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn values_come_back(value in value()) {
        let bytes = to_vec(&value).expect("CBOR");
        prop_assert_eq!(from_slice::<Value>(&bytes), Ok(value.clone()));
        // Another encoder's reader agrees.
        let other: Value = ciborium::from_reader(bytes.as_slice()).expect("CBOR");
        prop_assert_eq!(other, value);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
        let _ = from_slice::<Value>(&bytes);
        let _ = from_slice::<Event>(&bytes);
        let _ = ClientPayload::decode(Encoding::Cbor, Frame::Binary(&bytes));
    }

    #[test]
    fn damaged_payloads_never_panic(at in 0usize..200, byte in any::<u8>(), value in value()) {
        let mut bytes = encode(Encoding::Cbor, &json!({"op": 2, "d": {"token": "t", "properties": value, "shard": [0, 1]}}));
        let at = at % bytes.len();
        bytes[at] = byte;
        let _ = ClientPayload::decode(Encoding::Cbor, Frame::Binary(&bytes));
        let _ = from_slice::<Value>(&bytes);
    }
}
