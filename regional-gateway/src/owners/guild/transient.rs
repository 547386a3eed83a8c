//! What the owner of a guild does with presences and voice states, which no row holds.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use rookery_guild::{Audience, Dispatch, GuildCore, Outcome, VoiceSession};
use rookery_model::gateway::{ChannelInfoChannel, Event, Presence, SubscriberId};
use rookery_model::{ChannelId, UserId};

use super::actor::{Health, LoadedGuild, Pending};
use crate::degradation::Feature;
use crate::id_generator::{IssuedIds, now};
use crate::owners::register::{VoiceRequest, VoiceServer};
use crate::owners::{OwnerKey, Shared};

impl LoadedGuild {
    /// Looks at what changed since the last look.
    pub(super) fn take_news(&mut self) {
        let mut news = self.register.take();
        for (id, request) in std::mem::take(&mut self.awaiting_ids) {
            news.voice.entry(id).or_insert(request);
        }
        for (id, request) in news.voice {
            match self.key {
                OwnerKey::Guild(_) => self.update_voice(id, &request),
                OwnerKey::Dm(_) => self.update_call(id, request),
            }
        }
        for user_id in news.call_connects {
            self.decide_transient(|core| core.connect_call(user_id));
        }
        for ((server_id, user_id), VoiceServer { session_id, token, endpoint }) in news.voice_servers {
            self.decide_transient(|core| {
                core.voice_server(server_id, user_id, &session_id, &token, endpoint.as_deref())
            });
        }
        for ((server_id, user_id), session_id) in news.voice_gone {
            self.decide_transient(|core| core.voice_gone(server_id, user_id, &session_id));
        }
        let now_ms = self.shared.clock.now_ms();
        let slowdown = |feature| self.shared.degradation.slowdown(feature);
        let (presences, lists) = (slowdown(Feature::Presence), slowdown(Feature::MemberList));
        self.core.slow_presences(presences, lists > 1);
        for user_id in news.presences {
            let presence = self.shared.registers.presence(user_id);
            self.decide_transient(|core| core.presence_changed(now_ms, user_id, presence));
        }
    }

    fn update_voice(&mut self, id: SubscriberId, VoiceRequest { session_id, update, .. }: &VoiceRequest) {
        let decided = self.with_core(|core| core.update_voice_state(now(), id, session_id, update));
        match decided.and_then(|outcome| outcome) {
            Ok(outcome) => self.submit(outcome, None, Pending::default()),
            // Nobody is answered whose VOICE_STATE_UPDATE is refused, as the API has it.
            Err(error) => tracing::debug!(%error, "somebody does not get into voice"),
        }
    }

    /// Somebody joins the call of the DM or leaves it. Whoever begins one waits for room for its message.
    fn update_call(&mut self, id: SubscriberId, request: VoiceRequest) {
        let begins = request.update.channel_id.is_some() && !self.core.is_call_ongoing();
        if begins && !self.shared.ids.has_room() {
            return self.ask_for_ids(id, request);
        }
        // Without a place nothing can be stored: nobody begins a call then.
        let place = match self.place(!begins) {
            Ok(place) => place,
            Err(error) => return tracing::debug!(%error, "a call does not begin"),
        };
        let VoiceRequest { user_id, session, session_id, update } = &request;
        let session = VoiceSession { user_id: *user_id, subscriber: id, name: session.raw() };
        let generator = Arc::clone(&self.shared.ids);
        let mut ids = IssuedIds::new(&generator);
        let decided = self.with_core(|core| core.update_call(now(), session, session_id, update, &mut ids));
        if ids.are_exhausted() {
            return self.mark(Health::Ahead);
        }
        match decided.and_then(|outcome| outcome) {
            Ok(outcome) => self.submit(outcome, None, Pending { place, ..Pending::default() }),
            // Nobody is answered whose VOICE_STATE_UPDATE is refused, as the API has it.
            Err(error) => tracing::debug!(%error, "somebody does not get into a call"),
        }
    }

    /// Looks at the request again when there are ids, unless there is a newer one by then.
    fn ask_for_ids(&mut self, id: SubscriberId, request: VoiceRequest) {
        self.awaiting_ids.insert(id, request);
        let (ids, register) = (Arc::clone(&self.shared.ids), Arc::clone(&self.register));
        self.shared.spawn(async move {
            if let Err(error) = ids.ensure().await {
                tracing::debug!(%error, "a call does not begin yet");
            }
            register.tell(|_| ());
        });
    }

    /// Writes what the store does not know of a call; later, while it takes nothing.
    pub(super) fn save_call(&mut self) {
        if !self.core.has_unsaved_call(now()) {
            return;
        }
        let Ok(place) = self.place(false) else { return self.core.postpone_saving_call(now()) };
        if let Ok(outcome) = self.with_core(|core| core.save_call(now())) {
            self.submit(outcome, None, Pending { place, ..Pending::default() });
        }
    }

    /// Tells of the presences that waited.
    pub(super) fn presence_timeout(&mut self) {
        let now_ms = self.shared.clock.now_ms();
        self.decide_transient(|core| core.handle_timeout(now_ms));
    }

    /// Puts everybody out of voice.
    pub(super) fn end_voice(&mut self) {
        self.decide_transient(GuildCore::end_voice);
    }

    /// Takes over what the core before knew, once the sessions that are left are subscribed again.
    pub(super) fn keep_transient(&mut self, transient: rookery_guild::Transient) {
        self.decide_transient(|core| core.keep_transient(now(), transient));
        let now_ms = self.shared.clock.now_ms();
        // Members whom the core before did not have.
        for (user_id, presence) in present(&self.shared, &self.core) {
            if self.core.presence(user_id).is_none() {
                self.decide_transient(|core| core.presence_changed(now_ms, user_id, Some(presence)));
            }
        }
        let Unheard { presences, voice, voice_statuses, channel_info, has_call, streams, call_streams } =
            std::mem::take(&mut self.unheard);
        for user_id in presences {
            self.decide_transient(|core| core.repeat_presence(user_id));
        }
        for user_id in voice {
            self.decide_transient(|core| core.repeat_voice(user_id));
        }
        for channel_id in voice_statuses {
            self.decide_transient(|core| core.repeat_voice_status(channel_id));
        }
        for id in channel_info {
            // What it asked for is not known here: it is told all that there is.
            self.decide_transient(|core| core.request_channel_info(id, &[ChannelInfoChannel::STATUS.to_owned()]));
        }
        if has_call {
            self.decide_transient(GuildCore::repeat_call);
        }
        for (id, stream_key) in streams {
            self.decide_transient(|core| core.forget_stream(id, &stream_key));
        }
        for (user_id, session_name, stream_key) in call_streams {
            self.decide_transient(|core| core.forget_call_stream(user_id, session_name, &stream_key));
        }
    }

    pub(super) fn decide_transient(&mut self, decide: impl FnOnce(&mut GuildCore) -> Outcome) {
        // A panic is noted inside.
        if let Ok(outcome) = self.with_core(decide) {
            self.submit(outcome, None, Pending::default());
        }
    }
}

/// Whose presences and voice states were to be told when a batch before them failed: they are told again, and so are the
/// call, statuses of channels and answers.
#[derive(Default)]
pub(super) struct Unheard {
    presences: HashSet<UserId>,
    voice: HashSet<UserId>,
    /// Channels of whose statuses something was to be told.
    voice_statuses: BTreeSet<ChannelId>,
    /// Sessions that were to be answered with CHANNEL_INFO.
    channel_info: BTreeSet<SubscriberId>,
    has_call: bool,
    /// Streams of which something was to be told to a session.
    streams: BTreeSet<(SubscriberId, String)>,
    /// The same in a call, whose sessions are known by their names.
    call_streams: BTreeSet<(UserId, u128, String)>,
}

impl Unheard {
    /// Notes what of these events would be missed.
    pub fn note(&mut self, dispatches: &[Dispatch]) {
        for dispatch in dispatches {
            match &*dispatch.event {
                Event::PresenceUpdate(presence) => drop(self.presences.insert(presence.user.id())),
                Event::VoiceStateUpdate(state) => drop(self.voice.insert(state.user_id)),
                Event::VoiceChannelStatusUpdate(update) => drop(self.voice_statuses.insert(update.id)),
                Event::ChannelInfo(_) => {
                    if let Audience::Subscribers(ids) = &dispatch.audience {
                        self.channel_info.extend(ids.iter());
                    }
                }
                Event::CallCreate(_) | Event::CallUpdate(_) | Event::CallDelete(_) => self.has_call = true,
                Event::CallSession(to) => {
                    if let (Some(key), Audience::Users(ids)) = (to.event.stream_key(), &dispatch.audience) {
                        self.call_streams.extend(ids.iter().map(|id| (*id, to.session_name, key.to_owned())));
                    }
                }
                event => {
                    if let (Some(key), Audience::Subscribers(ids)) = (event.stream_key(), &dispatch.audience) {
                        self.streams.extend(ids.iter().map(|id| (*id, key.to_owned())));
                    }
                }
            }
        }
    }
}

/// The members who are not offline, or more than those.
pub(super) fn present(shared: &Shared, core: &rookery_guild::GuildCore) -> Vec<(UserId, Arc<Presence>)> {
    let registers = &shared.registers;
    registers
        .all_present(core.member_count())
        .unwrap_or_else(|| core.member_ids().into_iter().filter_map(|id| Some((id, registers.presence(id)?))).collect())
}
