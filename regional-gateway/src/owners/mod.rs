//! Owners: the one place where each guild, DM and user is changed.
//!
//! Calls and sessions reach an owner by its key and never learn where it runs. Here every owner is a task of this
//! process; when owners move between nodes, this interface stays.

mod carrier;
mod directory;
pub mod guild;
mod limbo;
mod locks;
mod pipeline;
mod register;
pub mod user;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use moka::sync::Cache;
use rookery_core_db::Store;
use rookery_guild::{Effect, VoiceSession};
use rookery_model::gateway::{
    Event, PresenceUpdate, RequestChannelInfo, StreamAction, StreamKey, SubscriberId, Subscription,
};
use rookery_model::user::User;
use rookery_model::voice::RoomOwner;
use rookery_model::{ApiError, ChannelId, ErrorCode, GuildId, UserId};
use tokio::sync::{Semaphore, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::accounts::Accounts;
use crate::config::OwnersConfig;
use crate::degradation::Degradation;
use crate::errors::from_store;
use crate::gateway::clock::Clock;
use crate::gateway::input::{Control, Input};
use crate::gateway::registry::{SessionHandle, Sessions, Signal};
use crate::gateway::worker::Outbox;
use crate::id_generator::IdGenerator;
use crate::peers::Peers;
use crate::peers::frame::{RequestForm, SessionRef, SubscriberForm, ToOwner, UserSessionForm};
use crate::placement::Tenure;
use crate::voice::VoiceNews;

use directory::{Directory, MailboxFull};
pub use guild::GuildHandle;
use guild::command::{GuildCommand, MembersCommand, StreamCommand};
pub use register::{GuildNews, Register, Registers, SessionLink, SessionNews, VoiceRequest, VoiceServer};
pub use user::UserHandle;
use user::command::UserCommand;

/// Users whose owners read their lists again at the same time.
const USERS_CATCHING_UP: usize = 64;

/// What has an owner of its own: a guild, or a DM, which is a guild without roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OwnerKey {
    Guild(GuildId),
    Dm(ChannelId),
}

impl From<RoomOwner> for OwnerKey {
    fn from(owner: RoomOwner) -> Self {
        match owner {
            RoomOwner::Guild(id) => Self::Guild(id),
            RoomOwner::Dm(id) => Self::Dm(id),
        }
    }
}

impl OwnerKey {
    /// The id's number.
    pub const fn raw(self) -> u64 {
        match self {
            Self::Guild(id) => id.get(),
            Self::Dm(id) => id.get(),
        }
    }
    /// Where a stream is.
    pub fn of_stream(key: StreamKey) -> Self {
        key.guild_id.map_or(Self::Dm(key.channel_id), Self::Guild)
    }
    /// What somebody is told who asks for it in vain.
    pub fn unknown(self) -> ApiError {
        match self {
            Self::Guild(_) => ErrorCode::UnknownGuild.into(),
            Self::Dm(_) => ErrorCode::UnknownChannel.into(),
        }
    }
}

impl fmt::Display for OwnerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.raw().fmt(f)
    }
}

/// What owners are made with.
pub struct OwnersInit {
    /// The region's name.
    pub region: Box<str>,
    pub config: OwnersConfig,
    pub guild_limits: rookery_guild::Limits,
    pub user_limits: rookery_user::Limits,
    pub store: Store,
    pub ids: Arc<IdGenerator>,
    pub accounts: Arc<Accounts>,
    pub sessions: Arc<Sessions>,
    pub degradation: Arc<Degradation>,
    /// Where owners live that are not here.
    pub peers: Arc<Peers>,
    /// Ends all tenures of what lives here.
    pub stop: CancellationToken,
    /// What voice rooms are to know; none where there is no voice.
    pub voice: Option<Arc<Register<VoiceNews>>>,
}

/// All owners; cloning it is cheap.
#[derive(Clone)]
pub struct Owners {
    shared: Arc<Shared>,
}

/// What every owner's task uses.
pub(crate) struct Shared {
    pub(crate) region: Box<str>,
    pub(crate) config: OwnersConfig,
    pub(crate) guild_limits: rookery_guild::Limits,
    pub(crate) user_limits: rookery_user::Limits,
    pub(crate) store: Store,
    pub(crate) ids: Arc<IdGenerator>,
    pub(crate) accounts: Arc<Accounts>,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) degradation: Arc<Degradation>,
    pub(crate) peers: Arc<Peers>,
    /// Places for users whose owners read their lists again because another region was out of reach.
    pub(crate) catching_up: Arc<Semaphore>,
    /// Places for outcomes of all owners that wait to become durable.
    pub(crate) in_flight: Arc<Semaphore>,
    guilds: Directory<OwnerKey, GuildCommand>,
    users: Directory<UserId, UserCommand>,
    pub(crate) registers: Registers,
    pub(crate) clock: Clock,
    channels: Cache<ChannelId, OwnerKey>,
    tasks: TaskTracker,
    /// Ends all tenures.
    stop: CancellationToken,
    stopped: AtomicBool,
    incarnations: AtomicU64,
    carrier: carrier::Carrier,
    /// What is for users whose owners are between two nodes.
    pub(crate) limbo: limbo::Limbo,
    /// What voice rooms are to know; none where there is no voice.
    pub(crate) voice: Option<Arc<Register<VoiceNews>>>,
}

impl Owners {
    /// No owner yet.
    pub fn new(init: OwnersInit) -> Self {
        let capacity = init.config.mailbox_capacity;
        let shared = Arc::new_cyclic(|weak| Shared {
            catching_up: Arc::new(Semaphore::new(USERS_CATCHING_UP)),
            in_flight: Arc::new(Semaphore::new(init.config.in_flight_total)),
            guilds: Directory::new("guild", capacity),
            users: Directory::new("user", capacity),
            registers: Registers::default(),
            clock: Clock::start(),
            channels: Cache::new(init.config.channel_cache),
            tasks: TaskTracker::new(),
            stop: init.stop,
            stopped: AtomicBool::new(false),
            // 0 is nobody's.
            incarnations: AtomicU64::new(1),
            carrier: carrier::Carrier::start(weak.clone()),
            limbo: limbo::Limbo::default(),
            region: init.region,
            config: init.config,
            guild_limits: init.guild_limits,
            user_limits: init.user_limits,
            store: init.store,
            ids: init.ids,
            accounts: init.accounts,
            sessions: init.sessions,
            degradation: init.degradation,
            peers: init.peers,
            voice: init.voice,
        });
        if !shared.peers.is_alone() {
            limbo::Limbo::start(Arc::downgrade(&shared));
        }
        Self { shared }
    }

    /// The owner of a guild. Whether the guild exists, its owner says.
    pub async fn guild(&self, id: GuildId) -> Result<GuildHandle, ApiError> {
        self.reach(OwnerKey::Guild(id)).await
    }

    /// The owner of a DM or group DM. Whether it exists, its owner says.
    pub async fn dm(&self, id: ChannelId) -> Result<GuildHandle, ApiError> {
        self.reach(OwnerKey::Dm(id)).await
    }

    /// The owner of a channel: of its guild, or of the DM itself; 10003 if there is no such channel.
    pub async fn of_channel(&self, id: ChannelId) -> Result<GuildHandle, ApiError> {
        let key = self.key_of_channel(id).await?.ok_or(ErrorCode::UnknownChannel)?;
        let mut handle = self.reach(key).await?;
        handle.via_channel = true;
        Ok(handle)
    }

    /// What owns a channel, for finding out where that lives: its guild, or the DM itself.
    pub async fn owner_of_channel(&self, id: ChannelId) -> Result<u64, ApiError> {
        if self.shared.peers.is_alone() {
            return Ok(id.get());
        }
        // A channel that is not seen here yet may be seen where its id was made.
        Ok(self.key_of_channel(id).await?.map_or(id.get(), OwnerKey::raw))
    }

    async fn key_of_channel(&self, id: ChannelId) -> Result<Option<OwnerKey>, ApiError> {
        if let Some(key) = self.shared.channels.get(&id) {
            return Ok(Some(key));
        }
        let Some(channel) = self.shared.store.channel(id).await.map_err(from_store)? else { return Ok(None) };
        let key = channel.guild_id.map_or(OwnerKey::Dm(id), OwnerKey::Guild);
        // A channel never moves between guilds, and one that was deleted is unknown to its owner.
        self.shared.channels.insert(id, key);
        Ok(Some(key))
    }

    /// The owner of a user.
    pub async fn user(&self, id: UserId) -> Result<UserHandle, ApiError> {
        self.shared.ids.ensure().await?;
        Ok(UserHandle { shared: Arc::clone(&self.shared), id })
    }

    /// Tells those outside of a guild what an outcome did to them; for outcomes that no owner's task handled.
    pub fn carry(&self, effects: Vec<Effect>) {
        effects.into_iter().for_each(|effect| self.shared.carry(effect));
    }

    /// Sends an event to the sessions of a user.
    pub fn deliver_to_user(&self, user_id: UserId, event: Event) {
        self.shared.deliver_to_users(&[user_id], Arc::new(event));
    }

    /// Asks the owner of a guild for its events; the guild's snapshot comes first, then
    /// [`Subscribed`](crate::gateway::input::Control::Subscribed); or else a
    /// [`NotSubscribed`](crate::gateway::input::Control::NotSubscribed).
    pub(crate) fn subscribe_guild(
        &self,
        guild_id: GuildId,
        session: Arc<SessionHandle>,
        subscriber: rookery_guild::Subscriber,
    ) -> Result<(), ApiError> {
        if let Some(peer) = self.shared.peers.elsewhere(guild_id.get()) {
            let subscriber = SubscriberForm::new(&subscriber);
            return peer.ask(ToOwner::SubscribeGuild { guild_id, session: SessionRef::of(&session), subscriber });
        }
        let command = guild::command::SubscribeCommand { guild_id, session, subscriber };
        self.shared.send_guild(OwnerKey::Guild(guild_id), GuildCommand::Subscribe(Box::new(command)))
    }

    /// Subscribes sessions of the process before to a guild that they have; each is answered with
    /// [`Subscribed`](crate::gateway::input::Control::Subscribed) or with
    /// [`NotSubscribed`](crate::gateway::input::Control::NotSubscribed).
    pub(crate) async fn take_up_guild(
        &self,
        guild_id: GuildId,
        sessions: Vec<(Arc<SessionHandle>, rookery_guild::Subscriber)>,
    ) {
        if self.shared.peers.elsewhere(guild_id.get()).is_some() {
            // What it said meanwhile nobody kept: it is asked for a snapshot.
            for (session, _) in sessions {
                session.send(Input::Control(Control::GuildCut(guild_id))).await;
            }
            return;
        }
        let command = |(session, subscriber)| guild::command::SubscribeCommand { guild_id, session, subscriber };
        let commands: Vec<_> = sessions.iter().cloned().map(command).collect();
        if let Err(error) = self.shared.send_guild(OwnerKey::Guild(guild_id), GuildCommand::TakeUp(commands)) {
            for (session, _) in sessions {
                session.send(Input::Control(Control::NotSubscribed(guild_id, Box::new(error.clone())))).await;
            }
        }
    }

    /// Has the owner of a guild that begins go on with sessions that the one before had; answered as by
    /// [`Self::take_up_guild`].
    pub(crate) fn resume_guild(
        &self,
        guild_id: GuildId,
        sessions: Vec<(Arc<SessionHandle>, rookery_guild::Subscriber)>,
    ) -> Result<(), ApiError> {
        if let Some(peer) = self.shared.peers.elsewhere(guild_id.get()) {
            let form = |(session, subscriber): (Arc<SessionHandle>, rookery_guild::Subscriber)| {
                (SessionRef::of(&session), SubscriberForm::new(&subscriber))
            };
            let sessions = sessions.into_iter().map(form).collect();
            return peer.ask(ToOwner::TakeUpGuild { guild_id, sessions });
        }
        if !self.shared.peers.ownership().begins(guild_id.get()) {
            // It may have said something that they did not get.
            return Err(ErrorCode::Unavailable.into());
        }
        let command = |(session, subscriber)| guild::command::SubscribeCommand { guild_id, session, subscriber };
        let commands = sessions.into_iter().map(command).collect();
        self.shared.send_guild(OwnerKey::Guild(guild_id), GuildCommand::TakeUp(commands))
    }

    /// Has the owner of a user that begins go on with a session that the one before had. Where it cannot, the session ends.
    pub(crate) fn resume_user(
        &self,
        session: &Arc<SessionHandle>,
        user_session: rookery_user::UserSession,
        is_attached: bool,
    ) {
        let asked = match self.shared.peers.elsewhere(session.user_id.get()) {
            Some(peer) => {
                let user_session = Box::new(UserSessionForm::new(&user_session));
                peer.ask(ToOwner::TakeUpUser { session: SessionRef::of(session), user_session, is_attached })
            }
            None => self.shared.take_up_user(session, user_session, is_attached),
        };
        if let Err(error) = asked {
            tracing::info!(session_id = %session.id, %error, "nobody goes on with a session");
            session.signal(Signal::Lost);
        }
    }

    /// Tells a user's owner what a session says of the user's presence.
    pub(crate) fn session_says(&self, session: &SessionHandle, update: PresenceUpdate) {
        self.shared.session_news(session, |news| news.presence = Some(update));
    }

    /// Tells a user's owner what became of a session's connection.
    pub(crate) fn session_is(&self, session: &SessionHandle, link: SessionLink) {
        self.shared.session_news(session, |news| news.link = Some(link));
    }

    /// Asks a guild for a change of where a session is in voice. Only the newest wish counts.
    pub(crate) fn update_voice(&self, guild_id: GuildId, id: SubscriberId, request: VoiceRequest) {
        match self.shared.peers.elsewhere(guild_id.get()) {
            Some(peer) => {
                peer.note(|news| news.voice.insert((guild_id, id), request));
            }
            None => self.shared.registers.tell_guild(guild_id, |news| news.voice.insert(id, request)),
        }
    }

    /// Asks a DM for a change of whether and how a session is in its call. Only the newest wish counts.
    pub(crate) fn update_call(&self, channel_id: ChannelId, session: &SessionHandle, request: VoiceRequest) {
        match self.shared.peers.elsewhere(channel_id.get()) {
            Some(peer) => {
                let reference = SessionRef::of(session);
                peer.note(|news| news.calls.insert((channel_id, session.subscriber), (reference, request)));
            }
            None => self.shared.tell_dm(channel_id, request.update.channel_id.is_some(), |news| {
                drop(news.voice.insert(session.subscriber, request));
            }),
        }
    }

    /// Asks a DM for the call that goes on in it, if one does, on behalf of a user.
    pub(crate) fn connect_call(&self, channel_id: ChannelId, user_id: UserId) {
        match self.shared.peers.elsewhere(channel_id.get()) {
            Some(peer) => {
                peer.note(|news| news.call_connects.insert((channel_id, user_id)));
            }
            None => self.shared.tell_dm(channel_id, true, |news| {
                news.call_connects.insert(user_id);
            }),
        }
    }

    /// Asks a guild, or a DM with a call, for what a session wants of a stream in it. It is answered by the events that come
    /// of it.
    ///
    /// # Errors
    /// 10004 for guilds and 10003 for DMs that are not loaded, and so have no sessions; others if the owner has no room for
    /// that, or is out of reach.
    pub(crate) fn stream(&self, session: &SessionHandle, key: StreamKey, action: StreamAction) -> Result<(), ApiError> {
        let owner = OwnerKey::of_stream(key);
        if let Some(peer) = self.shared.peers.elsewhere(owner.raw()) {
            return peer.ask(ToOwner::Stream { session: session.subscriber.0, key, action });
        }
        let session = VoiceSession { user_id: session.user_id, subscriber: session.subscriber, name: session.id.raw() };
        let command = GuildCommand::Stream(Box::new(StreamCommand { session, key, action, has_waited: false }));
        let unanswered = self.shared.guilds.send_if_loaded(owner, command).map_err(full)?;
        unanswered.map_or(Ok(()), |_| Err(owner.unknown()))
    }

    /// Takes the leave of sessions of a guild; gives them back if its owner has no room for that now.
    pub(crate) fn unsubscribe_guild(&self, id: GuildId, sessions: Vec<SubscriberId>) -> Result<(), Vec<SubscriberId>> {
        if let Some(peer) = self.shared.peers.elsewhere(id.get()) {
            let numbers = sessions.iter().map(|session| session.0).collect();
            let leave = ToOwner::UnsubscribeGuild { guild_id: id, sessions: numbers };
            return peer.take_leave(leave).map_err(|_| sessions);
        }
        match self.shared.guilds.offer(OwnerKey::Guild(id), GuildCommand::Unsubscribe(sessions)) {
            Err(GuildCommand::Unsubscribe(sessions)) => Err(sessions),
            _ => Ok(()),
        }
    }

    /// Takes the leave of a session of a user; false if its owner has no room for that now.
    pub(crate) fn unsubscribe_user(&self, id: UserId, session: SubscriberId) -> bool {
        if let Some(peer) = self.shared.peers.elsewhere(id.get()) {
            return peer.take_leave(ToOwner::UnsubscribeUser { user_id: id, session: session.0 }).is_ok();
        }
        self.shared.users.offer(id, UserCommand::Unsubscribe(session)).is_ok()
    }

    /// Tells other regions that a session of this one is over; false if one had no room for that now.
    pub(crate) fn session_over(&self, session: SubscriberId) -> bool {
        self.shared.peers.session_over(session)
    }

    /// Asks a guild for the next chunk of members, on behalf of a session that is subscribed to it. Its answer is the
    /// chunk, or a [`NoMembers`](crate::gateway::input::Control::NoMembers).
    pub(crate) fn request_members(&self, command: MembersCommand) -> Result<(), ApiError> {
        if let Some(peer) = self.shared.peers.elsewhere(command.guild_id.get()) {
            let MembersCommand { guild_id, session, request, cursor } = command;
            let request = Box::new(RequestForm::new(&request));
            return peer.ask(ToOwner::Members { guild_id, session: SessionRef::of(&session), request, cursor });
        }
        let key = OwnerKey::Guild(command.guild_id);
        let command = GuildCommand::RequestMembers(Box::new(command));
        let unanswered = self.shared.guilds.send_if_loaded(key, command).map_err(full)?;
        // A guild that is not loaded has no sessions.
        unanswered.map_or(Ok(()), |_| Err(ErrorCode::UnknownGuild.into()))
    }

    /// Asks a guild for what of its channels is not in their objects, on behalf of a session that is subscribed to it; its
    /// answer is CHANNEL_INFO. There is none from an owner without room for the question.
    pub(crate) fn request_channel_info(&self, id: SubscriberId, request: RequestChannelInfo) {
        let guild_id = request.guild_id;
        let is_asked = match self.shared.peers.elsewhere(guild_id.get()) {
            Some(peer) => {
                let request = Box::new(request);
                peer.ask(ToOwner::ChannelInfo { session: id.0, request }).is_ok()
            }
            None => {
                let command = GuildCommand::RequestChannelInfo(id, Box::new(request));
                self.shared.send_guild_if_loaded(OwnerKey::Guild(guild_id), command).is_ok()
            }
        };
        if !is_asked {
            metrics::counter!("rookery_channel_info_dropped_total").increment(1);
        }
    }

    /// Tells a guild what of it a session looks at; nothing to do where the session is not subscribed: it tells again when
    /// it is. An owner without room for it leaves the session with what it looked at before.
    pub(crate) fn set_subscriptions(&self, guild_id: GuildId, id: SubscriberId, subscription: Subscription) {
        let is_told = match self.shared.peers.elsewhere(guild_id.get()) {
            Some(peer) => {
                let subscription = Box::new(subscription);
                peer.ask(ToOwner::Looks { guild_id, session: id.0, subscription }).is_ok()
            }
            None => {
                let command = GuildCommand::Subscriptions(id, Box::new(subscription));
                self.shared.send_guild_if_loaded(OwnerKey::Guild(guild_id), command).is_ok()
            }
        };
        if !is_told {
            metrics::counter!("rookery_guild_subscriptions_dropped_total").increment(1);
        }
    }

    /// What every owner's task uses.
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The sizes that guilds keep to.
    pub fn guild_limits(&self) -> &rookery_guild::Limits {
        &self.shared.guild_limits
    }

    /// How many guilds and DMs are loaded.
    pub fn guilds_loaded(&self) -> usize {
        self.shared.guilds.len()
    }

    /// How many users are loaded.
    pub fn users_loaded(&self) -> usize {
        self.shared.users.len()
    }

    /// Takes no more commands, and returns when everything that was taken is durable and answered.
    pub async fn stop(&self) {
        self.shared.carrier.flush().await;
        self.shared.stopped.store(true, Ordering::Release);
        self.shared.stop.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }

    async fn reach(&self, key: OwnerKey) -> Result<GuildHandle, ApiError> {
        // After a quiet time the ceiling of ids must be raised first; owners themselves never wait for it.
        self.shared.ids.ensure().await?;
        Ok(GuildHandle { shared: Arc::clone(&self.shared), key, via_channel: false })
    }
}

impl Shared {
    /// Has the owner of a user here go on with a session; the session ends if it cannot.
    pub(crate) fn take_up_user(
        self: &Arc<Self>,
        session: &Arc<SessionHandle>,
        subscriber: rookery_user::UserSession,
        is_attached: bool,
    ) -> Result<(), ApiError> {
        if !self.peers.ownership().begins(session.user_id.get()) {
            return Err(ErrorCode::Unavailable.into());
        }
        let (taken_up, answer) = oneshot::channel();
        let command = user::command::TakeUpCommand { session: Arc::clone(session), subscriber, is_attached, taken_up };
        self.send_user(session.user_id, UserCommand::TakeUp(Box::new(command)))?;
        let session = Arc::clone(session);
        self.tasks.spawn(async move {
            if !matches!(answer.await, Ok(Ok(()))) {
                session.signal(Signal::Lost);
            }
        });
        Ok(())
    }

    /// Notes something that a session has for its user's owner, wherever that is.
    fn session_news(&self, session: &SessionHandle, note: impl FnOnce(&mut SessionNews)) {
        let (user_id, id) = (session.user_id, session.subscriber);
        match self.peers.elsewhere(user_id.get()) {
            Some(peer) => {
                peer.note(|news| note(news.sessions.entry((user_id, id)).or_default()));
            }
            None => self.registers.tell_user(user_id, |news| note(news.sessions.entry(id).or_default())),
        }
    }

    /// Tells a DM here something, which is loaded first if it is to be.
    pub(crate) fn tell_dm(self: &Arc<Self>, id: ChannelId, is_to_load: bool, tell: impl FnOnce(&mut GuildNews)) {
        let key = OwnerKey::Dm(id);
        if is_to_load && let Err(error) = self.send_guild(key, GuildCommand::Load) {
            return tracing::debug!(channel_id = %id, %error, "a call is out of reach");
        }
        self.registers.tell_owner(key, tell);
    }

    /// Runs something that ends by itself, before this process does.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// An owner's way to sessions.
    pub(crate) fn outbox(&self) -> Outbox {
        Outbox::new(Arc::clone(self.sessions.workers()))
    }

    /// A number that no loaded owner had before.
    pub(crate) fn next_incarnation(&self) -> u64 {
        self.incarnations.fetch_add(1, Ordering::Relaxed)
    }

    /// Hands a command to the owner of a guild or DM, loading it if need be.
    pub(crate) fn send_guild(self: &Arc<Self>, key: OwnerKey, command: GuildCommand) -> Result<(), ApiError> {
        let Some((tenure, _token)) = self.tenure(key.raw()) else { return Err(ErrorCode::Unavailable.into()) };
        let spawn = |mailbox| {
            let owner = guild::actor::GuildOwner::new(Arc::clone(self), Arc::clone(&tenure), key, mailbox);
            tenure.owners().spawn(self.tasks.track_future(owner.run()));
        };
        self.guilds.send(key, command, spawn).map_err(full)
    }

    /// The tenure under which an owner is loaded that lives here, with what holds up its end.
    fn tenure(&self, raw: u64) -> Option<(Arc<Tenure>, TaskTrackerToken)> {
        if self.stopped.load(Ordering::Acquire) {
            return None;
        }
        let ownership = self.peers.ownership();
        let tenure = ownership.tenure(raw)?;
        let token = tenure.owners().token();
        // Looked at again: an end that began before the token was there does not wait for it.
        ownership.is_current(&tenure).then_some((tenure, token))
    }

    /// Hands a command to the owner of a guild or DM if it is loaded.
    pub(crate) fn send_guild_if_loaded(&self, key: OwnerKey, command: GuildCommand) -> Result<(), MailboxFull> {
        self.guilds.send_if_loaded(key, command).map(drop)
    }

    /// Tells a guild or DM that is loaded of the changed account of somebody who may be a member.
    pub(crate) fn user_updated(&self, key: OwnerKey, user: Arc<User>) {
        if self.send_guild_if_loaded(key, GuildCommand::UserUpdated(user)).is_err() {
            metrics::counter!("rookery_user_updates_dropped_total").increment(1);
        }
    }

    /// Hands a command to the owner of a user, loading it if need be.
    pub(crate) fn send_user(self: &Arc<Self>, id: UserId, command: UserCommand) -> Result<(), ApiError> {
        let Some((tenure, _token)) = self.tenure(id.get()) else { return Err(ErrorCode::Unavailable.into()) };
        let spawn = |mailbox| {
            let owner = user::actor::UserOwner::new(Arc::clone(self), Arc::clone(&tenure), id, mailbox);
            tenure.owners().spawn(self.tasks.track_future(owner.run()));
        };
        self.users.send(id, command, spawn).map_err(full)
    }

    /// Hands a command to the owner of a user if it is loaded: who is not hears of it when they are.
    ///
    /// A user whose owner has no room for it loses their sessions instead of silently missing something.
    pub(crate) fn send_user_if_loaded(&self, id: UserId, command: UserCommand) {
        if self.users.send_if_loaded(id, command).is_err() {
            self.sessions.lose(id);
        }
    }
}

fn full(_: MailboxFull) -> ApiError {
    ErrorCode::Unavailable.into()
}
