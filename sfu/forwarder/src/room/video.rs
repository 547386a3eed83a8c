//! Publishing video, and its packets.

use super::Room;
use crate::event::Event;
use crate::ids::LAYERS_MAX;
use crate::outlet::{Admission, Waiting};
use crate::packet::{Body, DropReason, Forward, Header, Inbound, Packet, Verdict, Video};
use crate::stream_policy::{Policer, RoomKind};
use crate::video::down_track::Offer;
use crate::video::frame_gate::Pace;
use crate::video::track::{LayerSpec, Taken, VideoTrack};
use crate::{Layer, MemberKey, Slot};

/// Why video cannot be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishRefused {
    #[error("the member is not in the room")]
    UnknownMember,
    #[error("only the streamer is seen in a stream")]
    NotTheStreamer,
    #[error("video has one to three layers, each of another quality from 1 to 100, the smallest first")]
    BadLayers,
    #[error("as many members show video as may")]
    TooManyPublishers,
}

impl Room {
    /// Says that a member shows video, in these layers; those who want it are subscribed. Whether it may is asked with every packet.
    pub fn publish_video(&mut self, now_us: u64, key: MemberKey, layers: &[LayerSpec]) -> Result<(), PublishRefused> {
        let member = self.members.get(key).filter(|member| !member.is_link()).ok_or(PublishRefused::UnknownMember)?;
        if !self.may_publish(member.user) {
            return Err(PublishRefused::NotTheStreamer);
        }
        let ascending = layers.windows(2).all(|pair| pair[0].quality < pair[1].quality);
        let named = layers.iter().all(|layer| (1..=100).contains(&layer.quality));
        if layers.is_empty() || layers.len() > LAYERS_MAX || !ascending || !named {
            return Err(PublishRefused::BadLayers);
        }
        if !self.publishers.contains(&key) && self.publishers.len() >= self.config.video.publishers_max {
            return Err(PublishRefused::TooManyPublishers);
        }
        self.unpublish_video(now_us, key);
        let Some(member) = self.members.get_mut(key) else { return Err(PublishRefused::UnknownMember) };
        let mut down = std::mem::take(&mut member.parked);
        down.retain(|down| self.members.get(down.receiver).is_some());
        let Some(member) = self.members.get_mut(key) else { return Err(PublishRefused::UnknownMember) };
        let mut track = VideoTrack::new(layers, down);
        for (ssrc, inbound) in &member.inbound {
            if let Inbound::Video(layer) = inbound
                && let Some(state) = track.layer_mut(*layer)
            {
                state.inbound = Some(*ssrc);
            }
        }
        member.video = Some(Box::new(track));
        self.publishers.push(key);
        if let RoomKind::Stream { policy, .. } = &self.kind {
            self.policer = Some(Policer::new(now_us, policy));
        }
        self.resubscribe_all(now_us);
        Ok(())
    }

    /// Says that a member no longer shows video.
    pub fn unpublish_video(&mut self, now_us: u64, key: MemberKey) {
        let Some(member) = self.members.get_mut(key) else { return };
        let Some(track) = member.video.take() else { return };
        self.publishers.retain(|publisher| *publisher != key);
        for down in &track.down {
            if let Some(outlet) = self.members.get_mut(down.receiver).and_then(|member| member.outlet.as_mut()) {
                outlet.subscriptions.retain(|publisher| *publisher != key);
                outlet.forget(key);
            }
        }
        if let Some(member) = self.members.get_mut(key) {
            member.parked = track.down;
        }
        // Whoever had as many as it may can have another one now.
        self.resubscribe_all(now_us);
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of one packet")]
    pub(super) fn forward_video(
        &mut self,
        now_us: u64,
        sender: MemberKey,
        layer: Layer,
        packet: &Packet,
        video: &Video,
        hops: u8,
        send: impl FnMut(Forward),
    ) -> Verdict {
        let Some(member) = self.members.get_mut(sender) else { return Verdict::Dropped(DropReason::UnknownMember) };
        if !member.flags.shows() {
            return Verdict::Dropped(DropReason::NotPermitted);
        }
        if member.video.as_ref().is_some_and(|track| track.is_new(layer, now_us)) {
            self.expect_layer(now_us, sender, layer);
        }
        let Some(member) = self.members.get_mut(sender) else { return Verdict::Dropped(DropReason::UnknownMember) };
        // Out of its place while others are looked at; a move of a pointer.
        let Some(mut track) = member.video.take() else { return Verdict::Dropped(DropReason::NotPermitted) };
        let verdict = match self.police(now_us, sender, &mut track, layer, packet, video) {
            None => Verdict::Dropped(DropReason::OverPolicy),
            Some(pace) => self.distribute(now_us, sender, &mut track, layer, packet, video, pace, hops, send),
        };
        if let Some(member) = self.members.get_mut(sender) {
            member.video = Some(track);
        }
        verdict
    }

    /// Lets all who watch choose anew, because there is a layer that was not there before.
    fn expect_layer(&mut self, now_us: u64, sender: MemberKey, layer: Layer) {
        let Some(track) = self.members.get_mut(sender).and_then(|member| member.video.as_mut()) else { return };
        track.expect(layer, now_us);
        let watchers: Vec<MemberKey> =
            track.down.iter().filter(|down| down.quality > 0).map(|down| down.receiver).collect();
        for receiver in watchers {
            self.reallocate(now_us, receiver);
        }
    }

    /// Whether a packet of a stream is within what it was granted; none if it takes more bits.
    fn police(
        &mut self,
        now_us: u64,
        sender: MemberKey,
        track: &mut VideoTrack,
        layer: Layer,
        packet: &Packet,
        video: &Video,
    ) -> Option<Pace> {
        let (Some(policer), RoomKind::Stream { policy, .. }) = (&mut self.policer, &self.kind) else {
            return Some(Pace::Fits);
        };
        let gate = policer.gate(layer)?;
        let (pace, is_cut_off) = gate.take(now_us, packet, video, policy.best.frames_per_second);
        if pace == Pace::Fits && !policer.admit(now_us, packet.length_bytes) {
            return None;
        }
        if is_cut_off {
            // Whoever saw it goes on with a key frame, without a gap that could be taken for a loss.
            track.interrupt(layer);
            self.emit(Event::PolicyExceeded { publisher: sender });
        }
        Some(pace)
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of one packet")]
    fn distribute(
        &mut self,
        now_us: u64,
        sender: MemberKey,
        track: &mut VideoTrack,
        layer: Layer,
        packet: &Packet,
        video: &Video,
        pace: Pace,
        hops: u8,
        mut send: impl FnMut(Forward),
    ) -> Verdict {
        let store = match track.take(now_us, layer, packet, video, &self.config.video) {
            None => return Verdict::Dropped(DropReason::ForeignSsrc),
            Some(Taken::OutOfRange) => return Verdict::Dropped(DropReason::OutOfRange),
            Some(Taken::Kept(index)) => index.map(|index| Slot { publisher: sender, layer, index }),
        };
        let ssrc = match self.members.get(sender) {
            Some(member) => member.streams.video,
            None => return Verdict::Dropped(DropReason::UnknownMember),
        };
        let VideoTrack { down, clocks, layers, .. } = track;
        let (mut receivers, mut interrupted) = (0, false);
        for down in down {
            let offer = match pace {
                Pace::Fits => down.offer(now_us, layer, packet, video, clocks, ssrc),
                Pace::LeftOut => down.leave_out(layer, packet, video, ssrc),
                Pace::TooFast => Offer::Nothing,
            };
            let (header, body) = match offer {
                Offer::Nothing => continue,
                Offer::Send(header) => (header, Body::Incoming),
                Offer::Pad(header) => (header, Body::Padding),
            };
            let outgoing = Outgoing { sender, layer, packet, header, body, hops };
            match self.send_video(now_us, down.receiver, outgoing, &mut send) {
                Admission::Now => receivers += 1,
                Admission::Waits => {}
                Admission::Full => {
                    down.interrupt();
                    interrupted = true;
                }
            }
        }
        if interrupted && let Some(state) = layers.get_mut(layer.index()) {
            let inbound = state.inbound.unwrap_or(ssrc);
            if state.requests.wish(now_us, &self.config.video) {
                self.emit_key_frame(sender, layer, inbound);
            }
        }
        if pace == Pace::Fits {
            Verdict::Forwarded { receivers, store }
        } else {
            Verdict::Dropped(DropReason::OverPolicy)
        }
    }

    /// Sends a packet to one receiver, or lets it wait.
    #[inline]
    fn send_video(
        &mut self,
        now_us: u64,
        receiver: MemberKey,
        outgoing: Outgoing<'_>,
        send: &mut impl FnMut(Forward),
    ) -> Admission {
        let Outgoing { sender, layer, packet, header, body, hops } = outgoing;
        let Some(member) = self.members.get_mut(receiver) else { return Admission::Waits };
        let is_link = member.is_link();
        if is_link && hops >= self.config.hops_max {
            return Admission::Waits;
        }
        let Some(outlet) = &mut member.outlet else { return Admission::Waits };
        let length_bytes = packet.length_bytes;
        let waiting = || Waiting {
            publisher: sender,
            layer,
            incoming: packet.sequence,
            header,
            length_bytes,
            hops,
            queued_us: now_us,
            original: None,
            retransmission: false,
        };
        let admission = if body == Body::Padding {
            Admission::Now
        } else {
            outlet.admit(now_us, waiting, length_bytes, &self.config.pacer, &self.config.video)
        };
        match admission {
            Admission::Now => {
                let transport_sequence = outlet.number(now_us, length_bytes, false);
                member.sent_packets += 1;
                member.sent_octets += u64::from(length_bytes);
                let hops = if is_link { hops + 1 } else { 0 };
                send(Forward { receiver, header, body, transport_sequence, hops, ducked: false });
            }
            Admission::Waits => self.list_pacing(now_us, receiver),
            Admission::Full => {
                outlet.forget(sender);
                self.stats.paced_out += 1;
            }
        }
        admission
    }
}

/// A packet of video on its way to one receiver.
struct Outgoing<'a> {
    sender: MemberKey,
    layer: Layer,
    packet: &'a Packet,
    header: Header,
    body: Body,
    hops: u8,
}
