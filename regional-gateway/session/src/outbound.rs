//! Frames to the client: the envelope around shared data, control payloads, compression.

use bytes::Bytes;
use flate2::{Compress, Compression as Level, FlushCompress, Status};
use rookery_model::gateway::Opcode;
use serde::Serialize;

use crate::config::SessionConfig;
use crate::etf;
use crate::params::{Compression, Encoding, GatewayParams};

/// A WebSocket message to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    pub data: Bytes,
    /// Whether it goes as a binary message and not as text.
    pub is_binary: bool,
}

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
        self.frame(&[&payload])
    }

    /// The envelope of an event around data that was written before.
    pub(crate) fn dispatch(&mut self, name: &str, seq: u64, data: &[u8]) -> Result<Transmit, CompressionFailed> {
        match self.encoding {
            Encoding::Json => {
                let mut digits = [0; 20];
                let seq = decimal(seq, &mut digits);
                self.frame(&[br#"{"t":""#, name.as_bytes(), br#"","s":"#, seq, br#","op":0,"d":"#, data, b"}"])
            }
            Encoding::Etf => self.frame(&[&etf_head(name, seq), data]),
        }
    }

    fn frame(&mut self, parts: &[&[u8]]) -> Result<Transmit, CompressionFailed> {
        let len = parts.iter().map(|p| p.len()).sum::<usize>();
        match &mut self.compressor {
            Compressor::Stream(stream) => {
                Ok(Transmit { data: compress(stream, parts, len, FlushCompress::Sync)?, is_binary: true })
            }
            Compressor::Payloads { min_bytes, level } if len >= *min_bytes => {
                let mut stream = Compress::new(Level::new(*level), true);
                Ok(Transmit { data: compress(&mut stream, parts, len, FlushCompress::Finish)?, is_binary: true })
            }
            Compressor::Payloads { .. } | Compressor::Off => {
                let mut data = Vec::with_capacity(len);
                parts.iter().for_each(|part| data.extend_from_slice(part));
                Ok(Transmit { data: data.into(), is_binary: self.encoding == Encoding::Etf })
            }
        }
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

/// A map of four pairs up to the key `d`, whose value follows.
fn etf_head(name: &str, seq: u64) -> Vec<u8> {
    let mut head = Vec::with_capacity(48 + name.len());
    head.extend([etf::VERSION, etf::MAP]);
    head.extend(4u32.to_be_bytes());
    let put = |written: Result<(), etf::Error>| written.expect("short text and integers can be written");
    put(etf::write_term(&mut head, "t"));
    put(etf::write_term(&mut head, name));
    put(etf::write_term(&mut head, "s"));
    put(etf::write_term(&mut head, &seq));
    put(etf::write_term(&mut head, "op"));
    put(etf::write_term(&mut head, &(Opcode::Dispatch as u8)));
    put(etf::write_term(&mut head, "d"));
    head
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
}
