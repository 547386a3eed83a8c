//! All WebRTC peers on one socket.

use bytes::BytesMut;
use rookery_rtp::{DatagramKind, classify};
use slab::Slab;
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::Instant;

use crate::certificate::Certificate;
use crate::drops::{DropCounts, DropReason};
use crate::dtls::{Dtls, DtlsError, Handshake, Progress};
use crate::ice::{IceCredentials, RandomnessError, Ufrag, canonical};
use crate::limits::WebRtcLimits;
use crate::peer::{PeerState, WebRtcPeer};
use crate::sdp::{LocalTransport, RemoteTransport};
use crate::srtp::OpenError;
use crate::stun::{self, BindingRequest, Stun, StunError};
use crate::timers::Timers;

/// A peer's place in its endpoint, until it is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PeerId(usize);

/// What a datagram was.
#[derive(Debug)]
pub enum Received<'a> {
    /// Media of a peer, decrypted.
    Rtp { peer: PeerId, packet: &'a mut [u8] },
    /// Reports and requests of a peer, decrypted: to be read with [`rookery_rtp::rtcp`].
    Rtcp { peer: PeerId, compound: &'a mut [u8] },
    /// To be sent back to where the datagram came from; never longer than that.
    Answer(&'a [u8]),
    /// Part of a handshake: see [`WebRtcEndpoint::poll_transmit`] and [`WebRtcEndpoint::poll_event`].
    Handled,
    /// Nothing to do; it was counted.
    Dropped(DropReason),
}

/// What became of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Its handshake is done: it may be sent to.
    Connected(PeerId),
    /// It is gone, and to be removed.
    Gone(PeerId, GoneReason),
}

/// Why a peer is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GoneReason {
    /// It said so.
    Closed,
    /// Its handshake took too long, or could not be done.
    Handshake,
    /// Its certificate is not that of its offer.
    Fingerprint,
    /// It stopped asking to be sent to.
    Consent,
}

/// What an endpoint is made of.
pub struct WebRtcConfig {
    /// The process's.
    pub certificate: Certificate,
    /// Where clients reach the socket; the first is told to those who are told one alone.
    pub candidates: Vec<SocketAddr>,
    /// What 0 ms is.
    pub epoch: Instant,
    pub limits: WebRtcLimits,
}

/// Why there is no endpoint.
#[derive(Debug, thiserror::Error)]
#[error("DTLS refuses its configuration: {0}")]
pub struct ConfigError(String);

/// The WebRTC peers on one socket.
///
/// A datagram is a peer's if it is a check with the peer's user name fragment and password, or comes from where such checks
/// came from. Nothing but answers to checks goes anywhere else.
pub struct WebRtcEndpoint<K> {
    limits: WebRtcLimits,
    certificate: Certificate,
    candidates: Vec<SocketAddr>,
    peers: Slab<WebRtcPeer<K>>,
    by_ufrag: HashMap<Ufrag, usize>,
    by_address: HashMap<SocketAddr, usize>,
    dtls: Dtls,
    timers: Timers,
    transmits: VecDeque<(SocketAddr, BytesMut)>,
    /// Two for each peer at most: that it connected and that it is gone.
    events: VecDeque<Event>,
    drops: DropCounts,
}

impl<K> WebRtcEndpoint<K> {
    /// Without peers.
    pub fn new(config: WebRtcConfig) -> Result<Self, ConfigError> {
        let WebRtcConfig { certificate, candidates, epoch, limits } = config;
        let dtls = Dtls::new(&certificate, epoch).map_err(|error| ConfigError(error.to_string()))?;
        Ok(Self {
            limits,
            certificate,
            candidates,
            peers: Slab::new(),
            by_ufrag: HashMap::new(),
            by_address: HashMap::new(),
            dtls,
            timers: Timers::default(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            drops: DropCounts::default(),
        })
    }

    /// Adds a client by its offer; `key` is whatever the shell calls it. [`Self::local`] then is for the answer.
    pub fn insert(&mut self, now_ms: u64, remote: RemoteTransport, key: K) -> Result<PeerId, RandomnessError> {
        let mut credentials = IceCredentials::generate()?;
        while self.by_ufrag.contains_key(&credentials.ufrag) {
            credentials = IceCredentials::generate()?;
        }
        let ufrag = credentials.ufrag;
        let peer = self.peers.insert(WebRtcPeer::new(now_ms, key, credentials, remote, &self.limits));
        self.by_ufrag.insert(ufrag, peer);
        self.schedule(peer);
        Ok(PeerId(peer))
    }

    /// Takes a peer out and tells it so, if it can be told; its addresses are free.
    pub fn remove(&mut self, now_ms: u64, peer: PeerId) -> Option<WebRtcPeer<K>> {
        self.peers.get(peer.0)?;
        self.dtls.remove(now_ms, peer.0);
        self.drain_dtls();
        let mut state = self.peers.try_remove(peer.0)?;
        self.by_ufrag.remove(&state.credentials.ufrag);
        for address in state.paths.clear() {
            self.by_address.remove(&address);
        }
        self.timers.cancel(peer.0, state.scheduled_at_ms);
        self.events.retain(|event| !matches!(event, Event::Connected(id) | Event::Gone(id, _) if *id == peer));
        Some(state)
    }

    /// The server's side of a peer's transport, for the [answer](crate::Offer::answer).
    pub fn local(&self, peer: PeerId) -> Option<LocalTransport<'_>> {
        let state = self.peers.get(peer.0)?;
        Some(LocalTransport {
            credentials: &state.credentials,
            fingerprint: self.certificate.fingerprint(),
            candidates: &self.candidates,
        })
    }
    /// A peer.
    pub fn get(&self, peer: PeerId) -> Option<&WebRtcPeer<K>> {
        self.peers.get(peer.0)
    }
    /// A peer, to write for.
    pub fn get_mut(&mut self, peer: PeerId) -> Option<&mut WebRtcPeer<K>> {
        self.peers.get_mut(peer.0)
    }
    /// Whether a peer is known to be there: its media goes to this endpoint, where others share the socket.
    pub fn knows(&self, address: SocketAddr) -> bool {
        self.by_address.contains_key(&canonical(address))
    }
    /// How many there are.
    pub fn len(&self) -> usize {
        self.peers.len()
    }
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.peers.is_empty()
    }
    /// What was dropped so far.
    pub const fn drops(&self) -> &DropCounts {
        &self.drops
    }

    /// Takes a datagram, which is decrypted or answered where it lies.
    pub fn handle_datagram<'a>(&mut self, now_ms: u64, from: SocketAddr, datagram: &'a mut [u8]) -> Received<'a> {
        let from = canonical(from);
        let received = match classify(datagram) {
            Some(DatagramKind::Stun) => self.stun(now_ms, from, datagram),
            Some(DatagramKind::Dtls) => self.dtls(now_ms, from, datagram),
            Some(DatagramKind::Rtp) => self.rtp(from, datagram),
            Some(DatagramKind::Rtcp) => self.rtcp(from, datagram),
            Some(DatagramKind::IpDiscovery(_) | DatagramKind::KeepAlive(_) | DatagramKind::NodeLink) | None => {
                Err(DropReason::Unclassified)
            }
        };
        received.unwrap_or_else(|reason| {
            self.drops.count(reason);
            Received::Dropped(reason)
        })
    }

    /// What is to be sent next, and where to.
    pub fn poll_transmit(&mut self) -> Option<(SocketAddr, BytesMut)> {
        self.transmits.pop_front()
    }
    /// What became of peers.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }
    /// When [`Self::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Option<u64> {
        self.timers.next()
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now_ms: u64) {
        while let Some(peer) = self.timers.due(now_ms) {
            match self.overdue(now_ms, peer) {
                Some(reason) => self.end(now_ms, peer, reason),
                None => self.dtls.handle_timeout(now_ms, peer),
            }
            self.drain_dtls();
            self.schedule(peer);
        }
    }

    fn stun<'a>(&mut self, now_ms: u64, from: SocketAddr, datagram: &'a mut [u8]) -> Result<Received<'a>, DropReason> {
        let request = match Stun::parse(datagram) {
            Ok(Stun::Request(request)) => request,
            Ok(Stun::Indication) if self.by_address.contains_key(&from) => return Ok(Received::Handled),
            Ok(Stun::Indication) => return Err(DropReason::ForeignAddress),
            Err(StunError::Malformed) => return Err(DropReason::Malformed),
            Err(StunError::Unexpected) => return Err(DropReason::Unexpected),
        };
        let id = self.whose(&request, datagram)?;
        let peer = &mut self.peers[id];
        if !request.is_authentic(datagram, &peer.password) {
            return Err(DropReason::BadIntegrity);
        }
        if peer.state == PeerState::Gone {
            return Err(DropReason::NotReady);
        }
        if !peer.answers.take(now_ms, self.limits.answer_burst, self.limits.answers_per_second) {
            return Err(DropReason::RateLimited);
        }
        let len = stun::answer(datagram, from, &peer.password).ok_or(DropReason::Malformed)?;
        self.found(now_ms, id, from, request.use_candidate)?;
        Ok(Received::Answer(&datagram[..len]))
    }

    fn whose(&self, request: &BindingRequest, datagram: &[u8]) -> Result<usize, DropReason> {
        let (own, theirs) = request.ufrags(datagram).ok_or(DropReason::Malformed)?;
        let own: &Ufrag = own.try_into().map_err(|_| DropReason::UnknownUfrag)?;
        let id = *self.by_ufrag.get(own).ok_or(DropReason::UnknownUfrag)?;
        if self.peers[id].remote.ufrag.as_bytes() == theirs { Ok(id) } else { Err(DropReason::UnknownUfrag) }
    }

    /// A check showed that a peer is at an address.
    fn found(&mut self, now_ms: u64, id: usize, from: SocketAddr, nominated: bool) -> Result<(), DropReason> {
        if let Some(other) = self.by_address.get(&from).copied().filter(|other| *other != id) {
            // A peer may claim what is another's by forging the address, so those who are there keep theirs.
            let state = &mut self.peers[other];
            let checked_at_ms = state.paths.checked_at_ms(from).unwrap_or_default();
            if now_ms.saturating_sub(checked_at_ms) < self.limits.rebind_after_ms {
                return Err(DropReason::ForeignAddress);
            }
            state.paths.forget(from);
        }
        let peer = &mut self.peers[id];
        peer.consent_at_ms = now_ms;
        if peer.state == PeerState::Waiting {
            peer.state = PeerState::Handshaking;
        }
        self.by_address.insert(from, id);
        if let Some(forgotten) = peer.paths.checked(now_ms, from, nominated) {
            self.by_address.remove(&forgotten);
        }
        Ok(())
    }

    fn dtls<'a>(&mut self, now_ms: u64, from: SocketAddr, datagram: &[u8]) -> Result<Received<'a>, DropReason> {
        let id = *self.by_address.get(&from).ok_or(DropReason::ForeignAddress)?;
        let peer = &mut self.peers[id];
        let handshake = match peer.state {
            PeerState::Waiting | PeerState::Handshaking => Handshake::Expects(peer.remote.fingerprint),
            PeerState::Connected | PeerState::Gone => Handshake::IsDone,
        };
        let result = self.dtls.handle(now_ms, id, datagram, &mut peer.budget, handshake);
        self.drain_dtls();
        let received = match result {
            Ok(Progress::More) => Ok(Received::Handled),
            Ok(Progress::Done(media)) => {
                let peer = &mut self.peers[id];
                peer.media = Some(media);
                peer.state = PeerState::Connected;
                self.events.push_back(Event::Connected(PeerId(id)));
                Ok(Received::Handled)
            }
            Ok(Progress::Closed) => {
                self.end(now_ms, id, GoneReason::Closed);
                Ok(Received::Handled)
            }
            Err(DtlsError::Malformed) => Err(DropReason::Malformed),
            Err(DtlsError::Budget) => Err(DropReason::HandshakeBudget),
            Err(DtlsError::Failed) => {
                let reason =
                    if peer_is_connected(&self.peers[id]) { GoneReason::Closed } else { GoneReason::Handshake };
                self.end(now_ms, id, reason);
                Err(DropReason::HandshakeFailed)
            }
            Err(DtlsError::Fingerprint) => {
                self.end(now_ms, id, GoneReason::Fingerprint);
                Err(DropReason::HandshakeFailed)
            }
        };
        self.schedule(id);
        received
    }

    fn rtp<'a>(&mut self, from: SocketAddr, datagram: &'a mut [u8]) -> Result<Received<'a>, DropReason> {
        let id = *self.by_address.get(&from).ok_or(DropReason::ForeignAddress)?;
        let media = self.peers[id].media.as_mut().ok_or(DropReason::NotReady)?;
        let len = media.inbound.open_rtp(datagram)?;
        Ok(Received::Rtp { peer: PeerId(id), packet: &mut datagram[..len] })
    }

    fn rtcp<'a>(&mut self, from: SocketAddr, datagram: &'a mut [u8]) -> Result<Received<'a>, DropReason> {
        let id = *self.by_address.get(&from).ok_or(DropReason::ForeignAddress)?;
        let media = self.peers[id].media.as_mut().ok_or(DropReason::NotReady)?;
        let len = media.inbound.open_rtcp(datagram)?;
        Ok(Received::Rtcp { peer: PeerId(id), compound: &mut datagram[..len] })
    }

    /// Takes over what handshakes have to send.
    fn drain_dtls(&mut self) {
        while let Some((peer, payload)) = self.dtls.poll_transmit() {
            let address = self.peers.get(peer).and_then(WebRtcPeer::address);
            if let Some(address) = address
                && self.transmits.len() < self.limits.transmits_max
            {
                self.transmits.push_back((address, payload));
            }
        }
    }

    /// Whether a peer has been waited for long enough.
    fn overdue(&self, now_ms: u64, peer: usize) -> Option<GoneReason> {
        let state = &self.peers[peer];
        let is_over = |since_ms: u64, timeout_ms: u64| now_ms.saturating_sub(since_ms) >= timeout_ms;
        match state.state {
            PeerState::Waiting | PeerState::Handshaking => {
                is_over(state.inserted_at_ms, self.limits.handshake_timeout_ms).then_some(GoneReason::Handshake)
            }
            PeerState::Connected => {
                is_over(state.consent_at_ms, self.limits.consent_timeout_ms).then_some(GoneReason::Consent)
            }
            PeerState::Gone => None,
        }
    }

    /// Nothing more goes to a peer, nor is anything taken from it.
    fn end(&mut self, now_ms: u64, id: usize, reason: GoneReason) {
        self.dtls.remove(now_ms, id);
        self.drain_dtls();
        let peer = &mut self.peers[id];
        if peer.state == PeerState::Gone {
            return;
        }
        peer.state = PeerState::Gone;
        peer.media = None;
        for address in peer.paths.clear() {
            self.by_address.remove(&address);
        }
        self.events.push_back(Event::Gone(PeerId(id), reason));
    }

    /// Notes when a peer is to be looked at next. That it is heard of moves nothing: it is looked at once in vain.
    fn schedule(&mut self, id: usize) {
        let Some(peer) = self.peers.get_mut(id) else { return };
        let at_ms = match peer.state {
            PeerState::Waiting | PeerState::Handshaking => {
                let end_ms = peer.inserted_at_ms.saturating_add(self.limits.handshake_timeout_ms);
                self.dtls.poll_timeout(id).map_or(end_ms, |at_ms| at_ms.min(end_ms))
            }
            PeerState::Connected => peer.consent_at_ms.saturating_add(self.limits.consent_timeout_ms),
            PeerState::Gone => {
                self.timers.cancel(id, peer.scheduled_at_ms);
                peer.scheduled_at_ms = u64::MAX;
                return;
            }
        };
        self.timers.schedule(id, &mut peer.scheduled_at_ms, at_ms);
    }
}

fn peer_is_connected<K>(peer: &WebRtcPeer<K>) -> bool {
    peer.state == PeerState::Connected
}

impl From<OpenError> for DropReason {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Malformed => Self::Malformed,
            OpenError::Replayed => Self::Replayed,
            OpenError::TooOld => Self::TooOld,
            OpenError::TooManyStreams => Self::TooManyStreams,
            OpenError::Tag => Self::BadTag,
        }
    }
}
