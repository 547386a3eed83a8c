//! A room with what its members are told.
//!
//! What is told grows with the members, not with their square: those who come within a while are told of together, in large
//! rooms only the first so many, and who speaks is told there only of those who are heard. Whoever is heard is told of to
//! each who has not been told, before the first packet.

use rookery_forwarder::{LAYERS_MAX, LayerSpec, MemberFlags, MemberKey, Room, Streams, Wants};
use rookery_model::UserId;
use rookery_model::voice::node::{VoiceMemberFlags, VoiceRoomKey};
use rookery_model::voice::{
    ClientDisconnect, ClientsConnect, MediaSinkWants, Quality, SpeakingEvent, SpeakingFlags, Ssrc, VideoEvent,
    VideoStream,
};
use rookery_rtp::MemberId;
use rookery_voice_session::{Payload, ServerEvent};
use rookery_webrtc::Codec;
use smallvec::SmallVec;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::cascade::Cascade;
use super::ring::PacketStore;
use super::way::{LayerSource, PayloadTypes, Way};
use crate::events::MailboxFull;
use crate::mail::{Mail, Notice};
use crate::mailbox::{MailSender, Undelivered};

/// Up to so many members nobody waits to be told of.
const SMALL_MEMBERS: usize = 50;

/// Who of a room is told what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Presence {
    pub(super) members_max: usize,
    pub(super) interval_us: u64,
}

/// The picture that a member shows.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Shown {
    pub(super) specs: SmallVec<[LayerSpec; LAYERS_MAX]>,
    pub(super) sources: SmallVec<[LayerSource; LAYERS_MAX]>,
    /// As others are told of it.
    pub(super) stream: VideoStream,
}

/// Somebody in a room.
pub(super) struct Member {
    pub(super) key: MemberKey,
    pub(super) user: UserId,
    pub(super) udp: MemberId,
    pub(super) session: u64,
    pub(super) streams: Streams,
    pub(super) mail: MailSender,
    pub(super) granted: VoiceMemberFlags,
    pub(super) types: PayloadTypes,
    pub(super) way: Way,
    /// In which its picture came last.
    pub(super) codec: Codec,
    /// What it shows, as it said; boxed, because most show nothing.
    pub(super) shown: Option<Box<Shown>>,
    /// What it wants to see, once it said so.
    wants: Option<Wants>,
    /// How well anybody wants what it shows.
    demand: Option<Quality>,
    /// Whether it can be sent to.
    is_connected: bool,
    /// As it says itself, once it did.
    speaking: Option<SpeakingFlags>,
    /// The how manieth listener it is; none before it has a key.
    order: Option<u64>,
    /// Listeners below this number know its SSRC; 0: nobody does.
    announced_below: u64,
    /// Whether others were told that it came.
    is_told: bool,
    /// Something did not fit into its mailbox.
    is_behind: bool,
}

impl Member {
    pub(super) fn new(
        key: MemberKey,
        user: UserId,
        udp: MemberId,
        session: u64,
        streams: Streams,
        mail: MailSender,
        granted: VoiceMemberFlags,
    ) -> Self {
        Self {
            key,
            user,
            udp,
            session,
            streams,
            mail,
            granted,
            types: PayloadTypes::listed(&[]),
            way: Way::Udp,
            codec: Codec::Vp8,
            shown: None,
            wants: None,
            demand: None,
            is_connected: false,
            speaking: None,
            order: None,
            announced_below: 0,
            is_told: false,
            is_behind: false,
        }
    }

    /// The SSRC under which others know its sound.
    pub(super) const fn ssrc(&self) -> Ssrc {
        Ssrc(self.streams.audio.0)
    }
    /// Whether it has a key, or its offer was answered.
    pub(super) const fn is_listening(&self) -> bool {
        self.order.is_some()
    }

    /// What the forwarder is to make of it.
    pub(super) fn flags(&self) -> MemberFlags {
        let VoiceMemberFlags {
            may_speak,
            may_stream,
            priority,
            server_muted,
            server_deafened,
            self_muted,
            self_deafened,
            suppressed,
        } = self.granted;
        let mut flags = MemberFlags::empty();
        flags.set(MemberFlags::MAY_SPEAK, may_speak);
        flags.set(MemberFlags::MAY_STREAM, may_stream);
        flags.set(
            MemberFlags::PRIORITY,
            priority && self.speaking.is_some_and(|flags| flags.contains(SpeakingFlags::PRIORITY)),
        );
        flags.set(MemberFlags::SERVER_MUTED, server_muted);
        // Before that nothing can be sent to it, so a packet should not look at it.
        flags.set(MemberFlags::SERVER_DEAFENED, server_deafened || !self.is_connected);
        flags.set(MemberFlags::SELF_MUTED, self_muted);
        flags.set(MemberFlags::SELF_DEAFENED, self_deafened);
        flags.set(MemberFlags::SUPPRESSED, suppressed);
        flags
    }

    fn speaking_payload(&self) -> Arc<Payload> {
        // Who sends and never said so speaks.
        let mut speaking = self.speaking.unwrap_or(SpeakingFlags::VOICE);
        if !self.granted.priority {
            speaking.remove(SpeakingFlags::PRIORITY);
        }
        Payload::new(&ServerEvent::Speaking(SpeakingEvent { user_id: self.user, ssrc: self.ssrc(), speaking }))
    }

    /// Tells it how well it is wanted, once that is known.
    fn demand_payload(&self) -> Option<Arc<Payload>> {
        let wants = MediaSinkWants { any: Some(self.demand?), ..MediaSinkWants::default() };
        Some(Payload::new(&ServerEvent::MediaSinkWants(wants)))
    }

    fn video_payload(&self) -> Arc<Payload> {
        let streams: Vec<VideoStream> = self.shown.iter().map(|shown| shown.stream.clone()).collect();
        let video_ssrc = if self.shown.is_some() { Ssrc(self.streams.video.0) } else { Ssrc(0) };
        let event = VideoEvent { user_id: self.user, audio_ssrc: self.ssrc(), video_ssrc, streams };
        Payload::new(&ServerEvent::Video(event))
    }

    fn post(&mut self, notices: &Arc<[Notice]>) {
        if notices.is_empty() {
            return;
        }
        if let Err(Undelivered::Full(_)) = self.mail.try_send(Mail::Events(Arc::clone(notices))) {
            self.is_behind = true;
            MailboxFull.emit();
        }
    }
}

/// See the head of the file.
pub(super) struct RoomState {
    pub(super) key: VoiceRoomKey,
    pub(super) room: Room,
    presence: Presence,
    /// By [`MemberKey::index`].
    members: Vec<Option<Member>>,
    /// Those who have a key, in the order in which they got it.
    listeners: BTreeMap<u64, usize>,
    next_order: u64,
    told: usize,
    /// Who came since others were told.
    newcomers: Vec<u64>,
    pending: Vec<Notice>,
    /// When what is pending is told.
    due_us: Option<u64>,
    behind: bool,
    pub(super) store: PacketStore,
    /// Members who show something.
    shows: usize,
    /// Whether the room is in the core's list of those whose time comes soon.
    pub(super) is_hot: bool,
    /// What there is of other nodes, where the room is at others too.
    pub(super) cascade: Option<Box<Cascade>>,
}

impl RoomState {
    pub(super) fn new(key: VoiceRoomKey, room: Room, presence: Presence) -> Self {
        Self {
            key,
            room,
            presence,
            members: Vec::new(),
            listeners: BTreeMap::new(),
            next_order: 1,
            told: 0,
            newcomers: Vec::new(),
            pending: Vec::new(),
            due_us: None,
            behind: false,
            store: PacketStore::default(),
            shows: 0,
            is_hot: false,
            cascade: None,
        }
    }

    /// Whether anybody shows anything.
    pub(super) const fn has_video(&self) -> bool {
        self.shows > 0
    }

    pub(super) fn member(&self, key: MemberKey) -> Option<&Member> {
        self.members.get(key.index())?.as_ref().filter(|member| member.key == key)
    }
    pub(super) fn member_of(&self, user: UserId) -> Option<&Member> {
        self.member(self.room.member_of(user)?)
    }
    pub(super) fn member_mut(&mut self, key: MemberKey) -> Option<&mut Member> {
        self.members.get_mut(key.index())?.as_mut().filter(|member| member.key == key)
    }
    pub(super) fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().flatten()
    }

    /// All of them by [`MemberKey::index`], and the packets that are kept.
    pub(super) fn parts(&mut self) -> (&mut [Option<Member>], &PacketStore, &mut Room, Option<&mut Cascade>) {
        (&mut self.members, &self.store, &mut self.room, self.cascade.as_deref_mut())
    }

    pub(super) fn insert(&mut self, member: Member) {
        let at = member.key.index();
        if self.members.len() <= at {
            self.members.resize_with(at + 1, || None);
        }
        self.members[at] = Some(member);
    }

    /// Takes a member out, and tells those who were told of it.
    pub(super) fn remove(&mut self, now_us: u64, key: MemberKey) -> Option<Member> {
        self.member(key)?;
        let member = self.members[key.index()].take()?;
        self.room.leave(now_us, key);
        if let Some(order) = member.order {
            self.listeners.remove(&order);
        }
        self.told -= usize::from(member.is_told);
        self.shows -= usize::from(member.shown.is_some());
        self.store.close(key);
        for stream in [member.streams.audio, member.streams.video] {
            self.release(Ssrc(stream.0));
        }
        self.note_change();
        if member.is_told || member.announced_below > 0 {
            let event = ServerEvent::ClientDisconnect(ClientDisconnect { user_id: member.user });
            self.tell_later(now_us, Payload::new(&event), None);
        }
        Some(member)
    }

    /// A stream is no more.
    fn release(&mut self, stream: Ssrc) {
        let ways = self.members.iter_mut().flatten().filter_map(|other| other.way.web_rtc_mut());
        ways.for_each(|way| way.release(stream));
    }

    /// A member got a key, or its offer was answered: it is told who is there, and others are told of it.
    pub(super) fn activate(&mut self, now_us: u64, key: MemberKey) {
        let (order, presence) = (self.next_order, self.presence);
        let is_told = self.told < presence.members_max;
        let Some(member) = self.member_mut(key).filter(|member| !member.is_listening()) else { return };
        member.order = Some(order);
        member.is_told = is_told;
        self.next_order += 1;
        self.snapshot(key);
        self.listeners.insert(order, key.index());
        // Of those who are heard it was told just now.
        let heard: SmallVec<[MemberKey; 16]> = self.room.speakers().collect();
        for speaker in heard {
            if self.announced_below(speaker) == Some(order) {
                self.set_announced(speaker, order + 1);
            }
        }
        self.note_change();
        if is_told {
            self.told += 1;
            self.newcomers.push(order);
            self.schedule(now_us);
        }
    }

    /// A member can be sent to, or can no longer: it hears and sees from then on.
    pub(super) fn set_connected(&mut self, now_us: u64, key: MemberKey, is_connected: bool) {
        let Some(member) = self.member_mut(key) else { return };
        member.is_connected = is_connected;
        let flags = member.flags();
        // Browsers see what they say nothing about; bots ask for it.
        let any = if member.way.web_rtc().is_some() { 100 } else { 0 };
        let wants = member.wants.clone().unwrap_or(Wants { any, ..Wants::default() });
        self.room.set_flags(now_us, key, flags);
        self.room.set_wants(now_us, key, if is_connected { wants } else { Wants::default() });
    }

    /// Takes what a member wants to see.
    pub(super) fn set_wants(&mut self, now_us: u64, key: MemberKey, wants: &MediaSinkWants) {
        let Some(member) = self.member_mut(key) else { return };
        let named = wants.streams.iter();
        let by_ssrc = named.map(|(ssrc, quality)| (rookery_forwarder::Ssrc(ssrc.0), quality.percent())).collect();
        let wants = Wants { any: wants.any.unwrap_or(Quality::FULL).percent(), by_ssrc };
        member.wants = Some(wants.clone());
        if member.is_connected {
            self.room.set_wants(now_us, key, wants);
        }
    }

    /// Takes what a member shows; others are told, and those who come later.
    pub(super) fn set_shown(&mut self, now_us: u64, key: MemberKey, shown: Option<Shown>) {
        let shown = shown.map(Box::new);
        let Some(member) = self.member_mut(key).filter(|member| member.shown != shown) else { return };
        let stream = |shown: &Option<Box<Shown>>| shown.as_ref().map(|shown| shown.stream.clone());
        let before = std::mem::replace(&mut member.shown, shown);
        let is_new = stream(&before) != stream(&member.shown);
        let (payload, user, is_shown) = (member.video_payload(), member.user, member.shown.is_some());
        let streams = member.streams;
        self.shows = self.shows + usize::from(is_shown) - usize::from(before.is_some());
        if !is_shown {
            self.release(Ssrc(streams.video.0));
        }
        self.note_urgent_change();
        if is_new {
            self.tell_later(now_us, payload, Some(user));
            self.due_us = Some(now_us);
        }
    }

    /// Tells a publisher how well it is wanted.
    pub(super) fn demand(&mut self, key: MemberKey, quality: u8) {
        if let Some(member) = self.member_mut(key) {
            member.demand = Quality::new(quality);
            let Some(payload) = member.demand_payload() else { return };
            let notice = Notice { payload, except: None };
            let notices: Arc<[Notice]> = Arc::new([notice]);
            member.post(&notices);
            self.behind |= self.member(key).is_some_and(|member| member.is_behind);
        }
    }

    /// Tells a member who is there, who speaks and who shows something.
    fn snapshot(&mut self, key: MemberKey) {
        let is_large = self.listeners.len() > self.presence.members_max;
        let others = || self.members().filter(|member| member.key != key && member.is_listening());
        let (remote_users, remote_speaking, remote_showing) = self.remote_snapshot(is_large);
        let user_ids = others().filter(|member| member.is_told).map(|member| member.user);
        let user_ids: Vec<_> = user_ids.chain(remote_users).collect();
        let connected =
            (!user_ids.is_empty()).then(|| Payload::new(&ServerEvent::ClientsConnect(ClientsConnect { user_ids })));
        let speaking: Vec<_> = if is_large {
            let heard = self.room.speakers().filter(|speaker| *speaker != key);
            heard.filter_map(|speaker| self.member(speaker)).map(Member::speaking_payload).collect()
        } else {
            others().filter(|member| member.announced_below > 0).map(Member::speaking_payload).collect()
        };
        let showing: Vec<_> = others().filter(|member| member.shown.is_some()).map(Member::video_payload).collect();
        let demand = self.member(key).filter(|member| member.shown.is_some()).and_then(Member::demand_payload);
        let (speaking, showing) =
            (speaking.into_iter().chain(remote_speaking), showing.into_iter().chain(remote_showing));
        let all = connected.into_iter().chain(speaking).chain(showing).chain(demand);
        let notices: Arc<[Notice]> = all.map(|payload| Notice { payload, except: None }).collect();
        if let Some(member) = self.member_mut(key) {
            member.post(&notices);
            self.behind |= self.member(key).is_some_and(|member| member.is_behind);
        }
    }

    /// Takes what a member says of itself; others are told if that is something new, and they would care.
    pub(super) fn set_speaking(&mut self, now_us: u64, key: MemberKey, flags: SpeakingFlags) {
        let is_first = self.member(key).is_some_and(|member| member.speaking.is_none());
        let is_new = self.room.set_speaking(key, flags.bits().into()) || is_first;
        let is_large = self.listeners.len() > self.presence.members_max;
        let is_heard = || self.room.speakers().any(|speaker| speaker == key);
        let is_of_interest = !is_large || is_heard();
        let next_order = self.next_order;
        let Some(member) = self.member_mut(key).filter(|_| is_new) else { return };
        member.speaking = Some(flags);
        let flags = member.flags();
        // A client says at first that it does not speak, which tells others its SSRC.
        if is_of_interest && (member.granted.may_speak || member.announced_below > 0) {
            member.announced_below = next_order;
            let (payload, user) = (member.speaking_payload(), member.user);
            self.tell_later(now_us, payload, Some(user));
            self.due_us = Some(now_us);
        }
        self.room.set_flags(now_us, key, flags);
        self.note_urgent_change();
    }

    /// Takes new permissions or a new voice state.
    pub(super) fn set_granted(&mut self, now_us: u64, key: MemberKey, granted: VoiceMemberFlags) {
        let Some(member) = self.member_mut(key) else { return };
        member.granted = granted;
        let flags = member.flags();
        self.room.set_flags(now_us, key, flags);
        self.note_change();
    }

    /// Tells everybody whose voice an SSRC is who does not know, before they hear it.
    pub(super) fn announce(&mut self, key: MemberKey) {
        let next_order = self.next_order;
        let Some(from) = self.announced_below(key).filter(|below| *below < next_order) else { return };
        let Some((user, payload)) = self.speaker(key) else { return };
        // What happened before comes before: somebody may have left and come back.
        let has_newcomers = self.cascade.as_ref().is_some_and(|cascade| !cascade.newcomers.is_empty());
        if !self.pending.is_empty() || has_newcomers {
            self.tell();
        }
        let notices: Arc<[Notice]> = Arc::new([Notice { payload, except: Some(user) }]);
        let Self { listeners, members, behind, .. } = self;
        for (_, at) in listeners.range(from..) {
            if let Some(member) = members[*at].as_mut().filter(|member| member.user != user) {
                member.post(&notices);
                *behind |= member.is_behind;
            }
        }
        self.set_announced(key, next_order);
        self.note_urgent_change();
    }

    /// Listeners below this number know somebody's SSRC, who may be at another node.
    fn announced_below(&self, key: MemberKey) -> Option<u64> {
        let of_remote = || Some(self.cascade.as_ref()?.remote(key)?.announced_below);
        self.member(key).map(|member| member.announced_below).or_else(of_remote)
    }

    fn set_announced(&mut self, key: MemberKey, below: u64) {
        if let Some(member) = self.member_mut(key) {
            member.announced_below = below;
        } else if let Some(remote) = self.cascade.as_mut().and_then(|cascade| cascade.remote_mut(key)) {
            remote.announced_below = below;
        }
    }

    fn speaker(&self, key: MemberKey) -> Option<(UserId, Arc<Payload>)> {
        if let Some(member) = self.member(key) {
            return Some((member.user, member.speaking_payload()));
        }
        let remote = self.cascade.as_ref()?.remote(key)?;
        Some((remote.user, remote.speaking_payload()))
    }

    fn tell_later(&mut self, now_us: u64, payload: Arc<Payload>, except: Option<UserId>) {
        self.tell_newcomers();
        self.pending.push(Notice { payload, except });
        self.schedule(now_us);
    }

    fn schedule(&mut self, now_us: u64) {
        let wait_us = if self.listeners.len() > SMALL_MEMBERS { self.presence.interval_us } else { 0 };
        self.due_us.get_or_insert(now_us + wait_us);
    }

    /// When something is to be told.
    pub(super) const fn due_us(&self) -> Option<u64> {
        self.due_us
    }

    /// Tells everybody what is pending.
    pub(super) fn tell(&mut self) {
        if self.due_us.take().is_none() {
            return;
        }
        self.tell_newcomers();
        let newcomers = std::mem::take(&mut self.newcomers);
        let came: Vec<(u64, UserId)> = newcomers
            .iter()
            .filter_map(|order| Some((*order, self.members[*self.listeners.get(order)?].as_ref()?.user)))
            .collect();
        let first_new = came.first().map_or(u64::MAX, |(order, _)| *order);
        let without = std::mem::take(&mut self.pending);
        let connect = |user_ids| Payload::new(&ServerEvent::ClientsConnect(ClientsConnect { user_ids }));
        let all_came = (!came.is_empty()).then(|| connect(came.iter().map(|(_, user)| *user).collect()));
        let copy = |notice: &Notice| Notice { payload: Arc::clone(&notice.payload), except: notice.except };
        let for_new: Arc<[Notice]> = without.iter().map(copy).collect();
        let came_notice = all_came.map(|payload| Notice { payload, except: None });
        let for_old: Arc<[Notice]> = without.into_iter().chain(came_notice).collect();
        let Self { listeners, members, behind, .. } = self;
        for (order, at) in listeners.iter() {
            let Some(member) = members[*at].as_mut() else { continue };
            if *order < first_new {
                member.post(&for_old);
            } else {
                member.post(&for_new);
                // It was told of those before it when it came.
                let later: Vec<_> = came.iter().filter(|(came, _)| came > order).map(|(_, user)| *user).collect();
                if !later.is_empty() {
                    let notices: Arc<[Notice]> = Arc::new([Notice { payload: connect(later), except: None }]);
                    member.post(&notices);
                }
            }
            *behind |= member.is_behind;
        }
    }

    /// Tells those anew for whom something did not fit, if there is room now. What they missed of those who left stays missed.
    pub(super) fn catch_up(&mut self) {
        if !std::mem::take(&mut self.behind) {
            return;
        }
        let behind: Vec<_> = self.members().filter(|member| member.is_behind).map(|member| member.key).collect();
        for key in behind {
            self.resync(key);
        }
    }

    /// Tells one anew who is there and who speaks.
    pub(super) fn resync(&mut self, key: MemberKey) {
        let Some(member) = self.member_mut(key) else { return };
        member.is_behind = false;
        if member.is_listening() {
            self.snapshot(key);
        }
    }
}

mod remotes;
#[cfg(test)]
mod tests;
