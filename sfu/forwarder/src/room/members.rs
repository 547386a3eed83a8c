//! Coming, going, and what members may do.

use rookery_model::UserId;
use smallvec::SmallVec;

use super::{Hearing, RECENT_MAX, Room, Special};
use crate::event::Event;
use crate::member::{INBOUND_MAX, Join, JoinRefused, Kind, Member, MemberFlags, Shift, Transport, Wants};
use crate::outlet::{Feedback, Outlet};
use crate::packet::Inbound;
use crate::ssrc::Streams;
use crate::stream_policy::RoomKind;
use crate::{Layer, MemberKey, Ssrc};

/// Senders whose numbers may differ for one receiver.
const SHIFTS_MAX: usize = RECENT_MAX;

/// How others know a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Publication {
    pub member: MemberKey,
    pub user: UserId,
    pub streams: Streams,
    /// As the member says of itself, in SPEAKING's bits.
    pub speaking: u32,
    pub shows_video: bool,
}

impl Room {
    /// Lets a member of this node in, and gives it SSRCs that nobody else has. Bots send from exactly these; the streams of
    /// browsers, which choose their own, are bound with [`bind_audio`](Self::bind_audio) and [`bind_layer`](Self::bind_layer).
    pub fn join(&mut self, now_us: u64, join: Join) -> Result<MemberKey, JoinRefused> {
        self.admit(join.user)?;
        let streams = self.ssrcs.allocate().ok_or(JoinRefused::NoSsrcs)?;
        let mut member = Member::new(join.user, Kind::Local(join.transport), join.flags, streams);
        member.take_transport(join.transport, join.feedback, join.rtx);
        if join.transport == Transport::WebRtc {
            member.wants.any = 100;
        }
        if join.feedback != Feedback::None {
            member.outlet = Some(Box::new(Outlet::new(join.feedback, &self.config.bandwidth)));
        }
        let key = self.insert(member);
        if join.flags.hears() {
            self.begin_hearing(key);
        }
        self.resubscribe(now_us, key);
        Ok(key)
    }

    /// Takes another way of a member's media: its client chose anew, and what was before is over. Its SSRCs stay; it shows
    /// no video and watches none until that is said again. False if it is no member of this node.
    pub fn set_transport(
        &mut self,
        now_us: u64,
        key: MemberKey,
        transport: Transport,
        feedback: Feedback,
        rtx: bool,
    ) -> bool {
        if !self.members.get(key).is_some_and(|member| matches!(member.kind, Kind::Local(_))) {
            return false;
        }
        self.unpublish_video(now_us, key);
        self.unsubscribe_from_all(key);
        self.pacing.retain(|waiting| *waiting != key);
        let Some(member) = self.members.get_mut(key) else { return false };
        member.kind = Kind::Local(transport);
        member.take_transport(transport, feedback, rtx);
        member.wants = Wants::default();
        let has_outlet = feedback != Feedback::None;
        member.outlet = has_outlet.then(|| Box::new(Outlet::new(feedback, &self.config.bandwidth)));
        self.mark_hearing(key, Special::OUTLET, has_outlet);
        true
    }

    fn admit(&self, user: UserId) -> Result<(), JoinRefused> {
        if self.users.contains_key(&user) {
            return Err(JoinRefused::AlreadyIn);
        }
        if self.users.len() - self.remotes >= self.config.members_max {
            return Err(JoinRefused::Full);
        }
        if let RoomKind::Stream { streamer, policy } = self.kind
            && streamer != user
        {
            let viewers = self.users.len() - usize::from(self.users.contains_key(&streamer));
            if viewers >= policy.viewers_max {
                return Err(JoinRefused::ViewersFull);
            }
        }
        Ok(())
    }

    pub(super) fn insert(&mut self, member: Member) -> MemberKey {
        let (user, streams, is_link) = (member.user, member.streams, member.is_link());
        self.remotes += usize::from(member.via().is_some());
        let key = self.members.insert(member);
        if is_link {
            self.links.push(key);
        } else {
            self.users.insert(user, key);
            self.ssrcs.take(key, streams);
        }
        key
    }

    /// The SSRCs under which the room knows a member.
    pub fn streams(&self, key: MemberKey) -> Option<Streams> {
        self.members.get(key).filter(|member| !member.is_link()).map(|member| member.streams)
    }

    /// Everybody whose SSRCs others need to know: for those who come late.
    pub fn publications(&self) -> impl Iterator<Item = Publication> {
        self.members.iter().filter(|(_, member)| !member.is_link()).map(|(key, member)| Publication {
            member: key,
            user: member.user,
            streams: member.streams,
            speaking: member.speaking,
            shows_video: member.video.is_some(),
        })
    }

    /// Keeps what a member says of itself (SPEAKING), for those who come late. Whether anything changed.
    pub fn set_speaking(&mut self, key: MemberKey, speaking: u32) -> bool {
        self.members.get_mut(key).is_some_and(|member| std::mem::replace(&mut member.speaking, speaking) != speaking)
    }

    /// Takes audio from an SSRC that the member chose itself. False if it has too many, or the SSRC is something else.
    pub fn bind_audio(&mut self, key: MemberKey, ssrc: Ssrc) -> bool {
        self.bind(key, ssrc, Inbound::Audio)
    }

    /// Takes a layer of video from an SSRC that the member chose itself.
    pub fn bind_layer(&mut self, key: MemberKey, ssrc: Ssrc, layer: Layer) -> bool {
        self.bind(key, ssrc, Inbound::Video(layer))
    }

    fn bind(&mut self, key: MemberKey, ssrc: Ssrc, inbound: Inbound) -> bool {
        let Some(member) = self.members.get_mut(key) else { return false };
        if !matches!(member.kind, Kind::Local(_)) {
            return false;
        }
        if let Some(bound) = member.carries(ssrc) {
            return bound == inbound;
        }
        // A stream that begins anew under another SSRC takes the place of the old one.
        member.inbound.retain(|(_, other)| *other != inbound);
        if member.inbound.len() >= INBOUND_MAX {
            return false;
        }
        member.inbound.push((ssrc, inbound));
        if let (Inbound::Video(layer), Some(video)) = (inbound, &mut member.video)
            && let Some(state) = video.layer_mut(layer)
        {
            state.inbound = Some(ssrc);
        }
        true
    }

    /// Takes a new voice state or new permissions of a member.
    pub fn set_flags(&mut self, now_us: u64, key: MemberKey, flags: MemberFlags) {
        let Some(member) = self.members.get_mut(key) else { return };
        if member.is_link() {
            return;
        }
        let before = std::mem::replace(&mut member.flags, flags);
        let receives = matches!(member.kind, Kind::Local(_));
        if receives && before.hears() && !flags.hears() {
            self.pause_hearing(key);
        }
        if receives && !before.hears() && flags.hears() {
            self.resume_hearing(key);
        }
        if before.speaks() && !flags.speaks() && self.speakers.remove(key) {
            self.emit(Event::Heard { member: key, heard: false });
        }
        if before.shows() != flags.shows() && self.publishers.contains(&key) {
            self.resubscribe_all(now_us);
        }
    }

    /// Lets a member go, with all that it sent and all that was to be sent to it. False if it is not here.
    pub fn leave(&mut self, now_us: u64, key: MemberKey) -> bool {
        let Some(member) = self.members.get(key) else { return false };
        let (user, streams, is_link) = (member.user, member.streams, member.is_link());
        self.remotes -= usize::from(member.via().is_some());
        self.unpublish_video(now_us, key);
        self.unsubscribe_from_all(key);
        self.end_hearing(key);
        if self.speakers.remove(key) {
            self.emit(Event::Heard { member: key, heard: false });
        }
        self.recent.retain(|recent| *recent != key);
        self.pacing.retain(|waiting| *waiting != key);
        self.members.remove(key);
        if is_link {
            self.links.retain(|link| *link != key);
            self.drop_remotes_of(now_us, key);
        } else {
            self.users.remove(&user);
            self.ssrcs.release(streams);
        }
        true
    }

    pub(super) fn begin_hearing(&mut self, key: MemberKey) {
        let Some(member) = self.members.get_mut(key) else { return };
        let mut special = Special::empty();
        special.set(Special::LINK, member.is_link());
        special.set(Special::SHIFTED, !member.shifts.is_empty());
        special.set(Special::OUTLET, member.outlet.is_some());
        member.hearing_at = Some(self.hearing.len() as u32);
        self.hearing.push(Hearing { member: key, special, packets: 0, octets: 0 });
    }

    pub(super) fn end_hearing(&mut self, key: MemberKey) {
        let Some(member) = self.members.get_mut(key) else { return };
        let Some(at) = member.hearing_at.take() else { return };
        let ended = self.hearing.swap_remove(at as usize);
        member.sent_packets += ended.packets;
        member.sent_octets += ended.octets;
        if let Some(moved) = self.hearing.get(at as usize)
            && let Some(moved) = self.members.get_mut(moved.member)
        {
            moved.hearing_at = Some(at);
        }
    }

    /// Marks what makes a receiver special that hears already.
    pub(super) fn mark_hearing(&mut self, key: MemberKey, special: Special, on: bool) {
        let at = self.members.get(key).and_then(|member| member.hearing_at);
        if let Some(hearing) = at.and_then(|at| self.hearing.get_mut(at as usize)) {
            hearing.special.set(special, on);
        }
    }

    /// Notes where the streams stand that the receiver hears, so that it will not miss what goes on without it.
    fn pause_hearing(&mut self, key: MemberKey) {
        self.end_hearing(key);
        let standing: SmallVec<[(MemberKey, u16); 8]> = self
            .recent
            .iter()
            .filter(|sender| **sender != key)
            .filter_map(|sender| Some((*sender, self.next_audio_sequence(*sender)?)))
            .collect();
        let Some(member) = self.members.get_mut(key) else { return };
        for (sender, next) in standing {
            if let Some(shift) = member.shifts.iter_mut().find(|shift| shift.sender == sender) {
                shift.paused_at = Some(next);
            } else if member.shifts.len() < SHIFTS_MAX {
                member.shifts.push(Shift { sender, shift: 0, paused_at: Some(next), resumed_at: next });
            }
        }
    }

    fn resume_hearing(&mut self, key: MemberKey) {
        let Some(member) = self.members.get_mut(key) else { return };
        let mut shifts = std::mem::take(&mut member.shifts);
        shifts.retain_mut(|shift| {
            let Some(next) = self.next_audio_sequence(shift.sender) else { return false };
            if let Some(paused_at) = shift.paused_at.take() {
                shift.shift = shift.shift.wrapping_add(next.wrapping_sub(paused_at));
                shift.resumed_at = next;
            }
            shift.shift != 0
        });
        if let Some(member) = self.members.get_mut(key) {
            member.shifts = shifts;
        }
        self.begin_hearing(key);
    }

    fn next_audio_sequence(&self, sender: MemberKey) -> Option<u16> {
        let audio = self.members.get(sender)?.audio.as_ref()?;
        audio.rewriter.is_started().then(|| audio.rewriter.next())
    }
}

impl Member {
    /// Bots send from the SSRCs that they were given; browsers choose their own.
    fn take_transport(&mut self, transport: Transport, feedback: Feedback, rtx: bool) {
        (self.feedback, self.rtx) = (feedback, rtx);
        self.inbound.clear();
        if transport == Transport::Udp {
            self.inbound.push((self.streams.audio, Inbound::Audio));
            self.inbound.push((self.streams.video, Inbound::Video(Layer(0))));
        }
    }

    pub(super) fn new(user: UserId, kind: Kind, flags: MemberFlags, streams: Streams) -> Self {
        Self {
            user,
            kind,
            flags,
            streams,
            inbound: SmallVec::new(),
            audio: None,
            video: None,
            parked: Vec::new(),
            outlet: None,
            feedback: Feedback::None,
            rtx: false,
            wants: Wants::default(),
            hearing_at: None,
            shifts: Vec::new(),
            speaking: 0,
            sent_packets: 0,
            sent_octets: 0,
        }
    }
}
