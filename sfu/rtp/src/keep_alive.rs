//! Small datagrams by which clients keep their NAT open, and pings.
//!
//! songbird sends four bytes, its SSRC; @discordjs/voice and discord-ext-voice-recv eight, a counter; others up to nine.
//! None wants an answer, and some log one as an error. A ping is eight bytes too, begins with a magic number and wants
//! one ("UDP Ping" of the community's documentation of user clients).

use rookery_model::voice::Ssrc;

const PING: [u8; 4] = 0x1337_cafe_u32.to_be_bytes();
const PONG: [u8; 4] = 0x1337_f00d_u32.to_be_bytes();
/// Below the smallest packet of any protocol on the socket.
const KEEP_ALIVE_MAX_BYTES: usize = 11;

/// Something so small that it is no media.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeepAlive {
    /// Says whose it is.
    Ssrc(Ssrc),
    /// Does not.
    Counter,
    /// Wants an answer.
    Ping,
}

impl KeepAlive {
    /// Reads a datagram; none if it is larger, or empty.
    pub fn read(datagram: &[u8]) -> Option<Self> {
        match *datagram {
            [] => None,
            [a, b, c, d] => Some(Self::Ssrc(Ssrc(u32::from_be_bytes([a, b, c, d])))),
            [a, b, c, d, _, _, _, _] if [a, b, c, d] == PING => Some(Self::Ping),
            _ if datagram.len() <= KEEP_ALIVE_MAX_BYTES => Some(Self::Counter),
            _ => None,
        }
    }
}

/// Makes the answer of a ping where it lies.
pub fn answer(ping: &mut [u8]) {
    if let Some(head) = ping.first_chunk_mut() {
        *head = PONG;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_by_its_size() {
        assert_eq!(KeepAlive::read(&[0, 0, 3, 0xe8]), Some(KeepAlive::Ssrc(Ssrc(1_000))));
        assert_eq!(KeepAlive::read(&[1, 0, 0, 0, 0, 0, 0, 0]), Some(KeepAlive::Counter));
        assert_eq!(KeepAlive::read(&[0xc9, 0, 0, 0, 0, 0, 0, 0, 0]), Some(KeepAlive::Counter));
        let mut ping = [0x13, 0x37, 0xca, 0xfe, 9, 8, 7, 6];
        assert_eq!(KeepAlive::read(&ping), Some(KeepAlive::Ping));
        answer(&mut ping);
        assert_eq!(ping, [0x13, 0x37, 0xf0, 0x0d, 9, 8, 7, 6]);
        assert_eq!((KeepAlive::read(&[]), KeepAlive::read(&[0x80; 12])), (None, None));
    }
}
