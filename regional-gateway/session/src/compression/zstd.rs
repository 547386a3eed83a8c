//! zstd streams (RFC 8878) of one frame, put together from blocks that were made apart.
//!
//! A block may lean on what came before it in three ways: matches in the window, tables "as in the last block", and
//! repeat offsets. Blocks from a fresh context have no matches and no tables from before, but zstd writes the offsets 1,
//! 4 and 8 as repeats, which hold only at the start of a frame; a decoder in the middle of one would take whatever the
//! last message left. So the matches are searched here and written with `ZSTD_compressSequences`, which, told not to
//! look for repeats, writes every offset in full.

// The one function that writes given matches has no safe binding.
#![allow(unsafe_code)]

use bytes::Bytes;
use std::cell::RefCell;
use std::ffi::c_int;
use std::ptr::NonNull;
use zstd_sys as sys;

use super::sequences::{Search, Sequence, WINDOW_BYTES, WINDOW_LOG};
use crate::transmit::{Head, HeadFull};

/// Magic number, a descriptor without length, checksum and dictionary, and the window.
const FRAME_HEADER: [u8; 6] = [0x28, 0xb5, 0x2f, 0xfd, 0, ((WINDOW_LOG - 10) << 3) as u8];
const BLOCK_HEADER_BYTES: usize = 3;
/// The most that a block holds, packed or not.
const BLOCK_MAX_BYTES: usize = WINDOW_BYTES;
/// Which of zstd's ways to choose tables; the search is not its own.
const LEVEL: c_int = 3;

/// Whether the one frame of a connection has begun: all that it needs to know.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Start {
    begun: bool,
}

impl Start {
    fn begin(&mut self) -> &'static [u8] {
        if std::mem::replace(&mut self.begun, true) { b"" } else { &FRAME_HEADER }
    }

    /// A message in raw blocks.
    pub(crate) fn raw_message(&mut self, message: &[u8]) -> Bytes {
        let mut out = self.begin().to_vec();
        put_raw(&mut out, message);
        out.into()
    }

    /// The first piece of a message: `prefix` in a raw block.
    pub(crate) fn raw_head(&mut self, prefix: &[u8]) -> Result<Head, HeadFull> {
        let mut head = Head::new();
        head.put(self.begin())?;
        head.put(&raw_header(prefix.len()))?;
        head.put(prefix)?;
        Ok(head)
    }
}

/// The header of a raw block that is not the last.
const fn raw_header(len: usize) -> [u8; BLOCK_HEADER_BYTES] {
    let [a, b, c, _] = ((len as u32) << 3).to_le_bytes();
    [a, b, c]
}

fn put_raw(out: &mut Vec<u8>, plain: &[u8]) {
    for chunk in plain.chunks(BLOCK_MAX_BYTES) {
        out.extend(raw_header(chunk.len()));
        out.extend(chunk);
    }
}

/// Compresses data and what follows it in every message into blocks for any stream.
pub(crate) fn compress(data: &[u8], tail: &[u8]) -> Bytes {
    thread_local! {
        /// Tables of some hundred kilobytes, used again for each event.
        static SCRATCH: RefCell<Scratch> = RefCell::default();
    }
    SCRATCH.with_borrow_mut(|scratch| scratch.compress(data, tail)).into()
}

#[derive(Default)]
struct Scratch {
    search: Search,
    encoder: Option<Encoder>,
    plain: Vec<u8>,
    sequences: Vec<sys::ZSTD_Sequence>,
}

impl Scratch {
    fn compress(&mut self, data: &[u8], tail: &[u8]) -> Vec<u8> {
        self.plain.clear();
        self.plain.extend(data);
        self.plain.extend(tail);
        let compressed = self.try_compress();
        let out = compressed.unwrap_or_else(|| {
            let mut raw = Vec::new();
            put_raw(&mut raw, &self.plain);
            raw
        });
        // What a very large event needed is given back.
        if self.plain.capacity() > WINDOW_BYTES {
            (self.plain, self.sequences) = (Vec::new(), Vec::new());
        }
        out
    }

    fn try_compress(&mut self) -> Option<Vec<u8>> {
        // Places are 32 bits.
        u32::try_from(self.plain.len()).ok()?;
        self.sequences.clear();
        self.search.run(&self.plain, BLOCK_MAX_BYTES, |sequence| self.sequences.push(ffi(sequence)));
        if self.encoder.is_none() {
            self.encoder = Encoder::new();
        }
        let frame = self.encoder.as_mut()?.frame(&self.sequences, &self.plain)?;
        let mut blocks = blocks_of(frame)?;
        blocks.shrink_to_fit();
        Some(blocks)
    }
}

fn ffi(sequence: Sequence) -> sys::ZSTD_Sequence {
    // A sequence without match ends a block.
    let (offset, len) = sequence.found.map_or((0, 0), |found| (found.offset, found.len));
    sys::ZSTD_Sequence { offset, litLength: sequence.literals, matchLength: len, rep: 0 }
}

/// The blocks of a frame, none of them marked as the last.
fn blocks_of(mut frame: Vec<u8>) -> Option<Vec<u8>> {
    const RLE: u32 = 1;
    // For less data the encoder announces a smaller window.
    if frame.len() < FRAME_HEADER.len() || frame[..5] != FRAME_HEADER[..5] {
        return None;
    }
    frame.drain(..FRAME_HEADER.len());
    let mut place = 0;
    while place < frame.len() {
        let header = frame.get_mut(place..)?.first_chunk_mut::<BLOCK_HEADER_BYTES>()?;
        header[0] &= !1;
        let header = u32::from_le_bytes([header[0], header[1], header[2], 0]);
        let len = if (header >> 1) & 3 == RLE { 1 } else { (header >> 3) as usize };
        place += BLOCK_HEADER_BYTES + len;
    }
    (place == frame.len()).then_some(frame)
}

/// A compression context of the C library.
struct Encoder {
    context: NonNull<sys::ZSTD_CCtx>,
}

impl Encoder {
    fn new() -> Option<Self> {
        use sys::ZSTD_cParameter as P;
        // SAFETY: it takes no argument, and null is looked for.
        let context = NonNull::new(unsafe { sys::ZSTD_createCCtx() })?;
        let encoder = Self { context };
        let parameters = [
            (P::ZSTD_c_compressionLevel, LEVEL),
            (P::ZSTD_c_windowLog, WINDOW_LOG as c_int),
            (P::ZSTD_c_minMatch, 4),
            (P::ZSTD_c_contentSizeFlag, 0),
            (P::ZSTD_c_checksumFlag, 0),
            // blockDelimiters: each block ends where the sequences say.
            (P::ZSTD_c_experimentalParam11, sys::ZSTD_SequenceFormat_e::ZSTD_sf_explicitBlockDelimiters as c_int),
            // validateSequences: a mistake of the search is an error and no broken block.
            (P::ZSTD_c_experimentalParam12, 1),
            // searchForExternalRepcodes: off, which is the point of all this.
            (P::ZSTD_c_experimentalParam19, sys::ZSTD_ParamSwitch_e::ZSTD_ps_disable as c_int),
        ];
        for (parameter, value) in parameters {
            // SAFETY: the context is a live one.
            let result = unsafe { sys::ZSTD_CCtx_setParameter(encoder.context.as_ptr(), parameter, value) };
            if is_error(result) {
                return None;
            }
        }
        Some(encoder)
    }

    fn frame(&mut self, sequences: &[sys::ZSTD_Sequence], plain: &[u8]) -> Option<Vec<u8>> {
        // SAFETY: it only computes.
        let bound = unsafe { sys::ZSTD_compressBound(plain.len()) };
        let mut out = vec![0; bound + FRAME_HEADER.len()];
        // SAFETY: the context is a live one that nobody else uses; the three buffers are given with their lengths.
        let written = unsafe {
            sys::ZSTD_compressSequences(
                self.context.as_ptr(),
                out.as_mut_ptr().cast(),
                out.len(),
                sequences.as_ptr(),
                sequences.len(),
                plain.as_ptr().cast(),
                plain.len(),
            )
        };
        if is_error(written) {
            return None;
        }
        out.truncate(written);
        Some(out)
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        // SAFETY: it was made by the library and is freed once.
        unsafe { sys::ZSTD_freeCCtx(self.context.as_ptr()) };
    }
}

fn is_error(result: usize) -> bool {
    // SAFETY: it only computes.
    unsafe { sys::ZSTD_isError(result) != 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zstd_safe::{DCtx, InBuffer, OutBuffer};

    fn decompress(context: &mut DCtx<'_>, stream: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        let mut input = InBuffer::around(stream);
        let mut buffer = [0u8; 4_096];
        loop {
            let mut output = OutBuffer::around(&mut buffer[..]);
            context.decompress_stream(&mut output, &mut input).expect("a valid stream");
            plain.extend(output.as_slice());
            if input.pos() == stream.len() && output.as_slice().len() < 4_096 {
                return plain;
            }
        }
    }

    /// Data whose first matches lie 1, 4 or 8 back, which zstd's own search writes as repeats.
    fn repetitive(n: u32) -> Vec<u8> {
        let period = [1, 4, 8, 3, 12][n as usize % 5];
        let word: Vec<u8> = (0..period).map(|i| b'a' + ((n + i * 7) % 26) as u8).collect();
        word.iter().copied().cycle().take(20 + (n % 90) as usize).chain(n.to_string().bytes()).collect()
    }

    #[test]
    fn blocks_come_right_in_any_order() {
        let noise: Vec<u8> = (0..300_000u32).map(|n| (n.wrapping_mul(2_654_435_761) ^ (n << 7)) as u8).collect();
        let mut order = 1u32;
        let shared: Vec<_> = (0..50).map(|n| (repetitive(n), compress(&repetitive(n), b"}"))).collect();
        let large = [compress(&noise, b"}"), compress(&noise[..131_071], b"}"), compress(&vec![b'x'; 400_000], b"}")];
        let mut start = Start::default();
        let mut context = DCtx::create();
        assert_eq!(decompress(&mut context, &start.raw_message(b"hello")), b"hello");
        for n in 0..5_000u32 {
            order = order.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let (plain, blocks) = &shared[(order >> 16) as usize % shared.len()];
            let mut message = start.raw_head(b"{prefix").expect("room").to_vec();
            message.extend(blocks);
            assert_eq!(decompress(&mut context, &message), [b"{prefix", plain.as_slice(), b"}"].concat(), "{n}");
            if n % 500 == 0 {
                let sizes = large.iter().map(|blocks| decompress(&mut context, blocks).len());
                assert_eq!(sizes.collect::<Vec<_>>(), [300_001, 131_072, 400_001]);
            }
        }
    }

    #[test]
    fn what_repeats_is_small_and_the_rest_hardly_grows() {
        let data: Vec<u8> = (0..40).flat_map(repetitive).collect();
        assert!(compress(&data, b"").len() * 2 < data.len());
        assert_eq!(compress(b"tiny", b"}").len(), BLOCK_HEADER_BYTES + 5);
        assert!(compress(&vec![7; 1_000_000], b"").len() < 400);
    }
}
