//! What waits for a receiver, and probes of its path.

use super::Room;
use crate::outlet::{ProbeRun, Waiting};
use crate::packet::{Body, Forward, Header};
use crate::{MemberKey, Slot};

/// Packets that one call sends to one receiver.
const FLUSHED_MAX: usize = 512;
/// Less often than this a probe would come in lumps.
const PROBE_INTERVAL_US: u64 = 1_000;
/// What a packet of a probe counts at least, so that small ones do not make many.
const PROBE_BYTES_MIN: u16 = 200;
/// What a packet of nothing but padding takes, about.
const PADDING_BYTES: u16 = 32;

/// A packet that goes now.
struct Ready {
    header: Header,
    body: Body,
    length_bytes: u16,
    hops: u8,
    probe: bool,
}

/// A packet that went before.
struct Again {
    slot: Slot,
    header: Header,
    number: u16,
    length_bytes: u16,
}

impl Room {
    /// Sends what may go to a receiver now, and lists it if something is left.
    pub(super) fn flush(&mut self, now_us: u64, receiver: MemberKey, mut send: impl FnMut(Forward)) {
        for _ in 0..FLUSHED_MAX {
            let Some(outlet) = self.members.get_mut(receiver).and_then(|member| member.outlet.as_mut()) else { return };
            let Some(waiting) = outlet.pop(now_us, &self.config.pacer, &self.config.video) else { break };
            self.send_waiting(now_us, receiver, waiting, &mut send);
        }
        self.probe(now_us, receiver, &mut send);
        if self
            .members
            .get(receiver)
            .and_then(|member| member.outlet.as_ref())
            .is_some_and(|outlet| outlet.is_waiting())
        {
            self.list_pacing(now_us, receiver);
        }
    }

    fn send_waiting(&mut self, now_us: u64, receiver: MemberKey, waiting: Waiting, send: &mut impl FnMut(Forward)) {
        let too_old = now_us.saturating_sub(waiting.queued_us) > self.config.pacer.wait_max_us;
        let Some(member) = self.members.get_mut(waiting.publisher) else { return };
        let rtx_ssrc = member.streams.rtx;
        let Some(track) = &mut member.video else { return };
        let index = track
            .layers
            .get(waiting.layer.index())
            .and_then(|state| Some(state.cache.as_ref()?.get(waiting.incoming)?.0));
        let Some(down) = track.down_mut(receiver) else { return };
        let Some(index) = index.filter(|_| !too_old) else {
            self.stats.paced_out += 1;
            if !waiting.retransmission {
                // What follows cannot be decoded without it.
                down.interrupt();
            }
            return;
        };
        let slot = Slot { publisher: waiting.publisher, layer: waiting.layer, index };
        let mut header = waiting.header;
        let body = match waiting.original {
            Some(original_sequence) => {
                (header.ssrc, header.sequence) = (rtx_ssrc, down.next_rtx_sequence());
                Body::Retransmission { slot, original_sequence }
            }
            None => Body::Stored(slot),
        };
        let outgoing = Ready { header, body, length_bytes: waiting.length_bytes, hops: waiting.hops, probe: false };
        self.send_now(now_us, receiver, outgoing, send);
    }

    fn send_now(&mut self, now_us: u64, receiver: MemberKey, ready: Ready, send: &mut impl FnMut(Forward)) {
        let Ready { header, body, length_bytes, hops, probe } = ready;
        let Some(member) = self.members.get_mut(receiver) else { return };
        let is_link = member.is_link();
        let Some(outlet) = &mut member.outlet else { return };
        let transport_sequence = outlet.number(now_us, length_bytes, probe);
        member.sent_packets += 1;
        member.sent_octets += u64::from(length_bytes);
        self.stats.packets_out += 1;
        self.stats.octets_out += u64::from(length_bytes);
        let hops = if is_link { hops + 1 } else { 0 };
        send(Forward { receiver, header, body, transport_sequence, hops, ducked: false });
    }

    /// Fills a number again for which there is nothing.
    pub(super) fn send_padding(
        &mut self,
        now_us: u64,
        receiver: MemberKey,
        header: Header,
        send: &mut impl FnMut(Forward),
    ) {
        let ready = Ready { header, body: Body::Padding, length_bytes: PADDING_BYTES, hops: 0, probe: false };
        self.send_now(now_us, receiver, ready, send);
    }

    /// Sends what is due of a probe: newest packets again, which a receiver throws away.
    fn probe(&mut self, now_us: u64, receiver: MemberKey, send: &mut impl FnMut(Forward)) {
        let Some(outlet) = self.members.get_mut(receiver).and_then(|member| member.outlet.as_mut()) else { return };
        // What waits says enough about the path while it does.
        let Some(run) = outlet.probe.filter(|_| outlet.waiting_packets() == 0) else { return };
        let Some(again) = self.newest_again(receiver) else {
            self.set_probe(receiver, None);
            return;
        };
        let passed_us = now_us.saturating_sub(run.sent_us);
        let due_bytes = u32::try_from(run.bps / 8 * passed_us / 1_000_000).unwrap_or(u32::MAX).min(run.left_bytes);
        let mut sent_bytes = 0;
        while sent_bytes < due_bytes.max(1) && sent_bytes < run.left_bytes {
            let publisher = again.slot.publisher;
            let Some(track) = self.members.get_mut(publisher).and_then(|member| member.video.as_mut()) else { break };
            let Some(down) = track.down_mut(receiver) else { break };
            let ready = Ready {
                header: Header { sequence: down.next_rtx_sequence(), ..again.header },
                body: Body::Retransmission { slot: again.slot, original_sequence: again.number },
                length_bytes: again.length_bytes,
                hops: 0,
                probe: true,
            };
            self.send_now(now_us, receiver, ready, send);
            self.stats.probe_packets += 1;
            sent_bytes += u32::from(again.length_bytes.max(PROBE_BYTES_MIN));
        }
        let left_bytes = run.left_bytes.saturating_sub(sent_bytes);
        self.set_probe(receiver, (left_bytes > 0).then_some(ProbeRun { left_bytes, bps: run.bps, sent_us: now_us }));
    }

    fn set_probe(&mut self, receiver: MemberKey, probe: Option<ProbeRun>) {
        if let Some(outlet) = self.members.get_mut(receiver).and_then(|member| member.outlet.as_mut()) {
            outlet.probe = probe;
        }
    }

    /// The newest packet that a receiver got of anybody.
    fn newest_again(&mut self, receiver: MemberKey) -> Option<Again> {
        let member = self.members.get(receiver)?;
        if !member.rtx {
            return None;
        }
        let subscriptions = member.outlet.as_ref()?.subscriptions.clone();
        subscriptions.into_iter().find_map(|publisher| {
            let member = self.members.get_mut(publisher)?;
            let rtx = member.streams.rtx;
            let track = member.video.as_mut()?;
            let at = track.down.iter().position(|down| down.receiver == receiver)?;
            let down = &mut track.down[at];
            let (layer, number) = (down.layer()?, down.newest()?);
            if down.was_padded(number) {
                return None;
            }
            let incoming = down.incoming_of(number)?;
            let (index, cached) = track.layers.get(layer.index())?.cache.as_ref()?.get(incoming)?;
            let slot = Slot { publisher, layer, index };
            Some(Again { slot, header: down.again(cached, number, rtx), number, length_bytes: cached.length_bytes })
        })
    }

    /// Begins a probe where a receiver would take more than is known to be there.
    pub(super) fn start_probe(&mut self, now_us: u64, receiver: MemberKey) {
        let Some(member) = self.members.get_mut(receiver) else { return };
        let Some(outlet) = &mut member.outlet else { return };
        if !member.rtx || outlet.history.is_none() || outlet.probe.is_some() || outlet.subscriptions.is_empty() {
            return;
        }
        let wanted_bps = outlet.wanted_bps * u64::from(self.config.video.upgrade_headroom_percent) / 100;
        let Some(estimator) = &mut outlet.estimator else { return };
        if let Some(plan) = estimator.start_probe(now_us, wanted_bps) {
            outlet.probe = Some(ProbeRun { left_bytes: plan.bytes, bps: plan.bps, sent_us: now_us });
            self.list_pacing(now_us, receiver);
        }
    }

    pub(super) fn list_pacing(&mut self, now_us: u64, receiver: MemberKey) {
        let Some(outlet) = self.members.get_mut(receiver).and_then(|member| member.outlet.as_mut()) else { return };
        if !outlet.is_waiting() {
            return;
        }
        let interval_us = if outlet.probe.is_some() { PROBE_INTERVAL_US } else { self.config.pacer.interval_us };
        self.pacing_due_us = self.pacing_due_us.min(now_us + interval_us);
        if !std::mem::replace(&mut outlet.listed, true) {
            self.pacing.push(receiver);
        }
    }

    /// Sends what may go to all for whom something waits.
    pub(super) fn flush_all(&mut self, now_us: u64, mut send: impl FnMut(Forward)) {
        self.pacing_due_us = u64::MAX;
        for receiver in std::mem::take(&mut self.pacing) {
            if let Some(outlet) = self.members.get_mut(receiver).and_then(|member| member.outlet.as_mut()) {
                outlet.listed = false;
            }
            self.flush(now_us, receiver, &mut send);
        }
    }
}
