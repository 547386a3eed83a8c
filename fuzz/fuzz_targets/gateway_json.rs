//! Client payloads in JSON.

#![no_main]

mod drive;

use libfuzzer_sys::fuzz_target;
use rookery_session::{ClientPayload, Encoding, Frame, cbor, etf};
use serde_json::Value;

fn depth(value: &Value) -> usize {
    1 + match value {
        Value::Array(list) => list.iter().map(depth).max().unwrap_or(0),
        Value::Object(map) => map.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

fuzz_target!(|bytes: &[u8]| {
    drive::drive(Encoding::Json, bytes);
    let Ok(text) = std::str::from_utf8(bytes) else {
        assert!(ClientPayload::decode(Encoding::Json, Frame::Binary(bytes)).is_err());
        return;
    };
    // A payload may hold, where nobody looks, what no value can: numbers out of range, deep nesting.
    let Ok(value) = serde_json::from_str::<Value>(text) else { return };
    // Written anew, so that a key that stands twice stands once.
    let text = value.to_string();
    let Ok(payload) = ClientPayload::decode(Encoding::Json, Frame::Text(&text)) else { return };
    if depth(&value) < usize::from(etf::MAX_DEPTH) {
        let term = etf::to_vec(&value).expect("any JSON can be written");
        assert_eq!(ClientPayload::decode(Encoding::Etf, Frame::Binary(&term)).as_ref(), Ok(&payload));
        let item = cbor::to_vec(&value).expect("any JSON can be written");
        assert_eq!(ClientPayload::decode(Encoding::Cbor, Frame::Binary(&item)), Ok(payload));
    }
});
