//! A room with what its members are told.
//!
//! What is told grows with the members, not with their square: those who come within a while are told of together, in large
//! rooms only the first so many, and who speaks is told there only of those who are heard. Whoever is heard is told of to
//! each who has not been told, before the first packet.

use rookery_forwarder::{MemberFlags, MemberKey, Room};
use rookery_model::UserId;
use rookery_model::voice::node::{VoiceMemberFlags, VoiceRoomKey};
use rookery_model::voice::{ClientDisconnect, ClientsConnect, SpeakingEvent, SpeakingFlags, Ssrc};
use rookery_rtp::MemberId;
use rookery_voice_session::{Payload, ServerEvent};
use smallvec::SmallVec;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::events::MailboxFull;
use crate::mail::{Mail, Notice};

/// Up to so many members nobody waits to be told of.
const SMALL_MEMBERS: usize = 50;

/// Who of a room is told what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Presence {
    pub(super) members_max: usize,
    pub(super) interval_us: u64,
}

/// Somebody in a room.
pub(super) struct Member {
    pub(super) key: MemberKey,
    pub(super) user: UserId,
    pub(super) udp: MemberId,
    pub(super) session: u64,
    pub(super) ssrc: Ssrc,
    pub(super) mail: mpsc::Sender<Mail>,
    pub(super) granted: VoiceMemberFlags,
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
        ssrc: Ssrc,
        mail: mpsc::Sender<Mail>,
        granted: VoiceMemberFlags,
    ) -> Self {
        let (speaking, order, announced_below, is_told, is_behind) = (None, None, 0, false, false);
        Self { key, user, udp, session, ssrc, mail, granted, speaking, order, announced_below, is_told, is_behind }
    }

    /// Whether it has a key.
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
        // Before it has a key nothing can be sent to it, so a packet should not look at it.
        flags.set(MemberFlags::SERVER_DEAFENED, server_deafened || !self.is_listening());
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
        Payload::new(&ServerEvent::Speaking(SpeakingEvent { user_id: self.user, ssrc: self.ssrc, speaking }))
    }

    fn post(&mut self, notices: &Arc<[Notice]>) {
        if notices.is_empty() {
            return;
        }
        if let Err(TrySendError::Full(_)) = self.mail.try_send(Mail::Events(Arc::clone(notices))) {
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
        }
    }

    pub(super) fn member(&self, key: MemberKey) -> Option<&Member> {
        self.members.get(key.index())?.as_ref().filter(|member| member.key == key)
    }
    pub(super) fn member_of(&self, user: UserId) -> Option<&Member> {
        self.member(self.room.member_of(user)?)
    }
    fn member_mut(&mut self, key: MemberKey) -> Option<&mut Member> {
        self.members.get_mut(key.index())?.as_mut().filter(|member| member.key == key)
    }
    pub(super) fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().flatten()
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
        if member.is_told || member.announced_below > 0 {
            let event = ServerEvent::ClientDisconnect(ClientDisconnect { user_id: member.user });
            self.tell_later(now_us, Payload::new(&event), None);
        }
        Some(member)
    }

    /// A member got a key: it hears from now on, is told who is there, and others are told of it.
    pub(super) fn activate(&mut self, now_us: u64, key: MemberKey) {
        let (order, presence) = (self.next_order, self.presence);
        let is_told = self.told < presence.members_max;
        let Some(member) = self.member_mut(key).filter(|member| !member.is_listening()) else { return };
        member.order = Some(order);
        member.is_told = is_told;
        let flags = member.flags();
        self.next_order += 1;
        self.room.set_flags(now_us, key, flags);
        self.snapshot(key);
        self.listeners.insert(order, key.index());
        // Of those who are heard it was told just now.
        let heard: SmallVec<[MemberKey; 16]> = self.room.speakers().collect();
        for speaker in heard {
            if let Some(member) = self.member_mut(speaker).filter(|member| member.announced_below == order) {
                member.announced_below = order + 1;
            }
        }
        if is_told {
            self.told += 1;
            self.newcomers.push(order);
            self.schedule(now_us);
        }
    }

    /// Tells a member who is there and who speaks.
    fn snapshot(&mut self, key: MemberKey) {
        let is_large = self.listeners.len() > self.presence.members_max;
        let others = || self.members().filter(|member| member.key != key && member.is_listening());
        let user_ids: Vec<_> = others().filter(|member| member.is_told).map(|member| member.user).collect();
        let connected =
            (!user_ids.is_empty()).then(|| Payload::new(&ServerEvent::ClientsConnect(ClientsConnect { user_ids })));
        let speaking: Vec<_> = if is_large {
            let heard = self.room.speakers().filter(|speaker| *speaker != key);
            heard.filter_map(|speaker| self.member(speaker)).map(Member::speaking_payload).collect()
        } else {
            others().filter(|member| member.announced_below > 0).map(Member::speaking_payload).collect()
        };
        let notices: Arc<[Notice]> =
            connected.into_iter().chain(speaking).map(|payload| Notice { payload, except: None }).collect();
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
    }

    /// Takes new permissions or a new voice state.
    pub(super) fn set_granted(&mut self, now_us: u64, key: MemberKey, granted: VoiceMemberFlags) {
        let Some(member) = self.member_mut(key) else { return };
        member.granted = granted;
        let flags = member.flags();
        self.room.set_flags(now_us, key, flags);
    }

    /// Tells everybody whose voice an SSRC is who does not know, before they hear it.
    pub(super) fn announce(&mut self, key: MemberKey) {
        let next_order = self.next_order;
        let Some(member) = self.member(key).filter(|member| member.announced_below < next_order) else { return };
        let (from, user, payload) = (member.announced_below, member.user, member.speaking_payload());
        // What happened before comes before: somebody may have left and come back.
        if !self.pending.is_empty() {
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
        if let Some(member) = self.member_mut(key) {
            member.announced_below = next_order;
        }
    }

    fn tell_later(&mut self, now_us: u64, payload: Arc<Payload>, except: Option<UserId>) {
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

#[cfg(test)]
mod tests;
