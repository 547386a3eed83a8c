//! Frames to the client: the envelope around shared data, and how it is compressed.

use bytes::Bytes;

use crate::compression::{CompressionFailed, zlib, zstd};
use crate::config::{SessionConfig, ZlibMode};
use crate::envelope::{Control, dispatch_head, dispatch_tail};
use crate::params::{Compression, Encoding, GatewayParams};
use crate::payload::Body;
use crate::transmit::{HeadFull, Transmit};

/// How a connection writes.
pub(crate) struct Outbound {
    encoding: Encoding,
    compressor: Compressor,
}

enum Compressor {
    Off,
    /// Large payloads by themselves, each a zlib stream of its own.
    Payloads {
        min_bytes: usize,
        level: u32,
    },
    /// A zlib stream whose events are compressed once for all.
    ZlibShared {
        start: zlib::Start,
        level: u32,
    },
    /// A zlib stream with a context of this connection.
    ZlibContext(Box<zlib::Context>),
    /// A zstd stream, whose events are compressed once for all.
    Zstd(zstd::Start),
}

impl Outbound {
    pub(crate) fn new(params: GatewayParams, config: &SessionConfig) -> Self {
        let compressor = match (params.compression, config.zlib) {
            (Compression::None | Compression::Declined, _) => Compressor::Off,
            (Compression::ZstdStream, _) => Compressor::Zstd(zstd::Start::default()),
            (Compression::ZlibStream, ZlibMode::Shared) => {
                Compressor::ZlibShared { start: zlib::Start::default(), level: config.zlib_shared_level }
            }
            (Compression::ZlibStream, ZlibMode::Context) => {
                Compressor::ZlibContext(Box::new(zlib::Context::new(config.zlib_level, config.zlib_window_bits)))
            }
        };
        Self { encoding: params.encoding, compressor }
    }

    pub(crate) const fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Compresses large payloads from now on, as the client asked in IDENTIFY.
    ///
    /// Only JSON can: its clients tell the two apart by text and binary messages. No stream is compressed twice.
    pub(crate) fn compress_payloads(&mut self, params: GatewayParams, config: &SessionConfig) {
        if params.compression == Compression::None && params.encoding == Encoding::Json {
            self.compressor =
                Compressor::Payloads { min_bytes: config.payload_compression_min_bytes, level: config.zlib_level };
        }
    }

    pub(crate) fn control(&mut self, control: Control) -> Result<Transmit, CompressionFailed> {
        let payload = control.write(self.encoding);
        let whole = match &mut self.compressor {
            Compressor::Off | Compressor::Payloads { .. } => {
                return Ok(Transmit::whole(payload.into(), self.encoding != Encoding::Json));
            }
            Compressor::ZlibShared { start, .. } => start.stored_message(&payload),
            Compressor::ZlibContext(context) => context.control(&payload)?,
            Compressor::Zstd(start) => start.raw_message(&payload),
        };
        Ok(Transmit::whole(whole, true))
    }

    /// The envelope of an event around data that was written before. Shared events are neither copied nor compressed
    /// anew, but in a stream with a context.
    pub(crate) fn dispatch(&mut self, name: &str, seq: u64, body: Body<'_>) -> Result<Transmit, CompressionFailed> {
        self.try_dispatch(name, seq, body)
            // No event's name is as long; if one were, its sessions could not go on.
            .unwrap_or(Err(CompressionFailed))
    }

    fn try_dispatch(
        &mut self,
        name: &str,
        seq: u64,
        body: Body<'_>,
    ) -> Result<Result<Transmit, CompressionFailed>, HeadFull> {
        let (head, tail) = (dispatch_head(self.encoding, name, seq)?, dispatch_tail(self.encoding));
        let data = body.plain();
        let whole = |bytes: Bytes| Transmit::whole(bytes, true);
        Ok(match &mut self.compressor {
            Compressor::Payloads { min_bytes, level } if head.len() + data.len() + tail.len() >= *min_bytes => {
                zlib::whole(&[&head, data, tail], *level).map(whole)
            }
            Compressor::Payloads { .. } | Compressor::Off => {
                Ok(Transmit::around(head, data.clone(), tail, self.encoding != Encoding::Json))
            }
            Compressor::ZlibShared { start, level } => Ok(match body.zlib(tail, *level) {
                zlib::Blocks::Deflated(blocks) => Transmit::around(start.stored_head(&head, 0)?, blocks, b"", true),
                zlib::Blocks::Stored => {
                    let head = start.stored_head(&head, data.len() + tail.len())?;
                    Transmit::around(head, data.clone(), zlib::stored_tail(!tail.is_empty()), true)
                }
            }),
            Compressor::Zstd(start) => Ok(Transmit::around(start.raw_head(&head)?, body.zstd(tail), b"", true)),
            Compressor::ZlibContext(context) => context.message(&[&head, data, tail]).map(whole),
        })
    }
}
