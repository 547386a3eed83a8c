//! What comes from a peer.

use rookery_rtp::{RtcpHeader, RtpHeader};
use rtc_crypto::{CryptoError, RTCCrypto};

use super::cipher::{Cipher, CipherError};
use super::index::{INBOUND_WORDS, IndexError, Window};
use super::keys::MasterKey;
use crate::rtp_header_len;

/// Streams of a peer: sound, layers of video of a camera and a screen, each with what is sent again, twice over for an
/// application that begins its streams anew.
const STREAMS_MAX: usize = 64;

/// Why a packet is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OpenError {
    Malformed,
    Replayed,
    TooOld,
    TooManyStreams,
    Tag,
}

/// Decrypts what comes from a peer, and remembers what was there before.
pub(crate) struct Inbound {
    cipher: Cipher,
    rtp: Streams<INBOUND_WORDS>,
    rtcp: Streams<1>,
}

/// The windows of a few streams. They begin with a packet that decrypts, so nobody else makes any.
struct Streams<const WORDS: usize>(Vec<(u32, Window<WORDS>)>);

impl Inbound {
    pub(crate) fn new(crypto: &dyn RTCCrypto, master: &MasterKey<'_>) -> Result<Self, CryptoError> {
        let cipher = Cipher::new(crypto, master)?;
        Ok(Self { cipher, rtp: Streams(Vec::new()), rtcp: Streams(Vec::new()) })
    }

    /// Decrypts an RTP packet where it lies. Gives the length that it has then.
    pub(crate) fn open_rtp(&mut self, packet: &mut [u8]) -> Result<usize, OpenError> {
        let header = RtpHeader::read(packet).map_err(|_| OpenError::Malformed)?;
        let header_len = rtp_header_len(packet).ok_or(OpenError::Malformed)?;
        let ssrc = header.ssrc.0;
        let index = match self.rtp.find(ssrc)? {
            None => header.sequence_number.into(),
            Some(window) => {
                let index = window.estimate(header.sequence_number).ok_or(OpenError::TooOld)?;
                window.check(index)?;
                index
            }
        };
        let len = self.cipher.open_rtp(packet, header_len, ssrc, index)?;
        self.rtp.mark(ssrc, index);
        Ok(len)
    }

    /// Decrypts a compound RTCP packet where it lies. Gives the length that it has then.
    pub(crate) fn open_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, OpenError> {
        let ssrc = RtcpHeader::read(packet).map_err(|_| OpenError::Malformed)?.sender_ssrc.0;
        let index = self.cipher.rtcp_index(packet).ok_or(OpenError::Malformed)?;
        if let Some(window) = self.rtcp.find(ssrc)? {
            window.check(index.into())?;
        }
        let len = self.cipher.open_rtcp(packet, ssrc, index)?;
        self.rtcp.mark(ssrc, index.into());
        Ok(len)
    }
}

impl<const WORDS: usize> Streams<WORDS> {
    /// None for a stream that may begin.
    fn find(&self, ssrc: u32) -> Result<Option<&Window<WORDS>>, OpenError> {
        let window = self.0.iter().find(|stream| stream.0 == ssrc).map(|stream| &stream.1);
        if window.is_none() && self.0.len() >= STREAMS_MAX { Err(OpenError::TooManyStreams) } else { Ok(window) }
    }
    fn mark(&mut self, ssrc: u32, index: u64) {
        match self.0.iter_mut().find(|stream| stream.0 == ssrc) {
            Some(stream) => stream.1.mark(index),
            None => self.0.push((ssrc, Window::new(index))),
        }
    }
}

impl From<IndexError> for OpenError {
    fn from(error: IndexError) -> Self {
        match error {
            IndexError::Used => Self::Replayed,
            IndexError::TooOld => Self::TooOld,
        }
    }
}

impl From<CipherError> for OpenError {
    fn from(error: CipherError) -> Self {
        match error {
            CipherError::Length => Self::Malformed,
            CipherError::Tag => Self::Tag,
        }
    }
}
