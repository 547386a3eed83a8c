//! Connectivity checks, read and answered where they lie (RFC 8489, RFC 8445).
//!
//! `rtc-stun` makes a message of vectors for each; here the only message that an ICE-lite agent reads is a binding request,
//! and the answer is written over it, so that it can never be longer.

use ring::hmac;
use std::net::{IpAddr, SocketAddr};

const HEADER_BYTES: usize = 20;
const MAGIC_COOKIE: u32 = 0x2112_a442;
const BINDING_REQUEST: u16 = 0x0001;
const BINDING_INDICATION: u16 = 0x0011;
const BINDING_SUCCESS: u16 = 0x0101;
const USERNAME: u16 = 0x0006;
const MESSAGE_INTEGRITY: u16 = 0x0008;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const USE_CANDIDATE: u16 = 0x0025;
const FINGERPRINT: u16 = 0x8028;
const INTEGRITY_BYTES: usize = 20;
const FINGERPRINT_XOR: u32 = 0x5354_554e;

/// What a STUN message is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Stun {
    Request(BindingRequest),
    /// Keeps a NAT's mapping; nothing is done.
    Indication,
}

/// Why a message is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StunError {
    Malformed,
    Unexpected,
}

/// Where the parts of a binding request lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BindingRequest {
    username: (usize, usize),
    integrity_at: usize,
    pub(crate) use_candidate: bool,
}

impl Stun {
    /// Finds the parts of a message that [`classify`](rookery_rtp::classify) called STUN.
    pub(crate) fn parse(message: &[u8]) -> Result<Self, StunError> {
        let kind = read_u16(message, 0).ok_or(StunError::Malformed)?;
        match kind {
            BINDING_REQUEST => BindingRequest::parse(message).map(Self::Request).ok_or(StunError::Malformed),
            BINDING_INDICATION => Ok(Self::Indication),
            _ => Err(StunError::Unexpected),
        }
    }
}

impl BindingRequest {
    fn parse(message: &[u8]) -> Option<Self> {
        let (mut username, mut integrity_at, mut use_candidate) = (None, None, false);
        let mut at = HEADER_BYTES;
        while at < message.len() {
            let kind = read_u16(message, at)?;
            let bytes = usize::from(read_u16(message, at + 2)?);
            let value_at = at + 4;
            let next = value_at + bytes.next_multiple_of(4);
            if next > message.len() {
                return None;
            }
            match kind {
                // What comes behind it is protected by nothing, but for the checksum.
                _ if integrity_at.is_some() && kind != FINGERPRINT => {}
                USERNAME => username = username.or(Some((value_at, value_at + bytes))),
                USE_CANDIDATE => use_candidate = true,
                MESSAGE_INTEGRITY if bytes == INTEGRITY_BYTES => integrity_at = Some(at),
                MESSAGE_INTEGRITY => return None,
                FINGERPRINT => {
                    let is_good =
                        bytes == 4 && next == message.len() && checksum(&message[..at]) == message[value_at..next];
                    return if is_good {
                        Some(Self { username: username?, integrity_at: integrity_at?, use_candidate })
                    } else {
                        None
                    };
                }
                _ => {}
            }
            at = next;
        }
        // RFC 8445, section 7.1: checks have the checksum.
        None
    }

    /// The fragments of the one who is asked and of the one who asks.
    pub(crate) fn ufrags<'a>(&self, message: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
        let username = &message[self.username.0..self.username.1];
        let colon = username.iter().position(|byte| *byte == b':')?;
        Some((&username[..colon], &username[colon + 1..]))
    }

    /// Whether it was made with the password.
    pub(crate) fn is_authentic(&self, message: &[u8], password: &hmac::Key) -> bool {
        let tag_at = self.integrity_at + 4;
        let tag = integrity(message, self.integrity_at, password);
        is_equal(tag.as_ref(), &message[tag_at..tag_at + INTEGRITY_BYTES])
    }
}

/// Writes the success response over a request. None if it would be longer than that.
pub(crate) fn answer(message: &mut [u8], from: SocketAddr, password: &hmac::Key) -> Option<usize> {
    let address_bytes = if from.is_ipv4() { 8 } else { 20 };
    let integrity_at = HEADER_BYTES + 4 + address_bytes;
    let fingerprint_at = integrity_at + 4 + INTEGRITY_BYTES;
    let len = fingerprint_at + 8;
    let answer = message.get_mut(..len)?;
    put_u16(answer, 0, BINDING_SUCCESS);
    put_u16(answer, 2, (len - HEADER_BYTES) as u16);
    put_u16(answer, HEADER_BYTES, XOR_MAPPED_ADDRESS);
    put_u16(answer, HEADER_BYTES + 2, address_bytes as u16);
    answer[HEADER_BYTES + 4] = 0;
    answer[HEADER_BYTES + 5] = if from.is_ipv4() { 1 } else { 2 };
    put_u16(answer, HEADER_BYTES + 6, from.port() ^ (MAGIC_COOKIE >> 16) as u16);
    // The cookie and the transaction id, which lie behind one another in the header.
    let mut mask = [0; 16];
    mask.copy_from_slice(&answer[4..20]);
    let at = HEADER_BYTES + 8;
    match from.ip() {
        IpAddr::V4(ip) => answer[at..at + 4].copy_from_slice(&ip.octets()),
        IpAddr::V6(ip) => answer[at..at + 16].copy_from_slice(&ip.octets()),
    }
    for (byte, mask) in answer[at..integrity_at].iter_mut().zip(mask) {
        *byte ^= mask;
    }
    put_u16(answer, integrity_at, MESSAGE_INTEGRITY);
    put_u16(answer, integrity_at + 2, INTEGRITY_BYTES as u16);
    let tag = integrity(answer, integrity_at, password);
    answer[integrity_at + 4..fingerprint_at].copy_from_slice(tag.as_ref());
    put_u16(answer, fingerprint_at, FINGERPRINT);
    put_u16(answer, fingerprint_at + 2, 4);
    let sum = checksum(&answer[..fingerprint_at]);
    answer[fingerprint_at + 4..].copy_from_slice(&sum);
    Some(len)
}

/// Over everything before the attribute, with a length that counts the attribute too.
fn integrity(message: &[u8], integrity_at: usize, password: &hmac::Key) -> hmac::Tag {
    let len = (integrity_at + 4 + INTEGRITY_BYTES - HEADER_BYTES) as u16;
    let mut context = hmac::Context::with_key(password);
    context.update(&message[..2]);
    context.update(&len.to_be_bytes());
    context.update(&message[4..integrity_at]);
    context.sign()
}

fn checksum(before: &[u8]) -> [u8; 4] {
    (crc32fast::hash(before) ^ FINGERPRINT_XOR).to_be_bytes()
}

fn is_equal(left: &[u8], right: &[u8]) -> bool {
    bool::from(subtle::ConstantTimeEq::ct_eq(left, right))
}
fn read_u16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}
fn put_u16(bytes: &mut [u8], at: usize, value: u16) {
    bytes[at..at + 2].copy_from_slice(&value.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sample request of RFC 5769, section 2.1.
    const REQUEST: &[u8] = b"\x00\x01\x00\x58\x21\x12\xa4\x42\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae\
        \x80\x22\x00\x10STUN test client\x00\x24\x00\x04\x6e\x00\x01\xff\
        \x80\x29\x00\x08\x93\x2f\xf9\xb1\x51\x26\x3b\x36\x00\x06\x00\x09evtj:h6vY\x20\x20\x20\
        \x00\x08\x00\x14\x9a\xea\xa7\x0c\xbf\xd8\xcb\x56\x78\x1e\xf2\xb5\xb2\xd3\xf2\x49\xc1\xb5\x71\xa2\
        \x80\x28\x00\x04\xe5\x7a\x3b\xcf";
    const PASSWORD: &[u8] = b"VOkJxbRl1RmTxUk/WvJxBt";

    fn key() -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, PASSWORD)
    }
    fn request() -> BindingRequest {
        match Stun::parse(REQUEST) {
            Ok(Stun::Request(request)) => request,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_sample_request_of_the_rfc() {
        assert_eq!(request().ufrags(REQUEST), Some((&b"evtj"[..], &b"h6vY"[..])));
        assert!(request().is_authentic(REQUEST, &key()));
        assert!(!request().use_candidate);
        let other = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, b"another");
        assert!(!request().is_authentic(REQUEST, &other));
    }

    #[test]
    fn a_changed_byte_is_noticed() {
        for at in 0..REQUEST.len() {
            let mut changed = REQUEST.to_vec();
            changed[at] ^= 1;
            if let Ok(Stun::Request(request)) = Stun::parse(&changed) {
                panic!("{at}: {request:?}");
            }
        }
        // With a checksum that fits again, the password tells.
        let mut changed = REQUEST.to_vec();
        changed[30] ^= 1;
        let end = changed.len();
        let sum = checksum(&changed[..end - 8]);
        changed[end - 4..].copy_from_slice(&sum);
        let Ok(Stun::Request(request)) = Stun::parse(&changed) else { panic!("not parsed") };
        assert!(!request.is_authentic(&changed, &key()));
    }

    #[test]
    fn answers_are_those_of_the_rfc_and_no_longer_than_the_request() {
        // Section 2.2 and 2.3, without the attribute SOFTWARE, so only the address can be compared.
        let mut message = REQUEST.to_vec();
        let len = answer(&mut message, "192.0.2.1:32853".parse().unwrap(), &key()).unwrap();
        assert_eq!(message[..2], [1, 1]);
        assert_eq!(message[20..32], *b"\x00\x20\x00\x08\x00\x01\xa1\x47\xe1\x12\xa6\x43");
        assert!(len <= REQUEST.len());
        let tag = integrity(&message[..len], 32, &key());
        assert_eq!(message[36..56], *tag.as_ref());
        assert_eq!(message[60..64], checksum(&message[..56]));

        let mut message = REQUEST.to_vec();
        let from = "[2001:db8:1234:5678:11:2233:4455:6677]:32853".parse().unwrap();
        let len = answer(&mut message, from, &key()).unwrap();
        let expected = b"\x00\x20\x00\x14\x00\x02\xa1\x47\
            \x01\x13\xa9\xfa\xa5\xd3\xf1\x79\xbc\x25\xf4\xb5\xbe\xd2\xb9\xd9";
        assert_eq!((message[20..44].to_vec(), len), (expected.to_vec(), 76));
        assert_eq!(answer(&mut [0; 75], from, &key()), None);
    }

    #[test]
    fn what_is_no_request() {
        for len in 0..REQUEST.len() {
            assert!(!matches!(Stun::parse(&REQUEST[..len]), Ok(Stun::Request(_))), "{len}");
        }
        let mut response = REQUEST.to_vec();
        response[..2].copy_from_slice(&[1, 1]);
        assert_eq!(Stun::parse(&response), Err(StunError::Unexpected));
        let mut indication = REQUEST.to_vec();
        indication[1] = 0x11;
        assert_eq!(Stun::parse(&indication), Ok(Stun::Indication));
    }
}
