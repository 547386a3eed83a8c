//! RTP packets as they are before encryption.

use rookery_model::voice::Ssrc;

use crate::extension::Extensions;
use crate::header::{HEADER_BYTES, RtpError, RtpHeader, clear_len, csrc_count, has_extension, has_padding};

/// An RTP packet whose parts were found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtpPacket<'a> {
    pub header: RtpHeader,
    csrcs: &'a [u8],
    extensions: Extensions<'a>,
    payload: &'a [u8],
}

impl<'a> RtpPacket<'a> {
    /// Finds the parts of a packet that is not encrypted.
    pub fn parse(packet: &'a [u8]) -> Result<Self, RtpError> {
        let header = RtpHeader::read(packet)?;
        let first = packet[0];
        let clear_len = clear_len(packet)?;
        let csrcs = &packet[HEADER_BYTES..HEADER_BYTES + 4 * csrc_count(first)];
        let (extensions, rest) = if has_extension(first) {
            let preamble = &packet[clear_len - 4..];
            let profile = u16::from_be_bytes([preamble[0], preamble[1]]);
            let bytes = 4 * usize::from(u16::from_be_bytes([preamble[2], preamble[3]]));
            let (elements, rest) = packet[clear_len..].split_at_checked(bytes).ok_or(RtpError::Truncated)?;
            (Extensions::new(profile, elements), rest)
        } else {
            (Extensions::default(), &packet[clear_len..])
        };
        let payload = if has_padding(first) {
            // The last byte counts itself.
            let padding = usize::from(*rest.last().ok_or(RtpError::Padding)?);
            let bytes = rest.len().checked_sub(padding).filter(|_| padding > 0).ok_or(RtpError::Padding)?;
            &rest[..bytes]
        } else {
            rest
        };
        Ok(Self { header, csrcs, extensions, payload })
    }

    /// Whose packets were mixed into this one.
    pub fn csrcs(&self) -> impl Iterator<Item = Ssrc> + use<'a> {
        self.csrcs.as_chunks::<4>().0.iter().map(|bytes| Ssrc(u32::from_be_bytes(*bytes)))
    }
    /// What its extension holds.
    pub const fn extensions(&self) -> Extensions<'a> {
        self.extensions
    }
    /// Without padding. Never looked into: it may be end-to-end encrypted.
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIXED: [u8; 12] = [0x80, 0xf8, 0, 1, 0, 0, 3, 0xc0, 0, 0, 0, 9];

    fn packet(first: u8, rest: &[u8]) -> Vec<u8> {
        let mut packet = FIXED.to_vec();
        packet[0] = first;
        packet.extend_from_slice(rest);
        packet
    }

    #[test]
    fn a_plain_packet_and_its_bytes_again() {
        let bytes = packet(0x80, b"opus");
        let packet = RtpPacket::parse(&bytes).unwrap();
        let header = RtpHeader { marker: true, payload_type: 120, sequence_number: 1, timestamp: 960, ssrc: Ssrc(9) };
        assert_eq!((packet.header, packet.payload()), (header, b"opus".as_slice()));
        assert_eq!(header.to_bytes(), FIXED);
        assert_eq!(packet.csrcs().count(), 0);
    }

    #[test]
    fn contributing_sources_extension_and_padding_are_taken_off() {
        let rest = [&[0, 0, 0, 5, 0xbe, 0xde, 0, 1, 0x10, 0x85, 0, 0][..], b"opus", &[0, 0, 3]].concat();
        let bytes = packet(0xb1, &rest);
        assert_eq!(clear_len(&bytes), Ok(20));
        let packet = RtpPacket::parse(&bytes).unwrap();
        assert_eq!(packet.csrcs().collect::<Vec<_>>(), [Ssrc(5)]);
        assert_eq!(packet.extensions().get(1), Some(&[0x85][..]));
        assert_eq!(packet.payload(), b"opus");
    }

    #[test]
    fn what_ends_too_early_is_refused() {
        let whole = packet(0x91, &[0, 0, 0, 5, 0xbe, 0xde, 0, 1, 0x10, 0x85, 0, 0]);
        for len in 0..whole.len() {
            assert_eq!(RtpPacket::parse(&whole[..len]), Err(RtpError::Truncated), "{len}");
        }
        assert_eq!(RtpPacket::parse(&whole).map(|p| p.payload().len()), Ok(0));
        for (rest, why) in [(&[][..], "nothing"), (&[0], "a count of 0"), (&[1, 3], "more than there is")] {
            assert_eq!(RtpPacket::parse(&packet(0xa0, rest)), Err(RtpError::Padding), "{why}");
        }
        assert_eq!(RtpPacket::parse(&packet(0xa0, &[9, 2])).map(|p| p.payload().len()), Ok(0));
        for first in [0x00, 0x40, 0xc0] {
            assert_eq!(RtpPacket::parse(&packet(first, b"x")), Err(RtpError::Version));
        }
    }
}
