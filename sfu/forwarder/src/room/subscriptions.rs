//! Who watches whom.

use smallvec::SmallVec;

use super::{Room, Special};
use crate::MemberKey;
use crate::event::Event;
use crate::member::{Kind, Wants};
use crate::outlet::Outlet;
use crate::video::down_track::DownTrack;

impl Room {
    /// Takes what a receiver wants to see (MEDIA_SINK_WANTS); for a link, what the members of the other node do.
    ///
    /// More than [`subscriptions_max`](crate::VideoConfig::subscriptions_max) publishers are not watched: those named come first.
    pub fn set_wants(&mut self, now_us: u64, receiver: MemberKey, mut wants: Wants) {
        let most = self.config.video.publishers_max;
        let Some(member) = self.members.get_mut(receiver) else { return };
        if matches!(member.kind, Kind::Remote { .. }) {
            return;
        }
        wants.by_ssrc.truncate(most);
        member.wants = wants;
        self.resubscribe(now_us, receiver);
    }

    pub(super) fn resubscribe_all(&mut self, now_us: u64) {
        let receivers: Vec<MemberKey> = self
            .members
            .iter()
            .filter(|(_, member)| member.outlet.is_some() || member.wants != Wants::default())
            .map(|(key, _)| key)
            .collect();
        for receiver in receivers {
            self.resubscribe(now_us, receiver);
        }
    }

    /// What a receiver wants and may have, those named first.
    fn wanted(&self, receiver: MemberKey) -> SmallVec<[(MemberKey, u8); 8]> {
        let Some(member) = self.members.get(receiver) else { return SmallVec::new() };
        if matches!(member.kind, Kind::Remote { .. }) {
            return SmallVec::new();
        }
        let mut wanted: SmallVec<[(MemberKey, u8, bool); 8]> = SmallVec::new();
        for publisher in self.publishers.iter().filter(|publisher| **publisher != receiver) {
            let Some(other) = self.members.get(*publisher) else { continue };
            let ssrc = other.streams.video;
            let quality = member.wants.quality(ssrc);
            let comes_this_way = other.via() == Some(receiver);
            if quality > 0 && other.flags.shows() && !comes_this_way {
                let named = member.wants.by_ssrc.iter().any(|(named, _)| *named == ssrc);
                wanted.push((*publisher, quality, named));
            }
        }
        wanted.sort_by_key(|(_, _, named)| !named);
        wanted.truncate(self.config.video.subscriptions_max);
        wanted.into_iter().map(|(publisher, quality, _)| (publisher, quality)).collect()
    }

    pub(super) fn resubscribe(&mut self, now_us: u64, receiver: MemberKey) {
        let wanted = self.wanted(receiver);
        let Some(member) = self.members.get_mut(receiver) else { return };
        if wanted.is_empty() && member.outlet.as_ref().is_none_or(|outlet| outlet.subscriptions.is_empty()) {
            return;
        }
        if member.outlet.is_none() {
            let is_link = member.is_link();
            member.outlet = Some(Box::new(Outlet { is_link, ..Outlet::new(member.feedback, &self.config.bandwidth) }));
            self.mark_hearing(receiver, Special::OUTLET, true);
        }
        let publishers = self.publishers.clone();
        for publisher in publishers {
            let quality = wanted.iter().find(|(wanted, _)| *wanted == publisher).map(|(_, quality)| *quality);
            self.subscribe(publisher, receiver, quality);
        }
        if let Some(outlet) = self.members.get_mut(receiver).and_then(|member| member.outlet.as_mut()) {
            outlet.subscriptions = wanted.iter().map(|(publisher, _)| *publisher).collect();
        }
        self.reallocate(now_us, receiver);
    }

    /// Makes a receiver one of a publisher's, or no longer.
    fn subscribe(&mut self, publisher: MemberKey, receiver: MemberKey, quality: Option<u8>) {
        let Some(track) = self.members.get_mut(publisher).and_then(|member| member.video.as_mut()) else { return };
        let before = track.down_mut(receiver).map(|down| down.quality);
        let quality = quality.filter(|quality| *quality > 0);
        match (before, quality) {
            (None, None) => return,
            (None, Some(quality)) => track.down.push(DownTrack::new(receiver, quality)),
            (Some(before), Some(quality)) if before == quality => return,
            (Some(_), Some(quality)) => {
                if let Some(down) = track.down_mut(receiver) {
                    down.quality = quality;
                }
            }
            (Some(0), None) => return,
            (Some(_), None) => {
                if let Some(down) = track.down_mut(receiver) {
                    down.park();
                }
                if let Some(outlet) = self.members.get_mut(receiver).and_then(|member| member.outlet.as_mut()) {
                    outlet.forget(publisher);
                }
            }
        }
        self.note_demand(publisher);
    }

    fn note_demand(&mut self, publisher: MemberKey) {
        let Some(track) = self.members.get_mut(publisher).and_then(|member| member.video.as_mut()) else { return };
        let quality = track.down.iter().map(|down| down.quality).max().unwrap_or(0);
        if track.demand.replace(quality) != Some(quality) {
            self.emit(Event::Demand { publisher, quality });
        }
    }

    /// Ends all that a receiver watches, or has watched.
    pub(super) fn unsubscribe_from_all(&mut self, receiver: MemberKey) {
        for publisher in self.publishers.clone() {
            if let Some(track) = self.members.get_mut(publisher).and_then(|member| member.video.as_mut()) {
                track.down.retain(|down| down.receiver != receiver);
                self.note_demand(publisher);
            }
        }
    }
}
