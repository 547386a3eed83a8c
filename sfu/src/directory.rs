//! Who is awaited, who is here, and which core a room is on.
//!
//! One lock, which nothing that is done for a packet takes.

use parking_lot::Mutex;
use rookery_model::UserId;
use rookery_model::voice::node::{
    PrepareMember, VoiceMember, VoiceMemberFlags, VoiceMemberKey, VoiceNodeRefusal, VoiceRoomKey, VoiceRoomSettings,
};
use rookery_model::voice::{VoiceCloseCode, VoiceIdentify, VoiceResume};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::mailbox::MailSender;
use crate::media::MemberRef;
use crate::secret::Token;

/// The main gateway's session ids are shorter.
const SESSION_ID_MAX_BYTES: usize = 128;
/// Notes of tokens that were used or replaced, beside one for each that is awaited.
const STALE_MAX: usize = 1_024;

/// What was prepared for one member.
pub(crate) struct Grant {
    pub(crate) room: VoiceRoomKey,
    pub(crate) user: UserId,
    pub(crate) session_id: Box<str>,
    pub(crate) settings: VoiceRoomSettings,
    /// Where the room is.
    pub(crate) core: usize,
    token: Token,
    flags: Mutex<VoiceMemberFlags>,
}

impl Grant {
    /// What the member may do at the moment.
    pub(crate) fn flags(&self) -> VoiceMemberFlags {
        *self.flags.lock()
    }
    /// As owners know the member.
    pub(crate) fn member(&self) -> VoiceMember {
        VoiceMember { room: self.room, user_id: self.user, session_id: self.session_id.to_string() }
    }
    const fn key(&self) -> VoiceMemberKey {
        VoiceMemberKey { server_id: self.room.server_id, user_id: self.user }
    }
}

/// What is known of one user on one server.
#[derive(Default)]
struct Seat {
    awaited: Option<Awaited>,
    live: Option<Live>,
}

struct Awaited {
    grant: Arc<Grant>,
    until_ms: u64,
}

/// A session.
#[derive(Clone)]
pub(crate) struct Live {
    pub(crate) grant: Arc<Grant>,
    pub(crate) session: u64,
    pub(crate) mail: MailSender,
}

impl Live {
    /// As its core knows it.
    pub(crate) fn reference(&self) -> MemberRef {
        MemberRef { room: self.grant.room, user: self.grant.user, session: self.session }
    }
}

struct Place {
    core: usize,
    /// Those who are awaited and those who are here.
    seats: usize,
    /// Whether it is at other nodes too: then it stays where it is, although nobody may be here.
    is_linked: bool,
}

struct State {
    seats: HashMap<VoiceMemberKey, Seat>,
    /// For RESUME, which names no user.
    sessions: HashMap<(u64, Box<str>), UserId>,
    rooms: HashMap<VoiceRoomKey, Place>,
    /// Awaited and here, by core.
    loads: Vec<usize>,
    /// When tokens end, the first ones first.
    expiries: VecDeque<(u64, Arc<Grant>)>,
    sessions_begun: u64,
    is_draining: bool,
}

/// See the head of the file.
pub(crate) struct Directory {
    state: Mutex<State>,
    members_max: usize,
    token_ttl_ms: u64,
}

/// A client that identified well.
pub(crate) struct Identified {
    pub(crate) live: Live,
    /// The session that this one takes the place of.
    pub(crate) replaced: Option<Live>,
}

impl Directory {
    pub(crate) fn new(cores: usize, members_max: usize, token_ttl_ms: u64) -> Self {
        let state = State {
            seats: HashMap::new(),
            sessions: HashMap::new(),
            rooms: HashMap::new(),
            loads: vec![0; cores],
            expiries: VecDeque::new(),
            sessions_begun: 0,
            is_draining: false,
        };
        Self { state: Mutex::new(state), members_max, token_ttl_ms }
    }

    /// Makes a token for somebody who will come. One that the user was given before for this server is void.
    pub(crate) fn prepare(&self, now_ms: u64, token: Token, prepare: PrepareMember) -> Result<(), VoiceNodeRefusal> {
        let PrepareMember { room, user_id, session_id, flags, settings, token: _ } = prepare;
        if session_id.is_empty() || session_id.len() > SESSION_ID_MAX_BYTES || settings.members_max == 0 {
            return Err(VoiceNodeRefusal::Invalid);
        }
        let mut state = self.state.lock();
        if state.is_draining {
            return Err(VoiceNodeRefusal::Draining);
        }
        let key = VoiceMemberKey { server_id: room.server_id, user_id };
        // Whoever comes again takes no place that they do not have.
        let is_there = |grant: &Grant| grant.room == room;
        let seat = state.seats.get(&key);
        let has_place = seat.is_some_and(|seat| seat.grants().any(is_there));
        let has_seat = seat.is_some();
        let taken = state.rooms.get(&room).map_or(0, |place| place.seats);
        let is_full = (!has_place && taken >= settings.members_max as usize)
            || (!has_seat && state.seats.len() >= self.members_max);
        if is_full {
            return Err(VoiceNodeRefusal::Full);
        }
        if let Some(awaited) = state.seats.get_mut(&key).and_then(|seat| seat.awaited.take()) {
            state.release(&awaited.grant);
        }
        let core = state.place(room);
        let grant = Arc::new(Grant {
            room,
            user: user_id,
            session_id: session_id.into(),
            settings,
            core,
            token,
            flags: Mutex::new(flags),
        });
        state.await_until(now_ms + self.token_ttl_ms, grant);
        Ok(())
    }

    /// Looks an IDENTIFY up. A member whose session is here may identify anew with its token, and one whose session ended by
    /// itself may for as long as a new token would hold: clients do that when they cannot resume.
    pub(crate) fn identify(
        &self,
        now_ms: u64,
        identify: &VoiceIdentify,
        mail: MailSender,
    ) -> Result<Identified, VoiceCloseCode> {
        let mut state = self.state.lock();
        let key = VoiceMemberKey { server_id: identify.server_id, user_id: identify.user_id };
        let seat = state.seats.get_mut(&key).ok_or(VoiceCloseCode::AuthenticationFailed)?;
        let presented = identify.token.bare();
        let is_good = |grant: &Grant| {
            grant.token.is(presented)
                && *grant.session_id == *identify.session_id
                && identify.channel_id.is_none_or(|channel_id| channel_id == grant.room.channel_id)
        };
        let grant = if let Some(awaited) = seat.awaited.take_if(|a| now_ms < a.until_ms && is_good(&a.grant)) {
            awaited.grant
        } else if let Some(live) = seat.live.as_ref().filter(|live| is_good(&live.grant)) {
            Arc::clone(&live.grant)
        } else {
            return Err(VoiceCloseCode::AuthenticationFailed);
        };
        let replaced = seat.live.take();
        if let Some(replaced) = &replaced {
            state.sessions.remove(&(key.server_id.get(), replaced.grant.session_id.clone()));
            if !Arc::ptr_eq(&replaced.grant, &grant) {
                state.release(&replaced.grant);
            }
        }
        state.sessions_begun += 1;
        let live = Live { session: state.sessions_begun, mail, grant };
        state.sessions.insert((key.server_id.get(), live.grant.session_id.clone()), key.user_id);
        state.seats.entry(key).or_default().live = Some(live.clone());
        Ok(Identified { live, replaced })
    }

    /// Looks a RESUME up: where the session is to be found.
    pub(crate) fn resume(&self, resume: &VoiceResume) -> Result<MailSender, VoiceCloseCode> {
        let state = self.state.lock();
        let session = (resume.server_id.get(), resume.session_id.as_str().into());
        let user_id = *state.sessions.get(&session).ok_or(VoiceCloseCode::SessionInvalid)?;
        let key = VoiceMemberKey { server_id: resume.server_id, user_id };
        let live = state.seats.get(&key).and_then(|seat| seat.live.as_ref());
        live.filter(|live| live.grant.token.is(resume.token.bare()))
            .map(|live| live.mail.clone())
            .ok_or(VoiceCloseCode::SessionInvalid)
    }

    /// A session is over; whether it was still the member's. With `may_return` its token holds for a while.
    pub(crate) fn ended(&self, now_ms: u64, session: &Live, may_return: bool) -> bool {
        let mut state = self.state.lock();
        let key = session.grant.key();
        let Some(seat) = state.seats.get_mut(&key) else { return false };
        let Some(live) = seat.live.take_if(|live| live.session == session.session) else { return false };
        let is_awaited = seat.awaited.is_some();
        state.sessions.remove(&(key.server_id.get(), live.grant.session_id.clone()));
        if may_return && !is_awaited && !state.is_draining {
            state.await_until(now_ms + self.token_ttl_ms, live.grant);
        } else {
            state.release(&live.grant);
            state.tidy(key);
        }
        true
    }

    /// Takes new permissions or a new voice state; the session that is to be told of them, if there is one.
    pub(crate) fn update(
        &self,
        key: VoiceMemberKey,
        flags: VoiceMemberFlags,
    ) -> Result<Option<Live>, VoiceNodeRefusal> {
        let state = self.state.lock();
        let seat = state.seats.get(&key).ok_or(VoiceNodeRefusal::UnknownMember)?;
        // First here, then at the core: whoever joins meanwhile reads them here.
        seat.grants().for_each(|grant| *grant.flags.lock() = flags);
        Ok(seat.live.clone())
    }

    /// Takes a member out: its tokens are void. The session that is to be ended, if there is one.
    pub(crate) fn remove(&self, key: VoiceMemberKey) -> Result<Option<Live>, VoiceNodeRefusal> {
        self.state.lock().remove(key).ok_or(VoiceNodeRefusal::UnknownMember)
    }

    /// Takes a member's session out; whoever is awaited still is.
    pub(crate) fn take_live(&self, key: VoiceMemberKey) -> Option<Live> {
        let mut state = self.state.lock();
        let live = state.seats.get_mut(&key)?.live.take()?;
        state.sessions.remove(&(key.server_id.get(), live.grant.session_id.clone()));
        state.release(&live.grant);
        state.tidy(key);
        Some(live)
    }

    /// Takes everybody out of a room.
    pub(crate) fn close_room(&self, room: VoiceRoomKey) -> Result<Vec<Live>, VoiceNodeRefusal> {
        let mut state = self.state.lock();
        if !state.rooms.contains_key(&room) {
            return Err(VoiceNodeRefusal::UnknownRoom);
        }
        let here = |grant: &Grant| grant.room == room;
        let keys: Vec<_> =
            state.seats.iter().filter(|(_, seat)| seat.grants().any(here)).map(|(key, _)| *key).collect();
        let mut ended = Vec::new();
        for key in keys {
            let Some(seat) = state.seats.get_mut(&key) else { continue };
            // Somebody who is in this room may be awaited in another, or the other way round.
            let awaited = seat.awaited.take_if(|awaited| here(&awaited.grant));
            let live = seat.live.take_if(|live| here(&live.grant));
            if let Some(awaited) = awaited {
                state.release(&awaited.grant);
            }
            if let Some(live) = live {
                state.sessions.remove(&(key.server_id.get(), live.grant.session_id.clone()));
                state.release(&live.grant);
                ended.push(live);
            }
            state.tidy(key);
        }
        Ok(ended)
    }

    /// Has a room linked to other nodes, or no longer; its core.
    pub(crate) fn link(&self, room: VoiceRoomKey, is_linked: bool) -> usize {
        self.state.lock().link(room, is_linked)
    }

    /// Whether there is little room for members: those who decide about it learn of it late.
    pub(crate) fn is_nearly_full(&self) -> bool {
        let seats = self.state.lock().seats.len();
        seats >= self.members_max - self.members_max / 20
    }

    /// The core that a room is on.
    pub(crate) fn core_of(&self, room: VoiceRoomKey) -> Option<usize> {
        self.state.lock().rooms.get(&room).map(|place| place.core)
    }

    /// Whether a member is here or awaited.
    pub(crate) fn knows(&self, key: VoiceMemberKey) -> bool {
        self.state.lock().seats.contains_key(&key)
    }

    /// Prepares nobody any more.
    pub(crate) fn drain(&self) {
        self.state.lock().is_draining = true;
    }

    /// Whether anybody is here.
    pub(crate) fn has_live(&self) -> bool {
        !self.state.lock().sessions.is_empty()
    }

    /// Everybody who is here.
    pub(crate) fn live(&self) -> Vec<Live> {
        self.state.lock().seats.values().filter_map(|seat| seat.live.clone()).collect()
    }

    /// Sessions, those who are awaited, and rooms.
    pub(crate) fn counts(&self) -> (usize, usize, usize) {
        let state = self.state.lock();
        let awaited = state.seats.values().filter(|seat| seat.awaited.is_some()).count();
        (state.sessions.len(), awaited, state.rooms.len())
    }

    /// Voids tokens whose time is over; who never came.
    pub(crate) fn expire(&self, now_ms: u64) -> Vec<VoiceMember> {
        let mut state = self.state.lock();
        let mut never_came = Vec::new();
        while let Some((_, grant)) = state.expiries.pop_front_if(|(until_ms, _)| *until_ms <= now_ms) {
            let key = grant.key();
            let Some(seat) = state.seats.get_mut(&key) else { continue };
            let is_over = |awaited: &mut Awaited| Arc::ptr_eq(&awaited.grant, &grant) && awaited.until_ms <= now_ms;
            if seat.awaited.take_if(is_over).is_none() {
                continue;
            }
            never_came.push(grant.member());
            state.release(&grant);
            state.tidy(key);
        }
        never_came
    }
}

impl Seat {
    fn grants(&self) -> impl Iterator<Item = &Grant> {
        let awaited = self.awaited.as_ref().map(|awaited| &*awaited.grant);
        awaited.into_iter().chain(self.live.as_ref().map(|live| &*live.grant))
    }
}

impl State {
    /// Takes a place in a room, which begins where the least are.
    fn place(&mut self, room: VoiceRoomKey) -> usize {
        let idlest = self.idlest();
        let place = self.rooms.entry(room).or_insert(Place { core: idlest, seats: 0, is_linked: false });
        place.seats += 1;
        self.loads[place.core] += 1;
        place.core
    }

    fn idlest(&self) -> usize {
        self.loads.iter().enumerate().min_by_key(|(_, load)| **load).map_or(0, |(core, _)| core)
    }

    fn link(&mut self, room: VoiceRoomKey, is_linked: bool) -> usize {
        let idlest = self.idlest();
        let place = self.rooms.entry(room).or_insert(Place { core: idlest, seats: 0, is_linked });
        place.is_linked = is_linked;
        let core = place.core;
        if place.seats == 0 && !is_linked {
            self.rooms.remove(&room);
        }
        core
    }

    /// Gives a place back.
    fn release(&mut self, grant: &Grant) {
        let Some(place) = self.rooms.get_mut(&grant.room) else { return };
        place.seats -= 1;
        self.loads[place.core] -= 1;
        if place.seats == 0 && !place.is_linked {
            self.rooms.remove(&grant.room);
        }
    }

    /// Awaits somebody who has a place.
    fn await_until(&mut self, until_ms: u64, grant: Arc<Grant>) {
        let seat = self.seats.entry(grant.key()).or_default();
        seat.awaited = Some(Awaited { grant: Arc::clone(&grant), until_ms });
        self.expiries.push_back((until_ms, grant));
        if self.expiries.len() > 2 * self.seats.len() + STALE_MAX {
            let seats = &self.seats;
            self.expiries.retain(|(until_ms, grant)| {
                let awaited = seats.get(&grant.key()).and_then(|seat| seat.awaited.as_ref());
                awaited.is_some_and(|a| Arc::ptr_eq(&a.grant, grant) && a.until_ms == *until_ms)
            });
        }
    }

    fn remove(&mut self, key: VoiceMemberKey) -> Option<Option<Live>> {
        let seat = self.seats.remove(&key)?;
        seat.grants().for_each(|grant| self.release(grant));
        if let Some(live) = &seat.live {
            self.sessions.remove(&(key.server_id.get(), live.grant.session_id.clone()));
        }
        Some(seat.live)
    }

    fn tidy(&mut self, key: VoiceMemberKey) {
        if self.seats.get(&key).is_some_and(|seat| seat.awaited.is_none() && seat.live.is_none()) {
            self.seats.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests;
