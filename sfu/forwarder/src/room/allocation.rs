//! Layers for receivers, and key frames for layers.

use smallvec::SmallVec;

use super::Room;
use crate::event::Event;
use crate::video::allocate::{Candidate, allocate};
use crate::video::down_track::Target;
use crate::{Layer, MemberKey, Ssrc};

impl Room {
    /// Chooses anew which layers a receiver gets.
    pub(super) fn reallocate(&mut self, now_us: u64, receiver: MemberKey) {
        let Some(outlet) = self.members.get(receiver).and_then(|member| member.outlet.as_ref()) else { return };
        let subscriptions: SmallVec<[MemberKey; 8]> = outlet.subscriptions.iter().copied().collect();
        if subscriptions.is_empty() {
            return;
        }
        let estimate_bps = outlet.bps(&self.config.video);
        let speakers = self.speakers.iter().count().max(1) as u64;
        let budget_bps = estimate_bps.saturating_sub(speakers * self.config.video.audio_reserve_bps);
        let candidates: SmallVec<[Candidate; 8]> =
            subscriptions.iter().map(|publisher| self.candidate(now_us, *publisher, receiver)).collect();
        let caps = self.overload.quality().caps(self.is_stream());
        let allocation = allocate(budget_bps, &candidates, caps, self.config.video.upgrade_headroom_percent);
        for (publisher, target) in subscriptions.iter().zip(&allocation.targets) {
            self.aim(now_us, *publisher, receiver, *target);
        }
        if let Some(outlet) = self.members.get_mut(receiver).and_then(|member| member.outlet.as_mut()) {
            outlet.wanted_bps = allocation.wanted_bps + speakers * self.config.video.audio_reserve_bps;
            outlet.allocated_bps = estimate_bps;
        }
    }

    fn candidate(&mut self, now_us: u64, publisher: MemberKey, receiver: MemberKey) -> Candidate {
        let upgrade_after_us = self.config.video.upgrade_after_us;
        let nothing =
            Candidate { wanted: 0, layers: [None; 3], temporal: false, target: None, may_rise: false, paused: false };
        let Some(track) = self.members.get_mut(publisher).and_then(|member| member.video.as_mut()) else {
            return nothing;
        };
        let (layers, temporal) = (track.offered(now_us), track.temporal);
        let Some(down) = track.down_mut(receiver) else { return nothing };
        Candidate {
            wanted: down.quality,
            layers,
            temporal,
            target: down.target,
            may_rise: down.lowered_us.is_none_or(|at_us| now_us.saturating_sub(at_us) >= upgrade_after_us),
            paused: down.target.is_none() && down.lowered_us.is_some(),
        }
    }

    fn aim(&mut self, now_us: u64, publisher: MemberKey, receiver: MemberKey, target: Option<Target>) {
        let Some(member) = self.members.get_mut(publisher) else { return };
        let ssrc = member.streams.video;
        let Some(track) = &mut member.video else { return };
        let offered = track.offered(now_us);
        let Some(down) = track.down_mut(receiver) else { return };
        let before = down.target;
        let scarce = before.is_some_and(|before| offered.get(before.layer.index()).is_some_and(Option::is_some));
        down.aim(now_us, target, scarce);
        let Some(layer) = target.map(|target| target.layer) else { return };
        let begins = down.waits_for(layer) && before.map(|before| before.layer) != Some(layer);
        if begins && let Some(state) = track.layer_mut(layer) {
            let inbound = state.inbound.unwrap_or(ssrc);
            if state.requests.wish(now_us, &self.config.video) {
                self.emit_key_frame(publisher, layer, inbound);
            }
        }
    }

    pub(super) fn emit_key_frame(&mut self, publisher: MemberKey, layer: Layer, ssrc: Ssrc) {
        self.stats.key_frames_asked += 1;
        self.emit(Event::KeyFrame { publisher, layer, ssrc });
    }

    pub(super) fn reallocate_all(&mut self, now_us: u64) {
        let watchers: Vec<MemberKey> = self
            .members
            .iter()
            .filter(|(_, member)| member.outlet.as_ref().is_some_and(|outlet| !outlet.subscriptions.is_empty()))
            .map(|(key, _)| key)
            .collect();
        for receiver in watchers {
            self.reallocate(now_us, receiver);
        }
    }

    /// Asks for key frames that are due: wished for a moment too early, or not come.
    pub(super) fn poll_key_frames(&mut self, now_us: u64) {
        let mut due: SmallVec<[(MemberKey, Layer, Ssrc); 8]> = SmallVec::new();
        for publisher in &self.publishers {
            let Some(member) = self.members.get_mut(*publisher) else { continue };
            let ssrc = member.streams.video;
            let Some(track) = member.video.as_mut() else { continue };
            for (at, state) in track.layers.iter_mut().enumerate() {
                let layer = Layer(at as u8);
                let waiting = track.down.iter().any(|down| down.waits_for(layer));
                if state.requests.poll(now_us, waiting, &self.config.video) {
                    due.push((*publisher, layer, state.inbound.unwrap_or(ssrc)));
                }
            }
        }
        for (publisher, layer, ssrc) in due {
            self.emit_key_frame(publisher, layer, ssrc);
        }
    }
}
