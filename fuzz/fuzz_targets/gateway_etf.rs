//! Client payloads and plain values in the external term format.

#![no_main]

mod drive;

use libfuzzer_sys::fuzz_target;
use rookery_session::{ClientPayload, Encoding, Frame, etf};
use serde_json::Value;

fuzz_target!(|bytes: &[u8]| {
    drive::drive(Encoding::Etf, bytes);
    let payload = ClientPayload::decode(Encoding::Etf, Frame::Binary(bytes));
    match etf::from_slice::<Value>(bytes) {
        Ok(value) => {
            let again = etf::to_vec(&value).expect("any JSON can be written");
            assert_eq!(etf::from_slice::<Value>(&again), Ok(value));
        }
        // Text that is not UTF-8 may stand where nobody looks.
        Err(etf::Error::Message(_) | etf::Error::NotUtf8) => {}
        Err(_) if payload.is_ok() => panic!("a payload that is no term"),
        Err(_) => {}
    }
});
