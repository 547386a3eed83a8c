//! One session: it moves events from the owners through the session's core to the socket, and frames back.
//!
//! There is one for every connected client, driven by its [worker](super::worker): a plain state machine in one small
//! allocation, without a task, a timer or a queue of its own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::task::waker_ref;
use rookery_guild::Subscriber;
use rookery_model::gateway::event::Ready;
use rookery_model::gateway::{CloseCode, Event, RequestSoundboardSounds, SoundboardSounds, Subscription};
use rookery_model::guild::UnavailableGuild;
use rookery_model::{ApiError, ChannelId, ErrorCode, GuildId};
use rookery_session::{Action, EndReason, Frame, Freezer, Payload, Session};
use rookery_user::UserSession;

use super::connection;
use super::input::{AskedAt, Attach, Control, Input};
use super::kept::{self, KeptClient, KeptSession};
use super::looks::Looks;
use super::member_requests::{MemberRequests, TooMany};
use super::presence::SessionPresence;
use super::registry::{SessionHandle, Signal, Signals};
use super::socket::{Closing, Received, Socket};
use super::starts::Starter;
use super::subscriptions::Subscriptions;
use super::voice::{self, SessionVoice};
use super::websocket::Batch;
use crate::Region;
use crate::config::ms;
use crate::owners::guild::command::MembersCommand;

/// Frames taken in a row before other sessions have their turn.
const FRAMES_AT_ONCE: usize = 16;
/// How long a session waits for an owner that goes on with what the one before had, before its client is told that it is
/// away.
const PARKED_FOR_MS: u64 = 60_000;
/// How often what was written may make room for more in one turn.
const ROUNDS_AT_ONCE: usize = 8;

/// A running session.
pub struct SessionTask {
    region: Arc<Region>,
    handle: Arc<SessionHandle>,
    session: Session,
    socket: Option<Socket>,
    subscriptions: Subscriptions,
    member_requests: MemberRequests,
    looks: Looks,
    presence: SessionPresence,
    voice: SessionVoice,
    is_bot: bool,
    /// As which it subscribes to guilds.
    subscriber: Subscriber,
    /// As which its user's owner knows it.
    user_session: Box<UserSession>,
    /// READY as its user's owner is asked for the rest of it, until that came.
    asked_ready: Option<Box<Ready>>,
    /// The user's owner ended at that epoch, with everything told, and another is to go on; until when it may take.
    user_parked: Option<Parked>,
    /// Its socket or its signals want a look.
    pub(super) is_woken: bool,
    /// How the connection is closed if the session ends now.
    last_word: Closing,
    /// When the worker looks at it again although nothing came.
    pub(super) armed_ms: u64,
}

/// An owner that ended, and of which another goes on with what it had.
#[derive(Clone, Copy)]
struct Parked {
    epoch: u64,
    until_ms: u64,
}

/// What owners that begin are to go on with.
#[derive(Default)]
pub struct Resumed {
    pub guild_ids: Vec<GuildId>,
    pub user: Option<UserSession>,
    pub is_attached: bool,
}

/// What a session of the process before had, besides its core.
pub struct Kept {
    pub subscribed: Vec<GuildId>,
    /// Guilds whose owners ended, with their epochs; the same of its user.
    pub parked: Vec<(GuildId, u64)>,
    pub user_parked: Option<u64>,
    /// Asked for, of owners that answer it still.
    pub asked: Vec<GuildId>,
    pub waiting: Vec<GuildId>,
    pub looks: BTreeMap<GuildId, Subscription>,
    /// The DM in whose call it is.
    pub call: Option<ChannelId>,
}

/// What became of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The session waits for something to come.
    Done,
    /// It has more to do, after others.
    Again,
    Ended,
}

/// Whether a source may have more.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    Some,
    None,
}

impl SessionTask {
    /// A session on the socket whose client identified.
    pub fn new(
        region: Arc<Region>,
        handle: Arc<SessionHandle>,
        session: Session,
        socket: Socket,
        is_bot: bool,
        subscriber: Subscriber,
        user_session: UserSession,
    ) -> Self {
        Self {
            region,
            handle,
            session,
            socket: Some(socket),
            user_session: Box::new(user_session),
            asked_ready: None,
            subscriptions: Subscriptions::new(),
            member_requests: MemberRequests::new(),
            looks: Looks::default(),
            presence: SessionPresence::default(),
            voice: SessionVoice::default(),
            is_bot,
            subscriber,
            user_parked: None,
            is_woken: false,
            last_word: Closing::Abandon,
            armed_ms: u64::MAX,
        }
    }

    /// The session, whose user's owner is asked for the rest of this READY.
    #[must_use]
    pub fn asking_for(self, ready: Box<Ready>) -> Self {
        Self { asked_ready: Some(ready), ..self }
    }

    /// A session of the process before, which waits for RESUME.
    pub fn taken_up(
        region: Arc<Region>,
        handle: Arc<SessionHandle>,
        session: Session,
        is_bot: bool,
        subscriber: Subscriber,
        user_session: UserSession,
        kept: Kept,
    ) -> Self {
        let Kept { subscribed, parked, user_parked, asked, waiting, looks, call } = kept;
        let until_ms = region.clock.now_ms() + PARKED_FOR_MS;
        let mut subscriptions = Subscriptions::taken_up(subscribed, asked, waiting);
        parked.into_iter().for_each(|(guild_id, epoch)| subscriptions.take_up_parked(guild_id, epoch, until_ms));
        Self {
            region,
            handle,
            session,
            socket: None,
            subscriptions,
            member_requests: MemberRequests::new(),
            looks: Looks::taken_up(looks),
            presence: SessionPresence::taken_up(),
            voice: SessionVoice::taken_up(call),
            is_bot,
            subscriber,
            user_session: Box::new(user_session),
            asked_ready: None,
            user_parked: user_parked.map(|epoch| Parked { epoch, until_ms }),
            is_woken: false,
            last_word: Closing::Abandon,
            armed_ms: u64::MAX,
        }
    }

    /// The session as it is written down for the next process; none if its client cannot come back to it.
    pub fn keep(&self, now_ms: u64, freezer: &mut Freezer) -> Option<KeptSession> {
        if !self.presence.is_known() {
            // Its READY was not even made: the client starts anew at no loss.
            return None;
        }
        let mut client = KeptClient::new(&self.user_session.client);
        if let Some(newest) = self.presence.newest() {
            client.presence = serde_json::to_string(newest).ok();
        }
        let (subscribed, waiting) = self.subscriptions.parts();
        Some(KeptSession {
            frozen: self.session.freeze(now_ms, freezer)?,
            device: self.user_session.device,
            epoch: self.user_session.epoch,
            is_bot: self.is_bot,
            large_threshold: self.subscriber.large_threshold,
            capabilities: self.subscriber.capabilities.bits(),
            client,
            subscribed,
            parked: self.subscriptions.parked(),
            user_parked: self.user_parked.map(|parked| parked.epoch),
            waiting,
            asked: self.subscriptions.asked().to_vec(),
            looks: kept::write_looks(self.looks.all()),
            call: self.voice.call(),
        })
    }

    /// The guilds whose events it gets.
    pub fn guild_ids(&self) -> &[GuildId] {
        self.subscriptions.subscribed()
    }

    /// As which it subscribes to guilds.
    pub const fn subscriber(&self) -> &Subscriber {
        &self.subscriber
    }

    /// How others reach it.
    pub const fn handle(&self) -> &Arc<SessionHandle> {
        &self.handle
    }

    /// Takes events that others may get too; they are written in the next turn.
    pub fn dispatch<'a>(&mut self, now_ms: u64, payloads: impl IntoIterator<Item = &'a Arc<Payload>>) {
        self.session.observe_time(now_ms);
        for payload in payloads {
            if !self.send_datagram(payload) {
                self.session.handle_dispatch(Arc::clone(payload));
            }
        }
    }

    /// Reads here and there what a turn needs, so that it is in the processor's caches by then; what it returns means nothing.
    pub fn touch(&self) -> u64 {
        let socket = self.socket.as_ref().map_or(0, Socket::queued_bytes) as u64;
        let flags = u64::from(self.is_woken) | u64::from(self.subscriptions.is_starting()) << 1;
        let requests = u64::from(self.member_requests.is_waiting());
        self.armed_ms ^ socket ^ flags ^ requests ^ self.session.touch()
    }

    /// Does everything that is to be done now.
    pub fn turn(&mut self, now_ms: u64, batch: &mut Batch) -> Turn {
        self.session.observe_time(now_ms);
        let mut frames = Progress::None;
        if std::mem::take(&mut self.is_woken) {
            self.take_signals(self.handle.take_signals(), now_ms);
            frames = self.receive_frames(now_ms);
        }
        if self.session.poll_timeout().is_some_and(|due_ms| due_ms <= now_ms) {
            self.session.handle_timeout(now_ms);
        }
        self.give_up_parked(now_ms);
        for _ in 0..ROUNDS_AT_ONCE {
            if self.carry_out(now_ms) {
                return Turn::Ended;
            }
            self.ask_guilds(now_ms);
            self.ask_members(now_ms);
            let sent = self.transmit(now_ms, batch);
            // Writing can close a connection (a compressor that failed, a socket that broke).
            if self.carry_out(now_ms) {
                return Turn::Ended;
            }
            self.presence.note_link(&self.region.owners, &self.handle, self.session.is_attached());
            // What was written makes room to ask for more.
            let wants_more = self.subscriptions.is_starting() || self.member_requests.is_waiting();
            if sent == Progress::None || !wants_more {
                return if frames == Progress::Some { Turn::Again } else { Turn::Done };
            }
        }
        Turn::Again
    }

    fn take_signals(&mut self, mut signals: Signals, now_ms: u64) {
        if self.region.keeps_sessions() && signals.take(Signal::Shutdown) {
            // It goes on in the next process.
            self.close_socket(Closing::GoingAway);
            self.session.handle_detached(now_ms);
        }
        let ends = [
            (Signal::Lost, Closing::Code(CloseCode::UnknownError)),
            (Signal::Shutdown, Closing::GoingAway),
            (Signal::Revoked, Closing::Code(CloseCode::AuthenticationFailed)),
        ];
        for (signal, closing) in ends {
            if signals.has(signal) {
                self.last_word = closing;
                self.session.revoke();
            }
        }
        if signals.has(Signal::Reconnect) {
            self.session.request_reconnect();
        }
    }

    fn receive_frames(&mut self, now_ms: u64) -> Progress {
        for _ in 0..FRAMES_AT_ONCE {
            let Some(socket) = &mut self.socket else { return Progress::None };
            let waker = waker_ref(&self.handle);
            match socket.poll_receive(&mut Context::from_waker(&waker)) {
                Poll::Pending => return Progress::None,
                Poll::Ready(Received::Text(text)) => self.session.handle_frame(now_ms, Frame::Text(&text)),
                Poll::Ready(Received::Binary(bytes)) => self.session.handle_frame(now_ms, Frame::Binary(&bytes)),
                Poll::Ready(Received::Broken(code)) => self.session.close(code),
                Poll::Ready(Received::Closed(code)) => {
                    let closing = if code.is_some() { Closing::Answer(code) } else { Closing::Abandon };
                    self.close_socket(closing);
                    self.session.handle_client_close(now_ms, code);
                }
            }
            // A close that the core asks for comes before the next frame.
            self.carry_out(now_ms);
        }
        Progress::Some
    }

    /// Takes what others handed over; what follows of it is done in the next turn.
    pub fn take_input(&mut self, now_ms: u64, input: Input) {
        match input {
            Input::Dispatch(payload) => self.dispatch(now_ms, [&payload]),
            Input::Own(event) => self.take_own(&event),
            Input::Control(Control::Attach(attach)) => self.attach(now_ms, *attach),
            Input::Control(Control::GuildJoined(id)) => {
                if self.session.holds_guild(id) {
                    self.subscriptions.want(id);
                }
            }
            Input::Control(Control::GuildLeft(id)) => {
                self.subscriptions.left(id);
                self.looks.left(id);
            }
            Input::Control(Control::NotSubscribed(id, error)) => {
                if error.status >= 500 {
                    tracing::warn!(guild_id = %id, %error, "a guild is out of reach; the session tries again");
                    if self.subscriptions.is_resuming(id) {
                        // What it says from now on is missing.
                        self.guild_away(id);
                    } else {
                        self.subscriptions.failed(id, now_ms);
                    }
                } else {
                    self.guild_refused(id);
                }
            }
            Input::Control(Control::Subscribed(id)) => {
                self.subscriptions.confirmed(id);
                self.looks.subscribed(&self.region, self.handle.subscriber, id);
            }
            Input::Control(Control::GuildCut(id)) => self.guild_cut(id),
            Input::Control(Control::NoMembers(id, error)) => self.no_members(now_ms, id, &error),
            Input::Control(Control::NotReady(from, error)) => {
                // Who has READY loses its owner by it.
                if self.asked_ready.is_some() && self.handle.asked() != from {
                    tracing::debug!(session_id = %self.handle.id, %error, ?from, "another is asked for READY meanwhile");
                    return;
                }
                let unauthorized = error.is(ErrorCode::Unauthorized);
                tracing::info!(session_id = %self.handle.id, %error, "a session could not start");
                let code = if unauthorized { CloseCode::AuthenticationFailed } else { CloseCode::UnknownError };
                self.last_word = Closing::Code(code);
                self.session.revoke();
            }
        }
    }

    /// Sends what may be lost beside the stream, where there is such a way: it is then done with, sent or not.
    fn send_datagram(&self, payload: &Payload) -> bool {
        let Some(socket) = self.socket.as_ref().filter(|socket| socket.has_datagrams()) else { return false };
        if !payload.event().is_ephemeral() {
            return false;
        }
        if let Some(bytes) = self.session.write_unnumbered(payload) {
            let result = if socket.send_datagram(&bytes) { "sent" } else { "dropped" };
            metrics::counter!("rookery_gateway_datagrams_total", "result" => result).increment(1);
        }
        true
    }

    fn take_own(&mut self, event: &Event) {
        // One that was asked twice says so twice, and has the session once.
        if matches!(event, Event::Ready(_)) && self.asked_ready.take().is_none() {
            return;
        }
        let taken = self.session.handle_own_dispatch(event);
        match event {
            Event::Ready(ready) => {
                ready.guilds.iter().for_each(|guild| self.subscriptions.want(guild.id));
                self.presence.started(&self.region.owners, &self.handle);
            }
            Event::GuildCreate(_) if taken => self.subscriptions.measured(self.session.last_event_bytes()),
            Event::GuildMembersChunk(chunk) => self.member_requests.answered(chunk),
            _ => {}
        }
    }

    /// These owners ended at their epochs, and have told everything: others may go on.
    pub fn ended(&mut self, now_ms: u64, epoch_of: impl Fn(u64) -> Option<u64>) {
        let until_ms = now_ms + PARKED_FOR_MS;
        if self.presence.is_known()
            && let Some(epoch) = epoch_of(self.handle.user_id.get())
        {
            self.user_parked.get_or_insert(Parked { epoch, until_ms });
        }
        if let Some(asked) = self.member_requests.asked().filter(|id| epoch_of(id.get()).is_some()) {
            self.member_requests.failed(asked, now_ms);
        }
        let ended: Vec<(GuildId, u64)> =
            self.guild_ids().iter().filter_map(|id| Some((*id, epoch_of(id.get())?))).collect();
        ended.into_iter().for_each(|(id, epoch)| self.subscriptions.park(id, epoch, until_ms));
    }

    /// These owners begin, each with the epoch of the owner before it, if that is certain: what those ended with, they are
    /// to go on with. Of what others had something may be missing.
    pub fn began(&mut self, now_ms: u64, begins: impl Fn(u64) -> Option<Option<u64>>) -> Resumed {
        let mut resumed = Resumed { is_attached: self.session.is_attached(), ..Resumed::default() };
        self.voice.owners_began(&self.region.owners, &self.handle, |id| begins(id).is_some());
        if let Some(predecessor) = begins(self.handle.user_id.get()) {
            match self.user_parked.take() {
                Some(parked) if predecessor == Some(parked.epoch) => resumed.user = Some(self.user_as_it_is()),
                // The owner that was asked is gone. If none was yet, whoever is to ask finds this one.
                None if self.asked_ready.is_some() => self.ask_anew(),
                parked => {
                    let ended = parked.map(|parked| parked.epoch);
                    tracing::info!(session_id = %self.handle.id, ?ended, ?predecessor, "its user's owner left a gap");
                    self.handle.signal(Signal::Lost);
                }
            }
        }
        resumed.guild_ids =
            self.subscriptions.resume_parked(|id, epoch| begins(id.get()).is_some_and(|last| last == Some(epoch)));
        for id in self.subscriptions.give_up_parked(|id, _| begins(id.get()).is_some()) {
            self.guild_away(id);
        }
        if let Some(asked) = self.member_requests.asked().filter(|id| begins(id.get()).is_some()) {
            self.member_requests.failed(asked, now_ms);
        }
        let others = self.guild_ids().iter().copied().filter(|id| begins(id.get()).is_some());
        let others: Vec<GuildId> = others.filter(|id| !self.subscriptions.is_resuming(*id)).collect();
        for id in others {
            if self.subscriptions.is_asked(id) {
                self.subscriptions.ask_again(id);
            } else {
                self.guild_cut(id);
            }
        }
        resumed
    }

    /// Nobody said READY yet, and who was asked for it is gone: whoever comes after is asked. Before anybody is asked, the
    /// question finds its way itself.
    fn ask_anew(&self) {
        let Some(ready) = self.asked_ready.clone().filter(|_| self.handle.asked() != AskedAt::Nowhere) else { return };
        let (region, handle) = (Arc::clone(&self.region), Arc::clone(&self.handle));
        let question = handle.begin_to_ask();
        let begin = super::identify::begin(region, handle, self.user_as_it_is(), ready, self.is_bot, question, None);
        self.region.tasks.spawn(begin);
    }

    /// As which its user's owner is asked for READY.
    pub fn user_session(&self) -> &UserSession {
        &self.user_session
    }

    pub const fn is_bot(&self) -> bool {
        self.is_bot
    }

    /// The session as its user's owner is to know it now.
    fn user_as_it_is(&self) -> UserSession {
        let mut user_session = UserSession::clone(&self.user_session);
        if let Some(newest) = self.presence.newest() {
            user_session.client.presence = Some(Box::new(newest.clone()));
        }
        user_session
    }

    /// Nobody went on with what was parked for too long.
    fn give_up_parked(&mut self, now_ms: u64) {
        if self.subscriptions.parked_until_ms().is_some_and(|until_ms| until_ms <= now_ms) {
            for id in self.subscriptions.give_up_parked(|_, _| true) {
                self.guild_away(id);
            }
        }
        if self.user_parked.is_some_and(|parked| parked.until_ms <= now_ms) {
            self.user_parked = None;
            self.handle.signal(Signal::Lost);
        }
    }

    /// Every owner of another region is out of reach: what they said last may be missing.
    pub fn cut_off(&mut self, now_ms: u64, lives_there: impl Fn(u64) -> bool) {
        if self.user_parked.is_none() && lives_there(self.handle.user_id.get()) {
            if self.asked_ready.is_none() {
                // What is the user's own would be missing for good.
                return self.handle.signal(Signal::Lost);
            }
            self.ask_anew();
        }
        if let Some(asked) = self.member_requests.asked().filter(|id| lives_there(id.get())) {
            self.member_requests.failed(asked, now_ms);
        }
        let cut: Vec<GuildId> = self.guild_ids().iter().copied().filter(|id| lives_there(id.get())).collect();
        cut.into_iter().for_each(|id| self.guild_cut(id));
    }

    /// The guild is away, as libraries know it: GUILD_DELETE with `unavailable`, and GUILD_CREATE when it is back.
    fn guild_cut(&mut self, id: GuildId) {
        if self.subscriptions.has(id) {
            self.guild_away(id);
        }
    }

    fn guild_away(&mut self, id: GuildId) {
        self.tell_deleted(UnavailableGuild { id, unavailable: Some(true) });
        self.subscriptions.cut(id);
    }

    /// The user is no member: who was told that the guild is away learns that it is gone.
    fn guild_refused(&mut self, id: GuildId) {
        if self.subscriptions.is_away(id) {
            self.tell_deleted(UnavailableGuild { id, unavailable: None });
        }
        self.subscriptions.left(id);
    }

    fn tell_deleted(&mut self, guild: UnavailableGuild) {
        let event = Event::GuildDelete(guild);
        let required = event.required_intents();
        if self.subscriber.intents.is_none_or(|intents| intents.intersects(required)) {
            self.session.handle_dispatch(Payload::new(event));
        }
    }

    fn no_members(&mut self, now_ms: u64, guild_id: GuildId, error: &ApiError) {
        if error.status >= 500 {
            self.member_requests.failed(guild_id, now_ms);
        } else {
            self.member_requests.refused(guild_id);
        }
    }

    fn attach(&mut self, now_ms: u64, attach: Attach) {
        let Attach { connection, socket, seq } = attach;
        match self.session.resume(now_ms, connection, seq) {
            Ok(()) => {
                self.close_socket(Closing::Code(CloseCode::UnknownError));
                self.socket = Some(socket);
                self.is_woken = true;
                metrics::counter!("rookery_gateway_resumes_total", "result" => "resumed").increment(1);
                tracing::debug!(session_id = %self.handle.id, seq, "resumed");
            }
            Err(connection) => {
                metrics::counter!("rookery_gateway_resumes_total", "result" => "refused").increment(1);
                connection::spawn(Arc::clone(&self.region), connection, socket);
            }
        }
    }

    /// When something is due although nothing comes.
    pub fn due_ms(&self) -> Option<u64> {
        // Guilds are not asked while the client does not take what it has: then nothing of theirs is due.
        let guilds = [self.subscriptions.poll_timeout(), self.member_requests.poll_timeout()];
        let guilds = guilds.into_iter().flatten().filter(|_| self.session.has_room());
        let parked =
            self.user_parked.map(|parked| parked.until_ms).into_iter().chain(self.subscriptions.parked_until_ms());
        guilds.chain(parked).chain(self.session.poll_timeout()).min()
    }

    /// Does what the core asks for; true when the session is over.
    fn carry_out(&mut self, now_ms: u64) -> bool {
        while let Some(action) = self.session.poll_action() {
            match action {
                Action::Close(code) => {
                    self.transmit_answers();
                    self.close_socket(Closing::Code(code));
                    self.session.handle_detached(now_ms);
                }
                Action::Ended(reason) => self.end(reason),
                Action::RequestGuildMembers(request) => {
                    if let Err(TooMany) = self.member_requests.add(request, self.is_bot) {
                        self.session.close(CloseCode::RateLimited);
                    }
                }
                // A session's connection is past these.
                Action::Identify(_) | Action::Resume(_) => self.session.close(CloseCode::AlreadyAuthenticated),
                Action::GuildSubscriptions(one) => self.look([(one.guild_id, one.subscription)]),
                Action::GuildSubscriptionsBulk(all) => self.look(all.subscriptions),
                Action::PresenceUpdate(update) => self.presence.update(&self.region.owners, &self.handle, update),
                Action::VoiceStateUpdate(update) => {
                    self.voice.update(&self.region.owners, &self.handle, self.is_bot, update);
                }
                Action::CallConnect(connect) if !self.is_bot => {
                    self.region.owners.connect_call(connect.channel_id, self.handle.user_id);
                }
                // They are in no calls.
                Action::CallConnect(_) => {}
                Action::Stream(request) => {
                    if let Err(refusal) = voice::stream(&self.region.owners, &self.handle, request) {
                        self.session.handle_dispatch(Payload::new(Event::StreamDelete(refusal)));
                    }
                }
                Action::RequestSoundboardSounds(request) => self.answer_soundboard(request),
                Action::RequestChannelInfo(request) => {
                    self.region.owners.request_channel_info(self.handle.subscriber, request);
                }
            }
        }
        self.session.is_ended()
    }

    /// A bot looks at everything that its intents name.
    fn look(&mut self, subscriptions: impl IntoIterator<Item = (GuildId, Subscription)>) {
        if !self.is_bot {
            self.looks.change(&self.region, self.handle.subscriber, subscriptions);
        }
    }

    fn end(&mut self, reason: EndReason) {
        tracing::debug!(session_id = %self.handle.id, user_id = %self.handle.user_id, ?reason, "the session is over");
        metrics::counter!("rookery_sessions_ended_total", "reason" => reason_name(reason)).increment(1);
        // Its user's owner could not say READY, or changed hands before it did.
        if matches!(self.last_word, Closing::Code(CloseCode::UnknownError)) && !self.presence.is_known() {
            let starter = Starter::of(self.is_bot, self.session.shard());
            self.region.starts.give_back(self.handle.user_id, starter);
        }
        self.close_socket(self.last_word);
    }

    fn close_socket(&mut self, closing: Closing) {
        let Some(socket) = self.socket.take() else { return };
        let within = ms(self.region.config.gateway.close_timeout_ms);
        self.region.tasks.spawn(socket.close(closing, within));
    }

    /// Queues the answers that a connection still owes, before its close frame: few and small, so that no look at the
    /// socket's room is needed.
    fn transmit_answers(&mut self) {
        let Some(socket) = &mut self.socket else { return };
        while let Some(transmit) = self.session.poll_transmit() {
            socket.queue(transmit);
        }
    }

    /// Guilds have no sounds of their own: an empty list for each that the session gets the events of. It counts as an
    /// event like any other, so that asking without reading ends as it does for other slow clients.
    fn answer_soundboard(&mut self, request: RequestSoundboardSounds) {
        let mut guild_ids = request.guild_ids;
        guild_ids.sort_unstable();
        guild_ids.dedup();
        for guild_id in guild_ids.into_iter().filter(|id| self.subscriptions.has(*id)) {
            let sounds = SoundboardSounds { guild_id, soundboard_sounds: Vec::new() };
            self.session.handle_dispatch(Payload::new(Event::SoundboardSounds(sounds)));
        }
    }

    /// Subscribes to guilds as fast as the client takes their snapshots.
    fn ask_guilds(&mut self, now_ms: u64) {
        while self.subscriptions.is_starting() && self.session.has_room() {
            let at_once = self.region.config.gateway.subscribe_concurrency;
            let (peers, room_bytes) = (&self.region.peers, self.session.room_bytes());
            let is_in_reach = |id: GuildId| peers.is_in_reach(id.get());
            let Some(guild_id) = self.subscriptions.next(now_ms, at_once, room_bytes, is_in_reach) else { return };
            let subscriber = self.subscriber.clone();
            if self.region.owners.subscribe_guild(guild_id, Arc::clone(&self.handle), subscriber).is_err() {
                self.subscriptions.failed(guild_id, now_ms);
            }
        }
    }

    /// Asks for the next chunk of members as soon as the client has taken the last.
    fn ask_members(&mut self, now_ms: u64) {
        while self.session.has_room() {
            let Some((guild_id, request, cursor)) = self.member_requests.next(now_ms) else { return };
            let command = MembersCommand { guild_id, session: Arc::clone(&self.handle), request, cursor };
            if let Err(error) = self.region.owners.request_members(command) {
                self.no_members(now_ms, guild_id, &error);
            }
        }
    }

    /// Writes what waits, in as few writes as the socket allows.
    fn transmit(&mut self, now_ms: u64, batch: &mut Batch) -> Progress {
        let Some(socket) = &mut self.socket else { return Progress::None };
        // The handle is only pointed to: others write to it, and to fetch it for every write would cost as much as the rest.
        let waker = waker_ref(&self.handle);
        match socket.transmit(&mut Context::from_waker(&waker), batch, || self.session.poll_transmit()) {
            Ok(true) => Progress::Some,
            Ok(false) => Progress::None,
            Err(error) => {
                tracing::debug!(session_id = %self.handle.id, %error, "the connection broke");
                self.socket = None;
                self.session.handle_detached(now_ms);
                Progress::None
            }
        }
    }

    /// It cannot go on: what its client has is not to be relied on.
    pub const fn give_up(&mut self) {
        self.last_word = Closing::Code(CloseCode::UnknownError);
    }

    /// Leaves the call that it is in; guilds and its user's owner hear of its end otherwise.
    pub fn leave_call(&mut self) {
        self.voice.end(&self.region.owners, &self.handle);
    }

    /// Leaves no trace in the registry; the guilds that still count on it.
    pub fn take_leave(mut self) -> Vec<GuildId> {
        self.close_socket(self.last_word);
        self.region.sessions.remove(&self.handle);
        self.subscriptions.take()
    }
}

/// A connection came for a session that has just ended.
pub fn too_late(region: &Arc<Region>, attach: Attach) {
    let Attach { mut connection, socket, .. } = attach;
    connection.invalid_session(region.clock.now_ms(), false);
    connection::spawn(Arc::clone(region), Box::new(connection), socket);
}

const fn reason_name(reason: EndReason) -> &'static str {
    match reason {
        EndReason::ResumeWindowPassed => "resume_window_passed",
        EndReason::ClosedByClient => "closed_by_client",
        EndReason::ReplayOverflow => "replay_overflow",
        EndReason::Revoked => "revoked",
    }
}
