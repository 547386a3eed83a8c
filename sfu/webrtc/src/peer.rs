//! One client's end on the server's side.

use ring::hmac;
use rookery_rtp::{RtpHeader, TokenBucket};
use std::fmt;
use std::net::SocketAddr;

use crate::dtls::DtlsBudget;
use crate::ice::{IceCredentials, Paths};
use crate::limits::WebRtcLimits;
use crate::sdp::RemoteTransport;
use crate::srtp::{Media, RTP_OVERHEAD_BYTES, SealError};

/// Why nothing can be written for a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    #[error("the peer's handshake is not done, or it is gone")]
    NotReady,
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// How far a peer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerState {
    /// No valid check came yet.
    Waiting,
    /// It is there; its handshake is under way.
    Handshaking,
    Connected,
    /// It went, or was lost, and waits to be removed.
    Gone,
}

/// What is known of one client.
pub struct WebRtcPeer<K> {
    /// Whatever the shell calls it.
    pub key: K,
    pub(crate) credentials: IceCredentials,
    pub(crate) password: hmac::Key,
    pub(crate) remote: RemoteTransport,
    pub(crate) paths: Paths,
    pub(crate) state: PeerState,
    pub(crate) budget: DtlsBudget,
    pub(crate) answers: TokenBucket,
    pub(crate) media: Option<Box<Media>>,
    /// When it came, and when a check last showed that it wants to be sent to.
    pub(crate) inserted_at_ms: u64,
    pub(crate) consent_at_ms: u64,
    /// When the endpoint looks at it next.
    pub(crate) scheduled_at_ms: u64,
}

impl<K> WebRtcPeer<K> {
    pub(crate) fn new(
        now_ms: u64,
        key: K,
        credentials: IceCredentials,
        remote: RemoteTransport,
        limits: &WebRtcLimits,
    ) -> Self {
        Self {
            key,
            password: credentials.key(),
            credentials,
            remote,
            paths: Paths::default(),
            state: PeerState::Waiting,
            budget: DtlsBudget::new(limits),
            answers: TokenBucket::new(now_ms, limits.answer_burst),
            media: None,
            inserted_at_ms: now_ms,
            consent_at_ms: now_ms,
            scheduled_at_ms: u64::MAX,
        }
    }

    /// How far it is.
    pub const fn state(&self) -> PeerState {
        self.state
    }
    /// Where to send to; none while that is not known for sure.
    pub const fn address(&self) -> Option<SocketAddr> {
        self.paths.selected()
    }
    /// When a check with its credentials last came.
    pub const fn seen_at_ms(&self) -> u64 {
        self.consent_at_ms
    }

    /// Writes a packet for the client: header, payload, encryption. Gives its length.
    pub fn write_rtp(&mut self, header: &RtpHeader, payload: &[u8], buffer: &mut [u8]) -> Result<usize, SendError> {
        self.write_rtp_with(header, &[], payload, buffer)
    }

    /// As [`Self::write_rtp`], with elements of a header extension in the one-byte form, as
    /// [`ElementWriter`](rookery_rtp::extension::ElementWriter) writes them.
    pub fn write_rtp_with(
        &mut self,
        header: &RtpHeader,
        elements: &[u8],
        payload: &[u8],
        buffer: &mut [u8],
    ) -> Result<usize, SendError> {
        let written = header.write_packet(elements, payload, buffer, RTP_OVERHEAD_BYTES);
        let plain_len = written.ok_or(SealError::Length)?;
        self.seal_rtp(buffer, plain_len)
    }

    /// Encrypts the packet that stands in the first bytes of the buffer. Gives the length that it has then, which is at most
    /// [`RTP_OVERHEAD_BYTES`] more.
    pub fn seal_rtp(&mut self, buffer: &mut [u8], plain_len: usize) -> Result<usize, SendError> {
        let media = self.media.as_mut().ok_or(SendError::NotReady)?;
        Ok(media.outbound.seal_rtp(buffer, plain_len)?)
    }

    /// Writes a compound RTCP packet for the client. Gives its length, which is at most
    /// [`RTCP_OVERHEAD_BYTES`](crate::RTCP_OVERHEAD_BYTES) more.
    pub fn write_rtcp(&mut self, compound: &[u8], buffer: &mut [u8]) -> Result<usize, SendError> {
        let media = self.media.as_mut().ok_or(SendError::NotReady)?;
        buffer.get_mut(..compound.len()).ok_or(SealError::Length)?.copy_from_slice(compound);
        Ok(media.outbound.seal_rtcp(buffer, compound.len())?)
    }
}

impl<K: fmt::Debug> fmt::Debug for WebRtcPeer<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebRtcPeer")
            .field("key", &self.key)
            .field("state", &self.state)
            .field("address", &self.address())
            .finish_non_exhaustive()
    }
}
