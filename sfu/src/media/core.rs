//! One socket and the rooms whose members are on it. A single thread has it, so nothing here is locked.

mod delivery;
mod gather;
mod links;
mod members;
mod web_rtc;

use rookery_forwarder::{Audio, AudioLevel, DropReason, Event, Forward, MemberKey, Packet, Payload, Verdict, Video};
use rookery_model::voice::Ssrc;
use rookery_model::voice::node::VoiceRoomKey;
use rookery_rtp::extension::{self, native};
use rookery_rtp::{MemberId, Received, RtpPacket, UdpEndpoint, UdpLimits, silence};
use rookery_webrtc::{Codec, WebRtcEndpoint};
use slab::Slab;
use std::collections::HashMap;
use std::net::SocketAddr;
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, oneshot};

use self::delivery::Incoming;
use self::gather::Gathered;
use super::batch::{Outbox, Trains};
use super::command::Command;
use super::payload;
use super::room::{Presence, RoomState};
use super::stats::{CoreStats, RoomCounts};
use super::way::{Carries, WebRtcWay};

/// Receivers of one packet for which there is room from the beginning.
const FORWARDS: usize = 5_000;
/// A room whose time comes within this is looked at when it comes, others with the next tick.
const HOT_US: u64 = 50_000;
/// All browsers are visited when one is to be told something; not more often than this, however many there are.
const REPORTS_APART_US: u64 = 10_000;
/// What is written before it is encrypted.
const SCRATCH_BYTES: usize = 2_048;

/// Which member of which room a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    room: usize,
    member: MemberKey,
}

/// Those who are to be told something, and when the first of them is.
#[derive(Default)]
struct Reports {
    places: Vec<Place>,
    due_us: Option<u64>,
    /// When all of them were visited last.
    told_us: u64,
}

impl Reports {
    /// Notes that a browser may have to be told something.
    fn list(&mut self, place: Place, way: &mut WebRtcWay) {
        let Some(due_us) = way.due_us() else { return };
        let due_us = due_us.max(self.told_us + REPORTS_APART_US);
        self.due_us = Some(self.due_us.map_or(due_us, |known| known.min(due_us)));
        if !std::mem::replace(&mut way.is_listed, true) {
            self.places.push(place);
        }
    }
}

/// See the head of the file.
pub(super) struct Core {
    node: u16,
    presence: Presence,
    endpoint: UdpEndpoint<Place>,
    webrtc: WebRtcEndpoint<Place>,
    rooms: Slab<RoomState>,
    by_key: HashMap<VoiceRoomKey, usize>,
    forwards: Vec<Forward>,
    gathered: Gathered,
    scratch: Box<[u8; SCRATCH_BYTES]>,
    pub(super) outbox: Outbox,
    /// The rooms of links to other nodes, by the links' names.
    by_link: HashMap<u64, usize>,
    /// When other nodes are to be told what is missing of what they sent.
    links_due_us: Option<u64>,
    /// Rooms that have something to tell.
    dirty: Vec<usize>,
    /// Rooms with pictures whose time comes soon.
    hot: Vec<usize>,
    /// What rooms want done for publishers.
    events: Vec<(usize, Event)>,
    /// Browsers that are to be told of what they send and get.
    reports: Reports,
    /// Of rooms that are no more, and of datagrams.
    past: CoreStats,
    utilisation_permille: u16,
}

impl Core {
    pub(super) fn new(
        node: u16,
        presence: Presence,
        is_v6: bool,
        trains: Trains,
        webrtc: WebRtcEndpoint<Place>,
    ) -> Self {
        Self {
            node,
            presence,
            endpoint: UdpEndpoint::new(UdpLimits::default()),
            webrtc,
            rooms: Slab::new(),
            by_key: HashMap::new(),
            forwards: Vec::with_capacity(FORWARDS),
            gathered: Gathered::new(),
            scratch: Box::new([0; SCRATCH_BYTES]),
            outbox: Outbox::new(is_v6, trains),
            by_link: HashMap::new(),
            links_due_us: None,
            dirty: Vec::new(),
            hot: Vec::new(),
            events: Vec::new(),
            reports: Reports::default(),
            past: CoreStats::default(),
            utilisation_permille: 0,
        }
    }

    /// Takes a datagram, which is worked on where it lies.
    pub(super) fn datagram(&mut self, now_us: u64, socket: &UdpSocket, from: SocketAddr, datagram: &mut [u8]) {
        self.past.datagrams_in += 1;
        if !self.webrtc.is_empty() && self.webrtc.knows(from) {
            return self.web_rtc_datagram(now_us, socket, from, datagram);
        }
        match self.endpoint.handle(now_us / 1_000, from, datagram) {
            Received::Rtp { member, packet } => self.udp_rtp(now_us, socket, member, &packet),
            Received::Rtcp { member, compound } => {
                let Some(place) = self.endpoint.get(member).map(|member| member.key) else { return };
                self.rtcp(now_us, socket, place, compound);
            }
            Received::Answer(answer) => self.outbox.push(socket, from, |buffer| {
                let place = buffer.get_mut(..answer.len())?;
                place.copy_from_slice(answer);
                Some(answer.len())
            }),
            Received::WebRtc(_) => self.web_rtc_datagram(now_us, socket, from, datagram),
            Received::NodeLink => self.link_datagram(now_us, socket, datagram),
            Received::KeepAlive(_) | Received::Dropped(_) => {}
        }
    }

    fn udp_rtp(&mut self, now_us: u64, socket: &UdpSocket, from: MemberId, rtp: &RtpPacket<'_>) {
        let Some(place) = self.endpoint.get(from).map(|member| member.key) else { return };
        let Some(sender) = self.rooms.get(place.room).and_then(|state| state.member(place.member)) else { return };
        if rtp.header.ssrc == sender.ssrc() {
            let level = rtp.extensions().get(native::AUDIO_LEVEL).and_then(extension::AudioLevel::read);
            return self.sound(now_us, socket, place, rtp, level);
        }
        // What is sent again has no use yet: nobody asks clients of this protocol for it.
        match sender.types.carries(rtp.header.payload_type) {
            Some(Carries::Picture(codec)) if rtp.header.ssrc.0 == sender.streams.video.0 => {
                let number = rtp.header.sequence_number;
                self.picture(now_us, socket, place, rtp, (codec, rtp.header.ssrc, number), rtp.payload());
            }
            _ => self.past.video_unknown += 1,
        }
    }

    /// A packet of sound.
    fn sound(
        &mut self,
        now_us: u64,
        socket: &UdpSocket,
        place: Place,
        rtp: &RtpPacket<'_>,
        level: Option<extension::AudioLevel>,
    ) {
        let told = level.map(|level| AudioLevel { below_full_scale_db: level.below_overload_db, voice: level.voice });
        let audio = Audio { level: told, silence: silence::is_silence(rtp.payload()) };
        let packet = packet(rtp, rtp.header.ssrc, rtp.header.sequence_number, rtp.payload(), Payload::Audio(audio));
        self.forward(now_us, socket, place, &packet, &Incoming { codec: Codec::Opus, payload: rtp.payload(), level });
    }

    /// A packet of a picture: codec, SSRC and number as it came first.
    fn picture(
        &mut self,
        now_us: u64,
        socket: &UdpSocket,
        place: Place,
        rtp: &RtpPacket<'_>,
        (codec, ssrc, number): (Codec, Ssrc, u16),
        payload: &[u8],
    ) {
        self.past.video_packets += 1;
        let member = self.rooms.get_mut(place.room).and_then(|state| state.member_mut(place.member));
        let Some(member) = member else { return };
        member.codec = codec;
        if member.is_oversized(ssrc, || payload::size(codec, payload)) {
            return self.past.note_dropped(DropReason::OverPolicy);
        }
        let video: Video = payload::read(codec, payload);
        let packet = packet(rtp, ssrc, number, payload, Payload::Video(video));
        self.forward(now_us, socket, place, &packet, &Incoming { codec, payload, level: None });
    }

    fn forward(&mut self, now_us: u64, socket: &UdpSocket, place: Place, packet: &Packet, incoming: &Incoming<'_>) {
        self.forward_of(now_us, socket, place, place.member, packet, incoming);
    }

    /// Forwards a packet that came from a member, or over a link from `sender` behind it.
    fn forward_of(
        &mut self,
        now_us: u64,
        socket: &UdpSocket,
        place: Place,
        sender: MemberKey,
        packet: &Packet,
        incoming: &Incoming<'_>,
    ) {
        let Self { rooms, forwards, gathered, .. } = self;
        let Some(state) = rooms.get_mut(place.room) else { return };
        forwards.clear();
        let verdict = state.room.forward(now_us, place.member, packet, |forward| forwards.push(forward));
        let is_gathered = match verdict {
            Verdict::Forwarded { store: Some(slot), .. } => {
                let is_kept = state.store.put(slot, incoming.codec, incoming.payload);
                is_kept && gathered.take(place.room, slot, forwards)
            }
            _ => false,
        };
        if !forwards.is_empty() && incoming.codec.is_audio() {
            state.announce(sender);
            // Other nodes, too, know of somebody before they hear them.
            if state.cascade.as_ref().is_some_and(|cascade| cascade.is_urgent) {
                self.tell_links(now_us, socket, place.room);
            }
        }
        if !is_gathered {
            if !incoming.codec.is_audio() {
                // What came before goes before.
                self.send_gathered(now_us, socket);
            }
            self.deliver(now_us, socket, place.room, Some(incoming));
        }
        self.follow_up(now_us, place.room);
    }

    /// Notes what a room wants done, and when it wants to be looked at.
    fn follow_up(&mut self, now_us: u64, at: usize) {
        let Some(state) = self.rooms.get_mut(at) else { return };
        while let Some(event) = state.room.poll_event() {
            self.events.push((at, event));
        }
        let is_soon = |due_us: u64| due_us < now_us + HOT_US;
        if state.has_video() && !state.is_hot && state.room.poll_timeout().is_some_and(is_soon) {
            state.is_hot = true;
            self.hot.push(at);
        }
    }

    /// When [`settle`](Self::settle) is to be called again, if nothing else happens.
    pub(super) fn due_us(&self) -> Option<u64> {
        let rooms = self.hot.iter().filter_map(|at| self.rooms.get(*at)?.room.poll_timeout()).min();
        let webrtc = self.webrtc.poll_timeout().map(|ms| ms.saturating_mul(1_000));
        [rooms, webrtc, self.reports.due_us, self.links_due_us].into_iter().flatten().min()
    }

    /// Does what is due, sends what is written, and tells what is to be told now.
    pub(super) fn settle(&mut self, now_us: u64, socket: &UdpSocket) {
        let mut n = 0;
        while let Some(at) = self.hot.get(n).copied() {
            let due_us = self.rooms.get(at).and_then(|state| state.room.poll_timeout());
            if due_us.is_some_and(|due_us| due_us <= now_us) {
                self.room_timeout(now_us, socket, at);
                self.follow_up(now_us, at);
            }
            let state = self.rooms.get_mut(at);
            let is_hot = state.is_some_and(|state| {
                state.is_hot = state.has_video() && state.room.poll_timeout().is_some_and(|due| due < now_us + HOT_US);
                state.is_hot
            });
            if is_hot {
                n += 1;
            } else {
                self.hot.swap_remove(n);
            }
        }
        self.web_rtc_timeout(now_us, socket);
        self.tell_publishers(socket);
        self.report_over_links(now_us, socket);
        for at in std::mem::take(&mut self.dirty) {
            self.tell_links(now_us, socket, at);
            if let Some(state) = self.rooms.get_mut(at).filter(|state| state.due_us().is_some_and(|due| due <= now_us))
            {
                state.tell();
            }
        }
        self.outbox.flush(socket);
    }

    /// What is due because time passed.
    pub(super) fn tick(&mut self, now_us: u64, socket: &UdpSocket) {
        for at in 0..self.rooms.capacity() {
            let Some(state) = self.rooms.get_mut(at) else { continue };
            if state.due_us().is_some_and(|due_us| due_us <= now_us) {
                state.tell();
            }
            state.catch_up();
            if state.room.poll_timeout().is_some_and(|due_us| due_us <= now_us) {
                self.room_timeout(now_us, socket, at);
            }
            self.follow_up(now_us, at);
            self.links_timeout(now_us, socket, at);
        }
    }

    fn room_timeout(&mut self, now_us: u64, socket: &UdpSocket, at: usize) {
        let Self { rooms, forwards, .. } = self;
        let Some(state) = rooms.get_mut(at) else { return };
        forwards.clear();
        state.room.handle_timeout(now_us, |forward| forwards.push(forward));
        self.deliver(now_us, socket, at, None);
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
        for (sum, (_, count)) in stats.web_rtc_dropped.iter_mut().zip(self.webrtc.drops().iter()) {
            *sum = count;
        }
        stats.links = self.by_link.len();
        for (_, state) in &self.rooms {
            let room = counts(state);
            stats.add_room(&room.stats);
            stats.lost += room.lost;
            stats.jitter_us_sum += room.jitter_us_sum;
            stats.senders += room.senders;
            stats.links_up += state.cascade.as_ref().map_or(0, |cascade| cascade.count_up());
        }
        stats
    }

    /// Each room that is there.
    pub(super) fn rooms(&self) -> Vec<RoomCounts> {
        self.rooms.iter().map(|(_, state)| counts(state)).collect()
    }
}

fn counts(state: &RoomState) -> RoomCounts {
    let room = &state.room;
    let mut counts = RoomCounts {
        key: state.key,
        members: state.members().count(),
        speakers: room.speakers().count(),
        quality: room.quality(),
        stats: room.stats(),
        lost: 0,
        jitter_us_sum: 0,
        senders: 0,
    };
    for audio in state.members().filter_map(|member| room.member_stats(member.key)).map(|stats| stats.audio) {
        counts.lost += audio.lost;
        counts.jitter_us_sum += audio.jitter_us;
        counts.senders += u64::from(audio.packets > 0);
    }
    counts
}

/// As the forwarder wants to know it.
fn packet(rtp: &RtpPacket<'_>, ssrc: Ssrc, sequence: u16, payload: &[u8], carries: Payload) -> Packet {
    Packet {
        ssrc: rookery_forwarder::Ssrc(ssrc.0),
        sequence,
        timestamp: rtp.header.timestamp,
        marker: rtp.header.marker,
        length_bytes: u16::try_from(rookery_rtp::HEADER_BYTES + payload.len()).unwrap_or(u16::MAX),
        hops: 0,
        payload: carries,
    }
}

/// Asks a core for its counts.
pub(crate) async fn ask_stats(core: &mpsc::Sender<Command>) -> Option<CoreStats> {
    let (reply, answer) = oneshot::channel();
    core.send(Command::Stats { reply }).await.ok()?;
    answer.await.ok()
}

/// Asks a core for its rooms' counts.
pub(crate) async fn ask_rooms(core: &mpsc::Sender<Command>) -> Option<Vec<RoomCounts>> {
    let (reply, answer) = oneshot::channel();
    core.send(Command::Rooms { reply }).await.ok()?;
    answer.await.ok()
}

#[cfg(test)]
mod tests;
