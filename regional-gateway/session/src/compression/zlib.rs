//! zlib streams (RFC 1950) put together from deflate blocks (RFC 1951).

use bytes::Bytes;
use flate2::{Compress, Compression as Level, FlushCompress, Status};
use std::cell::RefCell;

use super::CompressionFailed;
use crate::transmit::{Head, HeadFull};

/// With what a stream starts: deflate with a window of 32 KiB, no dictionary.
const STREAM_HEADER: [u8; 2] = [0x78, 0x01];
/// An empty block, with which every message ends: clients look for its last four bytes.
const SYNC: [u8; 5] = [0, 0, 0, 0xff, 0xff];
/// The largest block of plain bytes.
const STORED_MAX_BYTES: usize = u16::MAX as usize;

/// Data in blocks that refer to nothing before them, ending in [`SYNC`].
#[derive(Clone, Debug)]
pub(crate) enum Blocks {
    Deflated(Bytes),
    /// Deflating gains nothing: the data goes plain, in one block with what is before it.
    Stored,
}

/// What a stream needs to know of itself when it keeps no context: whether it has begun.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Start {
    begun: bool,
}

impl Start {
    /// The bytes that begin the stream, the first time.
    fn begin(&mut self) -> &'static [u8] {
        if std::mem::replace(&mut self.begun, true) { b"" } else { &STREAM_HEADER }
    }

    /// A message in plain blocks.
    pub(crate) fn stored_message(&mut self, message: &[u8]) -> Bytes {
        let mut out = Vec::with_capacity(message.len() + STREAM_HEADER.len() + 2 * SYNC.len());
        out.extend(self.begin());
        put_stored(&mut out, &[message]);
        out.into()
    }

    /// The first piece of a message: `prefix` in a plain block, which `follow_bytes` more belong to.
    pub(crate) fn stored_head(&mut self, prefix: &[u8], follow_bytes: usize) -> Result<Head, HeadFull> {
        let mut head = Head::new();
        head.put(self.begin())?;
        head.put(&block_header(prefix.len() + follow_bytes))?;
        head.put(prefix)?;
        Ok(head)
    }
}

/// The header of a plain block of at most [`STORED_MAX_BYTES`].
const fn block_header(len: usize) -> [u8; 5] {
    let len = len as u16;
    let ([a, b], [c, d]) = (len.to_le_bytes(), (!len).to_le_bytes());
    [0, a, b, c, d]
}

/// Appends the pieces in plain blocks and [`SYNC`].
fn put_stored(out: &mut Vec<u8>, pieces: &[&[u8]]) {
    for chunk in pieces.iter().flat_map(|piece| piece.chunks(STORED_MAX_BYTES)) {
        out.extend(block_header(chunk.len()));
        out.extend(chunk);
    }
    out.extend(SYNC);
}

/// The end of a message in one plain block, behind its data.
pub(crate) const fn stored_tail(has_brace: bool) -> &'static [u8] {
    if has_brace { b"}\x00\x00\x00\xff\xff" } else { &SYNC }
}

thread_local! {
    /// The tables of a compressor, a quarter of a megabyte, used again for each event. What it knows of the last one is
    /// forgotten first.
    static SCRATCH: RefCell<Option<(u32, Compress)>> = const { RefCell::new(None) };
}

/// Deflates data and what follows it in every message, for any stream.
pub(crate) fn deflate(data: &[u8], tail: &[u8], level: u32) -> Blocks {
    let len = data.len() + tail.len();
    let can_store = len + crate::transmit::HEAD_MAX_BYTES <= STORED_MAX_BYTES;
    let deflated = SCRATCH.with_borrow_mut(|scratch| {
        if scratch.as_ref().is_none_or(|(of_level, _)| *of_level != level) {
            *scratch = Some((level, Compress::new(Level::new(level.min(9)), false)));
        }
        let (_, stream) = scratch.as_mut()?;
        stream.reset();
        compress(stream, &[data, tail], FlushCompress::Sync).ok()
    });
    match deflated {
        // A plain block needs SYNC behind it, which deflated data ends with.
        Some(deflated) if !can_store || deflated.len() < len + SYNC.len() => Blocks::Deflated(deflated),
        _ if can_store => Blocks::Stored,
        _ => {
            let mut out = Vec::new();
            put_stored(&mut out, &[data, tail]);
            Blocks::Deflated(out.into())
        }
    }
}

/// A stream with a context of its own, which refers back to earlier messages.
pub(crate) struct Context {
    start: Start,
    level: u32,
    window_bits: u8,
    /// Made for the first message of the session: most of the memory that such a connection needs.
    stream: Option<Box<Compress>>,
}

impl Context {
    pub(crate) const fn new(level: u32, window_bits: u8) -> Self {
        Self { start: Start { begun: false }, level, window_bits, stream: None }
    }

    /// A message of the protocol: plain, until there is a context that must see everything.
    pub(crate) fn control(&mut self, message: &[u8]) -> Result<Bytes, CompressionFailed> {
        match &mut self.stream {
            Some(stream) => compress(stream, &[message], FlushCompress::Sync),
            None => Ok(self.start.stored_message(message)),
        }
    }

    /// A message in the context.
    pub(crate) fn message(&mut self, pieces: &[&[u8]]) -> Result<Bytes, CompressionFailed> {
        let header = self.start.begin();
        let stream = self.stream.get_or_insert_with(|| {
            let (level, window_bits) = (Level::new(self.level.min(9)), self.window_bits.clamp(9, 15));
            Box::new(Compress::new_with_window_bits(level, false, window_bits))
        });
        let message = compress(stream, pieces, FlushCompress::Sync)?;
        if header.is_empty() { Ok(message) } else { Ok([header, &message].concat().into()) }
    }
}

/// A payload by itself, as a zlib stream that ends.
pub(crate) fn whole(pieces: &[&[u8]], level: u32) -> Result<Bytes, CompressionFailed> {
    compress(&mut Compress::new(Level::new(level.min(9)), true), pieces, FlushCompress::Finish)
}

/// Compresses the pieces as one and flushes.
fn compress(stream: &mut Compress, pieces: &[&[u8]], flush: FlushCompress) -> Result<Bytes, CompressionFailed> {
    let len = pieces.iter().map(|piece| piece.len()).sum::<usize>();
    let mut out = Vec::with_capacity(len / 2 + 64);
    for piece in pieces {
        let mut rest = *piece;
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
    use std::io::Read;

    /// Inflates a stream that has no end yet.
    fn inflate(stream: &[u8], len: usize) -> Vec<u8> {
        let mut plain = vec![0; len];
        flate2::read::ZlibDecoder::new(stream).read_exact(&mut plain).expect("a stream of that many bytes");
        plain
    }

    #[test]
    fn blocks_of_every_kind_and_size_make_one_stream() {
        let noise: Vec<u8> =
            (0..200_000u32).map(|n| (n.wrapping_mul(2_654_435_761).wrapping_mul(n | 1) >> 13) as u8).collect();
        let text: Vec<u8> = b"the same text again and ".iter().copied().cycle().take(200_000).collect();
        for source in [&noise, &text] {
            for len in [0, 1, 5, 30, 100, 65_400, 65_439, 65_440, 65_441, 65_535, 65_536, 200_000] {
                let data = &source[..len];
                let mut start = Start::default();
                let mut stream = start.stored_message(b"hello").to_vec();
                let mut plain = b"hello".to_vec();
                for _ in 0..2 {
                    match deflate(data, b"}", 1) {
                        Blocks::Deflated(blocks) => {
                            stream.extend(&*start.stored_head(b"{prefix", 0).expect("room"));
                            stream.extend(blocks);
                        }
                        Blocks::Stored => {
                            stream.extend(&*start.stored_head(b"{prefix", len + 1).expect("room"));
                            stream.extend(data);
                            stream.extend(stored_tail(true));
                        }
                    }
                    assert!(stream.ends_with(&[0, 0, 0xff, 0xff]), "{len}");
                    plain.extend(b"{prefix");
                    plain.extend(data);
                    plain.push(b'}');
                }
                assert!(inflate(&stream, plain.len()) == plain, "{len}");
            }
        }
    }

    #[test]
    fn a_context_begins_behind_plain_messages() {
        let mut context = Context::new(1, 9);
        let mut stream = context.control(b"hello ").expect("stored").to_vec();
        assert!(context.stream.is_none());
        stream.extend(context.message(&[b"hello ", b"hello "]).expect("compressed"));
        stream.extend(context.control(b"hello ").expect("compressed"));
        assert_eq!(inflate(&stream, 24), b"hello hello hello hello ");
        let mut context = Context::new(1, 9);
        let stream = context.message(&[b"at once"]).expect("compressed");
        assert_eq!(inflate(&stream, 7), b"at once");
    }
}
