//! Frames: how a header and a payload are cut out of a stream of bytes.
//!
//! ```text
//! header length: u32 big-endian | payload length: u32 big-endian | header: CBOR | payload
//! ```
//!
//! Lengths are checked against their limits before anything is allocated. Nothing in here panics on any input.

use bytes::{BufMut, Bytes, BytesMut};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::header::{CallHeader, ReplyHeader};

/// Length of the two length fields in front of a frame.
pub const PREFIX_BYTES: usize = 8;

/// The largest header, encoded; a call's is about 150 bytes.
pub const MAX_HEADER_BYTES: usize = 1024;

/// The largest payload that the slice decoders accept; the ends of a link have their own, configured limits.
pub const MAX_PAYLOAD_BYTES: usize = 16 * 1024 * 1024;

/// Why bytes are not a frame, or cannot become one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The bytes end before the frame does.
    #[error("the frame needs {needed_bytes} bytes, there are {got_bytes}")]
    Truncated {
        /// Bytes that the frame needs at least.
        needed_bytes: usize,
        /// Bytes that there are.
        got_bytes: usize,
    },
    /// Bytes follow the frame.
    #[error("{extra_bytes} bytes follow the frame")]
    TrailingBytes {
        /// How many.
        extra_bytes: usize,
    },
    /// The header is longer than any header may be.
    #[error("a header of {bytes} bytes, at most {limit_bytes} are allowed")]
    HeaderTooLarge {
        /// Announced or encoded length.
        bytes: usize,
        /// The limit.
        limit_bytes: usize,
    },
    /// The payload is longer than this end allows.
    #[error("a payload of {bytes} bytes, at most {limit_bytes} are allowed")]
    PayloadTooLarge {
        /// Announced or real length.
        bytes: usize,
        /// The limit.
        limit_bytes: usize,
    },
    /// The header is not the CBOR it should be.
    #[error("the header does not decode: {reason}")]
    Header {
        /// What the decoder said.
        reason: String,
    },
    /// The header does not encode.
    #[error("the header does not encode: {reason}")]
    Encode {
        /// What the encoder said.
        reason: String,
    },
}

/// The two lengths in front of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefix {
    /// Length of the encoded header.
    pub header_bytes: usize,
    /// Length of the payload.
    pub payload_bytes: usize,
}

impl Prefix {
    /// Reads the two lengths and checks the header's; the payload's limit depends on the direction.
    pub fn decode(prefix: [u8; PREFIX_BYTES]) -> Result<Self, FrameError> {
        let [h0, h1, h2, h3, p0, p1, p2, p3] = prefix;
        let header_bytes = u32::from_be_bytes([h0, h1, h2, h3]) as usize;
        let payload_bytes = u32::from_be_bytes([p0, p1, p2, p3]) as usize;
        if header_bytes > MAX_HEADER_BYTES {
            return Err(FrameError::HeaderTooLarge { bytes: header_bytes, limit_bytes: MAX_HEADER_BYTES });
        }
        Ok(Self { header_bytes, payload_bytes })
    }

    /// Refuses a payload longer than `limit_bytes`.
    pub fn check_payload(self, limit_bytes: usize) -> Result<(), FrameError> {
        check_payload(self.payload_bytes, limit_bytes)
    }
}

/// A frame whose header is not decoded yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The encoded header.
    pub header: &'a [u8],
    /// The payload.
    pub payload: &'a [u8],
}

/// Splits bytes that are exactly one frame.
pub fn decode_frame(bytes: &[u8]) -> Result<Frame<'_>, FrameError> {
    let Some((prefix, rest)) = bytes.split_first_chunk::<PREFIX_BYTES>() else {
        return Err(FrameError::Truncated { needed_bytes: PREFIX_BYTES, got_bytes: bytes.len() });
    };
    let prefix = Prefix::decode(*prefix)?;
    prefix.check_payload(MAX_PAYLOAD_BYTES)?;
    let needed_bytes = prefix.header_bytes + prefix.payload_bytes;
    if rest.len() < needed_bytes {
        return Err(FrameError::Truncated { needed_bytes: PREFIX_BYTES + needed_bytes, got_bytes: bytes.len() });
    }
    let (header, payload) = rest.split_at(prefix.header_bytes);
    if payload.len() > prefix.payload_bytes {
        return Err(FrameError::TrailingBytes { extra_bytes: payload.len() - prefix.payload_bytes });
    }
    Ok(Frame { header, payload })
}

/// Decodes bytes that are exactly one call.
pub fn decode_call(bytes: &[u8]) -> Result<(CallHeader, &[u8]), FrameError> {
    let frame = decode_frame(bytes)?;
    Ok((decode_header(frame.header)?, frame.payload))
}

/// Decodes bytes that are exactly one reply.
pub fn decode_reply(bytes: &[u8]) -> Result<(ReplyHeader, &[u8]), FrameError> {
    let frame = decode_frame(bytes)?;
    Ok((decode_header(frame.header)?, frame.payload))
}

/// Decodes a header and refuses bytes behind it.
pub fn decode_header<H: DeserializeOwned>(bytes: &[u8]) -> Result<H, FrameError> {
    let mut rest = bytes;
    let header =
        ciborium::from_reader(&mut rest).map_err(|error| FrameError::Header { reason: format!("{error:?}") })?;
    match rest.len() {
        0 => Ok(header),
        extra_bytes => Err(FrameError::Header { reason: format!("{extra_bytes} bytes follow it") }),
    }
}

/// Encodes what goes before the payload: the two lengths and the header.
///
/// The payload is not copied; it is written behind this as it is.
pub fn encode_head<H: Serialize>(
    header: &H,
    payload_bytes: usize,
    max_payload_bytes: usize,
) -> Result<Bytes, FrameError> {
    check_payload(payload_bytes, max_payload_bytes)?;
    let payload_length = u32::try_from(payload_bytes)
        .map_err(|_| FrameError::PayloadTooLarge { bytes: payload_bytes, limit_bytes: u32::MAX as usize })?;
    let mut head = BytesMut::with_capacity(256);
    head.put_u32(0);
    head.put_u32(payload_length);
    let mut writer = head.writer();
    ciborium::into_writer(header, &mut writer).map_err(|error| FrameError::Encode { reason: error.to_string() })?;
    let mut head = writer.into_inner();
    let header_bytes = head.len() - PREFIX_BYTES;
    if header_bytes > MAX_HEADER_BYTES {
        return Err(FrameError::HeaderTooLarge { bytes: header_bytes, limit_bytes: MAX_HEADER_BYTES });
    }
    // At most MAX_HEADER_BYTES, so the cast loses nothing.
    head[..4].copy_from_slice(&(header_bytes as u32).to_be_bytes());
    Ok(head.freeze())
}

fn check_payload(bytes: usize, limit_bytes: usize) -> Result<(), FrameError> {
    if bytes > limit_bytes {
        return Err(FrameError::PayloadTooLarge { bytes, limit_bytes });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::header::{Kind, Status};

    fn frame_of<H: Serialize>(header: &H, payload: &[u8]) -> Vec<u8> {
        let mut bytes = encode_head(header, payload.len(), MAX_PAYLOAD_BYTES).unwrap().to_vec();
        bytes.extend_from_slice(payload);
        bytes
    }

    fn full_header() -> CallHeader {
        CallHeader {
            version: 3,
            kind: Kind::Stream,
            deadline_ms: 10_000,
            traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
            operation_id: *b"0123456789abcdef",
            client_ip: Some("2001:db8::1".parse().unwrap()),
            is_forwarded: false,
        }
    }

    #[test]
    fn a_call_survives_the_round_trip() {
        let header = full_header();
        let bytes = frame_of(&header, b"payload");
        assert_eq!(decode_call(&bytes).unwrap(), (header, &b"payload"[..]));
        let plain = CallHeader { client_ip: Some("192.0.2.7".parse().unwrap()), ..CallHeader::new([7; 16], 1) };
        assert_eq!(decode_call(&frame_of(&plain, b"")).unwrap(), (plain, &b""[..]));
    }

    #[test]
    fn statuses_and_kinds_of_later_versions_are_kept_as_numbers() {
        for code in 0..=u8::MAX {
            let reply = ReplyHeader { version: 1, status: Status::from(code) };
            assert_eq!(decode_reply(&frame_of(&reply, b"")).unwrap().0, reply);
            assert_eq!(u8::from(Kind::from(code)), code);
            assert_eq!(u8::from(Status::from(code)), code);
        }
    }

    #[test]
    fn fields_of_later_versions_are_ignored() {
        #[derive(Serialize)]
        struct Later {
            version: u16,
            status: u8,
            shard_hint: &'static str,
        }
        let bytes = frame_of(&Later { version: 9, status: 0, shard_hint: "eu-1" }, b"x");
        assert_eq!(decode_reply(&bytes).unwrap().0, ReplyHeader { version: 9, status: Status::Ok });
    }

    #[test]
    fn every_shortened_frame_is_truncated() {
        let bytes = frame_of(&full_header(), b"payload");
        for end in 0..bytes.len() {
            assert!(matches!(decode_call(&bytes[..end]), Err(FrameError::Truncated { .. })), "cut at {end}");
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert_eq!(decode_call(&longer), Err(FrameError::TrailingBytes { extra_bytes: 1 }));
    }

    #[test]
    fn lengths_over_the_limit_are_refused_without_the_bytes() {
        let mut bytes = [0xff; PREFIX_BYTES];
        assert!(matches!(decode_frame(&bytes), Err(FrameError::HeaderTooLarge { .. })));
        bytes[..4].copy_from_slice(&4u32.to_be_bytes());
        assert!(matches!(decode_frame(&bytes), Err(FrameError::PayloadTooLarge { .. })));
        let header = CallHeader { traceparent: Some("x".repeat(MAX_HEADER_BYTES)), ..full_header() };
        assert!(matches!(encode_head(&header, 0, 1), Err(FrameError::HeaderTooLarge { .. })));
        assert!(matches!(encode_head(&full_header(), 2, 1), Err(FrameError::PayloadTooLarge { .. })));
    }

    #[test]
    fn operation_ids_of_another_length_are_refused() {
        #[derive(Serialize)]
        struct Odd {
            version: u16,
            deadline_ms: u32,
            operation_id: Vec<u8>,
        }
        for length in [0, 15, 17] {
            let odd = Odd { version: 1, deadline_ms: 1, operation_id: vec![1; length] };
            assert!(matches!(decode_call(&frame_of(&odd, b"")), Err(FrameError::Header { .. })), "{length} octets");
        }
        let array = Odd { version: 1, deadline_ms: 1, operation_id: vec![1; 16] };
        assert_eq!(decode_call(&frame_of(&array, b"")).unwrap().0.operation_id, [1; 16]);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            let _ = decode_call(&bytes);
            let _ = decode_reply(&bytes);
            let _ = decode_header::<CallHeader>(&bytes);
        }

        #[test]
        fn a_damaged_header_never_panics(at in 0usize..160, value: u8) {
            let mut bytes = frame_of(&full_header(), b"payload");
            let at = at % bytes.len();
            bytes[at] = value;
            let _ = decode_call(&bytes);
        }
    }
}
