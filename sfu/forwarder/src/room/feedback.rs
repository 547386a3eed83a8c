//! What receivers and publishers report (RTCP).

use super::Room;
use crate::outlet::{Outlet, Waiting};
use crate::packet::{Forward, Header, Inbound};
use crate::ssrc::StreamKind;
use crate::video::down_track::is_recent;
use crate::{MemberKey, Ssrc};

/// Numbers of one NACK that are looked at.
const NACKED_MAX: usize = 128;
/// Packets of one feedback that are looked at.
const REPORTED_MAX: usize = 4_096;

impl Room {
    /// Sends again what a receiver misses (NACK), as far as it is kept and its path takes more.
    pub fn handle_nack(
        &mut self,
        now_us: u64,
        receiver: MemberKey,
        ssrc: Ssrc,
        numbers: impl IntoIterator<Item = u16>,
        mut send: impl FnMut(Forward),
    ) {
        let Some((publisher, StreamKind::Video)) = self.ssrcs.owner(ssrc) else { return };
        for number in numbers.into_iter().take(NACKED_MAX) {
            match self.find_again(now_us, publisher, receiver, ssrc, number) {
                Found::Again(waiting) => {
                    let outlet = self.members.get_mut(receiver).and_then(|member| member.outlet.as_mut());
                    if outlet.is_some_and(|outlet| outlet.queue_retransmission(waiting)) {
                        self.stats.retransmissions += 1;
                    }
                }
                Found::Padding(header) => self.send_padding(now_us, receiver, header, &mut send),
                Found::Missed => self.stats.retransmissions_missed += 1,
                Found::NotNow => {}
            }
        }
        self.flush(now_us, receiver, send);
    }

    fn find_again(&mut self, now_us: u64, publisher: MemberKey, receiver: MemberKey, ssrc: Ssrc, number: u16) -> Found {
        let interval_us = self.config.video.retransmit_interval_us;
        let rtx = self.members.get(receiver).is_some_and(|member| member.rtx);
        let hops = u8::from(self.link_of(publisher).is_some());
        let outlet = self.members.get(receiver).and_then(|member| member.outlet.as_ref());
        if outlet.is_none_or(|outlet| outlet.holds(publisher, number)) {
            return Found::NotNow;
        }
        let Some(track) = self.members.get_mut(publisher).and_then(|member| member.video.as_mut()) else {
            return Found::NotNow;
        };
        let Some(at) = track.down.iter().position(|down| down.receiver == receiver) else { return Found::NotNow };
        let down = &mut track.down[at];
        let Some(layer) = down.layer() else { return Found::NotNow };
        if !is_recent(down.newest(), number) {
            return Found::Missed;
        }
        let Some(incoming) = down.original(now_us, number, interval_us) else { return Found::NotNow };
        let cached = track.layers.get(layer.index()).and_then(|state| state.cache.as_ref()?.get(incoming));
        let Some((_, cached)) = cached else { return Found::Missed };
        if down.was_padded(number) {
            return Found::Padding(down.again(cached, number, ssrc));
        }
        Found::Again(Waiting {
            publisher,
            layer,
            incoming,
            header: down.again(cached, number, ssrc),
            length_bytes: cached.length_bytes,
            hops,
            queued_us: now_us,
            original: rtx.then_some(number),
            retransmission: true,
        })
    }

    /// Asks a publisher for a key frame because a receiver cannot decode (PLI, FIR).
    pub fn handle_key_frame_request(&mut self, now_us: u64, receiver: MemberKey, ssrc: Ssrc) {
        let Some((publisher, StreamKind::Video)) = self.ssrcs.owner(ssrc) else { return };
        let Some(track) = self.members.get_mut(publisher).and_then(|member| member.video.as_mut()) else { return };
        let Some(down) = track.down_mut(receiver) else { return };
        let Some(layer) = down.layer().or(down.target.map(|target| target.layer)) else { return };
        let Some(state) = track.layer_mut(layer) else { return };
        let inbound = state.inbound.unwrap_or(ssrc);
        if state.requests.wish(now_us, &self.config.video) {
            self.emit_key_frame(publisher, layer, inbound);
        }
    }

    /// Takes a receiver's report of what arrived when, by transport-wide sequence numbers, in their order.
    pub fn handle_transport_feedback(
        &mut self,
        now_us: u64,
        receiver: MemberKey,
        reports: impl IntoIterator<Item = (u16, Option<u64>)>,
    ) {
        let Some(outlet) = self.members.get_mut(receiver).and_then(|member| member.outlet.as_mut()) else { return };
        let Outlet { estimator: Some(estimator), history: Some(history), .. } = &mut **outlet else { return };
        let reports = reports.into_iter().take(REPORTED_MAX);
        estimator.handle_reports(
            now_us,
            reports.filter_map(|(number, arrived_us)| history.take(now_us, number, arrived_us)),
        );
        self.react(now_us, receiver);
    }

    /// A packet was not sent to a receiver after all, because it has no codec or no place for it.
    pub fn handle_unsent(&mut self, receiver: MemberKey, transport_sequence: u16) {
        let outlet = self.members.get_mut(receiver).and_then(|member| member.outlet.as_mut());
        if let Some(history) = outlet.and_then(|outlet| outlet.history.as_mut()) {
            history.forget(transport_sequence);
        }
    }

    /// Takes a receiver's own estimate (REMB).
    pub fn handle_receiver_estimate(&mut self, now_us: u64, receiver: MemberKey, bps: u64) {
        let Some(outlet) = self.members.get_mut(receiver).and_then(|member| member.outlet.as_mut()) else { return };
        let Some(estimator) = &mut outlet.estimator else { return };
        estimator.handle_receiver_estimate(bps);
        self.react(now_us, receiver);
    }

    /// Goes down at once when there is clearly less; going up has time.
    fn react(&mut self, now_us: u64, receiver: MemberKey) {
        let Some(outlet) = self.members.get(receiver).and_then(|member| member.outlet.as_ref()) else { return };
        if outlet.bps(&self.config.video) < outlet.allocated_bps / 10 * 9 {
            self.reallocate(now_us, receiver);
        }
    }

    /// Takes a publisher's sender report: what its wall clock and a stream's timestamp were at one moment.
    pub fn handle_sender_report(&mut self, publisher: MemberKey, ssrc: Ssrc, wall_us: u64, timestamp: u32) {
        let Some(member) = self.members.get_mut(publisher) else { return };
        let Some(Inbound::Video(layer)) = member.carries(ssrc) else { return };
        if let Some(track) = &mut member.video
            && let Some(clock) = track.clocks.get_mut(layer.index())
        {
            clock.report = Some((wall_us, timestamp));
        }
    }
}

/// What is left of a packet that is asked for.
enum Found {
    Again(Waiting),
    /// It was not for this receiver, and what filled its number is missing too.
    Padding(Header),
    Missed,
    /// Just sent again, or nothing is sent at the moment.
    NotNow,
}
