//! Packets on their way to receivers, each in the form that its client has.

use rookery_forwarder::{Body, Forward, Header, Room, Vp8};
use rookery_model::voice::Ssrc;
use rookery_node_link::MediaHeader;
use rookery_rtp::RtpHeader;
use rookery_rtp::extension::AudioLevel;
use rookery_webrtc::{Codec, MediaKind};
use tokio::net::UdpSocket;

use super::{Core, Place, SCRATCH_BYTES};
use crate::media::batch::Outbox;
use crate::media::cascade::{LinkEnd, to_link};
use crate::media::payload;
use crate::media::room::Member;
use crate::media::way::{ELEMENTS_BYTES, Way};

/// The packet at hand.
pub(super) struct Incoming<'a> {
    pub(super) codec: Codec,
    pub(super) payload: &'a [u8],
    pub(super) level: Option<AudioLevel>,
}

/// What goes behind a header.
struct Outgoing<'a> {
    codec: Codec,
    payload: &'a [u8],
    level: Option<AudioLevel>,
    /// Of what is sent again, the number that it had.
    original: Option<u16>,
    /// The stream that it belongs to.
    stream: Ssrc,
}

impl Core {
    /// Writes whatever the forwarder just gave out. Nothing is allocated for it.
    pub(super) fn deliver(&mut self, now_us: u64, socket: &UdpSocket, at: usize, incoming: Option<&Incoming<'_>>) {
        let Self { endpoint, webrtc, rooms, forwards, scratch, outbox, past, reports, .. } = self;
        let Some(state) = rooms.get_mut(at) else { return };
        let (members, store, room, mut cascade) = state.parts();
        for forward in forwards.iter() {
            let own = Ssrc(forward.header.ssrc.0);
            let outgoing = match forward.body {
                Body::Incoming => incoming.map(|incoming| Outgoing {
                    codec: incoming.codec,
                    payload: incoming.payload,
                    level: incoming.level,
                    original: None,
                    stream: own,
                }),
                // Without a payload it is nothing but a number, which receivers no longer miss.
                Body::Padding => {
                    // Of a packet at hand it is the sender's; else somebody asked for it again, which is rare.
                    let of = || members.iter().flatten().find(|member| member.streams.video.0 == own.0);
                    let of_remote = || Some(cascade.as_deref()?.remote_of(forward.header.ssrc)?.codec);
                    let codec = incoming.map(|incoming| incoming.codec).or_else(|| of().map(|member| member.codec));
                    let codec = codec.or_else(of_remote);
                    codec.map(|codec| Outgoing { codec, payload: &[], level: None, original: None, stream: own })
                }
                Body::Stored(slot) => {
                    let kept = store.get(slot);
                    kept.map(|(codec, payload)| Outgoing { codec, payload, level: None, original: None, stream: own })
                }
                Body::Retransmission { slot, original_sequence } => {
                    let publisher = members.get(slot.publisher.index()).and_then(Option::as_ref);
                    let of_remote = || Some(cascade.as_deref()?.remote(slot.publisher)?.streams);
                    let streams = publisher.map(|publisher| publisher.streams).or_else(of_remote);
                    let stream = streams.map_or(own, |streams| Ssrc(streams.video.0));
                    let original = Some(original_sequence);
                    let kept = store.get(slot);
                    kept.map(|(codec, payload)| Outgoing { codec, payload, level: None, original, stream })
                }
            };
            // Whoever does not get it must not be taken for somebody whose path loses it.
            let unsent = |room: &mut Room| {
                if let Some(number) = forward.transport_sequence {
                    room.handle_unsent(forward.receiver, number);
                }
            };
            let Some(outgoing) = outgoing else {
                unsent(room);
                continue;
            };
            let receiver = members.get_mut(forward.receiver.index()).and_then(Option::as_mut);
            let Some(receiver) = receiver.filter(|member| member.key == forward.receiver) else {
                if let Some(end) = cascade.as_deref_mut().and_then(|cascade| cascade.end_of(forward.receiver)) {
                    past.link_packets_out += u64::from(send_over(end, outbox, socket, scratch, forward, &outgoing));
                }
                continue;
            };
            let Some(header) = rtp_header(receiver, &forward.header, &outgoing) else {
                unsent(room);
                continue;
            };
            let Some(payload) = assemble(&outgoing, forward.header.vp8, scratch) else { continue };
            match &mut receiver.way {
                Way::Udp => {
                    let Some(client) = endpoint.get_mut(receiver.udp) else { continue };
                    let Some(address) = client.address() else { continue };
                    // Fails only if its nonces are used up; it gets others when it selects its protocol anew.
                    outbox.push(socket, address, |buffer| client.write_rtp(&header, payload, buffer).ok());
                }
                Way::WebRtc(way) => {
                    let Some(peer) = webrtc.get_mut(way.peer) else { continue };
                    let Some(address) = peer.address() else { continue };
                    let mut elements = [0; ELEMENTS_BYTES];
                    let kind = if outgoing.codec.is_audio() { MediaKind::Audio } else { MediaKind::Video };
                    let number = forward.transport_sequence;
                    let Some(elements) = way.elements(outgoing.stream, kind, number, outgoing.level, &mut elements)
                    else {
                        unsent(room);
                        continue;
                    };
                    outbox.push(socket, address, |buffer| {
                        let written = peer.write_rtp_with(&header, elements, payload, buffer);
                        past.unwritten += u64::from(written.is_err());
                        written.ok()
                    });
                    if outgoing.original.is_none() {
                        way.sent(now_us, kind, &header, payload.len());
                        reports.list(Place { room: at, member: forward.receiver }, way);
                    }
                }
            }
        }
        forwards.clear();
    }
}

/// Sends a packet to another node; whether it can be.
fn send_over(
    end: &mut LinkEnd,
    outbox: &mut Outbox,
    socket: &UdpSocket,
    scratch: &mut [u8; SCRATCH_BYTES],
    forward: &Forward,
    outgoing: &Outgoing<'_>,
) -> bool {
    let Some(address) = end.address else { return false };
    let Some(payload) = assemble(outgoing, forward.header.vp8, scratch) else { return false };
    let header = MediaHeader {
        codec: to_link(outgoing.codec),
        marker: forward.header.marker,
        hops: forward.hops,
        level: outgoing.level.map(AudioLevel::to_byte),
        sequence: forward.header.sequence,
        timestamp: forward.header.timestamp,
        ssrc: forward.header.ssrc.0,
    };
    let mut is_written = false;
    outbox.push(socket, address, |buffer| {
        let length = end.link.write_media(&header, payload, buffer);
        is_written = length.is_some();
        length
    });
    is_written
}

/// With the payload type that a receiver has for it; none if it does not know the codec.
fn rtp_header(receiver: &Member, header: &Header, outgoing: &Outgoing<'_>) -> Option<RtpHeader> {
    let payload_type = if outgoing.codec.is_audio() {
        receiver.types.opus()
    } else {
        let (payload_type, rtx_payload_type) = receiver.types.video(outgoing.codec)?;
        if outgoing.original.is_some() { rtx_payload_type? } else { payload_type }
    };
    Some(RtpHeader {
        marker: header.marker,
        payload_type,
        sequence_number: header.sequence,
        timestamp: header.timestamp,
        ssrc: Ssrc(header.ssrc.0),
    })
}

/// The payload as it goes out: as it came, but for counters that go on, and behind the number of what it replaces.
fn assemble<'a>(
    outgoing: &Outgoing<'a>,
    counters: Option<Vp8>,
    scratch: &'a mut [u8; SCRATCH_BYTES],
) -> Option<&'a [u8]> {
    if outgoing.original.is_none() && (counters.is_none() || outgoing.payload.is_empty()) {
        return Some(outgoing.payload);
    }
    let number = outgoing.original.map(u16::to_be_bytes);
    let number = number.as_ref().map_or(&[][..], |number| number);
    let len = number.len() + outgoing.payload.len();
    let whole = scratch.get_mut(..len)?;
    let (front, rest) = whole.split_at_mut(number.len());
    front.copy_from_slice(number);
    rest.copy_from_slice(outgoing.payload);
    if let Some(counters) = counters {
        payload::rewrite(outgoing.codec, rest, counters);
    }
    Some(whole)
}
