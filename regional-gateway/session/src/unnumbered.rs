//! Events without a number, for datagrams: each stands alone and may be lost.

use rookery_model::gateway::Opcode;

use crate::params::Encoding;
use crate::{cbor, etf};

/// The envelope of an event whose `s` is null, around data that was written before.
pub(crate) fn write(encoding: Encoding, name: &str, data: &[u8]) -> Vec<u8> {
    match encoding {
        Encoding::Json => [br#"{"t":""#, name.as_bytes(), br#"","s":null,"op":0,"d":"#, data, b"}"].concat(),
        Encoding::Etf => {
            let mut out = vec![etf::VERSION, etf::MAP, 0, 0, 0, 4];
            let put = |written: Result<(), etf::Error>| written.expect("short text and integers can be written");
            put(etf::write_term(&mut out, "t"));
            put(etf::write_term(&mut out, name));
            put(etf::write_term(&mut out, "s"));
            put(etf::write_term(&mut out, &()));
            put(etf::write_term(&mut out, "op"));
            put(etf::write_term(&mut out, &(Opcode::Dispatch as u8)));
            put(etf::write_term(&mut out, "d"));
            out.extend(data);
            out
        }
        Encoding::Cbor => {
            // A map of four pairs; 0xf6 is null.
            let mut out = vec![0xa4];
            let text = |out: &mut Vec<u8>, text: &str| {
                let (head, length) = cbor::head(cbor::TEXT, text.len() as u64);
                out.extend(&head[..length]);
                out.extend(text.as_bytes());
            };
            text(&mut out, "t");
            text(&mut out, name);
            text(&mut out, "s");
            out.push(0xf6);
            text(&mut out, "op");
            out.push(Opcode::Dispatch as u8);
            text(&mut out, "d");
            out.extend(data);
            out
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn every_encoding_has_the_same_envelope() {
        let d = json!({"channel_id": "1"});
        let expected = json!({"t": "TYPING_START", "s": null, "op": 0, "d": d});
        let read = |encoding: Encoding| -> Value {
            let data = match encoding {
                Encoding::Json => serde_json::to_vec(&d).expect("JSON"),
                // The data without the version that stands before a whole message.
                Encoding::Etf => etf::to_vec(&d).expect("ETF")[1..].to_vec(),
                Encoding::Cbor => cbor::to_vec(&d).expect("CBOR"),
            };
            let written = write(encoding, "TYPING_START", &data);
            match encoding {
                Encoding::Json => serde_json::from_slice(&written).expect("JSON"),
                Encoding::Etf => etf::from_slice(&written).expect("ETF"),
                Encoding::Cbor => cbor::from_slice(&written).expect("CBOR"),
            }
        };
        for encoding in [Encoding::Json, Encoding::Etf, Encoding::Cbor] {
            assert_eq!(read(encoding), expected, "{encoding:?}");
        }
    }
}
