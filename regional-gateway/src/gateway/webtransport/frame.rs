//! Framing of the ordered stream: a kind, the payload's length, the payload; the same both ways.
//!
//! `kind` is one byte, 0 for text (JSON) and 1 for binary (CBOR, ETF); the length is a QUIC variable-length integer
//! (RFC 9000, section 16). docs/webtransport.md says it for authors of clients.

use wtransport::VarInt;
use wtransport::proto::bytes::{BytesReader as _, BytesWriter as _};

/// What a payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FrameKind {
    Text = 0,
    Binary = 1,
}

/// A whole frame of the client.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame {
    Text(String),
    Binary(Vec<u8>),
}

/// How a client broke the framing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error("no kind of frame has this number")]
    Kind,
    #[error("the payload is longer than allowed")]
    TooLong,
    #[error("the text is not UTF-8")]
    Text,
}

/// What stands before a payload of this length.
pub fn header(kind: FrameKind, payload_bytes: usize) -> Vec<u8> {
    const SHORT: &str = "no payload has 2^62 bytes, and a vector takes what is put";
    let mut header = Vec::with_capacity(1 + VarInt::MAX_SIZE);
    header.push(kind as u8);
    let length = VarInt::try_from_u64(payload_bytes as u64).expect(SHORT);
    header.put_varint(length).expect(SHORT);
    header
}

/// Puts frames together out of what the stream gives.
#[derive(Debug)]
pub struct FrameReader {
    buffer: Vec<u8>,
    /// Bytes of the buffer that were read already.
    start: usize,
    max_payload_bytes: usize,
}

impl FrameReader {
    /// A reader of a stream's beginning.
    pub const fn new(max_payload_bytes: usize) -> Self {
        Self { buffer: Vec::new(), start: 0, max_payload_bytes }
    }

    /// Takes what was read. The caller asks for all frames before it reads more, so what is held is one frame and one
    /// read at most.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.start);
        self.start = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next frame that is whole.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        let mut rest = &self.buffer[self.start..];
        let Some((kind, after)) = rest.split_first() else {
            // An idle connection keeps nothing.
            (self.buffer, self.start) = (Vec::new(), 0);
            return Ok(None);
        };
        if *kind > FrameKind::Binary as u8 {
            return Err(FrameError::Kind);
        }
        rest = after;
        let Some(length) = rest.get_varint() else { return Ok(None) };
        let length = usize::try_from(length.into_inner()).unwrap_or(usize::MAX);
        if length > self.max_payload_bytes {
            return Err(FrameError::TooLong);
        }
        let Some(payload) = rest.get(..length) else { return Ok(None) };
        let frame = if *kind == FrameKind::Text as u8 {
            let text = std::str::from_utf8(payload).map_err(|_| FrameError::Text)?;
            Frame::Text(text.to_owned())
        } else {
            Frame::Binary(payload.to_vec())
        };
        self.start = self.buffer.len() - (rest.len() - length);
        Ok(Some(frame))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(kind: FrameKind, payload: &[u8]) -> Vec<u8> {
        [header(kind, payload.len()).as_slice(), payload].concat()
    }

    #[test]
    fn the_wire_is_as_documented() {
        assert_eq!(framed(FrameKind::Text, b"{}"), b"\x00\x02{}");
        assert_eq!(framed(FrameKind::Binary, &[7; 64])[..4], [1, 0x40, 64, 7]);
        assert_eq!(header(FrameKind::Binary, 16_384)[..], [1, 0x80, 0, 0x40, 0]);
    }

    #[test]
    fn frames_of_every_length_come_out_whole_however_they_are_cut() {
        let texts: Vec<String> = [0, 1, 63, 64, 4_096].map(|n| "x".repeat(n)).to_vec();
        let mut wire: Vec<u8> = texts.iter().flat_map(|text| framed(FrameKind::Text, text.as_bytes())).collect();
        wire.extend(framed(FrameKind::Binary, &[1, 2, 3]));
        for step in [1, 2, 7, 100, wire.len()] {
            let (mut reader, mut got) = (FrameReader::new(4_096), Vec::new());
            for bytes in wire.chunks(step) {
                reader.push(bytes);
                while let Some(frame) = reader.next_frame().unwrap() {
                    got.push(frame);
                }
            }
            assert_eq!(got.pop(), Some(Frame::Binary(vec![1, 2, 3])), "in steps of {step}");
            assert_eq!(got, texts.iter().cloned().map(Frame::Text).collect::<Vec<_>>(), "in steps of {step}");
            assert_eq!(reader.buffer.capacity(), 0, "nothing is kept");
        }
    }

    #[test]
    fn broken_frames_are_told_apart() {
        let read = |wire: &[u8]| {
            let mut reader = FrameReader::new(100);
            reader.push(wire);
            reader.next_frame()
        };
        assert_eq!(read(&[2, 0]), Err(FrameError::Kind));
        assert_eq!(read(&[0, 0x40, 101]), Err(FrameError::TooLong));
        assert_eq!(read(&[1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), Err(FrameError::TooLong));
        assert_eq!(read(&[0, 1, 0xff]), Err(FrameError::Text));
        assert_eq!(read(&[1, 1, 0xff]), Ok(Some(Frame::Binary(vec![0xff]))));
        assert_eq!(read(&[0]), Ok(None));
        assert_eq!(read(&[0, 0x40]), Ok(None));
    }
}
