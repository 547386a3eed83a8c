//! The fixed part of RTP and RTCP packets, which is never encrypted.
//!
//! `rtp-types` reads whole packets well, but not encrypted ones: there the last byte is no count of padding and the
//! elements of the extension are no elements yet. So the few fields are read here.

use rookery_model::voice::Ssrc;

/// Bytes before contributing sources and extension.
pub const HEADER_BYTES: usize = 12;
/// What comes before the elements of an extension, and stays readable.
pub(crate) const EXTENSION_HEADER_BYTES: usize = 4;

const VERSION: u8 = 2;
const PADDING: u8 = 0x20;
const EXTENSION: u8 = 0x10;
const CSRC_COUNT: u8 = 0x0f;
const MARKER: u8 = 0x80;
/// Before elements in the one-byte form (RFC 8285, section 4.2).
const ONE_BYTE_PROFILE: [u8; 2] = [0xbe, 0xde];

/// Why bytes are no RTP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RtpError {
    #[error("the packet ends before its header does")]
    Truncated,
    #[error("the version is not 2")]
    Version,
    #[error("there is more padding than payload")]
    Padding,
}

/// What an RTP packet says of itself in its first twelve bytes (RFC 3550, section 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtpHeader {
    pub marker: bool,
    /// Below 128.
    pub payload_type: u8,
    pub sequence_number: u16,
    pub timestamp: u32,
    pub ssrc: Ssrc,
}

impl RtpHeader {
    /// Reads it off a packet, encrypted or not.
    pub fn read(packet: &[u8]) -> Result<Self, RtpError> {
        let fixed: &[u8; HEADER_BYTES] = packet.first_chunk().ok_or(RtpError::Truncated)?;
        let [first, second, s0, s1, t0, t1, t2, t3, c0, c1, c2, c3] = *fixed;
        if first >> 6 != VERSION {
            return Err(RtpError::Version);
        }
        Ok(Self {
            marker: second & MARKER != 0,
            payload_type: second & !MARKER,
            sequence_number: u16::from_be_bytes([s0, s1]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            ssrc: Ssrc(u32::from_be_bytes([c0, c1, c2, c3])),
        })
    }

    /// Its bytes: without padding, contributing sources and extension.
    pub fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let [s0, s1] = self.sequence_number.to_be_bytes();
        let [t0, t1, t2, t3] = self.timestamp.to_be_bytes();
        let [c0, c1, c2, c3] = self.ssrc.0.to_be_bytes();
        let second = (self.payload_type & !MARKER) | if self.marker { MARKER } else { 0 };
        [VERSION << 6, second, s0, s1, t0, t1, t2, t3, c0, c1, c2, c3]
    }

    /// Writes a packet that is not encrypted yet, with elements of a header extension in the one-byte form, as
    /// [`ElementWriter`](crate::extension::ElementWriter) writes them. Gives its length; `None` where the buffer has no room
    /// for it and `spare_bytes` behind it.
    pub fn write_packet(self, elements: &[u8], payload: &[u8], buffer: &mut [u8], spare_bytes: usize) -> Option<usize> {
        let words = elements.len().div_ceil(4);
        let payload_at = HEADER_BYTES + if words > 0 { EXTENSION_HEADER_BYTES + 4 * words } else { 0 };
        let plain_len = payload_at + payload.len();
        if buffer.len() < plain_len + spare_bytes {
            return None;
        }
        buffer[..HEADER_BYTES].copy_from_slice(&self.to_bytes());
        if words > 0 {
            let [w0, w1] = u16::try_from(words).ok()?.to_be_bytes();
            let [p0, p1] = ONE_BYTE_PROFILE;
            let elements_at = HEADER_BYTES + EXTENSION_HEADER_BYTES;
            buffer[0] |= EXTENSION;
            buffer[HEADER_BYTES..elements_at].copy_from_slice(&[p0, p1, w0, w1]);
            buffer[elements_at..elements_at + elements.len()].copy_from_slice(elements);
            buffer[elements_at + elements.len()..payload_at].fill(0);
        }
        buffer[payload_at..plain_len].copy_from_slice(payload);
        Some(plain_len)
    }
}

/// Bytes of a packet that the transport encryption leaves readable: the header, contributing sources, and the first four
/// bytes of the extension, without its elements.
///
/// Source: "Transport Encryption Modes" of the API's documentation; songbird and discord-ext-voice-recv do so.
/// @discordjs/voice does not count contributing sources, so packets for clients have none.
pub fn clear_len(packet: &[u8]) -> Result<usize, RtpError> {
    let first = *packet.first().ok_or(RtpError::Truncated)?;
    let extension_bytes = if has_extension(first) { EXTENSION_HEADER_BYTES } else { 0 };
    let bytes = HEADER_BYTES + 4 * csrc_count(first) + extension_bytes;
    if packet.len() < bytes { Err(RtpError::Truncated) } else { Ok(bytes) }
}

pub(crate) const fn csrc_count(first: u8) -> usize {
    (first & CSRC_COUNT) as usize
}
pub(crate) const fn has_extension(first: u8) -> bool {
    first & EXTENSION != 0
}
pub(crate) const fn has_padding(first: u8) -> bool {
    first & PADDING != 0
}

/// What an RTCP packet says of itself in its first eight bytes, which stay readable (RFC 3550, section 6.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtcpHeader {
    pub packet_type: u8,
    /// Whose packet it is.
    pub sender_ssrc: Ssrc,
}

impl RtcpHeader {
    /// Bytes that the transport encryption leaves readable.
    pub const BYTES: usize = 8;

    /// Reads it off a packet, encrypted or not.
    pub fn read(packet: &[u8]) -> Result<Self, RtpError> {
        let [first, packet_type, _, _, ssrc @ ..]: [u8; Self::BYTES] =
            *packet.first_chunk().ok_or(RtpError::Truncated)?;
        if first >> 6 != VERSION {
            return Err(RtpError::Version);
        }
        Ok(Self { packet_type, sender_ssrc: Ssrc(u32::from_be_bytes(ssrc)) })
    }
}
