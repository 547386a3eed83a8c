//! One direction's ciphers.

use rtc_crypto::{
    AeadAlgorithm, AeadCipher, CryptoError, HmacAlgorithm, Mac, RTCCrypto, StreamCipher, StreamCipherAlgorithm,
};
use zeroize::Zeroizing;

use super::keys::{Label, MasterKey, Profile};
use super::{INDEX_BYTES, RTCP_OVERHEAD_BYTES, RTP_OVERHEAD_BYTES};

/// RTCP's version, length and SSRC, which stay readable.
pub(super) const RTCP_CLEAR_BYTES: usize = 8;
const GCM_TAG_BYTES: usize = 16;
const SHA1_TAG_BYTES: usize = 10;
const SHA1_BYTES: usize = 20;
/// Says that an RTCP packet is encrypted.
const ENCRYPTED: u32 = 1 << 31;

/// Why a packet does not open or close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CipherError {
    /// Too short for what it should hold, or for what is added.
    Length,
    Tag,
}

pub(super) enum Cipher {
    Gcm { rtp: Gcm, rtcp: Gcm },
    CounterMode { rtp: CounterMode, rtcp: CounterMode },
}

/// RFC 7714.
pub(super) struct Gcm {
    aead: Box<dyn AeadCipher>,
    salt: [u8; 12],
}

/// RFC 3711, sections 4.1.1 and 4.2.1.
pub(super) struct CounterMode {
    stream: Box<dyn StreamCipher>,
    mac: Box<dyn Mac>,
    salt: [u8; 14],
}

impl Cipher {
    pub(super) fn new(crypto: &dyn RTCCrypto, master: &MasterKey<'_>) -> Result<Self, CryptoError> {
        Ok(match master.profile {
            Profile::AeadAes128Gcm | Profile::AeadAes256Gcm => Self::Gcm {
                rtp: Gcm::new(crypto, master, Label::RtpEncryption, Label::RtpSalt)?,
                rtcp: Gcm::new(crypto, master, Label::RtcpEncryption, Label::RtcpSalt)?,
            },
            Profile::Aes128CmSha1_80 => {
                let labels = [Label::RtpEncryption, Label::RtpAuthentication, Label::RtpSalt];
                let rtcp_labels = [Label::RtcpEncryption, Label::RtcpAuthentication, Label::RtcpSalt];
                Self::CounterMode {
                    rtp: CounterMode::new(crypto, master, labels)?,
                    rtcp: CounterMode::new(crypto, master, rtcp_labels)?,
                }
            }
        })
    }

    /// Encrypts what is behind the header, and adds the tag. Gives the whole length.
    pub(super) fn seal_rtp(
        &mut self,
        buffer: &mut [u8],
        header_len: usize,
        plain_len: usize,
        ssrc: u32,
        index: u64,
    ) -> Result<usize, CipherError> {
        if plain_len < header_len || buffer.len() < plain_len + RTP_OVERHEAD_BYTES {
            return Err(CipherError::Length);
        }
        let (plain, after) = buffer.split_at_mut(plain_len);
        match self {
            Self::Gcm { rtp, .. } => {
                let (header, payload) = plain.split_at_mut(header_len);
                let iv = rtp.rtp_iv(ssrc, index);
                rtp.seal(&iv, header, payload, &mut after[..GCM_TAG_BYTES])?;
                Ok(plain_len + GCM_TAG_BYTES)
            }
            Self::CounterMode { rtp, .. } => {
                rtp.apply(ssrc, index, &mut plain[header_len..])?;
                let tag = rtp.tag(&[plain, &rollover(index)])?;
                after[..SHA1_TAG_BYTES].copy_from_slice(&tag);
                Ok(plain_len + SHA1_TAG_BYTES)
            }
        }
    }

    /// Decrypts what is behind the header. Gives the length without the tag.
    pub(super) fn open_rtp(
        &mut self,
        packet: &mut [u8],
        header_len: usize,
        ssrc: u32,
        index: u64,
    ) -> Result<usize, CipherError> {
        let tag_bytes = match self {
            Self::Gcm { .. } => GCM_TAG_BYTES,
            Self::CounterMode { .. } => SHA1_TAG_BYTES,
        };
        let plain_len = packet.len().checked_sub(tag_bytes).filter(|len| *len >= header_len);
        let plain_len = plain_len.ok_or(CipherError::Length)?;
        let (body, tag) = packet.split_at_mut(plain_len);
        match self {
            Self::Gcm { rtp, .. } => {
                let (header, payload) = body.split_at_mut(header_len);
                let iv = rtp.rtp_iv(ssrc, index);
                rtp.open(&iv, header, payload, tag)?;
            }
            Self::CounterMode { rtp, .. } => {
                let expected = rtp.tag(&[body, &rollover(index)])?;
                rtp.is_tag(&expected, tag)?;
                rtp.apply(ssrc, index, &mut body[header_len..])?;
            }
        }
        Ok(plain_len)
    }

    /// Encrypts a compound packet and adds what belongs behind. Gives the whole length.
    pub(super) fn seal_rtcp(
        &mut self,
        buffer: &mut [u8],
        plain_len: usize,
        ssrc: u32,
        index: u32,
    ) -> Result<usize, CipherError> {
        if plain_len < RTCP_CLEAR_BYTES || buffer.len() < plain_len + RTCP_OVERHEAD_BYTES {
            return Err(CipherError::Length);
        }
        let word = (ENCRYPTED | index).to_be_bytes();
        let (plain, after) = buffer.split_at_mut(plain_len);
        let (header, payload) = plain.split_at_mut(RTCP_CLEAR_BYTES);
        match self {
            Self::Gcm { rtcp, .. } => {
                let (tag, rest) = after.split_at_mut(GCM_TAG_BYTES);
                rtcp.seal(&rtcp.rtcp_iv(ssrc, index), &rtcp_aad(header, word), payload, tag)?;
                rest[..INDEX_BYTES].copy_from_slice(&word);
                Ok(plain_len + GCM_TAG_BYTES + INDEX_BYTES)
            }
            Self::CounterMode { rtcp, .. } => {
                rtcp.apply(ssrc, index.into(), payload)?;
                let tag = rtcp.tag(&[header, payload, &word])?;
                after[..INDEX_BYTES].copy_from_slice(&word);
                after[INDEX_BYTES..INDEX_BYTES + SHA1_TAG_BYTES].copy_from_slice(&tag);
                Ok(plain_len + INDEX_BYTES + SHA1_TAG_BYTES)
            }
        }
    }

    /// The index of an RTCP packet. None if it is too short, or not encrypted.
    pub(super) fn rtcp_index(&self, packet: &[u8]) -> Option<u32> {
        let behind = match self {
            Self::Gcm { .. } => 0,
            Self::CounterMode { .. } => SHA1_TAG_BYTES,
        };
        let at = packet.len().checked_sub(INDEX_BYTES + behind).filter(|at| *at >= RTCP_CLEAR_BYTES)?;
        let word = u32::from_be_bytes(*packet[at..].first_chunk()?);
        (word & ENCRYPTED != 0).then_some(word & !ENCRYPTED)
    }

    /// Decrypts a compound packet. Gives its length.
    pub(super) fn open_rtcp(&mut self, packet: &mut [u8], ssrc: u32, index: u32) -> Result<usize, CipherError> {
        let behind = INDEX_BYTES
            + match self {
                Self::Gcm { .. } => GCM_TAG_BYTES,
                Self::CounterMode { .. } => SHA1_TAG_BYTES,
            };
        let plain_len = packet.len().checked_sub(behind).filter(|len| *len >= RTCP_CLEAR_BYTES);
        let plain_len = plain_len.ok_or(CipherError::Length)?;
        let word = (ENCRYPTED | index).to_be_bytes();
        let (plain, after) = packet.split_at_mut(plain_len);
        let (header, payload) = plain.split_at_mut(RTCP_CLEAR_BYTES);
        match self {
            Self::Gcm { rtcp, .. } => {
                rtcp.open(&rtcp.rtcp_iv(ssrc, index), &rtcp_aad(header, word), payload, &after[..GCM_TAG_BYTES])?;
            }
            Self::CounterMode { rtcp, .. } => {
                let expected = rtcp.tag(&[header, payload, &word])?;
                rtcp.is_tag(&expected, &after[INDEX_BYTES..])?;
                rtcp.apply(ssrc, index.into(), payload)?;
            }
        }
        Ok(plain_len)
    }
}

impl Gcm {
    fn new(
        crypto: &dyn RTCCrypto,
        master: &MasterKey<'_>,
        encryption: Label,
        salting: Label,
    ) -> Result<Self, CryptoError> {
        let (algorithm, mut key) = match master.profile {
            Profile::AeadAes256Gcm => (AeadAlgorithm::Aes256Gcm, Zeroizing::new(vec![0; 32])),
            _ => (AeadAlgorithm::Aes128Gcm, Zeroizing::new(vec![0; 16])),
        };
        let mut salt = [0; 12];
        master.derive(crypto, encryption, &mut key)?;
        master.derive(crypto, salting, &mut salt)?;
        Ok(Self { aead: crypto.new_aead(algorithm, &key)?, salt })
    }

    /// Section 8.1.
    fn rtp_iv(&self, ssrc: u32, index: u64) -> [u8; 12] {
        let mut iv = [0; 12];
        iv[2..6].copy_from_slice(&ssrc.to_be_bytes());
        iv[6..].copy_from_slice(&index.to_be_bytes()[2..]);
        self.salted(iv)
    }
    /// Section 9.1.
    fn rtcp_iv(&self, ssrc: u32, index: u32) -> [u8; 12] {
        let mut iv = [0; 12];
        iv[2..6].copy_from_slice(&ssrc.to_be_bytes());
        iv[8..].copy_from_slice(&index.to_be_bytes());
        self.salted(iv)
    }
    fn salted(&self, mut iv: [u8; 12]) -> [u8; 12] {
        for (byte, salt) in iv.iter_mut().zip(self.salt) {
            *byte ^= salt;
        }
        iv
    }
    fn seal(&mut self, iv: &[u8], aad: &[u8], payload: &mut [u8], tag: &mut [u8]) -> Result<(), CipherError> {
        self.aead.seal_in_place(iv, aad, payload, tag).map_err(|_| CipherError::Length)
    }
    fn open(&mut self, iv: &[u8], aad: &[u8], payload: &mut [u8], tag: &[u8]) -> Result<(), CipherError> {
        self.aead.open_in_place(iv, aad, payload, tag).map_err(|_| CipherError::Tag)
    }
}

impl CounterMode {
    fn new(crypto: &dyn RTCCrypto, master: &MasterKey<'_>, labels: [Label; 3]) -> Result<Self, CryptoError> {
        let [encryption, authentication, salting] = labels;
        let (mut key, mut mac_key) = (Zeroizing::new([0; 16]), Zeroizing::new([0; SHA1_BYTES]));
        let mut salt = [0; 14];
        master.derive(crypto, encryption, key.as_mut_slice())?;
        master.derive(crypto, authentication, mac_key.as_mut_slice())?;
        master.derive(crypto, salting, &mut salt)?;
        let stream = crypto.new_stream_cipher(StreamCipherAlgorithm::Aes128Ctr, key.as_slice())?;
        Ok(Self { stream, mac: crypto.new_hmac(HmacAlgorithm::Sha1, mac_key.as_slice())?, salt })
    }

    fn apply(&mut self, ssrc: u32, index: u64, payload: &mut [u8]) -> Result<(), CipherError> {
        let mut iv = [0; 16];
        iv[4..8].copy_from_slice(&ssrc.to_be_bytes());
        iv[8..14].copy_from_slice(&index.to_be_bytes()[2..]);
        for (byte, salt) in iv.iter_mut().zip(self.salt) {
            *byte ^= salt;
        }
        self.stream.apply_keystream(&iv, payload).map_err(|_| CipherError::Length)
    }
    fn tag(&mut self, parts: &[&[u8]]) -> Result<[u8; SHA1_TAG_BYTES], CipherError> {
        let mut tag = [0; SHA1_BYTES];
        self.mac.sign(parts, &mut tag).map_err(|_| CipherError::Length)?;
        tag.first_chunk().copied().ok_or(CipherError::Length)
    }
    fn is_tag(&self, expected: &[u8], tag: &[u8]) -> Result<(), CipherError> {
        if bool::from(subtle::ConstantTimeEq::ct_eq(expected, tag)) { Ok(()) } else { Err(CipherError::Tag) }
    }
}

/// How often the sequence number began anew, which is authenticated though it is not sent.
fn rollover(index: u64) -> [u8; 4] {
    ((index >> 16) as u32).to_be_bytes()
}

fn rtcp_aad(header: &[u8], word: [u8; INDEX_BYTES]) -> [u8; RTCP_CLEAR_BYTES + INDEX_BYTES] {
    let mut aad = [0; RTCP_CLEAR_BYTES + INDEX_BYTES];
    aad[..RTCP_CLEAR_BYTES].copy_from_slice(header);
    aad[RTCP_CLEAR_BYTES..].copy_from_slice(&word);
    aad
}

#[cfg(test)]
impl Cipher {
    /// Of a session key and salt, for RTP and RTCP alike.
    pub(super) fn of_session(key: &[u8], salt: [u8; 12]) -> Self {
        use rtc_crypto::RTCCryptoProvider;
        let provider = rtc_crypto::providers::RingProvider::new();
        let gcm = || Gcm { aead: provider.crypto().new_aead(AeadAlgorithm::Aes128Gcm, key).unwrap(), salt };
        Self::Gcm { rtp: gcm(), rtcp: gcm() }
    }
}
