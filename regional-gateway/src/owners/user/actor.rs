//! The task of a loaded user: sessions, memberships, DMs, read states.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use rookery_core_db::StoreError;
use rookery_model::call::Reply;
use rookery_model::gateway::{Event, Status, SubscriberId};
use rookery_model::guild::UnavailableGuild;
use rookery_model::relationship::RelationshipType;
use rookery_model::{ApiError, ErrorCode, GuildId, UserId};
use rookery_session::Payload;
use rookery_user::{Outcome, Subscribed, UserCore, UserSession, UserState};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::time::Instant;
use tracing::Instrument as _;

use super::command::{AcknowledgeCommand, Known, Missing, Started, SubscribeCommand, TakeUpCommand, UserCommand};
use crate::config::ms;
use crate::errors::from_store;
use crate::gateway::input::{Control, Input};
use crate::gateway::registry::{SessionHandle, Signal};
use crate::gateway::worker::Outbox;
use crate::operations::OperationContext;
use crate::owners::Shared;
use crate::owners::guild::command::Answer;
use crate::owners::pipeline::Pipeline;
use crate::owners::register::{Register, Registers, UserNews};
use crate::placement::{Missed, ShardSet, Tenure};

/// Pauses between attempts to load a user anew after a failed write.
const RELOAD_PAUSE_MIN: Duration = Duration::from_millis(50);
const RELOAD_PAUSE_MAX: Duration = Duration::from_secs(2);

/// The owner of a user.
pub struct UserOwner {
    shared: Arc<Shared>,
    tenure: Arc<Tenure>,
    id: UserId,
    mailbox: mpsc::Receiver<UserCommand>,
}

pub(super) struct LoadedUser {
    pub(super) shared: Arc<Shared>,
    /// Under which it is loaded: what it wrote is acknowledged while that holds.
    tenure: Arc<Tenure>,
    pub(super) id: UserId,
    mailbox: mpsc::Receiver<UserCommand>,
    /// What only counts in its newest state.
    pub(super) register: Arc<Register<UserNews>>,
    /// Under which this owner says what the user is seen as.
    pub(super) publisher: u64,
    pub(super) core: UserCore,
    /// Tells this core from those that were loaded before and after it.
    incarnation: u64,
    pipeline: Pipeline<Pending>,
    sessions: HashMap<SubscriberId, (Arc<SessionHandle>, UserSession)>,
    /// While something waits in it, nothing new is taken and nothing settled.
    outbox: Outbox,
    /// The core is ahead of what could be stored.
    is_ahead: bool,
    /// A batch failed: what follows it in flight is not told to anybody either.
    has_failed: bool,
    /// Something is stored, or may be, of which the sessions did not hear.
    is_missed: bool,
    /// Shards whose owners may have said something that is missing.
    catching_up: ShardSet,
    /// Gaps up to this are in what was read.
    read_at_gap: u64,
    last_active: Instant,
}

/// What follows an outcome once it is durable.
#[derive(Default)]
struct Pending {
    sends: Vec<(Vec<SubscriberId>, Outgoing)>,
    reply: Option<(Answer<Reply>, Result<Reply, ApiError>)>,
    done: Option<oneshot::Sender<()>>,
    place: Option<OwnedSemaphorePermit>,
}

/// Something for some of the user's sessions.
pub(super) enum Outgoing {
    Shared(Arc<Payload>),
    Ready(Box<rookery_model::gateway::event::Ready>),
    GuildJoined(GuildId),
    GuildLeft(GuildId),
}

impl Outgoing {
    fn input(&self) -> Input {
        match self {
            Self::Shared(payload) => Input::Dispatch(Arc::clone(payload)),
            Self::Ready(ready) => Input::Own(Box::new(Event::Ready(ready.clone()))),
            Self::GuildJoined(id) => Input::Control(Control::GuildJoined(*id)),
            Self::GuildLeft(id) => Input::Control(Control::GuildLeft(*id)),
        }
    }
}

impl UserOwner {
    /// An owner that will load itself when it runs.
    pub fn new(shared: Arc<Shared>, tenure: Arc<Tenure>, id: UserId, mailbox: mpsc::Receiver<UserCommand>) -> Self {
        Self { shared, tenure, id, mailbox }
    }

    /// Runs until the user is idle or unknown, or the region stops.
    pub async fn run(self) {
        let span = tracing::info_span!("user", region = &*self.shared.region, user_id = %self.id);
        self.load_and_run().instrument(span).await;
    }

    async fn load_and_run(mut self) {
        let register = self.shared.registers.open_user(self.id);
        let read_at_gap = self.shared.peers.ownership().gaps();
        let loaded = load(&self.shared, self.id).await;
        if !matches!(loaded, Ok(Some(_))) {
            self.shared.registers.close_user(self.id, &register);
        }
        let core = match loaded {
            Ok(Some(core)) => core,
            Ok(None) => {
                return refuse_and_leave(&self.shared, self.id, &mut self.mailbox, &ErrorCode::UnknownUser.into());
            }
            Err(error) => return refuse_and_leave(&self.shared, self.id, &mut self.mailbox, &error),
        };
        let loaded = LoadedUser {
            pipeline: Pipeline::new(self.shared.config.in_flight_max),
            incarnation: self.shared.next_incarnation(),
            publisher: self.shared.next_incarnation(),
            register,
            outbox: self.shared.outbox(),
            shared: self.shared,
            tenure: self.tenure,
            id: self.id,
            mailbox: self.mailbox,
            core,
            sessions: HashMap::new(),
            is_ahead: false,
            has_failed: false,
            is_missed: false,
            catching_up: ShardSet::default(),
            read_at_gap,
            last_active: Instant::now(),
        };
        loaded.run().await;
    }
}

impl LoadedUser {
    async fn run(mut self) {
        let idle_after = ms(self.shared.config.idle_evict_user_ms);
        let mut idle = Box::pin(tokio::time::sleep(idle_after));
        let stop = self.tenure.stop().clone();
        loop {
            if self.is_ahead && self.pipeline.is_empty() && !self.recover().await {
                return;
            }
            let is_flushed = self.outbox.is_empty();
            let accepts = !self.is_ahead && !self.pipeline.is_full() && is_flushed;
            let presences_due = self.core.poll_timeout();
            tokio::select! {
                biased;
                () = self.outbox.flush(), if !is_flushed => {}
                (result, pending) = self.pipeline.next(), if is_flushed => self.settle(result, pending),
                () = self.register.changed(), if accepts => self.take_news(),
                () = self.shared.clock.reached(presences_due), if accepts => self.presence_timeout(),
                command = self.mailbox.recv(), if accepts => {
                    let Some(command) = command else { return };
                    self.last_active = Instant::now();
                    self.command(command);
                }
                () = &mut idle => {
                    let due = self.last_active + idle_after;
                    let is_due = due <= Instant::now();
                    if is_due && self.sessions.is_empty() && self.is_settled() && self.leave() {
                        return;
                    }
                    idle.as_mut().reset(if is_due { Instant::now() + idle_after } else { due });
                }
                () = stop.cancelled(), if self.is_settled() => {
                    if self.leave() {
                        return;
                    }
                }
            }
        }
    }

    /// What these owners had for the user may be missing: the lists are read again, as soon as nothing is under way.
    pub(super) fn catch_up_with(&mut self, missed: &[Arc<[Missed]>]) {
        for missed in missed.iter().flat_map(|missed| &**missed).filter(|missed| missed.gap > self.read_at_gap) {
            self.is_ahead = true;
            self.catching_up.extend(&missed.shards);
        }
    }

    /// Whether another owner goes on with what this one has.
    pub(super) fn is_handed_over(&self) -> bool {
        !self.shared.peers.is_alone() && self.tenure.stop().is_cancelled()
    }

    fn is_settled(&self) -> bool {
        self.pipeline.is_empty() && self.outbox.is_empty() && self.mailbox.is_empty()
    }

    fn leave(&mut self) -> bool {
        let left = self.shared.users.leave(self.id, &self.mailbox);
        if left {
            self.sessions.clear();
            self.withdraw_presence();
        }
        left
    }

    fn command(&mut self, command: UserCommand) {
        match command {
            UserCommand::Subscribe(command) => self.subscribe(*command),
            UserCommand::TakeUp(command) => self.take_up(*command),
            UserCommand::Unsubscribe(id) => self.unsubscribe(id),
            UserCommand::Deliver { event, payload } => {
                let mut sessions = self.core.deliver(&event);
                if let Event::CallSession(to) = &*event {
                    let named = |session: &SessionHandle| session.id.raw() == to.session_name;
                    sessions.retain(|id| self.sessions.get(id).is_some_and(|(session, _)| named(session)));
                }
                self.send(sessions, Outgoing::Shared(payload));
            }
            UserCommand::GuildJoined(id) => {
                let sessions = self.core.guild_joined(id);
                self.send(sessions, Outgoing::GuildJoined(id));
                let user_id = self.id;
                if self.shared.peers.elsewhere(id.get()).is_some() {
                    self.tell_of_presence();
                } else {
                    self.shared.registers.tell_guild(id, |news| news.presences.insert(user_id));
                }
            }
            UserCommand::GuildLeft(id) => {
                let sessions = self.core.guild_left(id);
                self.send(sessions, Outgoing::GuildLeft(id));
            }
            UserCommand::Mentioned { channel_id, message_id, done } => {
                let Ok(place) = self.place() else { return };
                let outcome = self.core.mentioned(channel_id, message_id);
                self.submit(outcome, None, Pending { done: Some(done), place, ..Pending::default() });
            }
            UserCommand::Acknowledge(command) => self.acknowledge(*command),
            UserCommand::Query(query) => query(Ok(&self.core)),
        }
    }

    fn subscribe(&mut self, command: SubscribeCommand) {
        let SubscribeCommand { session, subscriber, mut ready, known, started } = command;
        let id = subscriber.id;
        let subscribed = match self.core.subscribe(self.moment(), subscriber.clone()) {
            Ok(subscribed) => subscribed,
            Err(error) => {
                tracing::info!(%error, "a session is refused");
                let _ = started.send(Err(ErrorCode::RateLimited.into()));
                return;
            }
        };
        let presence = subscribed.presence.clone();
        match complete(&mut ready, subscribed, known, self.incarnation, &self.shared.registers) {
            Ok(()) => {
                self.sessions.insert(id, (session, subscriber));
                self.send(vec![id], Outgoing::Ready(ready));
                let _ = started.send(Ok(Started::Ready));
                self.publish(presence);
            }
            Err(missing) => {
                // Nobody has heard of it.
                self.core.unsubscribe(id);
                let _ = started.send(Ok(Started::Missing { missing, incarnation: self.incarnation }));
            }
        }
    }

    /// Goes on with a session of the process before; its client has its READY.
    fn take_up(&mut self, command: TakeUpCommand) {
        let TakeUpCommand { session, subscriber, is_attached, taken_up } = command;
        let (id, now) = (subscriber.id, self.moment());
        let subscribed = match self.core.subscribe(now, subscriber.clone()) {
            Ok(subscribed) => subscribed,
            Err(error) => {
                tracing::info!(%error, "a session is refused");
                let _ = taken_up.send(Err(ErrorCode::RateLimited.into()));
                return;
            }
        };
        self.sessions.insert(id, (session, subscriber));
        let _ = taken_up.send(Ok(()));
        self.publish(subscribed.presence);
        if !is_attached {
            let detached = self.core.detached(now, id);
            self.publish(detached);
        }
    }

    fn acknowledge(&mut self, command: AcknowledgeCommand) {
        let AcknowledgeCommand { channel_id, message_id, manual, mention_count, operation, reply } = command;
        match self.place() {
            Ok(place) => {
                let outcome = self.core.acknowledge(channel_id, message_id, manual, mention_count, None);
                self.submit(
                    outcome,
                    operation,
                    Pending { reply: Some((reply, Ok(Reply::Acked))), place, ..Pending::default() },
                );
            }
            Err(error) => self.enqueue(None, Pending { reply: Some((reply, Err(error))), ..Pending::default() }),
        }
    }

    fn place(&self) -> Result<Option<OwnedSemaphorePermit>, ApiError> {
        if !self.shared.store.health().writable || !self.tenure.may_acknowledge() {
            return Err(ErrorCode::Unavailable.into());
        }
        let place = Arc::clone(&self.shared.in_flight).try_acquire_owned();
        place.map(Some).map_err(|_| ErrorCode::Unavailable.into())
    }

    fn submit(&mut self, outcome: Outcome, operation: Option<OperationContext>, mut pending: Pending) {
        let Outcome { mut writes, dispatches } = outcome;
        let shared = |event: Arc<Event>| Outgoing::Shared(Payload::new(Arc::unwrap_or_clone(event)));
        pending.sends.extend(dispatches.into_iter().map(|dispatch| (dispatch.sessions, shared(dispatch.event))));
        if writes.is_empty() {
            return self.enqueue(None, pending);
        }
        if let (Some(operation), Some((_, Ok(reply)))) = (operation, &pending.reply) {
            writes.push(operation.record(reply));
        }
        match self.shared.store.submit(writes) {
            Ok(commit) => self.enqueue(Some(commit), pending),
            Err(error) => {
                self.is_ahead = true;
                let reply = pending.reply.map(|(reply, _)| (reply, Err(from_store(error))));
                self.enqueue(None, Pending { reply, ..Pending::default() });
            }
        }
    }

    pub(super) fn send(&mut self, sessions: Vec<SubscriberId>, outgoing: Outgoing) {
        if !sessions.is_empty() {
            self.enqueue(None, Pending { sends: vec![(sessions, outgoing)], ..Pending::default() });
        }
    }

    /// As [`Self::send`], with the next look at the pipeline.
    pub(super) fn send_later(&mut self, sessions: Vec<SubscriberId>, outgoing: Outgoing) {
        self.pipeline.push(None, Pending { sends: vec![(sessions, outgoing)], ..Pending::default() });
    }

    fn enqueue(&mut self, commit: Option<rookery_core_db::Commit>, pending: Pending) {
        if commit.is_none() && self.pipeline.is_empty() {
            self.settle(Ok(()), pending);
        } else {
            self.pipeline.push(commit, pending);
        }
    }

    /// An outcome's commit is resolved: tells everybody, or nobody.
    fn settle(&mut self, result: Result<(), StoreError>, pending: Pending) {
        let Pending { sends, reply, done, place } = pending;
        let writes = place.is_some();
        drop(place);
        // What was lost meanwhile another owner may have read before this was stored.
        if result.is_err() || writes && !self.tenure.may_acknowledge() {
            self.is_ahead = true;
            self.has_failed = true;
        }
        if self.has_failed && writes && matches!(result, Ok(()) | Err(StoreError::Unknown(_))) {
            self.is_missed |= !sends.is_empty();
        }
        let writes_nothing = reply.is_none() && done.is_none();
        // Events of others are durable by their own owners' word: a failure here does not take them back.
        if !self.has_failed || writes_nothing {
            for (sessions, outgoing) in sends {
                self.deliver(&sessions, &outgoing);
            }
        }
        if let Some((answer, reply)) = reply {
            let refused = || Err(result.err().map_or_else(|| ErrorCode::Unavailable.into(), from_store));
            let _ = answer.send(if self.has_failed { refused() } else { reply });
        }
        if let Some(done) = done {
            let _ = done.send(());
        }
    }

    fn deliver(&mut self, sessions: &[SubscriberId], outgoing: &Outgoing) {
        for id in sessions {
            // One that unsubscribed while the event waited to become durable is no longer here.
            if self.sessions.contains_key(id) {
                self.outbox.send(*id, outgoing.input());
            }
        }
    }

    pub(super) fn unsubscribe(&mut self, id: SubscriberId) {
        self.sessions.remove(&id);
        let outcome = self.core.unsubscribe(id);
        self.publish(outcome);
    }

    /// Brings the core back to what is stored; false if the owner ended.
    async fn recover(&mut self) -> bool {
        metrics::counter!("rookery_owner_reloads_total", "kind" => "user").increment(1);
        let mut pause = RELOAD_PAUSE_MIN;
        let mut is_refused = false;
        let missed = std::mem::take(&mut self.catching_up);
        let mut joined = Vec::new();
        // All users of a node catch up together.
        let place =
            if missed.is_empty() { None } else { Arc::clone(&self.shared.catching_up).acquire_owned().await.ok() };
        loop {
            self.read_at_gap = self.shared.peers.ownership().gaps();
            match load(&self.shared, self.id).await {
                Ok(Some(mut core)) => {
                    let ownership = self.shared.peers.ownership();
                    let lives_there = |raw| missed.contains(ownership.shard_of(raw));
                    // Messages of their DMs may be missing.
                    self.is_missed |= core.dm_ids().chain(self.core.dm_ids()).any(|id| lives_there(id.get()));
                    if !is_refused && !self.is_missed {
                        let known: BTreeSet<GuildId> = self.core.guild_ids().collect();
                        joined = core.guild_ids().filter(|id| !known.contains(id) && lives_there(id.get())).collect();
                        core.keep_lists_of(&self.core);
                    }
                    core.keep_presences(self.core.take_presences());
                    self.core = core;
                    self.incarnation = self.shared.next_incarnation();
                    break;
                }
                Ok(None) => {
                    self.lose_all();
                    refuse_and_leave(&self.shared, self.id, &mut self.mailbox, &ErrorCode::UnknownUser.into());
                    return false;
                }
                Err(error) => {
                    // Sessions lose what is refused here, so they end with it.
                    self.lose_all();
                    is_refused = true;
                    while let Ok(command) = self.mailbox.try_recv() {
                        command.refuse(error.clone());
                    }
                    if self.tenure.stop().is_cancelled() && self.leave() {
                        return false;
                    }
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(RELOAD_PAUSE_MAX);
                }
            }
        }
        (self.is_ahead, self.has_failed) = (false, false);
        if std::mem::take(&mut self.is_missed) {
            // They start anew and see it in READY.
            self.lose_all();
        }
        let now = self.moment();
        let mut outcomes = Vec::new();
        for (session, subscriber) in self.sessions.values() {
            match self.core.subscribe(now, subscriber.clone()) {
                Ok(subscribed) => outcomes.push(subscribed.presence),
                Err(_) => session.signal(Signal::Lost),
            }
        }
        outcomes.push(self.core.forget_lost());
        outcomes.into_iter().for_each(|outcome| self.publish(outcome));
        drop(place);
        // Those that were left meanwhile refuse the sessions, which tell their clients.
        for id in joined {
            self.command(UserCommand::GuildJoined(id));
        }
        true
    }

    fn lose_all(&mut self) {
        for (_, (session, _)) in self.sessions.drain() {
            session.signal(Signal::Lost);
        }
    }
}

impl Drop for LoadedUser {
    /// An owner that ends on its way takes nobody's events with it in silence.
    fn drop(&mut self) {
        self.withdraw_presence();
        self.lose_all();
    }
}

/// Fills in what the core knows; what was not read since it was loaded, if there is anything.
fn complete(
    ready: &mut rookery_model::gateway::event::Ready,
    subscribed: Subscribed,
    known: Option<Known>,
    incarnation: u64,
    registers: &Registers,
) -> Result<(), Missing> {
    if let Some(known) = known {
        let Known { mut dms, users, .. } = if known.incarnation == incarnation { known } else { Known::default() };
        let missing = Missing {
            dms: subscribed.dm_ids.iter().copied().filter(|id| !dms.contains_key(id)).collect(),
            users: subscribed
                .relationships
                .iter()
                .map(|row| row.other_id)
                .filter(|id| !users.contains_key(id))
                .collect(),
        };
        if missing != Missing::default() {
            return Err(missing);
        }
        ready.private_channels = subscribed.dm_ids.iter().filter_map(|id| dms.remove(id).flatten()).collect();
        for dm in &mut ready.private_channels {
            dm.last_message_id = dm.last_message_id.max(subscribed.newest_messages.get(&dm.id).copied());
        }
        ready.private_channels.sort_by_key(|dm| std::cmp::Reverse(dm.last_message_id));
        let relationships = subscribed.relationships.iter();
        ready.relationships =
            relationships.filter_map(|row| Some(row.view(users.get(&row.other_id)?.clone()))).collect();
        let friends = subscribed.relationships.iter().filter(|row| row.kind == RelationshipType::Friend);
        ready.presences =
            friends.filter_map(|row| Some(registers.presence(row.other_id)?.of(row.other_id.into(), None))).collect();
    }
    ready.guilds =
        subscribed.guild_ids.into_iter().map(|id| UnavailableGuild { id, unavailable: Some(true) }).collect();
    ready.read_state = subscribed.read_states;
    ready.sessions = subscribed.sessions;
    Ok(())
}

async fn load(shared: &Shared, id: UserId) -> Result<Option<UserCore>, ApiError> {
    let store = &shared.store;
    let Some(account) = shared.accounts.get(id).await? else { return Ok(None) };
    let is_bot = account.user.bot;
    let state = UserState {
        user_id: id,
        is_bot,
        guild_ids: store.guilds_of_user(id).await.map_err(from_store)?,
        dm_ids: store.dms_of_user(id).await.map_err(from_store)?,
        read_states: if is_bot { Vec::new() } else { store.read_states(id).await.map_err(from_store)? },
        relationships: if is_bot { Vec::new() } else { store.relationships(id).await.map_err(from_store)? },
        status: Status::Online,
    };
    Ok(Some(UserCore::load(state, shared.user_limits.clone())))
}

/// Answers everybody with the error until nobody asks any more.
fn refuse_and_leave(shared: &Shared, id: UserId, mailbox: &mut mpsc::Receiver<UserCommand>, error: &ApiError) {
    loop {
        while let Ok(command) = mailbox.try_recv() {
            command.refuse(error.clone());
        }
        if shared.users.leave(id, mailbox) {
            return;
        }
    }
}
