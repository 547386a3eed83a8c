//! A client's side of the socket.

#![allow(dead_code, reason = "each test file uses its own part")]

use rookery_model::voice::{EncryptionMode, SecretKey, Ssrc};
use rookery_rtp::{
    HEADER_BYTES, MemberId, Opener, Received, RtpHeader, Sealer, TransportCipher, UdpEndpoint, UdpLimits, clear_len,
    discovery,
};
use std::net::SocketAddr;

pub const KEY: SecretKey = SecretKey([7; 32]);
pub const ALICE: Ssrc = Ssrc(1_000);
pub const BOB: Ssrc = Ssrc(2_000);
pub const CAROL: Ssrc = Ssrc(3_000);

pub fn address(last: u8) -> SocketAddr {
    SocketAddr::new([192, 0, 2, last].into(), 40_000)
}

pub fn endpoint() -> UdpEndpoint<&'static str> {
    UdpEndpoint::new(UdpLimits::default())
}

/// What a client does before it has media: discovery, and telling what was discovered.
pub fn join(endpoint: &mut UdpEndpoint<&'static str>, ssrc: Ssrc, from: SocketAddr, key: SecretKey) -> MemberId {
    let member = endpoint.insert(0, ssrc, "member").expect("nobody has the SSRC");
    let mut request = discovery::request(ssrc);
    let Received::Answer(answer) = endpoint.handle(0, from, &mut request) else { panic!("no answer") };
    let claimed = discovery::read_answer(answer).expect("an answer").1;
    endpoint.activate(0, member, EncryptionMode::Aes256Gcm, &key, Some(claimed));
    member
}

/// A client's own end.
pub struct Client {
    cipher: TransportCipher,
    sealer: Sealer,
    opener: Opener,
    ssrc: Ssrc,
    sequence_number: u16,
}

impl Client {
    pub fn new(ssrc: Ssrc, mode: EncryptionMode, key: &SecretKey) -> Self {
        Self {
            cipher: TransportCipher::new(mode, key),
            sealer: Sealer::new([0; 4]),
            opener: Opener::default(),
            ssrc,
            sequence_number: 0,
        }
    }
    pub fn aes(ssrc: Ssrc) -> Self {
        Self::new(ssrc, EncryptionMode::Aes256Gcm, &KEY)
    }

    pub fn header(&mut self) -> RtpHeader {
        self.sequence_number = self.sequence_number.wrapping_add(1);
        RtpHeader {
            marker: false,
            payload_type: 120,
            sequence_number: self.sequence_number,
            timestamp: u32::from(self.sequence_number) * 960,
            ssrc: self.ssrc,
        }
    }
    /// The next packet of audio.
    pub fn rtp(&mut self, payload: &[u8]) -> Vec<u8> {
        let header = self.header().to_bytes();
        self.seal(&[&header[..], payload].concat(), HEADER_BYTES)
    }
    pub fn seal(&mut self, plain: &[u8], clear_len: usize) -> Vec<u8> {
        let mut packet = plain.to_vec();
        packet.resize(plain.len() + 20, 0);
        let len = self.sealer.seal(&self.cipher, &mut packet, clear_len, plain.len()).expect("room");
        packet.truncate(len);
        packet
    }
    pub fn open_rtp(&mut self, packet: &mut [u8]) -> Option<Vec<u8>> {
        let clear_len = clear_len(packet).ok()?;
        let len = self.opener.open(&self.cipher, packet, clear_len).ok()?;
        Some(packet[..len].to_vec())
    }
    pub fn open_rtcp(&mut self, packet: &mut [u8]) -> Option<Vec<u8>> {
        let len = self.opener.open(&self.cipher, packet, 8).ok()?;
        Some(packet[..len].to_vec())
    }
}

/// What a datagram is to an endpoint, in a form that can be compared.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    Rtp(MemberId, Vec<u8>),
    Rtcp(MemberId, Vec<u8>),
    Answer(Vec<u8>),
    KeepAlive(MemberId),
    WebRtc,
    Dropped(rookery_rtp::DropReason),
}

pub fn handle(endpoint: &mut UdpEndpoint<&'static str>, now_ms: u64, from: SocketAddr, datagram: &[u8]) -> Outcome {
    let mut datagram = datagram.to_vec();
    match endpoint.handle(now_ms, from, &mut datagram) {
        Received::Rtp { member, packet } => Outcome::Rtp(member, packet.payload().to_vec()),
        Received::Rtcp { member, compound } => Outcome::Rtcp(member, compound.to_vec()),
        Received::Answer(answer) => Outcome::Answer(answer.to_vec()),
        Received::KeepAlive(member) => Outcome::KeepAlive(member),
        Received::WebRtc(_) | Received::NodeLink => Outcome::WebRtc,
        Received::Dropped(reason) => Outcome::Dropped(reason),
    }
}
