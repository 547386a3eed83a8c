//! Streams over a connection's whole life, of which most is compressed once for all connections.
//!
//! Both formats consist of blocks, and a block may stand for itself. So what is a connection's own (the envelope up to
//! the data) goes in a block of plain bytes, and the data follows in blocks that refer to nothing before them, made once
//! for everybody who gets the event.

mod sequences;
pub(crate) mod zlib;
pub(crate) mod zstd;

/// The compressor failed; the connection cannot go on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CompressionFailed;
