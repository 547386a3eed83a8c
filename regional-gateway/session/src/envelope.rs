//! What is around the data: the envelope of dispatches, and whole payloads of the protocol itself.

use rookery_model::gateway::Opcode;
use serde::Serialize;

use crate::params::Encoding;
use crate::transmit::{Head, HeadFull};
use crate::{cbor, etf};

/// A payload of the protocol itself, without sequence number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Control {
    Hello { heartbeat_interval_ms: u64 },
    HeartbeatAck,
    Reconnect,
    InvalidSession { resumable: bool },
}

#[derive(Serialize)]
struct Envelope<D> {
    t: (),
    s: (),
    op: u8,
    d: D,
}

#[derive(Serialize)]
struct Hello {
    heartbeat_interval: u64,
    #[serde(rename = "_trace")]
    trace: [&'static str; 1],
}

impl Control {
    pub(crate) fn write(self, encoding: Encoding) -> Vec<u8> {
        match self {
            Self::Hello { heartbeat_interval_ms } => {
                write(encoding, Opcode::Hello, Hello { heartbeat_interval: heartbeat_interval_ms, trace: ["rookery"] })
            }
            Self::HeartbeatAck => write(encoding, Opcode::HeartbeatAck, ()),
            Self::Reconnect => write(encoding, Opcode::Reconnect, ()),
            Self::InvalidSession { resumable } => write(encoding, Opcode::InvalidSession, resumable),
        }
    }
}

fn write<D: Serialize>(encoding: Encoding, opcode: Opcode, d: D) -> Vec<u8> {
    const WRITABLE: &str = "a control payload is a small map with text keys";
    let envelope = Envelope { t: (), s: (), op: opcode as u8, d };
    match encoding {
        Encoding::Json => serde_json::to_vec(&envelope).expect(WRITABLE),
        Encoding::Etf => etf::to_vec(&envelope).expect(WRITABLE),
        Encoding::Cbor => cbor::to_vec(&envelope).expect(WRITABLE),
    }
}

/// What follows a dispatch's data.
pub(crate) const fn dispatch_tail(encoding: Encoding) -> &'static [u8] {
    match encoding {
        Encoding::Json => b"}",
        Encoding::Etf | Encoding::Cbor => b"",
    }
}

/// A dispatch up to its data.
pub(crate) fn dispatch_head(encoding: Encoding, name: &str, seq: u64) -> Result<Head, HeadFull> {
    let mut head = Head::new();
    match encoding {
        Encoding::Json => {
            head.put(br#"{"t":""#)?;
            head.put(name.as_bytes())?;
            head.put(br#"","s":"#)?;
            head.put(decimal(seq, &mut [0; 20]))?;
            head.put(br#","op":0,"d":"#)?;
        }
        Encoding::Etf => {
            head.put(&[etf::VERSION, etf::MAP, 0, 0, 0, 4])?;
            etf_text(&mut head, "t")?;
            etf_text(&mut head, name)?;
            etf_text(&mut head, "s")?;
            etf::unsigned(seq, |piece| head.put(piece))?;
            etf_text(&mut head, "op")?;
            etf::unsigned(Opcode::Dispatch as u64, |piece| head.put(piece))?;
            etf_text(&mut head, "d")?;
        }
        Encoding::Cbor => {
            // A map of four pairs.
            head.put(&[0xa4])?;
            cbor_text(&mut head, "t")?;
            cbor_text(&mut head, name)?;
            cbor_text(&mut head, "s")?;
            cbor_head(&mut head, cbor::UNSIGNED, seq)?;
            cbor_text(&mut head, "op")?;
            cbor_head(&mut head, cbor::UNSIGNED, Opcode::Dispatch as u64)?;
            cbor_text(&mut head, "d")?;
        }
    }
    Ok(head)
}

fn etf_text(head: &mut Head, text: &str) -> Result<(), HeadFull> {
    head.put(&[etf::BINARY])?;
    head.put(&(text.len() as u32).to_be_bytes())?;
    head.put(text.as_bytes())
}

fn cbor_head(head: &mut Head, major: u8, n: u64) -> Result<(), HeadFull> {
    let (bytes, len) = cbor::head(major, n);
    head.put(&bytes[..len])
}

fn cbor_text(head: &mut Head, text: &str) -> Result<(), HeadFull> {
    cbor_head(head, cbor::TEXT, text.len() as u64)?;
    head.put(text.as_bytes())
}

/// The number's digits, written at the end of the buffer.
fn decimal(mut n: u64, buffer: &mut [u8; 20]) -> &[u8] {
    let mut start = buffer.len();
    loop {
        start -= 1;
        buffer[start] = b'0' + (n % 10) as u8;
        n /= 10;
        if n == 0 {
            return &buffer[start..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transmit::HEAD_MAX_BYTES;

    #[test]
    fn numbers_of_every_length() {
        for n in [0, 9, 10, 12_345, u64::MAX] {
            assert_eq!(decimal(n, &mut [0; 20]), n.to_string().as_bytes());
        }
    }

    #[test]
    fn the_longest_head_fits() {
        const LONGEST_NAME: &str = "GUILD_SCHEDULED_EVENT_USER_REMOVE";
        // The starts of a compressed stream and of its first block.
        const BEFORE_BYTES: usize = 9;
        for encoding in [Encoding::Json, Encoding::Etf, Encoding::Cbor] {
            let head = dispatch_head(encoding, LONGEST_NAME, u64::MAX).expect("room");
            assert!(head.len() + BEFORE_BYTES <= HEAD_MAX_BYTES, "{encoding:?}: {}", head.len());
        }
    }
}
