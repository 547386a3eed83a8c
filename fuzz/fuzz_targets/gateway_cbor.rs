//! Client payloads and plain values in CBOR.

#![no_main]

mod drive;

use libfuzzer_sys::fuzz_target;
use rookery_session::{ClientPayload, Encoding, Frame, cbor};
use serde_json::Value;

fuzz_target!(|bytes: &[u8]| {
    drive::drive(Encoding::Cbor, bytes);
    let payload = ClientPayload::decode(Encoding::Cbor, Frame::Binary(bytes));
    match cbor::from_slice::<Value>(bytes) {
        Ok(value) => {
            let again = cbor::to_vec(&value).expect("any JSON can be written");
            assert_eq!(cbor::from_slice::<Value>(&again).as_ref(), Ok(&value));
            // What it means does not depend on how it was written.
            assert_eq!(ClientPayload::decode(Encoding::Cbor, Frame::Binary(&again)), payload);
        }
        Err(_) => assert!(payload.is_err(), "a payload that is no item"),
    }
});
