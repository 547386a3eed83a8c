//! Capsules on the CONNECT stream, of which one matters: CLOSE_WEBTRANSPORT_SESSION, a code and a reason.
//!
//! They stand in HTTP/3 DATA frames, cut as the sender likes (draft-ietf-webtrans-http3, section 6; RFC 9297).

use wtransport::VarInt;
use wtransport::proto::bytes::{BytesReader as _, BytesWriter as _};
use wtransport::proto::frame::Frame;

const CLOSE_WEBTRANSPORT_SESSION: u64 = 0x2843;
const DATA: u64 = 0x00;
const CODE_BYTES: usize = 4;
const REASON_MAX_BYTES: usize = 1_024;

/// The bytes on the CONNECT stream are no frames and capsules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a capsule is malformed")]
pub struct Malformed;

/// A DATA frame with the capsule that closes the session.
pub fn close(code: u32, reason: &str) -> Vec<u8> {
    const WRITABLE: &str = "a vector takes what is put, and a reason is short";
    let mut end = reason.len().min(REASON_MAX_BYTES);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    let reason = &reason.as_bytes()[..end];
    let mut capsule = Vec::new();
    let length = u32::try_from(CODE_BYTES + reason.len()).expect(WRITABLE);
    capsule.put_varint(VarInt::from_u32(CLOSE_WEBTRANSPORT_SESSION as u32)).expect(WRITABLE);
    capsule.put_varint(VarInt::from_u32(length)).expect(WRITABLE);
    capsule.extend(code.to_be_bytes());
    capsule.extend(reason);
    let mut frame = Vec::new();
    Frame::new_data(capsule.into()).write(&mut frame).expect(WRITABLE);
    frame
}

/// Finds the closing capsule in what the client sends; everything else is passed over, and not kept.
#[derive(Debug, Default)]
pub struct CapsuleReader {
    /// Of frames: a header that is not whole yet, at most.
    frames: Vec<u8>,
    frame_left: u64,
    frame_is_data: bool,
    /// Of capsules: a header, or a closing capsule, that is not whole yet.
    capsules: Vec<u8>,
    capsule_left: u64,
}

impl CapsuleReader {
    /// Takes what was read; the client's code once it closed the session.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Option<u32>, Malformed> {
        self.frames.extend_from_slice(bytes);
        loop {
            if self.frame_left > 0 {
                let taken = take(&mut self.frames, &mut self.frame_left);
                if taken.is_empty() {
                    return Ok(None);
                }
                if self.frame_is_data {
                    self.capsules.extend(taken);
                    if let Some(code) = self.read_capsules()? {
                        return Ok(Some(code));
                    }
                }
                continue;
            }
            let Some((kind, length, header_bytes)) = read_header(&self.frames) else { return Ok(None) };
            self.frames.drain(..header_bytes);
            (self.frame_is_data, self.frame_left) = (kind == DATA, length);
        }
    }

    fn read_capsules(&mut self) -> Result<Option<u32>, Malformed> {
        loop {
            if self.capsule_left > 0 {
                take(&mut self.capsules, &mut self.capsule_left);
                if self.capsule_left > 0 {
                    return Ok(None);
                }
            }
            let Some((kind, length, header_bytes)) = read_header(&self.capsules) else { return Ok(None) };
            if kind != CLOSE_WEBTRANSPORT_SESSION {
                self.capsules.drain(..header_bytes);
                self.capsule_left = length;
                continue;
            }
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            if !(CODE_BYTES..=CODE_BYTES + REASON_MAX_BYTES).contains(&length) {
                return Err(Malformed);
            }
            let Some(body) = self.capsules.get(header_bytes..header_bytes + length) else { return Ok(None) };
            let code = body.first_chunk().ok_or(Malformed)?;
            return Ok(Some(u32::from_be_bytes(*code)));
        }
    }
}

/// Takes as many bytes out of the buffer as are left to take.
fn take(buffer: &mut Vec<u8>, left: &mut u64) -> Vec<u8> {
    let bytes = usize::try_from(*left).unwrap_or(usize::MAX).min(buffer.len());
    *left -= bytes as u64;
    buffer.drain(..bytes).collect()
}

/// A type, a length, and how many bytes they took.
fn read_header(bytes: &[u8]) -> Option<(u64, u64, usize)> {
    let mut rest = bytes;
    let kind = rest.get_varint()?;
    let length = rest.get_varint()?;
    Some((kind.into_inner(), length.into_inner(), bytes.len() - rest.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closing_capsule_is_found_however_it_is_cut() {
        // A frame of a reserved type, a DATA frame with an unknown capsule that ends in the next, then the close.
        let mut wire = vec![0x21, 3, 9, 9, 9, 0, 4, 0x17, 5, 1, 2, 0, 3, 3, 4, 5];
        wire.extend(close(4_004, "Authentication failed."));
        for step in [1, 2, 3, 5, wire.len()] {
            let mut reader = CapsuleReader::default();
            let mut codes = wire.chunks(step).filter_map(|bytes| reader.push(bytes).unwrap());
            assert_eq!(codes.next(), Some(4_004), "in steps of {step}");
        }
    }

    #[test]
    fn nothing_that_is_passed_over_is_kept() {
        let mut reader = CapsuleReader::default();
        // An unknown capsule of 2^30 bytes, in one frame.
        assert_eq!(reader.push(&[0, 0xbf, 0xff, 0xff, 0xff, 0x17, 0xb0, 0, 0, 0]), Ok(None));
        for _ in 0..1_000 {
            assert_eq!(reader.push(&[0; 1_000]), Ok(None));
        }
        assert_eq!((reader.frames.len(), reader.capsules.len()), (0, 0));
    }

    #[test]
    fn lengths_that_cannot_be_are_refused() {
        assert_eq!(CapsuleReader::default().push(&[0, 6, 0x68, 0x43, 3, 1, 2, 3]), Err(Malformed));
        assert_eq!(CapsuleReader::default().push(&[0, 6, 0x68, 0x43, 0x44, 5, 1, 2]), Err(Malformed));
        let long = close(1, &"é".repeat(1_000));
        assert_eq!(CapsuleReader::default().push(&long), Ok(Some(1)), "a reason is cut between characters");
    }
}
