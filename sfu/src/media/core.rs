//! One socket and the rooms whose members are on it. A single thread has it, so nothing here is locked.

use rookery_forwarder::{
    Audio, AudioLevel, Feedback, Forward, Join, JoinRefused, MemberKey, NodeId, Packet, Payload, Room, RoomConfig,
    RoomKind, SsrcBlock, Streams, Transport,
};
use rookery_model::UserId;
use rookery_model::voice::node::{VoiceMemberFlags, VoiceRoomKey};
use rookery_model::voice::{EncryptionMode, SecretKey, Ssrc};
use rookery_rtp::extension::{self, native};
use rookery_rtp::{MemberId, Received, RtpHeader, RtpPacket, UdpEndpoint, UdpLimits, silence};
use slab::Slab;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::Arc;
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, oneshot};

use super::batch::Outbox;
use super::command::{Command, MemberRef, Refused};
use super::room::{Member, Presence, RoomState};
use super::stats::CoreStats;
use crate::directory::Grant;
use crate::mail::Mail;
use crate::secret;

/// The payload type of Opus for every client of this protocol, whatever it sends with itself.
const OPUS: u8 = 120;
/// SSRCs that are tried for one member: those of rooms on one socket may meet, but a room begins at random.
const SSRC_TRIES: usize = 20_000;
/// Receivers of one packet for which there is room from the beginning.
const FORWARDS: usize = 5_000;

/// Which member of which room a client is.
#[derive(Clone, Copy, Debug)]
struct Place {
    room: usize,
    member: MemberKey,
}

/// See the head of the file.
pub(super) struct Core {
    node: u16,
    presence: Presence,
    endpoint: UdpEndpoint<Place>,
    rooms: Slab<RoomState>,
    by_key: HashMap<VoiceRoomKey, usize>,
    forwards: Vec<Forward>,
    pub(super) outbox: Outbox,
    /// Rooms that have something to tell.
    dirty: Vec<usize>,
    /// Of rooms that are no more, and of datagrams.
    past: CoreStats,
    utilisation_permille: u16,
}

impl Core {
    pub(super) fn new(node: u16, presence: Presence, is_v6: bool) -> Self {
        Self {
            node,
            presence,
            endpoint: UdpEndpoint::new(UdpLimits::default()),
            rooms: Slab::new(),
            by_key: HashMap::new(),
            forwards: Vec::with_capacity(FORWARDS),
            outbox: Outbox::new(is_v6),
            dirty: Vec::new(),
            past: CoreStats::default(),
            utilisation_permille: 0,
        }
    }

    /// Takes a datagram, which is worked on where it lies.
    pub(super) fn datagram(&mut self, now_us: u64, socket: &UdpSocket, from: SocketAddr, datagram: &mut [u8]) {
        self.past.datagrams_in += 1;
        match self.endpoint.handle(now_us / 1_000, from, datagram) {
            Received::Rtp { member, packet } => self.rtp(now_us, socket, member, &packet),
            Received::Answer(answer) => self.outbox.push(socket, from, |buffer| {
                let place = buffer.get_mut(..answer.len())?;
                place.copy_from_slice(answer);
                Some(answer.len())
            }),
            // Clients of this protocol report only on what they hear; WebRTC has no part of this socket yet.
            Received::Rtcp { .. } | Received::KeepAlive(_) | Received::WebRtc(_) | Received::Dropped(_) => {}
        }
    }

    fn rtp(&mut self, now_us: u64, socket: &UdpSocket, from: MemberId, rtp: &RtpPacket<'_>) {
        let Some(place) = self.endpoint.get(from).map(|member| member.key) else { return };
        let Some(state) = self.rooms.get_mut(place.room) else { return };
        let Some(sender) = state.member(place.member) else { return };
        if rtp.header.ssrc != sender.ssrc {
            self.past.video_packets += 1;
            return;
        }
        let packet = packet(rtp);
        let forwards = &mut self.forwards;
        forwards.clear();
        state.room.forward(now_us, place.member, &packet, |forward| forwards.push(forward));
        while state.room.poll_event().is_some() {}
        if forwards.is_empty() {
            return;
        }
        state.announce(place.member);
        for forward in forwards.iter() {
            let Some(receiver) = state.member(forward.receiver) else { continue };
            let Some(client) = self.endpoint.get_mut(receiver.udp) else { continue };
            let Some(address) = client.address() else { continue };
            let header = RtpHeader {
                marker: forward.header.marker,
                payload_type: OPUS,
                sequence_number: forward.header.sequence,
                timestamp: forward.header.timestamp,
                ssrc: Ssrc(forward.header.ssrc.0),
            };
            // Fails only if its nonces are used up; it gets others when it selects its protocol anew.
            self.outbox.push(socket, address, |buffer| client.write_rtp(&header, rtp.payload(), buffer).ok());
        }
    }

    /// Does what was asked; whether to go on.
    pub(super) fn command(&mut self, now_us: u64, command: Command) -> ControlFlow<()> {
        match command {
            Command::Join { grant, session, mail, reply } => {
                let joined = self.join(now_us, &grant, session, mail);
                let is_wanted = reply.send(joined).is_ok();
                if !is_wanted && joined.is_ok() {
                    self.leave(now_us, MemberRef { room: grant.room, user: grant.user, session });
                }
            }
            Command::Activate { member, mode, claimed, reply } => {
                let _ = reply.send(self.activate(now_us, member, mode, claimed));
            }
            Command::Speaking { member, flags } => {
                if let Some((at, key)) = self.find(member) {
                    self.rooms[at].set_speaking(now_us, key, flags);
                    self.dirty.push(at);
                }
            }
            Command::Resync { member } => {
                if let Some((at, key)) = self.find(member) {
                    self.rooms[at].resync(key);
                }
            }
            Command::SetFlags { room, user, flags } => self.set_flags(now_us, room, user, flags),
            Command::Leave { member } => self.leave(now_us, member),
            Command::Stats { reply } => {
                let _ = reply.send(self.stats());
            }
            Command::Barrier { reply } => {
                let _ = reply.send(());
            }
            Command::Stop => return ControlFlow::Break(()),
        }
        ControlFlow::Continue(())
    }

    fn find(&self, member: MemberRef) -> Option<(usize, MemberKey)> {
        let at = *self.by_key.get(&member.room)?;
        let found = self.rooms[at].member_of(member.user).filter(|found| found.session == member.session)?;
        Some((at, found.key))
    }

    fn join(
        &mut self,
        now_us: u64,
        grant: &Arc<Grant>,
        session: u64,
        mail: mpsc::Sender<Mail>,
    ) -> Result<Streams, Refused> {
        let at = self.room(grant).ok_or(Refused::Full)?;
        if let Some(older) = self.rooms[at].member_of(grant.user).map(|member| (member.key, member.session)) {
            if older.1 > session {
                return Err(Refused::Outdated);
            }
            self.take_out(now_us, at, older.0);
        }
        let joined = self.admit(now_us, at, grant, session, mail);
        self.drop_if_empty(at);
        joined
    }

    /// The room of a grant; a new one if nobody is there.
    fn room(&mut self, grant: &Grant) -> Option<usize> {
        if let Some(at) = self.by_key.get(&grant.room) {
            return Some(*at);
        }
        let start = u32::from_be_bytes(secret::bytes().ok()?);
        let config = RoomConfig { members_max: grant.settings.members_max as usize, ..RoomConfig::default() };
        let block = SsrcBlock::of_node(self.node);
        let room = Room::new(config, RoomKind::Voice, NodeId(self.node), block, start);
        let at = self.rooms.insert(RoomState::new(grant.room, room, self.presence));
        self.by_key.insert(grant.room, at);
        Some(at)
    }

    /// Gives a member SSRCs that nobody on this socket has.
    fn admit(
        &mut self,
        now_us: u64,
        at: usize,
        grant: &Grant,
        session: u64,
        mail: mpsc::Sender<Mail>,
    ) -> Result<Streams, Refused> {
        let state = &mut self.rooms[at];
        for _ in 0..SSRC_TRIES {
            let join = Join {
                user: grant.user,
                transport: Transport::Udp,
                flags: rookery_forwarder::MemberFlags::SERVER_DEAFENED,
                feedback: Feedback::None,
                rtx: false,
            };
            let key = state.room.join(now_us, join).map_err(|refused| match refused {
                JoinRefused::AlreadyIn => Refused::Outdated,
                _ => Refused::Full,
            })?;
            let streams = state.room.streams(key).ok_or(Refused::Full)?;
            let place = Place { room: at, member: key };
            let Some(udp) = own_all(&mut self.endpoint, now_us / 1_000, streams, place) else {
                state.room.leave(now_us, key);
                continue;
            };
            let ssrc = Ssrc(streams.audio.0);
            let member = Member::new(key, grant.user, udp, session, ssrc, mail, grant.flags());
            let flags = member.flags();
            state.insert(member);
            state.room.set_flags(now_us, key, flags);
            return Ok(streams);
        }
        Err(Refused::Full)
    }

    fn activate(
        &mut self,
        now_us: u64,
        member: MemberRef,
        mode: EncryptionMode,
        claimed: Option<SocketAddr>,
    ) -> Option<SecretKey> {
        let (at, key) = self.find(member)?;
        let secret = secret::key().ok()?;
        let state = &mut self.rooms[at];
        let udp = state.member(key)?.udp;
        self.endpoint.activate(now_us / 1_000, udp, mode, &secret, claimed);
        state.activate(now_us, key);
        self.dirty.push(at);
        Some(secret)
    }

    fn set_flags(&mut self, now_us: u64, room: VoiceRoomKey, user: UserId, flags: VoiceMemberFlags) {
        let Some(at) = self.by_key.get(&room).copied() else { return };
        let state = &mut self.rooms[at];
        if let Some(key) = state.member_of(user).map(|member| member.key) {
            state.set_granted(now_us, key, flags);
        }
    }

    fn leave(&mut self, now_us: u64, member: MemberRef) {
        if let Some((at, key)) = self.find(member) {
            self.take_out(now_us, at, key);
            self.drop_if_empty(at);
        }
    }

    fn take_out(&mut self, now_us: u64, at: usize, key: MemberKey) {
        let state = &mut self.rooms[at];
        self.past.lost += state.room.member_stats(key).map_or(0, |stats| stats.audio.lost);
        if let Some(member) = state.remove(now_us, key) {
            self.endpoint.remove(member.udp);
            self.dirty.push(at);
        }
    }

    fn drop_if_empty(&mut self, at: usize) {
        if self.rooms.get(at).is_some_and(|state| state.members().next().is_none()) {
            let state = self.rooms.remove(at);
            self.past.add_room(&state.room.stats());
            self.by_key.remove(&state.key);
        }
    }

    /// Sends what is written, and tells what is to be told now.
    pub(super) fn settle(&mut self, now_us: u64, socket: &UdpSocket) {
        for at in std::mem::take(&mut self.dirty) {
            if let Some(state) = self.rooms.get_mut(at).filter(|state| state.due_us().is_some_and(|due| due <= now_us))
            {
                state.tell();
            }
        }
        self.outbox.flush(socket);
    }

    /// What is due because time passed.
    pub(super) fn tick(&mut self, now_us: u64) {
        for (_, state) in &mut self.rooms {
            if state.room.poll_timeout().is_some_and(|due_us| due_us <= now_us) {
                // Of sound nothing waits, so nothing is sent.
                state.room.handle_timeout(now_us, |_| {});
                while state.room.poll_event().is_some() {}
            }
            if state.due_us().is_some_and(|due_us| due_us <= now_us) {
                state.tell();
            }
            state.catch_up();
        }
    }

    /// Says how busy this thread is, so that rooms give up quality before it is too much.
    pub(super) fn set_utilisation(&mut self, now_us: u64, permille: u16) {
        self.utilisation_permille = permille;
        for (_, state) in &mut self.rooms {
            state.room.set_utilisation(now_us, permille);
        }
    }

    pub(super) fn stats(&self) -> CoreStats {
        let mut stats = self.past;
        stats.rooms = self.rooms.len();
        stats.members = self.endpoint.len();
        stats.datagrams_out = self.outbox.counts.sent;
        stats.unsent = self.outbox.counts.full + self.outbox.counts.failed;
        stats.utilisation_permille = self.utilisation_permille;
        for (sum, (_, count)) in stats.datagrams_dropped.iter_mut().zip(self.endpoint.drops().iter()) {
            *sum = count;
        }
        for (_, state) in &self.rooms {
            stats.add_room(&state.room.stats());
            for audio in state.members().filter_map(|member| state.room.member_stats(member.key)).map(|s| s.audio) {
                stats.lost += audio.lost;
                stats.jitter_us_sum += audio.jitter_us;
                stats.senders += u64::from(audio.packets > 0);
            }
        }
        stats
    }
}

fn packet(rtp: &RtpPacket<'_>) -> Packet {
    let level = rtp.extensions().get(native::AUDIO_LEVEL).and_then(extension::AudioLevel::read);
    let level = level.map(|level| AudioLevel { below_full_scale_db: level.below_overload_db, voice: level.voice });
    Packet {
        ssrc: rookery_forwarder::Ssrc(rtp.header.ssrc.0),
        sequence: rtp.header.sequence_number,
        timestamp: rtp.header.timestamp,
        marker: rtp.header.marker,
        length_bytes: u16::try_from(rookery_rtp::HEADER_BYTES + rtp.payload().len()).unwrap_or(u16::MAX),
        hops: 0,
        payload: Payload::Audio(Audio { level, silence: silence::is_silence(rtp.payload()) }),
    }
}

/// Takes all SSRCs of a member on a socket, or none.
fn own_all(endpoint: &mut UdpEndpoint<Place>, now_ms: u64, streams: Streams, place: Place) -> Option<MemberId> {
    let udp = endpoint.insert(now_ms, Ssrc(streams.audio.0), place)?;
    let has_all = [streams.video, streams.rtx].into_iter().all(|ssrc| endpoint.own(udp, Ssrc(ssrc.0)));
    if !has_all {
        endpoint.remove(udp);
    }
    has_all.then_some(udp)
}

/// Asks a core for its counts.
pub(crate) async fn ask_stats(core: &mpsc::Sender<Command>) -> Option<CoreStats> {
    let (reply, answer) = oneshot::channel();
    core.send(Command::Stats { reply }).await.ok()?;
    answer.await.ok()
}

#[cfg(test)]
mod tests;
