//! IP discovery: a client asks which address the server sees.
//!
//! 74 bytes, the same both ways: type (1 asks, 2 answers), length of the rest (70), SSRC, 64 bytes of address as text that
//! ends with a NUL, port; numbers with the highest byte first. Source: "IP Discovery" of the API's documentation.

use rookery_model::voice::Ssrc;
use std::io::Write;
use std::net::{IpAddr, SocketAddr};

/// Bytes of a request and of an answer.
pub const BYTES: usize = 74;

const REQUEST: [u8; 4] = [0, 1, 0, 70];
const ANSWER: [u8; 4] = [0, 2, 0, 70];
const ADDRESS: std::ops::Range<usize> = 8..72;

/// A request, as clients send it.
pub fn request(ssrc: Ssrc) -> [u8; BYTES] {
    let mut packet = [0; BYTES];
    packet[..4].copy_from_slice(&REQUEST);
    packet[4..8].copy_from_slice(&ssrc.0.to_be_bytes());
    packet
}

/// Whose request it is; none if it is none. Type and length cannot be STUN's, whose lengths are multiples of four.
pub fn read_request(packet: &[u8]) -> Option<Ssrc> {
    read(packet, REQUEST)
}

fn read(packet: &[u8], head: [u8; 4]) -> Option<Ssrc> {
    let packet: &[u8; BYTES] = packet.try_into().ok()?;
    (packet[..4] == head).then(|| Ssrc(u32::from_be_bytes([packet[4], packet[5], packet[6], packet[7]])))
}

/// Makes the answer of a request where it lies.
pub fn answer(request: &mut [u8; BYTES], seen: SocketAddr) {
    request[..4].copy_from_slice(&ANSWER);
    let address = &mut request[ADDRESS];
    address.fill(0);
    // A dual-stack socket sees clients of IPv4 under a mapped address, which @discordjs/voice would not take.
    write!(&mut address[..], "{}", seen.ip().to_canonical()).expect("the longest address has 45 bytes");
    request[72..].copy_from_slice(&seen.port().to_be_bytes());
}

/// Reads an answer, as clients do.
pub fn read_answer(packet: &[u8]) -> Option<(Ssrc, SocketAddr)> {
    let ssrc = read(packet, ANSWER)?;
    let text = packet[ADDRESS].split(|byte| *byte == 0).next()?;
    let ip: IpAddr = std::str::from_utf8(text).ok()?.parse().ok()?;
    Some((ssrc, SocketAddr::new(ip, u16::from_be_bytes([packet[72], packet[73]]))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_byte_by_byte() {
        let mut packet = request(Ssrc(0x0102_0304));
        assert_eq!(read_request(&packet), Some(Ssrc(0x0102_0304)));
        packet[20] = 7;
        answer(&mut packet, "192.0.2.7:258".parse().unwrap());
        assert_eq!(packet[..8], [0, 2, 0, 70, 1, 2, 3, 4]);
        assert_eq!(&packet[8..18], b"192.0.2.7\0");
        assert!(packet[18..72].iter().all(|byte| *byte == 0));
        assert_eq!(packet[72..], [1, 2]);
        assert_eq!(read_request(&packet), None);
    }

    #[test]
    fn addresses_of_both_families_and_mapped_ones() {
        for (seen, told) in [
            ("[2001:db8:1234:5678:9abc:def0:1234:5678]:65535", "[2001:db8:1234:5678:9abc:def0:1234:5678]:65535"),
            ("[::ffff:192.0.2.7]:9", "192.0.2.7:9"),
        ] {
            let mut packet = request(Ssrc(1));
            answer(&mut packet, seen.parse().unwrap());
            assert_eq!(read_answer(&packet), Some((Ssrc(1), told.parse().unwrap())));
        }
    }

    #[test]
    fn other_sizes_types_and_lengths_are_none() {
        let good = request(Ssrc(1));
        for len in [0, 4, 73] {
            assert_eq!(read_request(&good[..len]), None);
        }
        assert_eq!(read_request(&[&good[..], &[0]].concat()), None);
        for (place, byte) in [(0, 1), (1, 3), (2, 1), (3, 71)] {
            let mut bad = good;
            bad[place] = byte;
            assert_eq!(read_request(&bad), None);
        }
    }
}
