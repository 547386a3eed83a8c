//! What goes to a peer.

use rookery_rtp::{RtcpHeader, RtpHeader};
use rtc_crypto::{CryptoError, RTCCrypto};

use super::cipher::{Cipher, CipherError};
use super::index::{IndexError, OUTBOUND_WORDS, Window};
use super::keys::MasterKey;
use crate::rtp_header_len;

/// Streams that one peer is sent over its life: everybody who ever speaks in the largest room, and then some. None is
/// forgotten, because a stream that began anew would use the same numbers with the same key.
const STREAMS_MAX: usize = 16_384;
/// RFC 3711, section 9.2: no more RTCP packets with one key.
const RTCP_INDEX_MAX: u32 = (1 << 31) - 1;

/// Why a packet cannot be encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    #[error("this is no packet, or the buffer has no room for what encryption adds")]
    Length,
    /// A packet that is sent again goes under another SSRC (RFC 4588): with the same number and, say, another number of
    /// transport-wide congestion control in its header, it would give the key of GCM's authentication away.
    #[error("a packet with this number was sent before, or may have been")]
    NumberUsed,
    #[error("the peer was sent more streams than one key is for")]
    TooManyStreams,
    #[error("the peer was sent more than one key is for")]
    Exhausted,
}

/// Encrypts what goes to a peer, and never the same number twice: with GCM that would give the key away.
pub(crate) struct Outbound {
    cipher: Cipher,
    streams: Streams,
    /// One count for all senders, each of whom then has a gap or two.
    rtcp_index: u32,
}

impl Outbound {
    pub(crate) fn new(crypto: &dyn RTCCrypto, master: &MasterKey<'_>) -> Result<Self, CryptoError> {
        Ok(Self { cipher: Cipher::new(crypto, master)?, streams: Streams::default(), rtcp_index: 0 })
    }

    /// Encrypts the RTP packet at the beginning of the buffer. Gives the length that it has then.
    pub(crate) fn seal_rtp(&mut self, buffer: &mut [u8], plain_len: usize) -> Result<usize, SealError> {
        let plain = buffer.get(..plain_len).ok_or(SealError::Length)?;
        let header = RtpHeader::read(plain).map_err(|_| SealError::Length)?;
        let header_len = rtp_header_len(plain).ok_or(SealError::Length)?;
        let ssrc = header.ssrc.0;
        let place = self.streams.find(ssrc);
        let index = match place {
            Err(_) if self.streams.len() >= STREAMS_MAX => return Err(SealError::TooManyStreams),
            Err(_) => header.sequence_number.into(),
            Ok(at) => {
                let window = self.streams.get(at);
                let index = window.estimate(header.sequence_number).ok_or(SealError::NumberUsed)?;
                window.check(index)?;
                index
            }
        };
        if index >> 48 != 0 {
            return Err(SealError::Exhausted);
        }
        let len = self.cipher.seal_rtp(buffer, header_len, plain_len, ssrc, index)?;
        match place {
            Ok(at) => self.streams.get_mut(at).mark(index),
            Err(at) => self.streams.insert(at, ssrc, Window::new(index)),
        }
        Ok(len)
    }

    /// Encrypts the compound RTCP packet at the beginning of the buffer. Gives the length that it has then.
    pub(crate) fn seal_rtcp(&mut self, buffer: &mut [u8], plain_len: usize) -> Result<usize, SealError> {
        let plain = buffer.get(..plain_len).ok_or(SealError::Length)?;
        let ssrc = RtcpHeader::read(plain).map_err(|_| SealError::Length)?.sender_ssrc.0;
        if self.rtcp_index >= RTCP_INDEX_MAX {
            return Err(SealError::Exhausted);
        }
        let len = self.cipher.seal_rtcp(buffer, plain_len, ssrc, self.rtcp_index)?;
        self.rtcp_index += 1;
        Ok(len)
    }
}

/// The windows of all streams that a peer was sent, by SSRC: twenty bytes for each, where a table of hashes takes fifty.
#[derive(Default)]
struct Streams {
    ssrcs: Vec<u32>,
    windows: Vec<Window<OUTBOUND_WORDS>>,
}

impl Streams {
    /// Room is made for so many at once: enough for most members, little for those who hear few.
    const CHUNK: usize = 32;

    /// Where a stream is, or where it would be.
    fn find(&self, ssrc: u32) -> Result<usize, usize> {
        self.ssrcs.binary_search(&ssrc)
    }
    fn get(&self, at: usize) -> &Window<OUTBOUND_WORDS> {
        &self.windows[at]
    }
    fn get_mut(&mut self, at: usize) -> &mut Window<OUTBOUND_WORDS> {
        &mut self.windows[at]
    }
    const fn len(&self) -> usize {
        self.ssrcs.len()
    }
    fn insert(&mut self, at: usize, ssrc: u32, window: Window<OUTBOUND_WORDS>) {
        if self.ssrcs.len() == self.ssrcs.capacity() {
            self.ssrcs.reserve_exact(Self::CHUNK);
            self.windows.reserve_exact(Self::CHUNK);
        }
        self.ssrcs.insert(at, ssrc);
        self.windows.insert(at, window);
    }
}

impl From<IndexError> for SealError {
    fn from(_: IndexError) -> Self {
        Self::NumberUsed
    }
}

impl From<CipherError> for SealError {
    fn from(_: CipherError) -> Self {
        Self::Length
    }
}
