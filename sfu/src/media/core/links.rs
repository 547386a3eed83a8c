//! Links of rooms to other nodes: what goes over them and comes from them.

use rookery_forwarder::{Audio, AudioLevel, Feedback, MemberKey, Packet, Payload, Ssrc, Wants};
use rookery_model::voice::RoomLink;
use rookery_model::voice::node::{VoiceRoomKey, VoiceRoomSettings};
use rookery_node_link::{DropReason, Event, MEDIA_HEADER_BYTES, MediaHeader, Received, link_id};
use rookery_rtp::{extension, silence};
use tokio::net::UdpSocket;

use super::delivery::Incoming;
use super::{Core, Place};
use crate::media::cascade::{LinkEnd, from_link};
use crate::media::payload;
use crate::media::way::PICTURE_HZ;

/// In whose name another node is told what is missing: it looks at whose packets they are, and by no link at who asks.
const REPORTER: rookery_model::voice::Ssrc = rookery_model::voice::Ssrc(1);

impl Core {
    /// Has these links of a room, and no others.
    pub(super) fn link(&mut self, now_us: u64, key: VoiceRoomKey, links: &[RoomLink]) {
        let known = self.by_key.get(&key).copied();
        let opened = if links.is_empty() { known } else { self.room(key, VoiceRoomSettings::default()) };
        let Some(at) = opened else { return };
        let state = &mut self.rooms[at];
        let is_gone = |id: u64| !links.iter().any(|link| link.id == id);
        let ends = state.cascade.iter().flat_map(|cascade| &cascade.ends);
        let gone: Vec<u64> = ends.map(|end| end.id).filter(|id| is_gone(*id)).collect();
        for id in gone {
            state.link_down(now_us, id);
            state.cascade_mut().ends.retain(|end| end.id != id);
            self.by_link.remove(&id);
        }
        for link in links {
            // A name is one link's; whoever gives it twice made a mistake.
            if self.by_link.get(&link.id).is_some_and(|other| *other != at) {
                continue;
            }
            let cascade = state.cascade_mut();
            match cascade.end(link.id) {
                Some(end) => end.address = link.address,
                None => {
                    cascade.ends.push(LinkEnd::new(link));
                    (cascade.is_stale, cascade.is_urgent) = (true, true);
                    self.by_link.insert(link.id, at);
                }
            }
        }
        if links.is_empty() {
            state.cascade = None;
        }
        self.dirty.push(at);
        self.follow_up(now_us, at);
        self.drop_if_empty(at);
    }

    /// Takes a datagram of a link, which is decrypted where it lies.
    pub(super) fn link_datagram(&mut self, now_us: u64, socket: &UdpSocket, datagram: &mut [u8]) {
        let found = link_id(datagram).and_then(|id| Some((id, *self.by_link.get(&id)?)));
        let Some((id, at)) = found else { return self.drop_of_link(DropReason::UnknownLink) };
        let Some(end) = self.rooms.get_mut(at).and_then(|state| state.cascade.as_mut()?.end(id)) else { return };
        let received = end.link.handle_datagram(now_us, datagram);
        let has_events = end.link.has_events();
        let key = end.key;
        match received {
            Received::Media(header, payload) => {
                self.past.link_packets_in += 1;
                if let Some(link) = key {
                    self.link_media(now_us, socket, Place { room: at, member: link }, &header, payload);
                }
            }
            Received::Feedback(compound) => {
                if let Some(member) = key {
                    self.rtcp(now_us, socket, Place { room: at, member }, compound);
                }
            }
            Received::Said => {}
            Received::Dropped(reason) => self.drop_of_link(reason),
        }
        if has_events {
            self.link_events(now_us, at, id);
        }
        if key.is_none() || matches!(received, Received::Said) {
            self.transmit(now_us, socket, at);
        }
    }

    fn drop_of_link(&mut self, reason: DropReason) {
        self.past.link_dropped[reason as usize] += 1;
    }

    /// A packet of somebody behind a link.
    fn link_media(&mut self, now_us: u64, socket: &UdpSocket, link: Place, header: &MediaHeader, bytes: &[u8]) {
        let (codec, ssrc) = (from_link(header.codec), Ssrc(header.ssrc));
        let level = header.level.and_then(|byte| extension::AudioLevel::read(&[byte]));
        let carries = if codec.is_audio() {
            let level =
                level.map(|level| AudioLevel { below_full_scale_db: level.below_overload_db, voice: level.voice });
            Payload::Audio(Audio { level, silence: silence::is_silence(bytes) })
        } else {
            Payload::Video(payload::read(codec, bytes))
        };
        let packet = Packet {
            ssrc,
            sequence: header.sequence,
            timestamp: header.timestamp,
            marker: header.marker,
            length_bytes: u16::try_from(MEDIA_HEADER_BYTES + bytes.len()).unwrap_or(u16::MAX),
            hops: header.hops,
            payload: carries,
        };
        let cascade = self.rooms.get_mut(link.room).and_then(|state| state.cascade.as_mut());
        let sender = cascade.and_then(|cascade| {
            let sender = cascade.sender(ssrc)?;
            if codec.is_audio() {
                return Some(sender);
            }
            if let Some(remote) = cascade.remote_mut(sender) {
                remote.codec = codec;
            }
            if let Some(end) = cascade.end_of(link.member) {
                let ssrc = rookery_model::voice::Ssrc(ssrc.0);
                end.uplink.received(now_us, ssrc, header.sequence, header.timestamp, PICTURE_HZ, true);
                self.links_due_us = self.links_due_us.into_iter().chain(end.uplink.due_us()).min();
            }
            Some(sender)
        });
        // Of somebody unknown the forwarder drops and counts it.
        let sender = sender.unwrap_or(link.member);
        self.forward_of(now_us, socket, link, sender, &packet, &Incoming { codec, payload: bytes, level });
    }

    fn link_events(&mut self, now_us: u64, at: usize, id: u64) {
        let Some(state) = self.rooms.get_mut(at) else { return };
        let next = |cascade: Option<&mut Box<_>>| -> Option<(Event, Option<MemberKey>)> {
            let cascade: &mut crate::media::cascade::Cascade = cascade?;
            let end = cascade.end(id)?;
            Some((end.link.poll_event()?, end.key))
        };
        while let Some((event, key)) = next(state.cascade.as_mut()) {
            match event {
                Event::Up => add_link(state, id),
                Event::Down => state.link_down(now_us, id),
                Event::Member(told) => state.remote_told(now_us, id, told),
                Event::Gone(user) => state.remote_gone(now_us, id, user),
                Event::Wants(wants) => {
                    let by_ssrc = wants.by_ssrc.iter().map(|(ssrc, quality)| (Ssrc(*ssrc), *quality)).collect();
                    if let Some(key) = key {
                        state.room.set_wants(now_us, key, Wants { any: wants.any, by_ssrc });
                    }
                }
                Event::KeyFrame(ssrc) => {
                    if let Some(key) = key {
                        state.room.handle_key_frame_request(now_us, key, Ssrc(ssrc));
                    }
                }
            }
        }
        self.dirty.push(at);
        self.follow_up(now_us, at);
    }

    /// Tells other nodes what changed in a room, if that cannot wait, and whatever else is due.
    pub(super) fn tell_links(&mut self, now_us: u64, socket: &UdpSocket, at: usize) {
        let Some(state) = self.rooms.get_mut(at).filter(|state| state.is_linked()) else { return };
        if std::mem::take(&mut state.cascade_mut().is_urgent) {
            state.cascade_mut().is_stale = false;
            let ids: Vec<u64> = state.cascade_mut().ends.iter().map(|end| end.id).collect();
            for id in ids {
                let told = state.told_over(id);
                if let Some(end) = state.cascade_mut().end(id) {
                    end.link.set_members(told);
                }
            }
        }
        self.transmit(now_us, socket, at);
    }

    /// Sends what links have to say now.
    fn transmit(&mut self, now_us: u64, socket: &UdpSocket, at: usize) {
        let Self { rooms, outbox, .. } = self;
        let Some(cascade) = rooms.get_mut(at).and_then(|state| state.cascade.as_mut()) else { return };
        for end in &mut cascade.ends {
            let Some(address) = end.address else { continue };
            let mut is_written = true;
            while is_written {
                outbox.push(socket, address, |buffer| {
                    let length = end.link.poll_transmit(now_us, buffer);
                    is_written = length.is_some();
                    length
                });
            }
        }
    }

    /// Tells other nodes what is missing of the pictures that they sent, if that is due.
    pub(super) fn report_over_links(&mut self, now_us: u64, socket: &UdpSocket) {
        if self.links_due_us.is_none_or(|due_us| due_us > now_us) {
            return;
        }
        let Self { rooms, by_link, outbox, scratch, .. } = self;
        let mut next: Option<u64> = None;
        for (id, at) in by_link.iter() {
            let end = rooms.get_mut(*at).and_then(|state| state.cascade.as_mut()?.end(*id));
            let Some(LinkEnd { link, uplink, address: Some(address), .. }) = end else { continue };
            uplink.tell(now_us, REPORTER, &mut scratch[..], |compound| {
                outbox.push(socket, *address, |buffer| link.write_feedback(compound, buffer));
            });
            next = next.into_iter().chain(uplink.due_us()).min();
        }
        self.links_due_us = next;
    }

    /// What is due on a room's links because time passed.
    pub(super) fn links_timeout(&mut self, now_us: u64, socket: &UdpSocket, at: usize) {
        let Some(state) = self.rooms.get_mut(at).filter(|state| state.is_linked()) else { return };
        let mut news = Vec::new();
        for end in &mut state.cascade_mut().ends {
            if end.link.poll_timeout() <= now_us {
                end.link.handle_timeout(now_us);
            }
            if end.link.has_events() {
                news.push(end.id);
            }
        }
        let unmade = state.cascade_mut().ends.iter().filter(|end| end.link.is_up() && end.key.is_none());
        for id in unmade.map(|end| end.id).collect::<Vec<_>>() {
            add_link(state, id);
        }
        state.join_absent(now_us);
        for id in news {
            self.link_events(now_us, at, id);
        }
        if let Some(cascade) = self.rooms.get_mut(at).and_then(|state| state.cascade.as_mut()) {
            cascade.is_urgent |= cascade.is_stale;
        }
        self.tell_links(now_us, socket, at);
    }

    /// Asks the node of a publisher for a key frame; false if it is this node.
    pub(super) fn ask_over_link(&mut self, at: usize, publisher: MemberKey, ssrc: Ssrc) -> bool {
        let cascade = self.rooms.get_mut(at).and_then(|state| state.cascade.as_mut());
        let Some(cascade) = cascade else { return false };
        let Some(link) = cascade.remote(publisher).map(|remote| remote.link) else { return false };
        if let Some(end) = cascade.end(link) {
            end.link.ask_key_frame(ssrc.0);
        }
        self.past.key_frames_asked += 1;
        self.dirty.push(at);
        true
    }

    /// Tells the node of a publisher how well it is wanted here; false if it is this node.
    pub(super) fn demand_over_link(&mut self, at: usize, publisher: MemberKey, quality: u8) -> bool {
        let cascade = self.rooms.get_mut(at).and_then(|state| state.cascade.as_mut());
        let Some(cascade) = cascade else { return false };
        let Some(remote) = cascade.remote_mut(publisher) else { return false };
        remote.demand = quality;
        let link = remote.link;
        cascade.set_wants(link);
        self.dirty.push(at);
        true
    }
}

/// Sends what is heard over a link from now on, whose other end is there.
fn add_link(state: &mut crate::media::room::RoomState, id: u64) {
    let Some(node) = state.cascade_mut().end(id).filter(|end| end.key.is_none()).map(|end| end.node) else { return };
    // The one before it to the same node may not be gone yet; then it is tried again.
    let Ok(key) = state.room.add_link(node, Feedback::None) else { return };
    if let Some(end) = state.cascade_mut().end(id) {
        end.key = Some(key);
        end.has_absent = true;
    }
}
