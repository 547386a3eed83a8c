//! Frames to the client: the envelope around shared data, control payloads, compression.

use bytes::Bytes;
use flate2::{Compress, Compression as Level, FlushCompress, Status};
use rookery_model::gateway::Opcode;
use serde::Serialize;

use crate::config::SessionConfig;
use crate::etf;
use crate::params::{Compression, Encoding, GatewayParams};
use crate::transmit::{Head, HeadFull, Transmit};

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

/// How a connection writes.
pub(crate) struct Outbound {
    encoding: Encoding,
    compressor: Compressor,
}

enum Compressor {
    Off,
    /// One context for the whole connection.
    Stream(Box<Compress>),
    /// Large payloads by themselves, each a zlib stream of its own.
    Payloads {
        min_bytes: usize,
        level: u32,
    },
}

/// The compressor failed; the connection cannot go on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CompressionFailed;

impl Outbound {
    pub(crate) fn new(params: GatewayParams, config: &SessionConfig) -> Self {
        let compressor = match params.compression {
            Compression::None | Compression::Declined => Compressor::Off,
            Compression::ZlibStream => {
                let window_bits = config.zlib_window_bits.clamp(9, 15);
                Compressor::Stream(Box::new(Compress::new_with_window_bits(level(config), true, window_bits)))
            }
        };
        Self { encoding: params.encoding, compressor }
    }

    pub(crate) const fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Compresses large payloads from now on, as the client asked in IDENTIFY.
    ///
    /// Only JSON can: its clients tell the two apart by text and binary messages.
    pub(crate) fn compress_payloads(&mut self, params: GatewayParams, config: &SessionConfig) {
        if params.compression == Compression::None && params.encoding == Encoding::Json {
            self.compressor =
                Compressor::Payloads { min_bytes: config.payload_compression_min_bytes, level: config.zlib_level };
        }
    }

    pub(crate) fn control(&mut self, control: Control) -> Result<Transmit, CompressionFailed> {
        let encoding = self.encoding;
        let payload = match control {
            Control::Hello { heartbeat_interval_ms } => {
                write(encoding, Opcode::Hello, Hello { heartbeat_interval: heartbeat_interval_ms, trace: ["rookery"] })
            }
            Control::HeartbeatAck => write(encoding, Opcode::HeartbeatAck, ()),
            Control::Reconnect => write(encoding, Opcode::Reconnect, ()),
            Control::InvalidSession { resumable } => write(encoding, Opcode::InvalidSession, resumable),
        };
        match &mut self.compressor {
            Compressor::Off | Compressor::Payloads { .. } => {
                Ok(Transmit::whole(payload.into(), self.encoding == Encoding::Etf))
            }
            Compressor::Stream(stream) => {
                let len = payload.len();
                Ok(Transmit::whole(compress(stream, &[&payload], len, FlushCompress::Sync)?, true))
            }
        }
    }

    /// The envelope of an event around data that was written before. Uncompressed, this neither copies the data nor
    /// allocates.
    pub(crate) fn dispatch(&mut self, name: &str, seq: u64, data: &Bytes) -> Result<Transmit, CompressionFailed> {
        let tail = match self.encoding {
            Encoding::Json => b"}".as_slice(),
            Encoding::Etf => b"",
        };
        let Ok(head) = dispatch_head(self.encoding, name, seq) else {
            // No event's name is as long; if one were, its sessions could not go on.
            return Err(CompressionFailed);
        };
        let len = head.len() + data.len() + tail.len();
        let whole = match &mut self.compressor {
            Compressor::Stream(stream) => compress(stream, &[&head, data, tail], len, FlushCompress::Sync)?,
            Compressor::Payloads { min_bytes, level } if len >= *min_bytes => {
                let mut stream = Compress::new(Level::new(*level), true);
                compress(&mut stream, &[&head, data, tail], len, FlushCompress::Finish)?
            }
            Compressor::Payloads { .. } | Compressor::Off => {
                return Ok(Transmit::around(head, data.clone(), tail, self.encoding == Encoding::Etf));
            }
        };
        Ok(Transmit::whole(whole, true))
    }
}

fn level(config: &SessionConfig) -> Level {
    Level::new(config.zlib_level.min(9))
}

fn write<D: Serialize>(encoding: Encoding, opcode: Opcode, d: D) -> Vec<u8> {
    const WRITABLE: &str = "a control payload is a small map with text keys";
    let envelope = Envelope { t: (), s: (), op: opcode as u8, d };
    match encoding {
        Encoding::Json => serde_json::to_vec(&envelope).expect(WRITABLE),
        Encoding::Etf => etf::to_vec(&envelope).expect(WRITABLE),
    }
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

/// A dispatch up to its data.
fn dispatch_head(encoding: Encoding, name: &str, seq: u64) -> Result<Head, HeadFull> {
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
    }
    Ok(head)
}

fn etf_text(head: &mut Head, text: &str) -> Result<(), HeadFull> {
    head.put(&[etf::BINARY])?;
    head.put(&(text.len() as u32).to_be_bytes())?;
    head.put(text.as_bytes())
}

/// Compresses the parts as one piece and flushes.
fn compress(
    stream: &mut Compress,
    parts: &[&[u8]],
    len: usize,
    flush: FlushCompress,
) -> Result<Bytes, CompressionFailed> {
    let mut out = Vec::with_capacity(len / 2 + 64);
    for part in parts {
        let mut rest = *part;
        while !rest.is_empty() {
            let before = stream.total_in();
            step(stream, rest, &mut out, FlushCompress::None)?;
            rest = &rest[(stream.total_in() - before) as usize..];
        }
    }
    // The flush is complete when it leaves room.
    loop {
        let status = step(stream, &[], &mut out, flush)?;
        if status == Status::StreamEnd || out.len() < out.capacity() {
            break;
        }
    }
    out.shrink_to_fit();
    Ok(out.into())
}

fn step(
    stream: &mut Compress,
    input: &[u8],
    out: &mut Vec<u8>,
    flush: FlushCompress,
) -> Result<Status, CompressionFailed> {
    if out.len() == out.capacity() {
        out.reserve(out.capacity().max(64));
    }
    stream.compress_vec(input, out, flush).map_err(|_| CompressionFailed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_length() {
        for n in [0, 9, 10, 12_345, u64::MAX] {
            assert_eq!(decimal(n, &mut [0; 20]), n.to_string().as_bytes());
        }
    }

    #[test]
    fn the_longest_head_fits() {
        const LONGEST_NAME: &str = "GUILD_SCHEDULED_EVENT_USER_REMOVE";
        for encoding in [Encoding::Json, Encoding::Etf] {
            let head = dispatch_head(encoding, LONGEST_NAME, u64::MAX).expect("room");
            // Compression puts as many bytes before it.
            assert!(head.len() + 7 <= 95, "{encoding:?}: {}", head.len());
        }
    }
}
