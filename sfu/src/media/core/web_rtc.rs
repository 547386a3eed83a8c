//! Browsers: checks, handshakes, packets, and what they report and ask for.

use rookery_forwarder::{Event, MemberKey};
use rookery_model::voice::Ssrc;
use rookery_rtp::RtpPacket;
use rookery_rtp::rtcp::{self, Rtcp};
use rookery_webrtc::{self as webrtc, PeerId, Received};
use smallvec::SmallVec;
use std::net::SocketAddr;
use tokio::net::UdpSocket;

use super::{Core, Place, REPORTS_APART_US};
use crate::media::way::{Source, Way};

/// Sender reports of one compound packet that are looked at.
const SENDER_REPORTS: usize = 8;
/// What receivers' clocks are moved by, so that none is below 0: only differences count.
const CLOCK_OFFSET_US: i64 = 1 << 50;

impl Core {
    pub(super) fn web_rtc_datagram(&mut self, now_us: u64, socket: &UdpSocket, from: SocketAddr, datagram: &mut [u8]) {
        match self.webrtc.handle_datagram(now_us / 1_000, from, datagram) {
            Received::Rtp { peer, packet } => self.web_rtc_rtp(now_us, socket, peer, packet),
            Received::Rtcp { peer, compound } => {
                let Some(place) = self.webrtc.get(peer).map(|peer| peer.key) else { return };
                self.rtcp(now_us, socket, place, compound);
            }
            Received::Answer(answer) => self.outbox.push(socket, from, |buffer| {
                let place = buffer.get_mut(..answer.len())?;
                place.copy_from_slice(answer);
                Some(answer.len())
            }),
            Received::Handled | Received::Dropped(_) => {}
        }
    }

    fn web_rtc_rtp(&mut self, now_us: u64, socket: &UdpSocket, peer: PeerId, packet: &[u8]) {
        let Some(place) = self.webrtc.get(peer).map(|peer| peer.key) else { return };
        let Ok(rtp) = RtpPacket::parse(packet) else { return };
        let Some(state) = self.rooms.get_mut(place.room) else { return };
        let Some(member) = state.member_mut(place.member) else { return };
        let (types, Way::WebRtc(way)) = (&member.types, &mut member.way) else { return };
        let source = way.source(now_us, types, &rtp);
        self.reports.list(place, way);
        match source {
            Some(Source::Sound { level }) => {
                state.room.bind_audio(place.member, rookery_forwarder::Ssrc(rtp.header.ssrc.0));
                self.sound(now_us, socket, place, &rtp, level);
            }
            Some(Source::Picture { codec, layer, ssrc, sequence, payload }) => {
                state.room.bind_layer(place.member, rookery_forwarder::Ssrc(ssrc.0), layer);
                self.picture(now_us, socket, place, &rtp, (codec, ssrc, sequence), payload);
            }
            None => self.past.video_unknown += 1,
        }
    }

    /// Takes what a client reports and asks for.
    pub(super) fn rtcp(&mut self, now_us: u64, socket: &UdpSocket, place: Place, compound: &[u8]) {
        let Self { rooms, forwards, .. } = self;
        let Some(state) = rooms.get_mut(place.room) else { return };
        let (room, key) = (&mut state.room, place.member);
        let ssrc = |ssrc: Ssrc| rookery_forwarder::Ssrc(ssrc.0);
        let mut sender_reports: SmallVec<[(Ssrc, u64); SENDER_REPORTS]> = SmallVec::new();
        forwards.clear();
        // What came before a mistake counts.
        let _ = rtcp::read(compound, |said| match said {
            Rtcp::Nack { media_ssrc, packets } => {
                room.handle_nack(now_us, key, ssrc(media_ssrc), packets.iter(), |forward| forwards.push(forward));
            }
            Rtcp::Pli { media_ssrc } | Rtcp::Fir { media_ssrc, .. } => {
                room.handle_key_frame_request(now_us, key, ssrc(media_ssrc));
            }
            Rtcp::Remb { bitrate_bps, .. } => room.handle_receiver_estimate(now_us, key, bitrate_bps),
            Rtcp::TransportFeedback(feedback) => {
                let arrived = |at_us: i64| u64::try_from(at_us + CLOCK_OFFSET_US).unwrap_or(0);
                let packets = feedback.packets().map(|(number, at_us)| (number, at_us.map(arrived)));
                room.handle_transport_feedback(now_us, key, packets);
            }
            Rtcp::SenderReport { ssrc: of, ntp_timestamp, rtp_timestamp, .. } => {
                room.handle_sender_report(key, ssrc(of), wall_us(ntp_timestamp), rtp_timestamp);
                if sender_reports.len() < SENDER_REPORTS {
                    sender_reports.push((of, ntp_timestamp));
                }
            }
            Rtcp::Report(_) | Rtcp::Bye(_) => {}
        });
        if let Some(way) = state.member_mut(key).and_then(|member| member.way.web_rtc_mut()) {
            for (ssrc, ntp_timestamp) in sender_reports {
                way.uplink.sender_report(now_us, ssrc, ntp_timestamp);
            }
        }
        self.deliver(now_us, socket, place.room, None);
        self.follow_up(now_us, place.room);
    }

    /// Does what is due of handshakes, and tells browsers of what they sent.
    pub(super) fn web_rtc_timeout(&mut self, now_us: u64, socket: &UdpSocket) {
        if self.webrtc.poll_timeout().is_some_and(|due_ms| due_ms <= now_us / 1_000) {
            self.webrtc.handle_timeout(now_us / 1_000);
        }
        while let Some(event) = self.webrtc.poll_event() {
            self.web_rtc_event(now_us, event);
        }
        while let Some((to, datagram)) = self.webrtc.poll_transmit() {
            self.outbox.push(socket, to, |buffer| {
                buffer.get_mut(..datagram.len())?.copy_from_slice(&datagram);
                Some(datagram.len())
            });
        }
        if self.reports.due_us.is_some_and(|due_us| due_us <= now_us) {
            self.tell_browsers(now_us, socket);
        }
    }

    fn web_rtc_event(&mut self, now_us: u64, event: webrtc::Event) {
        match event {
            webrtc::Event::Connected(peer) => {
                self.past.web_rtc_connected += 1;
                let Some(place) = self.place_of(peer) else { return };
                self.rooms[place.room].set_connected(now_us, place.member, true);
                self.follow_up(now_us, place.room);
            }
            webrtc::Event::Gone(peer, _) => {
                self.past.web_rtc_gone += 1;
                let place = self.place_of(peer);
                self.webrtc.remove(now_us / 1_000, peer);
                let Some(place) = place else { return };
                // Its session goes on: it may select its protocol anew.
                self.set_shown(now_us, place.room, place.member, None);
                self.rooms[place.room].set_connected(now_us, place.member, false);
                self.follow_up(now_us, place.room);
            }
        }
    }

    /// The member whose peer this is, and no older one.
    fn place_of(&self, peer: PeerId) -> Option<Place> {
        let place = self.webrtc.get(peer)?.key;
        let member = self.rooms.get(place.room)?.member(place.member)?;
        member.way.web_rtc().is_some_and(|way| way.peer == peer).then_some(place)
    }

    fn tell_browsers(&mut self, now_us: u64, socket: &UdpSocket) {
        let Self { webrtc, rooms, reports, outbox, scratch, .. } = self;
        let mut next: Option<u64> = None;
        reports.places.retain(|place| {
            let Some(member) = rooms.get_mut(place.room).and_then(|state| state.member_mut(place.member)) else {
                return false;
            };
            let own = member.ssrc();
            let Some(way) = member.way.web_rtc_mut() else { return false };
            if let Some(peer) = webrtc.get_mut(way.peer)
                && let Some(address) = peer.address()
            {
                let mut send = |compound: &[u8]| {
                    outbox.push(socket, address, |buffer| peer.write_rtcp(compound, buffer).ok());
                };
                way.uplink.tell(now_us, own, &mut scratch[..], &mut send);
                way.downlink.tell(now_us, send);
            }
            let due_us = way.due_us().filter(|due_us| *due_us > now_us);
            way.is_listed = due_us.is_some();
            next = next.into_iter().chain(due_us).min();
            way.is_listed
        });
        (reports.due_us, reports.told_us) = (next.map(|due_us| due_us.max(now_us + REPORTS_APART_US)), now_us);
    }

    /// Asks publishers for key frames, and tells them how well they are wanted.
    pub(super) fn tell_publishers(&mut self, socket: &UdpSocket) {
        let mut events = std::mem::take(&mut self.events);
        for (at, event) in events.drain(..) {
            match event {
                Event::KeyFrame { publisher, ssrc, .. } => {
                    if !self.ask_over_link(at, publisher, ssrc) {
                        self.ask_for_key_frame(socket, at, publisher, Ssrc(ssrc.0));
                    }
                }
                Event::Demand { publisher, quality } => {
                    if !self.demand_over_link(at, publisher, quality)
                        && let Some(state) = self.rooms.get_mut(at)
                    {
                        state.demand(publisher, quality);
                    }
                }
                // Those who do not say themselves that they speak are announced with their first packet.
                Event::Heard { .. } => {}
                Event::RemoteLeft { .. } | Event::Quality(_) | Event::PolicyExceeded { .. } => {}
            }
        }
        self.events = events;
    }

    fn ask_for_key_frame(&mut self, socket: &UdpSocket, at: usize, publisher: MemberKey, ssrc: Ssrc) {
        let Self { endpoint, webrtc, rooms, outbox, past, .. } = self;
        let Some(member) = rooms.get(at).and_then(|state| state.member(publisher)) else { return };
        let pli = rtcp::write_pli(member.ssrc(), ssrc);
        past.key_frames_asked += 1;
        match &member.way {
            Way::Udp => {
                let Some(client) = endpoint.get_mut(member.udp) else { return };
                let Some(address) = client.address() else { return };
                outbox.push(socket, address, |buffer| client.write_rtcp(&pli, buffer).ok());
            }
            Way::WebRtc(way) => {
                let Some(peer) = webrtc.get_mut(way.peer) else { return };
                let Some(address) = peer.address() else { return };
                outbox.push(socket, address, |buffer| peer.write_rtcp(&pli, buffer).ok());
            }
        }
    }
}

/// A time of NTP in microseconds.
const fn wall_us(ntp_timestamp: u64) -> u64 {
    (ntp_timestamp >> 32) * 1_000_000 + (((ntp_timestamp & 0xffff_ffff) * 1_000_000) >> 32)
}
