//! Calls from the edge in CBOR.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rookery_model::call::CallRequest;
use serde_json::Value;

fn encode<T: serde::Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).expect("memory takes it");
    bytes
}

fn check(bytes: &[u8]) {
    let Ok(request) = ciborium::from_reader::<CallRequest, _>(bytes) else { return };
    let again = encode(&request);
    let request: CallRequest = ciborium::from_reader(&again[..]).expect("what was written can be read");
    // By bytes: a float that is no number is not equal to itself.
    assert_eq!(encode(&request), again);
    assert!(!format!("{request:?}").is_empty());
}

fuzz_target!(|bytes: &[u8]| {
    // JSON is turned into CBOR first, so that seeds can be read and changes keep the shape.
    if bytes.first() == Some(&b'{') {
        if let Ok(value) = serde_json::from_slice::<Value>(bytes) {
            check(&encode(&value));
        }
    } else {
        check(bytes);
    }
});
