//! Both directions against one another, and against figures of the RFCs.

use rtc_crypto::RTCCryptoProvider;
use rtc_crypto::providers::RingProvider;

use super::keys::{MasterKey, Profile};
use super::{Inbound, OpenError, Outbound, RTCP_OVERHEAD_BYTES, RTP_OVERHEAD_BYTES, SealError};

const PROFILES: [Profile; 3] = [Profile::Aes128CmSha1_80, Profile::AeadAes128Gcm, Profile::AeadAes256Gcm];

fn pair(profile: Profile) -> (Outbound, Inbound) {
    let (key, salt) = (vec![7; profile.key_bytes()], vec![9; profile.salt_bytes()]);
    let master = MasterKey { profile, key: &key, salt: &salt };
    let provider = RingProvider::new();
    (Outbound::new(provider.crypto(), &master).unwrap(), Inbound::new(provider.crypto(), &master).unwrap())
}

/// With a header extension of one word.
fn rtp(ssrc: u32, sequence_number: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x90, 111];
    packet.extend(sequence_number.to_be_bytes());
    packet.extend(960_u32.to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
    packet.extend([0xbe, 0xde, 0, 1, 0x10, 0x85, 0, 0]);
    packet.extend(payload);
    packet
}

fn seal(outbound: &mut Outbound, plain: &[u8]) -> Result<Vec<u8>, SealError> {
    let mut buffer = plain.to_vec();
    buffer.resize(plain.len() + RTP_OVERHEAD_BYTES, 0xaa);
    let len = outbound.seal_rtp(&mut buffer, plain.len())?;
    buffer.truncate(len);
    Ok(buffer)
}

#[test]
fn rtp_there_and_back_over_the_end_of_the_numbers() {
    for profile in PROFILES {
        let (mut outbound, mut inbound) = pair(profile);
        for n in 65_000_u32..70_000 {
            let plain = rtp(5, n as u16, &n.to_be_bytes());
            let mut packet = seal(&mut outbound, &plain).unwrap();
            assert_eq!(packet[..20], plain[..20], "the header stays readable");
            assert_ne!(packet[20..24], plain[20..24]);
            let replay = &mut packet.clone();
            let len = inbound.open_rtp(&mut packet).unwrap();
            assert_eq!(packet[..len], plain, "{profile:?} {n}");
            assert_eq!(inbound.open_rtp(replay), Err(OpenError::Replayed));
        }
    }
}

#[test]
fn a_changed_byte_is_noticed_and_harms_nothing() {
    for profile in PROFILES {
        let (mut outbound, mut inbound) = pair(profile);
        let packet = seal(&mut outbound, &rtp(5, 9, b"opus")).unwrap();
        for at in 0..packet.len() {
            let mut changed = packet.clone();
            changed[at] ^= 0x01;
            assert!(inbound.open_rtp(&mut changed).is_err(), "{profile:?} {at}");
        }
        for len in 0..packet.len() {
            assert!(inbound.open_rtp(&mut packet[..len].to_vec()).is_err(), "{profile:?} {len}");
        }
        assert!(inbound.open_rtp(&mut packet.clone()).is_ok());
    }
}

#[test]
fn rtcp_there_and_back() {
    let mut plain = vec![0x80, 201, 0, 1, 0, 0, 0, 5];
    plain.extend([0x81, 206, 0, 2, 0, 0, 0, 5, 0, 0, 0, 6]);
    for profile in PROFILES {
        let (mut outbound, mut inbound) = pair(profile);
        for n in 0..200 {
            let mut buffer = plain.clone();
            buffer.resize(plain.len() + RTCP_OVERHEAD_BYTES, 0);
            let len = outbound.seal_rtcp(&mut buffer, plain.len()).unwrap();
            let packet = &buffer[..len];
            assert_eq!(packet[..8], plain[..8]);
            if n == 0 {
                for at in 0..len {
                    let mut changed = packet.to_vec();
                    changed[at] ^= 1;
                    assert!(inbound.open_rtcp(&mut changed).is_err(), "{profile:?} {at}");
                }
                for short in 0..len {
                    assert!(inbound.open_rtcp(&mut packet[..short].to_vec()).is_err(), "{profile:?} {short}");
                }
            }
            let mut opened = packet.to_vec();
            let plain_len = inbound.open_rtcp(&mut opened).unwrap();
            assert_eq!(opened[..plain_len], plain, "{profile:?}");
            assert_eq!(inbound.open_rtcp(&mut packet.to_vec()), Err(OpenError::Replayed));
        }
    }
}

#[test]
fn no_number_is_sent_twice() {
    let (mut outbound, _) = pair(Profile::AeadAes128Gcm);
    let used = Err(SealError::NumberUsed);
    assert!(seal(&mut outbound, &rtp(5, 100, b"a")).is_ok());
    assert_eq!(seal(&mut outbound, &rtp(5, 100, b"b")), used);
    assert!(seal(&mut outbound, &rtp(5, 90, b"out of order")).is_ok());
    assert_eq!(seal(&mut outbound, &rtp(5, 90, b"b")), used);
    assert_eq!(seal(&mut outbound, &rtp(5, 10, b"too far back to know")), used);
    assert!(seal(&mut outbound, &rtp(6, 10, b"another stream")).is_ok());
    assert_eq!(outbound.seal_rtp(&mut rtp(5, 101, b"no room"), 27), Err(SealError::Length));
    assert!(seal(&mut outbound, &rtp(5, 101, b"a failure uses no number")).is_ok());
}

#[test]
fn many_streams_keep_their_own_numbers() {
    let (mut outbound, _) = pair(Profile::AeadAes128Gcm);
    let ssrcs = || (0..500_u32).map(|n| n.wrapping_mul(0x9e37_79b9));
    for ssrc in ssrcs() {
        assert!(seal(&mut outbound, &rtp(ssrc, ssrc as u16, b"a")).is_ok());
    }
    for ssrc in ssrcs() {
        assert_eq!(seal(&mut outbound, &rtp(ssrc, ssrc as u16, b"b")), Err(SealError::NumberUsed));
        assert!(seal(&mut outbound, &rtp(ssrc, (ssrc as u16).wrapping_add(1), b"b")).is_ok());
    }
}

#[test]
fn streams_are_bounded() {
    let (mut outbound, mut inbound) = pair(Profile::AeadAes128Gcm);
    for ssrc in 0..64 {
        assert!(inbound.open_rtp(&mut seal(&mut outbound, &rtp(ssrc, 1, b"a")).unwrap()).is_ok());
    }
    let mut packet = seal(&mut outbound, &rtp(64, 1, b"a")).unwrap();
    assert_eq!(inbound.open_rtp(&mut packet), Err(OpenError::TooManyStreams));
    assert!(inbound.open_rtp(&mut seal(&mut outbound, &rtp(3, 2, b"a")).unwrap()).is_ok());
}

/// RFC 7714, section 16.1.1: with session keys that are given there, so only the ciphers are tried.
#[test]
fn gcm_as_in_the_rfc() {
    use super::cipher::Cipher;
    let session_key: Vec<u8> = (0..16).collect();
    let salt = *b"Quid pro quo";
    let mut cipher = Cipher::of_session(&session_key, salt);
    let header = [0x80, 0x40, 0xf1, 0x7b, 0x80, 0x41, 0xf8, 0xd3, 0x55, 0x01, 0xa0, 0xb2];
    let mut buffer = header.to_vec();
    buffer.extend(b"Gallia est omnis divisa in partes tres");
    let plain_len = buffer.len();
    buffer.resize(plain_len + 16, 0);
    let len = cipher.seal_rtp(&mut buffer, 12, plain_len, 0x5501_a0b2, 0xf17b).unwrap();
    assert_eq!(len, plain_len + 16);
    let sealed: String = buffer[12..len].iter().map(|byte| format!("{byte:02x}")).collect();
    let payload = "f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833";
    assert_eq!(sealed, format!("{payload}899d7f27beb16a9152cf765ee4390cce"));
}
