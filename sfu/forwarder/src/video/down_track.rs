//! One publisher's video on its way to one receiver: which layer, and under which numbers.

use crate::packet::{Header, Packet, Video};
use crate::reception::to_clock;
use crate::rewrite::{Rewriter, newer};
use crate::video::VIDEO_CLOCK_HZ;
use crate::video::cache::Cached;
use crate::vp8::Vp8Rewriter;
use crate::{Layer, MemberKey, Ssrc};

/// Numbers that were padded, and are remembered.
const PADDED: usize = 32;
/// Epoch of a timeline that no stream has.
const PARKED: u32 = u32::MAX;
/// Retransmissions that are remembered, so that each is not repeated at once.
const RETRANSMITTED: usize = 16;

/// What is sent on: layers up to these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub layer: Layer,
    pub temporal: u8,
}

/// What to do with a packet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Offer {
    Send(Header),
    /// It is left out, but a number was kept free for it.
    Pad(Header),
    Nothing,
}

/// The timeline on which outgoing timestamps lie.
#[derive(Clone, Copy, Debug)]
struct Anchor {
    layer: Layer,
    epoch: u32,
    /// `outgoing = incoming - offset`.
    offset: u32,
    last_out: u32,
    last_us: u64,
}

/// How an incoming stream's timestamps relate to those of its publisher's other streams.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct StreamClock {
    /// Counts how often the stream began anew.
    pub epoch: u32,
    /// Of the newest sender report: the publisher's wall clock, and the timestamp at that moment.
    pub report: Option<(u64, u32)>,
}

#[derive(Clone, Debug)]
pub(crate) struct DownTrack {
    pub receiver: MemberKey,
    /// 0 to 100, as wanted by the receiver.
    pub quality: u8,
    pub current: Option<Target>,
    pub target: Option<Target>,
    /// When it was last made worse.
    pub lowered_us: Option<u64>,
    pub packets: u64,
    rewriter: Rewriter,
    vp8: Vp8Rewriter,
    anchor: Option<Anchor>,
    rtx_sequence: u16,
    retransmitted: [(u16, u32); RETRANSMITTED],
    retransmitted_next: u8,
    /// Numbers under which padding went out.
    padded: [Option<u16>; PADDED],
    padded_next: u8,
}

impl DownTrack {
    pub(crate) fn new(receiver: MemberKey, quality: u8) -> Self {
        Self {
            receiver,
            quality,
            current: None,
            target: None,
            lowered_us: None,
            packets: 0,
            rewriter: Rewriter::default(),
            vp8: Vp8Rewriter::default(),
            anchor: None,
            rtx_sequence: 0,
            retransmitted: [(0, 0); RETRANSMITTED],
            retransmitted_next: 0,
            padded: [None; PADDED],
            padded_next: 0,
        }
    }

    /// Whether it waits for a key frame of this layer.
    pub(crate) fn waits_for(&self, layer: Layer) -> bool {
        self.target.is_some_and(|target| target.layer == layer)
            && self.current.is_none_or(|current| current.layer != layer)
    }

    /// Goes for another target: a better or worse layer begins with a key frame, until then the old one goes on.
    ///
    /// `scarce` says that what it had could still be had, if there were bandwidth enough.
    pub(crate) fn aim(&mut self, now_us: u64, target: Option<Target>, scarce: bool) {
        let rank = |target: Option<Target>| target.map(|target| target.layer);
        if scarce && rank(target) < rank(self.target) {
            self.lowered_us = Some(now_us);
        }
        self.target = target;
        // Temporal layers begin and end where a frame does.
        if target.is_none() {
            self.current = None;
        }
    }

    /// Stops until the next key frame, because something that went before is lost.
    pub(crate) fn interrupt(&mut self) {
        self.current = None;
    }

    /// Stops until the receiver wants it again, or the publisher has something else to show. Numbers go on then.
    pub(crate) fn park(&mut self) {
        (self.quality, self.current, self.target, self.lowered_us) = (0, None, None, None);
        if let Some(anchor) = &mut self.anchor {
            anchor.epoch = PARKED;
        }
    }

    /// Decides about a packet of one of the layers.
    #[inline]
    pub(crate) fn offer(
        &mut self,
        now_us: u64,
        layer: Layer,
        packet: &Packet,
        video: &Video,
        clocks: &[StreamClock],
        ssrc: Ssrc,
    ) -> Offer {
        if self.current.is_none_or(|current| current.layer != layer) {
            if !(self.waits_for(layer) && video.key_frame && video.frame_start) {
                return Offer::Nothing;
            }
            self.switch(now_us, layer, packet, video, clocks);
        }
        let ahead = self.rewriter.is_ahead(packet.sequence);
        if !self.takes_temporal(video, ahead) {
            return self.skip(ahead, packet, video, ssrc);
        }
        let Some(mapped) = self.rewriter.accept(packet.sequence) else { return Offer::Nothing };
        let mut header = self.header(mapped.sequence, packet, ssrc);
        header.vp8 = video.vp8.map(|vp8| self.vp8.map(vp8, mapped.pictures, mapped.late));
        if !mapped.late
            && let Some(anchor) = &mut self.anchor
        {
            (anchor.last_out, anchor.last_us) = (header.timestamp, now_us);
        }
        self.packets += 1;
        Offer::Send(header)
    }

    /// Leaves out a packet that nobody gets.
    pub(crate) fn leave_out(&mut self, layer: Layer, packet: &Packet, video: &Video, ssrc: Ssrc) -> Offer {
        if self.layer() != Some(layer) {
            return Offer::Nothing;
        }
        let ahead = self.rewriter.is_ahead(packet.sequence);
        self.skip(ahead, packet, video, ssrc)
    }

    fn skip(&mut self, ahead: bool, packet: &Packet, video: &Video, ssrc: Ssrc) -> Offer {
        let new_picture = ahead && self.vp8.skip(video.vp8, video.frame_start);
        let Some(sequence) = self.rewriter.skip(packet.sequence, new_picture) else { return Offer::Nothing };
        self.padded[usize::from(self.padded_next)] = Some(sequence);
        self.padded_next = (self.padded_next + 1) % PADDED as u8;
        Offer::Pad(self.header(sequence, packet, ssrc))
    }

    fn header(&self, sequence: u16, packet: &Packet, ssrc: Ssrc) -> Header {
        let offset = self.anchor.map_or(0, |anchor| anchor.offset);
        let timestamp = packet.timestamp.wrapping_sub(offset);
        Header { ssrc, sequence, timestamp, marker: packet.marker, vp8: None }
    }

    fn takes_temporal(&mut self, video: &Video, ahead: bool) -> bool {
        let (Some(current), Some(target)) = (&mut self.current, self.target) else { return true };
        let may_change = ahead && video.frame_start && current.layer == target.layer;
        if may_change {
            current.temporal = current.temporal.min(target.temporal);
        }
        if video.temporal <= current.temporal {
            return true;
        }
        let begins = may_change && video.temporal <= target.temporal && video.temporal_sync;
        if begins {
            current.temporal = video.temporal;
        }
        begins
    }

    fn switch(&mut self, now_us: u64, layer: Layer, packet: &Packet, video: &Video, clocks: &[StreamClock]) {
        let epoch = clocks.get(layer.index()).map_or(0, |clock| clock.epoch);
        let offset = match self.anchor {
            None => 0,
            Some(anchor) if (anchor.layer, anchor.epoch) == (layer, epoch) => anchor.offset,
            Some(anchor) => packet.timestamp.wrapping_sub(continued(now_us, &anchor, layer, packet.timestamp, clocks)),
        };
        let out = packet.timestamp.wrapping_sub(offset);
        let last_out = self.anchor.map_or(out, |anchor| anchor.last_out);
        self.anchor = Some(Anchor { layer, epoch, offset, last_out, last_us: now_us });
        self.rewriter.switch(packet.sequence);
        if let Some(vp8) = video.vp8 {
            self.vp8.switch(vp8);
        }
        let temporal = self.target.map_or(u8::MAX, |target| target.temporal);
        self.current = Some(Target { layer, temporal });
    }

    /// A retransmission of what went out under this number; the incoming number to look for in the cache.
    pub(crate) fn original(&mut self, now_us: u64, outgoing: u16, interval_us: u64) -> Option<u16> {
        let now_ms = (now_us / 1_000) as u32;
        let interval_ms = (interval_us / 1_000) as u32;
        let repeated = |(number, at_ms): &(u16, u32)| *number == outgoing && now_ms.wrapping_sub(*at_ms) < interval_ms;
        if self.retransmitted.iter().any(repeated) {
            return None;
        }
        let original = self.incoming_of(outgoing)?;
        self.retransmitted[usize::from(self.retransmitted_next)] = (outgoing, now_ms);
        self.retransmitted_next = (self.retransmitted_next + 1) % RETRANSMITTED as u8;
        Some(original)
    }

    /// Whether padding went out under this number.
    pub(crate) fn was_padded(&self, outgoing: u16) -> bool {
        self.padded.contains(&Some(outgoing))
    }

    /// The incoming number of what went out under this one, if that is known.
    pub(crate) fn incoming_of(&self, outgoing: u16) -> Option<u16> {
        self.current?;
        self.rewriter.original(outgoing).map(|mapped| mapped.sequence)
    }

    /// The header under which a kept packet goes out again, on its own stream.
    pub(crate) fn again(&mut self, cached: &Cached, outgoing: u16, ssrc: Ssrc) -> Header {
        let offset = self.anchor.map_or(0, |anchor| anchor.offset);
        let pictures = self.rewriter.original(outgoing).map_or(0, |mapped| mapped.pictures);
        Header {
            ssrc,
            sequence: outgoing,
            timestamp: cached.timestamp.wrapping_sub(offset),
            marker: cached.marker,
            vp8: cached.vp8.map(|vp8| self.vp8.map(vp8, pictures, true)),
        }
    }

    /// The next number of the stream of retransmissions.
    pub(crate) fn next_rtx_sequence(&mut self) -> u16 {
        self.rtx_sequence = self.rtx_sequence.wrapping_add(1);
        self.rtx_sequence
    }

    /// The newest number that went out, if any did.
    pub(crate) fn newest(&self) -> Option<u16> {
        self.rewriter.is_started().then(|| self.rewriter.next().wrapping_sub(1))
    }

    pub(crate) fn layer(&self) -> Option<Layer> {
        self.current.map(|current| current.layer)
    }
}

/// The outgoing timestamp of another stream's first frame.
fn continued(now_us: u64, anchor: &Anchor, layer: Layer, timestamp: u32, clocks: &[StreamClock]) -> u32 {
    let passed = to_clock(now_us.saturating_sub(anchor.last_us), VIDEO_CLOCK_HZ);
    let by_arrival = anchor.last_out.wrapping_add(passed.max(1));
    let Some(out) = by_reports(anchor, layer, timestamp, clocks) else { return by_arrival };
    // A publisher's reports may be wrong: never back, and never far from what the arrival says.
    let ahead = out.wrapping_sub(anchor.last_out);
    let far = VIDEO_CLOCK_HZ;
    if ahead == 0 || ahead > passed.wrapping_add(far) { by_arrival } else { out }
}

/// By sender reports of both streams, which say what their timestamps are at one moment.
fn by_reports(anchor: &Anchor, layer: Layer, timestamp: u32, clocks: &[StreamClock]) -> Option<u32> {
    let before = clocks.get(anchor.layer.index()).filter(|clock| clock.epoch == anchor.epoch)?;
    let (before_us, before_at) = before.report?;
    let (after_us, after_at) = clocks.get(layer.index())?.report?;
    let between = if before_us >= after_us {
        to_clock(before_us - after_us, VIDEO_CLOCK_HZ)
    } else {
        0_u32.wrapping_sub(to_clock(after_us - before_us, VIDEO_CLOCK_HZ))
    };
    // The new stream's timestamp at the moment of the old one's report.
    let after_at = after_at.wrapping_add(between);
    Some(timestamp.wrapping_sub(after_at).wrapping_add(before_at).wrapping_sub(anchor.offset))
}

/// Whether an outgoing number is one that a receiver may ask for.
pub(crate) fn is_recent(newest: Option<u16>, outgoing: u16) -> bool {
    newest.is_some_and(|newest| !newer(outgoing, newest) && newest.wrapping_sub(outgoing) < 4_096)
}

#[cfg(test)]
mod tests;
