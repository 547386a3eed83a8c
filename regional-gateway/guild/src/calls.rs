//! Calls in DMs and group DMs: who is in them, who is rung, and the message that tells of each.
//!
//! Who is in a call is a voice state like any other and stored nowhere. Of the call itself its message is stored, with
//! everybody who was in it: the one write that a call begins with. What changes of it later is written behind, by
//! [`GuildCore::save_call`], so that nobody waits for the store to leave. The DM's row names the message while the call goes
//! on; so an owner that finds one there knows of a call that was lost with the owner before, and says that it is over.

use std::collections::BTreeMap;

use rookery_model::channel::ChannelType;
use rookery_model::gateway::{
    CallCreate, CallDelete, CallMessageUpdate, CallSessionEvent, CallUpdate, Event, VoiceState, VoiceStateUpdate,
};
use rookery_model::message::{MessageCall, MessageRow, MessageType};
use rookery_model::store::Write;
use rookery_model::user::User;
use rookery_model::voice::{RoomOwner, VoiceEntry, VoiceRights, VoiceRoomKind};
use rookery_model::{ApiError, ChannelId, ErrorCode, MessageId, Timestamp, UserId};

use crate::commands::{Cx, new_row};
use crate::mentions::Mentions;
use crate::state::{DmSpace, GuildCore, Space};
use crate::voice::{Connection, Voice, VoiceSession};
use crate::{Caller, Given, IdSource, Outcome};

/// How long somebody is rung.
pub const RING_TIMEOUT_MS: u64 = 30_000;
const RING_TIMEOUT_US: i64 = RING_TIMEOUT_MS as i64 * 1_000;
/// After which time what could not be written is tried again.
const SAVE_AGAIN_US: i64 = 1_000_000;
/// Due already.
const AT_ONCE: Timestamp = Timestamp(i64::MIN);

/// The calls of a DM.
#[derive(Default)]
pub(crate) struct Calls {
    current: Option<DmCall>,
    /// The message of a call that is over, which the store does not know yet.
    over: Option<MessageRow>,
    /// The call that is over was lost with an earlier owner: nobody was told of its end.
    is_lost: bool,
    /// When to write what the store does not know; none if it knows everything.
    save_at: Option<Timestamp>,
}

/// A call that goes on.
struct DmCall {
    /// As it is stored, or is about to be.
    message: MessageRow,
    /// None: wherever the DM lives.
    region: Option<String>,
    /// Until when each is rung. Nobody is who is in the call.
    ringing: BTreeMap<UserId, Timestamp>,
    is_saved: bool,
}

impl Calls {
    /// Of a DM that is loaded: the message that its row names was left behind by an owner that ended without a word.
    pub fn load(dm: &DmSpace, message: Option<MessageRow>) -> Self {
        let is_lost = dm.call_message_id.is_some();
        Self { current: None, over: message, is_lost, save_at: is_lost.then_some(AT_ONCE) }
    }

    /// Whether somebody is in a call.
    pub const fn is_ongoing(&self) -> bool {
        self.current.is_some()
    }

    /// The region that was chosen for the call.
    pub fn region(&self) -> Option<&str> {
        self.current.as_ref()?.region.as_deref()
    }

    /// Forgets everything, as the DM is gone: nothing of it is to be written any more.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    fn note_participant(&mut self, user_id: UserId) {
        let Some(current) = &mut self.current else { return };
        let call = current.message.call.get_or_insert_default();
        if !call.participants.contains(&user_id) {
            call.participants.push(user_id);
            current.is_saved = false;
            self.save_at = Some(AT_ONCE);
        }
    }
}

impl GuildCore {
    /// Joins the call of a DM, changes how somebody is in it, or leaves it, as a session asks with VOICE_STATE_UPDATE without a
    /// guild; whoever joins where no call goes on begins one, for which `ids` names a message.
    ///
    /// 10003 and 50001 for DMs that are not there or not theirs, 20001 for bots, 50033 where the other is one, and 50024 in
    /// guilds.
    pub fn update_call(
        &mut self,
        now: Timestamp,
        session: VoiceSession,
        voice_session_id: &str,
        update: &VoiceStateUpdate,
        ids: &mut dyn IdSource,
    ) -> Result<Outcome, ApiError> {
        let VoiceSession { user_id, subscriber, .. } = session;
        let mut out = Outcome::default();
        let Some(channel_id) = update.channel_id else {
            // A session that another has taken over from has nothing to leave.
            self.disconnect_session(&mut out, subscriber, user_id);
            return Ok(out);
        };
        let caller = self.caller_of_call(now, user_id, channel_id)?;
        let old = self.voice.get(user_id).filter(|old| old.is_of(subscriber));
        let connection =
            Connection::in_call(session, old.map_or(voice_session_id, Connection::session_id), channel_id, update);
        if self.calls.current.is_none() {
            self.begin_call(&mut out, now, caller, ids);
        } else {
            self.calls.note_participant(user_id);
            self.stop_ringing(&mut out, |rung, _| rung == user_id);
        }
        self.connect(&mut out, user_id, connection);
        Ok(out)
    }

    /// Sends an event to one session of somebody, which is known by its name.
    pub(crate) fn send_to_call_session(out: &mut Outcome, user_id: UserId, session_name: u128, event: Event) {
        out.send_to_users(Event::CallSession(Box::new(CallSessionEvent { session_name, event })), [user_id]);
    }

    /// Somebody who may be in the call of a DM.
    fn caller_of_call(&self, now: Timestamp, user_id: UserId, channel_id: ChannelId) -> Result<User, ApiError> {
        let access = self.access(now, user_id, channel_id)?;
        let dm = self.dm()?;
        let is_pair = access.channel.kind == ChannelType::Dm;
        let caller = self.user(user_id).ok_or(ErrorCode::MissingAccess)?;
        if caller.bot {
            return Err(ErrorCode::BotsCannotUse.into());
        }
        if is_pair && dm.users.iter().any(|user| user.bot) {
            return Err(ErrorCode::InvalidRecipient.into());
        }
        Ok(User::clone(caller))
    }

    /// The DM; 50024 in guilds.
    pub(crate) fn dm(&self) -> Result<&DmSpace, ApiError> {
        match &self.space {
            Space::Dm(dm) => Ok(dm),
            Space::Guild(_) => Err(ErrorCode::WrongChannelType.into()),
        }
    }

    fn begin_call(&mut self, out: &mut Outcome, now: Timestamp, caller: User, ids: &mut dyn IdSource) {
        // The DM's row names one message at a time.
        self.write_end(out, now);
        let (Ok(dm), given) = (self.dm(), Given::default()) else { return };
        let others = dm.users.iter().filter(|user| user.id != caller.id && !user.bot).map(|user| user.id).collect();
        let message = MessageRow {
            mention_users: others,
            call: Some(MessageCall { participants: vec![caller.id], ended_timestamp: None }),
            ..new_row(dm.channel.id, MessageId(ids.next_id()), caller.id, MessageType::Call)
        };
        let caller = Caller::new(caller);
        let cx = Cx { now, caller: &caller, given: &given, ids };
        self.post(&cx, out, message.clone(), &Mentions::default());
        let Space::Dm(dm) = &mut self.space else { return };
        dm.call_message_id = Some(message.id);
        // One write of a row in a batch.
        out.writes.retain(|write| !matches!(write, Write::PutDm(_)));
        out.writes.push(Write::PutDm(dm.row()));
        self.calls.current = Some(DmCall { message, region: None, ringing: BTreeMap::new(), is_saved: true });
        // Their voice state follows.
        self.send_to_dm(out, |core| core.call_create());
    }

    /// Somebody is in the call no longer; it ends with the last.
    pub(crate) fn left_call(&mut self, out: &mut Outcome) {
        if self.voice.users().next().is_some() {
            return;
        }
        let Some(DmCall { message, .. }) = self.calls.current.take() else { return };
        let channel_id = message.channel_id;
        self.calls.over = Some(message);
        self.calls.save_at = Some(AT_ONCE);
        self.send_to_dm(out, |_| Some(Event::CallDelete(CallDelete { channel_id })));
    }

    /// Shows a user the call that goes on, as their client asks with CALL_CONNECT: nothing where none does, or to strangers.
    pub fn connect_call(&self, user_id: UserId) -> Outcome {
        let mut out = Outcome::default();
        if self.is_member(user_id)
            && let Some(event) = self.call_create()
        {
            out.send_to_users(event, [user_id]);
        }
        out
    }

    /// Tells once more what the call is: something that told it got lost.
    pub fn repeat_call(&mut self) -> Outcome {
        let mut out = Outcome::default();
        let gone = |core: &Self| Some(Event::CallDelete(CallDelete { channel_id: core.dm().ok()?.channel.id }));
        self.send_to_dm(&mut out, |core| core.call_create().or_else(|| gone(core)));
        out
    }

    /// Whether somebody is in a call.
    pub const fn is_call_ongoing(&self) -> bool {
        self.calls.is_ongoing()
    }

    /// Whether a call goes on, or something of one is not stored yet: the DM is to stay loaded.
    pub const fn has_call(&self) -> bool {
        self.calls.is_ongoing() || self.calls.save_at.is_some()
    }

    /// When [`GuildCore::handle_call_timeout`] and [`GuildCore::save_call`] are due.
    pub fn poll_call_timeout(&self) -> Option<Timestamp> {
        let ringing = self.calls.current.iter().flat_map(|call| call.ringing.values());
        ringing.copied().chain(self.calls.save_at).min()
    }

    /// Stops ringing those who do not come.
    pub fn handle_call_timeout(&mut self, now: Timestamp) -> Outcome {
        let mut out = Outcome::default();
        self.stop_ringing(&mut out, |_, until| until <= now);
        out
    }

    /// Whether something of a call is to be written now.
    pub fn has_unsaved_call(&self, now: Timestamp) -> bool {
        self.calls.save_at.is_some_and(|at| at <= now)
    }

    /// Nothing can be written now: it is due again in a while.
    pub fn postpone_saving_call(&mut self, now: Timestamp) {
        self.calls.save_at = self.calls.save_at.map(|_| Timestamp(now.0.saturating_add(SAVE_AGAIN_US)));
    }

    /// Writes what the store does not know of a call: who came, and that it is over.
    pub fn save_call(&mut self, now: Timestamp) -> Outcome {
        let mut out = Outcome::default();
        self.write_end(&mut out, now);
        self.calls.save_at = None;
        if let Some(current) = self.calls.current.as_mut().filter(|current| !current.is_saved) {
            current.is_saved = true;
            let message = current.message.clone();
            self.send_to_dm(&mut out, |_| message_update(&message));
            out.writes.push(Write::PutMessage(message));
        }
        out
    }

    fn write_end(&mut self, out: &mut Outcome, now: Timestamp) {
        let (over, is_lost) = (self.calls.over.take(), std::mem::take(&mut self.calls.is_lost));
        let Space::Dm(dm) = &mut self.space else { return };
        let channel_id = dm.channel.id;
        if self.calls.current.is_none() && dm.call_message_id.take().is_some() {
            out.writes.push(Write::PutDm(dm.row()));
        }
        if let Some(mut message) = over {
            let call = message.call.get_or_insert_default();
            call.ended_timestamp = Some(now);
            self.send_to_dm(out, |_| message_update(&message));
            out.writes.push(Write::PutMessage(message));
        }
        if is_lost {
            self.send_to_dm(out, |_| Some(Event::CallDelete(CallDelete { channel_id })));
        }
    }

    /// Rings these.
    pub(crate) fn ring(&mut self, out: &mut Outcome, now: Timestamp, user_ids: impl IntoIterator<Item = UserId>) {
        let Some(current) = &mut self.calls.current else { return };
        let until = Timestamp(now.0.saturating_add(RING_TIMEOUT_US));
        let mut has_changed = false;
        for user_id in user_ids {
            has_changed |= current.ringing.insert(user_id, until).is_none();
        }
        if has_changed {
            self.tell_call(out);
        }
    }

    /// Rings those no longer for whom this holds.
    pub(crate) fn stop_ringing(&mut self, out: &mut Outcome, stops: impl Fn(UserId, Timestamp) -> bool) {
        let Some(current) = &mut self.calls.current else { return };
        let before = current.ringing.len();
        current.ringing.retain(|user_id, until| !stops(*user_id, *until));
        if current.ringing.len() != before {
            self.tell_call(out);
        }
    }

    /// Where the call is from now on; everybody in it is told where to go.
    pub(crate) fn move_call(&mut self, out: &mut Outcome, region: Option<String>) {
        let Some(current) = self.calls.current.as_mut().filter(|current| current.region != region) else { return };
        current.region = region;
        let channel_id = current.message.channel_id;
        self.move_room(out, channel_id);
        self.tell_call(out);
    }

    fn tell_call(&self, out: &mut Outcome) {
        self.send_to_dm(out, |core| core.call_update().map(Event::CallUpdate));
    }

    fn send_to_dm(&self, out: &mut Outcome, event: impl FnOnce(&Self) -> Option<Event>) {
        let Space::Dm(dm) = &self.space else { return };
        if let Some(event) = event(self) {
            out.send_to_users(event, dm.user_ids());
        }
    }

    fn call_update(&self) -> Option<CallUpdate> {
        let current = self.calls.current.as_ref()?;
        let home = self.limits.voice_regions.iter().find(|region| region.optimal);
        Some(CallUpdate {
            channel_id: current.message.channel_id,
            message_id: current.message.id,
            region: current.region.clone().or_else(|| home.map(|region| region.id.clone())).unwrap_or_default(),
            ringing: current.ringing.keys().copied().collect(),
        })
    }

    fn call_create(&self) -> Option<Event> {
        let call = self.call_update()?;
        let states = self.voice.users().filter_map(|user_id| self.voice_state(user_id, self.voice.get(user_id)?));
        Some(Event::CallCreate(Box::new(CallCreate { call, voice_states: states.collect() })))
    }

    /// Takes over the call of an earlier core, if the store knows of it: whoever is in one of which it does not was told of
    /// none, or of its end.
    pub(crate) fn keep_call(&mut self, out: &mut Outcome, voice: Voice, calls: Calls) {
        let Space::Dm(dm) = &self.space else { return };
        let stored = dm.call_message_id;
        self.voice = voice;
        match calls.current {
            Some(call) if Some(call.message.id) == stored => {
                let save_at = Some(AT_ONCE);
                let current = Some(DmCall { is_saved: false, ..call });
                self.calls = Calls { current, over: None, is_lost: false, save_at };
                let gone = self.voice.users().filter(|user_id| !self.is_member(*user_id)).collect::<Vec<_>>();
                gone.into_iter().for_each(|user_id| self.disconnect(out, user_id));
                self.stop_ringing_strangers(out);
            }
            lost => {
                self.end_connections(out);
                let channel_id = lost.map(|call| call.message.channel_id);
                let gone = channel_id.map(|channel_id| Event::CallDelete(CallDelete { channel_id }));
                self.send_to_dm(out, |_| gone);
            }
        }
    }

    /// Nobody is rung who is not in the DM.
    pub(crate) fn stop_ringing_strangers(&mut self, out: &mut Outcome) {
        let user_ids = self.member_ids();
        self.stop_ringing(out, |user_id, _| !user_ids.contains(&user_id));
    }
}

impl DmSpace {
    /// How somebody is in the call.
    pub(crate) fn voice_state(
        &self,
        user_id: UserId,
        connection: &Connection,
        self_stream: bool,
    ) -> Option<VoiceState> {
        self.contains(user_id).then(|| connection.state_in_call(user_id, self_stream))
    }

    /// Somebody in the call, as its room is to let them in: a call has no moderators.
    pub(crate) fn voice_entry(&self, calls: &Calls, user_id: UserId, connection: &Connection) -> VoiceEntry {
        VoiceEntry {
            owner: RoomOwner::Dm(self.channel.id),
            server_id: self.channel.id.into(),
            channel_id: self.channel.id,
            kind: VoiceRoomKind::Voice,
            rtc_region: calls.region().map(Into::into),
            user_id,
            subscriber: connection.subscriber(),
            // Those who know where sessions are say so.
            session_region: None,
            session_id: connection.session_id().into(),
            visit: 0,
            rights: VoiceRights::SPEAK | VoiceRights::HEAR | VoiceRights::SHOW,
        }
    }
}

fn message_update(message: &MessageRow) -> Option<Event> {
    let call = message.call.clone()?;
    Some(Event::CallMessageUpdate(CallMessageUpdate { id: message.id, channel_id: message.channel_id, call }))
}
