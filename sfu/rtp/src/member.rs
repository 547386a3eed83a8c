//! One client's end on the server's side.

use rookery_model::voice::{EncryptionMode, SecretKey, Ssrc};
use std::fmt;
use std::net::SocketAddr;

use crate::bucket::TokenBucket;
use crate::cipher::{CipherError, OVERHEAD_BYTES, Opener, Sealer, TransportCipher};
use crate::header::{EXTENSION_HEADER_BYTES, HEADER_BYTES, RtcpHeader, RtpHeader};
use crate::limits::UdpLimits;

/// Addresses from which a client asked for its address that are kept until it tells one.
const DISCOVERED_MAX: usize = 4;

/// Why nothing can be written for a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    #[error("the client has no key yet")]
    NotReady,
    #[error(transparent)]
    Cipher(#[from] CipherError),
}

/// What is known of one client of the `udp` protocol.
pub struct UdpMember<K> {
    /// Whatever the shell calls it.
    pub key: K,
    /// Its own first, then those of its video.
    pub(crate) ssrcs: Vec<Ssrc>,
    pub(crate) path: Path,
    pub(crate) media: Option<Media>,
    pub(crate) answers: TokenBucket,
    pub(crate) attempts: TokenBucket,
}

/// Where the client is.
pub(crate) struct Path {
    discovered: [Option<SocketAddr>; DISCOVERED_MAX],
    next: usize,
    /// From where everything must come and where everything goes to.
    pinned: Option<SocketAddr>,
    /// Whether anything valid came from there, be it a keep-alive only.
    is_heard: bool,
    /// Whether the client's connection to the voice gateway is gone, and may come back.
    is_detached: bool,
    /// The address that another's claim took meanwhile, and when something valid last came from there.
    lost: Option<(SocketAddr, u64)>,
    /// When something valid last came.
    seen_at_ms: u64,
}

/// What encrypts and decrypts.
pub(crate) struct Media {
    cipher: TransportCipher,
    pub(crate) opener: Opener,
    /// Made when first needed: it keeps away from the client's nonces.
    sealer: Option<Sealer>,
}

impl<K> UdpMember<K> {
    pub(crate) fn new(now_ms: u64, key: K, ssrc: Ssrc, limits: &UdpLimits) -> Self {
        Self {
            key,
            ssrcs: vec![ssrc],
            path: Path::new(now_ms),
            media: None,
            answers: TokenBucket::new(now_ms, limits.answer_burst),
            attempts: TokenBucket::new(now_ms, limits.attempt_burst),
        }
    }

    /// The SSRC that READY told it.
    pub fn ssrc(&self) -> Ssrc {
        self.ssrcs[0]
    }
    /// Where to send to; none while that is not known for sure.
    pub const fn address(&self) -> Option<SocketAddr> {
        self.path.pinned
    }
    /// When something valid last came from it.
    pub const fn seen_at_ms(&self) -> u64 {
        self.path.seen_at_ms
    }
    /// The mode that its client chose.
    pub fn mode(&self) -> Option<EncryptionMode> {
        self.media.as_ref().map(|media| media.cipher.mode())
    }

    pub(crate) fn start(&mut self, mode: EncryptionMode, key: &SecretKey) {
        self.media = Some(Media { cipher: TransportCipher::new(mode, key), opener: Opener::default(), sealer: None });
    }

    /// Writes a packet for the client: header, payload, encryption. Gives its length.
    pub fn write_rtp(&mut self, header: &RtpHeader, payload: &[u8], buffer: &mut [u8]) -> Result<usize, SendError> {
        self.write_rtp_with(header, &[], payload, buffer)
    }

    /// As [`Self::write_rtp`], with elements of a header extension in the one-byte form, as
    /// [`ElementWriter`](crate::extension::ElementWriter) writes them.
    pub fn write_rtp_with(
        &mut self,
        header: &RtpHeader,
        elements: &[u8],
        payload: &[u8],
        buffer: &mut [u8],
    ) -> Result<usize, SendError> {
        let plain_len = header.write_packet(elements, payload, buffer, OVERHEAD_BYTES).ok_or(CipherError::Length)?;
        let clear_len = HEADER_BYTES + if elements.is_empty() { 0 } else { EXTENSION_HEADER_BYTES };
        self.seal(buffer, clear_len, plain_len)
    }

    /// Writes a compound RTCP packet for the client. Gives its length.
    pub fn write_rtcp(&mut self, compound: &[u8], buffer: &mut [u8]) -> Result<usize, SendError> {
        let plain = buffer.get_mut(..compound.len()).ok_or(CipherError::Length)?;
        plain.copy_from_slice(compound);
        self.seal(buffer, RtcpHeader::BYTES, compound.len())
    }

    fn seal(&mut self, buffer: &mut [u8], clear_len: usize, plain_len: usize) -> Result<usize, SendError> {
        let media = self.media.as_mut().ok_or(SendError::NotReady)?;
        let sealer = media.sealer.get_or_insert_with(|| Sealer::new(media.opener.opposite()));
        Ok(sealer.seal(&media.cipher, buffer, clear_len, plain_len)?)
    }
}

impl Media {
    pub(crate) fn open(&mut self, packet: &mut [u8], clear_len: usize) -> Result<usize, CipherError> {
        self.opener.open(&self.cipher, packet, clear_len)
    }
    /// Whether a packet has a nonce of those that the server used.
    pub(crate) fn is_own(&self, packet: &[u8]) -> bool {
        match (&self.sealer, packet.last_chunk()) {
            (Some(sealer), Some(nonce)) => sealer.has_used(*nonce),
            _ => false,
        }
    }
}

impl Path {
    const fn new(now_ms: u64) -> Self {
        Self {
            discovered: [None; DISCOVERED_MAX],
            next: 0,
            pinned: None,
            is_heard: false,
            is_detached: false,
            lost: None,
            seen_at_ms: now_ms,
        }
    }
    /// Notes from where the client asked for its address.
    pub(crate) fn discover(&mut self, from: SocketAddr) {
        if !self.is_discovered(from) {
            self.discovered[self.next] = Some(from);
            self.next = (self.next + 1) % DISCOVERED_MAX;
        }
    }
    pub(crate) fn is_discovered(&self, address: SocketAddr) -> bool {
        self.discovered.contains(&Some(address))
    }
    pub(crate) fn pin(&mut self, now_ms: u64, address: SocketAddr) {
        self.pinned = Some(address);
        (self.is_heard, self.lost) = (false, None);
        self.seen_at_ms = now_ms;
    }
    pub(crate) fn unpin(&mut self) {
        self.pinned = None;
        self.is_heard = false;
    }
    pub(crate) const fn is_heard(&self) -> bool {
        self.is_heard
    }
    /// Another's claim has the address, while the client's connection is gone.
    pub(crate) fn lose(&mut self) {
        self.lost = self.pinned.take().map(|address| (address, self.seen_at_ms));
        self.is_heard = false;
    }
    /// Notes whether the client's connection is gone; the address that was lost meanwhile when it is back.
    pub(crate) const fn set_detached(&mut self, is_detached: bool) -> Option<(SocketAddr, u64)> {
        self.is_detached = is_detached;
        if is_detached { None } else { self.lost.take() }
    }
    pub(crate) const fn is_detached(&self) -> bool {
        self.is_detached
    }
    /// Something valid came from the address.
    pub(crate) const fn seen(&mut self, now_ms: u64) {
        self.is_heard = true;
        self.seen_at_ms = now_ms;
    }
    /// Whether a packet from here is tried without being the client's address: there is none yet, or nothing came from it
    /// for long.
    pub(crate) const fn may_move(&self, now_ms: u64, limits: &UdpLimits) -> bool {
        self.pinned.is_none() || now_ms.saturating_sub(self.seen_at_ms) >= limits.rebind_after_ms
    }
}

impl<K: fmt::Debug> fmt::Debug for UdpMember<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UdpMember")
            .field("key", &self.key)
            .field("ssrcs", &self.ssrcs)
            .field("address", &self.path.pinned)
            .finish_non_exhaustive()
    }
}
