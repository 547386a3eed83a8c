//! All clients of the `udp` protocol on one socket.

use rookery_model::voice::{EncryptionMode, SecretKey, Ssrc};
use slab::Slab;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use crate::cipher::CipherError;
use crate::classify::{DatagramKind, classify};
use crate::discovery;
use crate::drops::{DropCounts, DropReason};
use crate::header::{RtcpHeader, RtpHeader, clear_len};
use crate::keep_alive::{self, KeepAlive};
use crate::limits::UdpLimits;
use crate::member::UdpMember;
use crate::packet::RtpPacket;
use crate::replay::NonceError;

/// SSRCs of one member: audio, and eight layers of video with what is sent again of each.
const SSRCS_MAX: usize = 17;

/// A member's place in its endpoint, until it is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MemberId(usize);

/// What a datagram was.
#[derive(Debug)]
pub enum Received<'a> {
    /// Media of a member, decrypted.
    Rtp { member: MemberId, packet: RtpPacket<'a> },
    /// Reports and requests of a member, decrypted: to be read with [`rtcp`](crate::rtcp).
    Rtcp { member: MemberId, compound: &'a [u8] },
    /// To be sent back to where the datagram came from.
    Answer(&'a [u8]),
    /// A member is still there.
    KeepAlive(MemberId),
    /// [STUN](DatagramKind::Stun) or [DTLS](DatagramKind::Dtls), for whoever speaks WebRTC on this socket.
    WebRtc(DatagramKind),
    /// For whoever has links to other voice nodes on this socket.
    NodeLink,
    /// Nothing to do; it was counted.
    Dropped(DropReason),
}

/// The clients of the `udp` protocol on one socket.
///
/// A packet is a member's if it has one of the member's SSRCs, comes from the member's address and decrypts. That address
/// is where IP discovery was asked from, if the client then told it and nobody else who is connected has it, else where the
/// first packet came from that decrypts. What a client merely claims is never sent to.
pub struct UdpEndpoint<K> {
    limits: UdpLimits,
    members: Slab<UdpMember<K>>,
    by_ssrc: HashMap<Ssrc, usize>,
    by_address: HashMap<SocketAddr, usize>,
    drops: DropCounts,
}

impl<K> UdpEndpoint<K> {
    /// Without members.
    pub fn new(limits: UdpLimits) -> Self {
        Self {
            limits,
            members: Slab::new(),
            by_ssrc: HashMap::new(),
            by_address: HashMap::new(),
            drops: DropCounts::default(),
        }
    }

    /// Adds a client that READY told this SSRC; `key` is whatever the shell calls it. None if another has the SSRC.
    pub fn insert(&mut self, now_ms: u64, ssrc: Ssrc, key: K) -> Option<MemberId> {
        if self.by_ssrc.contains_key(&ssrc) {
            return None;
        }
        let id = self.members.insert(UdpMember::new(now_ms, key, ssrc, &self.limits));
        self.by_ssrc.insert(ssrc, id);
        Some(MemberId(id))
    }

    /// Gives a member another SSRC beside its own, for video; false if another has it, it has too many, or there is no such
    /// member.
    pub fn own(&mut self, member: MemberId, ssrc: Ssrc) -> bool {
        match self.members.get_mut(member.0) {
            Some(state) if !self.by_ssrc.contains_key(&ssrc) && state.ssrcs.len() < SSRCS_MAX => {
                state.ssrcs.push(ssrc);
                self.by_ssrc.insert(ssrc, member.0);
                true
            }
            _ => false,
        }
    }

    /// Answers SELECT_PROTOCOL: a member has a key from now on. `claimed` is where the client says that it receives.
    pub fn activate(
        &mut self,
        now_ms: u64,
        member: MemberId,
        mode: EncryptionMode,
        key: &SecretKey,
        claimed: Option<SocketAddr>,
    ) {
        let Some(state) = self.members.get_mut(member.0) else { return };
        state.start(mode, key);
        // Who tells is there, and what it tells now counts.
        let _ = state.path.set_detached(false);
        let old = state.address();
        if let Some(old) = old {
            state.path.unpin();
            self.forget(old, member.0);
        }
        // A claim takes no address away from another: their packets prove more. But from one whose connection is gone it
        // does: it may be the same client, come anew with the same socket.
        let state = &self.members[member.0];
        let holder = |address: &SocketAddr| self.by_address.get(address).and_then(|holder| self.members.get(*holder));
        let is_free = |address: &SocketAddr| holder(address).is_none_or(|holder| holder.path.is_detached());
        let is_shown = |address: &SocketAddr| old == Some(*address) || state.path.is_discovered(*address);
        if let Some(address) = claimed.map(canonical).filter(is_shown).filter(is_free) {
            if let Some(holder) = self.by_address.remove(&address).and_then(|holder| self.members.get_mut(holder)) {
                holder.path.lose();
            }
            self.pin(now_ms, member.0, address);
        }
    }

    /// Notes whether the connection of a member's client to the voice gateway is gone, and may come back. Media goes on, and
    /// others may claim the address; when the client is back it has that again, unless anything came from there of who
    /// claimed it.
    pub fn set_detached(&mut self, member: MemberId, is_detached: bool) {
        let Some(state) = self.members.get_mut(member.0) else { return };
        let Some((lost, seen_at_ms)) = state.path.set_detached(is_detached) else { return };
        let is_without = state.address().is_none();
        let holder = self.by_address.get(&lost).and_then(|holder| self.members.get(*holder));
        if is_without && holder.is_none_or(|holder| !holder.path.is_heard()) {
            // As it was: where it is not there any more its next packet shows where it is.
            self.pin(seen_at_ms, member.0, lost);
        }
    }

    /// Takes a member out; its SSRCs and its address are free.
    pub fn remove(&mut self, member: MemberId) -> Option<UdpMember<K>> {
        let state = self.members.try_remove(member.0)?;
        for ssrc in &state.ssrcs {
            self.by_ssrc.remove(ssrc);
        }
        if let Some(address) = state.address() {
            self.forget(address, member.0);
        }
        Some(state)
    }

    /// A member.
    pub fn get(&self, member: MemberId) -> Option<&UdpMember<K>> {
        self.members.get(member.0)
    }
    /// A member, to write for.
    pub fn get_mut(&mut self, member: MemberId) -> Option<&mut UdpMember<K>> {
        self.members.get_mut(member.0)
    }
    /// How many there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }
    /// What was dropped so far.
    pub const fn drops(&self) -> &DropCounts {
        &self.drops
    }

    /// Takes a datagram, which is decrypted or answered where it lies.
    pub fn handle<'a>(&mut self, now_ms: u64, from: SocketAddr, datagram: &'a mut [u8]) -> Received<'a> {
        let received = match classify(datagram) {
            None => Err(DropReason::Unclassified),
            Some(kind @ (DatagramKind::Stun | DatagramKind::Dtls)) => Ok(Received::WebRtc(kind)),
            Some(DatagramKind::NodeLink) => Ok(Received::NodeLink),
            Some(DatagramKind::IpDiscovery(ssrc)) => self.discover(now_ms, canonical(from), ssrc, datagram),
            Some(DatagramKind::KeepAlive(kind)) => self.keep_alive(now_ms, canonical(from), kind, datagram),
            Some(DatagramKind::Rtp) => self.rtp(now_ms, canonical(from), datagram),
            Some(DatagramKind::Rtcp) => self.rtcp(now_ms, canonical(from), datagram),
        };
        received.unwrap_or_else(|reason| {
            self.drops.count(reason);
            Received::Dropped(reason)
        })
    }

    fn discover<'a>(
        &mut self,
        now_ms: u64,
        from: SocketAddr,
        ssrc: Ssrc,
        datagram: &'a mut [u8],
    ) -> Result<Received<'a>, DropReason> {
        let id = *self.by_ssrc.get(&ssrc).ok_or(DropReason::UnknownSsrc)?;
        let member = &mut self.members[id];
        if !member.answers.take(now_ms, self.limits.answer_burst, self.limits.answers_per_second) {
            return Err(DropReason::RateLimited);
        }
        // That alone moves nobody: a client that selects anew, maybe from another socket, has to tell the address too.
        member.path.discover(from);
        let request = datagram.first_chunk_mut().ok_or(DropReason::Malformed)?;
        discovery::answer(request, from);
        Ok(Received::Answer(datagram))
    }

    fn keep_alive<'a>(
        &mut self,
        now_ms: u64,
        from: SocketAddr,
        kind: KeepAlive,
        datagram: &'a mut [u8],
    ) -> Result<Received<'a>, DropReason> {
        let id = *self.by_address.get(&from).ok_or(DropReason::ForeignAddress)?;
        let member = &mut self.members[id];
        match kind {
            KeepAlive::Ssrc(ssrc) if self.by_ssrc.get(&ssrc) != Some(&id) => return Err(DropReason::SpoofedSsrc),
            KeepAlive::Ssrc(_) | KeepAlive::Counter => {}
            KeepAlive::Ping => {
                if !member.answers.take(now_ms, self.limits.answer_burst, self.limits.answers_per_second) {
                    return Err(DropReason::RateLimited);
                }
                member.path.seen(now_ms);
                keep_alive::answer(datagram);
                return Ok(Received::Answer(datagram));
            }
        }
        member.path.seen(now_ms);
        Ok(Received::KeepAlive(MemberId(id)))
    }

    fn rtp<'a>(&mut self, now_ms: u64, from: SocketAddr, datagram: &'a mut [u8]) -> Result<Received<'a>, DropReason> {
        let header = RtpHeader::read(datagram).map_err(|_| DropReason::Malformed)?;
        let clear_len = clear_len(datagram).map_err(|_| DropReason::Malformed)?;
        let owner = self.by_ssrc.get(&header.ssrc).copied();
        let id = owner.ok_or_else(|| self.stranger(from, DropReason::UnknownSsrc))?;
        let len = self.open(now_ms, from, id, datagram, clear_len)?;
        let packet = RtpPacket::parse(&datagram[..len]).map_err(|_| DropReason::Malformed)?;
        Ok(Received::Rtp { member: MemberId(id), packet })
    }

    fn rtcp<'a>(&mut self, now_ms: u64, from: SocketAddr, datagram: &'a mut [u8]) -> Result<Received<'a>, DropReason> {
        let header = RtcpHeader::read(datagram).map_err(|_| DropReason::Malformed)?;
        // Who receives only has no SSRC to send reports with, and takes one of its own.
        let id = match self.by_ssrc.get(&header.sender_ssrc) {
            Some(owner) => *owner,
            None => {
                let id = *self.by_address.get(&from).ok_or(DropReason::UnknownSsrc)?;
                // One key serves both directions: this could be the server's own packet, thrown back.
                if self.members[id].media.as_ref().is_some_and(|media| media.is_own(datagram)) {
                    return Err(DropReason::Replayed);
                }
                id
            }
        };
        let len = self.open(now_ms, from, id, datagram, RtcpHeader::BYTES)?;
        Ok(Received::Rtcp { member: MemberId(id), compound: &datagram[..len] })
    }

    /// Decrypts a packet of a member, if it comes from where it should.
    fn open(
        &mut self,
        now_ms: u64,
        from: SocketAddr,
        id: usize,
        datagram: &mut [u8],
        clear_len: usize,
    ) -> Result<usize, DropReason> {
        let is_home = self.members[id].address() == Some(from);
        if !is_home {
            let foreign = self.stranger(from, DropReason::ForeignAddress);
            let member = &mut self.members[id];
            if member.media.is_none() {
                return Err(DropReason::NotReady);
            }
            if !member.path.may_move(now_ms, &self.limits) {
                return Err(foreign);
            }
            if !member.attempts.take(now_ms, self.limits.attempt_burst, self.limits.attempts_per_second) {
                return Err(DropReason::RateLimited);
            }
        }
        let member = &mut self.members[id];
        let media = member.media.as_mut().ok_or(DropReason::NotReady)?;
        let len = media.open(datagram, clear_len).map_err(|error| match error {
            CipherError::Length | CipherError::Exhausted => DropReason::Malformed,
            CipherError::Nonce(NonceError::Replayed) => DropReason::Replayed,
            CipherError::Nonce(NonceError::TooOld) => DropReason::TooOld,
            CipherError::Tag => DropReason::BadTag,
        })?;
        if !is_home {
            self.pin(now_ms, id, from);
        }
        self.members[id].path.seen(now_ms);
        Ok(len)
    }

    /// Why something is dropped that came from an address with another's SSRC.
    fn stranger(&self, from: SocketAddr, otherwise: DropReason) -> DropReason {
        if self.by_address.contains_key(&from) { DropReason::SpoofedSsrc } else { otherwise }
    }

    fn pin(&mut self, now_ms: u64, id: usize, address: SocketAddr) {
        if let Some(old) = self.members[id].address() {
            self.forget(old, id);
        }
        // Whoever proves an address last has it: a library may keep its socket from one session to the next.
        if let Some(other) = self.by_address.insert(address, id).filter(|other| *other != id)
            && let Some(other) = self.members.get_mut(other)
        {
            other.path.unpin();
        }
        self.members[id].path.pin(now_ms, address);
    }

    fn forget(&mut self, address: SocketAddr, id: usize) {
        if self.by_address.get(&address) == Some(&id) {
            self.by_address.remove(&address);
        }
    }
}

/// A dual-stack socket shows clients of IPv4 under mapped addresses; they themselves do not.
fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => SocketAddr::new(ip.into(), address.port()),
        IpAddr::V6(_) => address,
    }
}
