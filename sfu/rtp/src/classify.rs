//! Which protocol a datagram is of, where many share a socket.

use rookery_model::voice::Ssrc;

use crate::discovery;
use crate::keep_alive::KeepAlive;

/// The smallest STUN message and DTLS record.
const STUN_BYTES: usize = 20;
const DTLS_BYTES: usize = 13;
/// The first byte of what voice nodes send one another.
const NODE_LINK: u8 = 0xf0;
/// At 4 in every STUN message since RFC 5389.
const STUN_MAGIC_COOKIE: [u8; 4] = 0x2112_a442_u32.to_be_bytes();
/// The second byte of RTCP packets, which no RTP payload type may make of itself (RFC 5761, section 4).
const RTCP_TYPES: std::ops::RangeInclusive<u8> = 192..=223;

/// What a datagram is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatagramKind {
    IpDiscovery(Ssrc),
    KeepAlive(KeepAlive),
    Stun,
    Dtls,
    Rtp,
    Rtcp,
    /// Of a link between two voice nodes.
    NodeLink,
}

/// Tells by the first bytes; none for what belongs to nothing that is spoken here.
///
/// Source: RFC 7983, section 7, and RFC 5761 for RTCP; Discord's own datagrams are told by their size.
pub fn classify(datagram: &[u8]) -> Option<DatagramKind> {
    if let Some(keep_alive) = KeepAlive::read(datagram) {
        return Some(DatagramKind::KeepAlive(keep_alive));
    }
    let (&first, &second) = (datagram.first()?, datagram.get(1)?);
    match first {
        0..=3 => match discovery::read_request(datagram) {
            Some(ssrc) => Some(DatagramKind::IpDiscovery(ssrc)),
            None => is_stun(datagram).then_some(DatagramKind::Stun),
        },
        20..=63 => (datagram.len() >= DTLS_BYTES).then_some(DatagramKind::Dtls),
        128..=191 if RTCP_TYPES.contains(&second) => Some(DatagramKind::Rtcp),
        128..=191 => Some(DatagramKind::Rtp),
        NODE_LINK => Some(DatagramKind::NodeLink),
        _ => None,
    }
}

fn is_stun(datagram: &[u8]) -> bool {
    datagram.len() >= STUN_BYTES
        && datagram[4..8] == STUN_MAGIC_COOKIE
        && usize::from(u16::from_be_bytes([datagram[2], datagram[3]])) == datagram.len() - STUN_BYTES
        && datagram.len().is_multiple_of(4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stun(attributes: usize) -> Vec<u8> {
        let mut message = vec![0, 1, 0, attributes as u8, 0x21, 0x12, 0xa4, 0x42];
        message.resize(STUN_BYTES + attributes, 0);
        message
    }

    #[test]
    fn each_protocol_by_its_first_bytes() {
        assert_eq!(classify(&stun(0)), Some(DatagramKind::Stun));
        assert_eq!(classify(&stun(56)), Some(DatagramKind::Stun));
        let mut record = vec![22, 0xfe, 0xff];
        record.resize(13, 0);
        assert_eq!(classify(&record), Some(DatagramKind::Dtls));
        let mut packet = vec![0x80, 0x78];
        packet.resize(12, 0);
        assert_eq!(classify(&packet), Some(DatagramKind::Rtp));
        for (second, kind) in
            [(0xf8, DatagramKind::Rtp), (200, DatagramKind::Rtcp), (206, DatagramKind::Rtcp), (72, DatagramKind::Rtp)]
        {
            packet[1] = second;
            assert_eq!(classify(&packet), Some(kind), "{second}");
        }
        packet[0] = NODE_LINK;
        assert_eq!(classify(&packet), Some(DatagramKind::NodeLink));
    }

    #[test]
    fn discovery_is_not_stun_even_with_the_magic_cookie_for_an_ssrc() {
        let request = discovery::request(Ssrc(0x2112_a442));
        assert_eq!(classify(&request), Some(DatagramKind::IpDiscovery(Ssrc(0x2112_a442))));
    }

    #[test]
    fn what_is_none_of_them() {
        let mut wrong_length = stun(4);
        wrong_length[3] = 8;
        let mut no_cookie = stun(4);
        no_cookie[4] = 0;
        for datagram in [&[][..], &wrong_length, &no_cookie, &[16; 40], &[64; 40], &[192; 40], &[255; 40], &[22; 12]] {
            assert_eq!(classify(datagram), None, "{datagram:?}");
        }
    }
}
