//! The task of a loaded guild or DM: it loads, decides, waits for the store, delivers, and leaves when idle.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use rookery_core_db::StoreError;
use rookery_guild::{Dispatch, Effect, Given, GuildCore, LockKey, Outcome};
use rookery_model::call::Reply;
use rookery_model::gateway::SubscriberId;
use rookery_model::user::User;
use rookery_model::{ApiError, ErrorCode, UserId};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep};
use tracing::Instrument as _;

use super::command::{Answer, CallCommand, GuildCommand, MembersCommand, SubscribeCommand};
use super::core_timer::CoreTimer;
use super::delivery::{Count, Subscribers};
use super::recovery::{self, Untold};
use super::transient::{self, Unheard};
use crate::config::ms;
use crate::errors::from_store;
use crate::gateway::input::{Control, Input};
use crate::gateway::worker::Outbox;
use crate::operations::OperationId;
use crate::owners::locks::{Locks, Ticket};
use crate::owners::pipeline::Pipeline;
use crate::owners::register::{GuildNews, Register, VoiceRequest};
use crate::owners::{OwnerKey, Shared};
use crate::placement::Tenure;

/// The owner of a guild or DM before it is loaded.
pub struct GuildOwner {
    shared: Arc<Shared>,
    tenure: Arc<Tenure>,
    key: OwnerKey,
    mailbox: mpsc::Receiver<GuildCommand>,
    register: Arc<Register<GuildNews>>,
}

/// The owner of a guild or DM while it is loaded.
pub(super) struct LoadedGuild {
    pub(super) shared: Arc<Shared>,
    /// Under which it is loaded: what it wrote is acknowledged while that holds.
    pub(super) tenure: Arc<Tenure>,
    pub(super) key: OwnerKey,
    pub(super) mailbox: mpsc::Receiver<GuildCommand>,
    /// What only counts in its newest state.
    pub(super) register: Arc<Register<GuildNews>>,
    pub(super) core: GuildCore,
    pub(super) pipeline: Pipeline<Pending>,
    pub(super) locks: Locks<LockKey>,
    /// Calls that hold the key now for which they waited.
    pub(super) ready: VecDeque<Ticket>,
    /// Calls that wait for a lock or for rows.
    pub(super) parked: HashMap<Ticket, ParkedCall>,
    pub(super) reads: JoinSet<(Ticket, Result<Given, ApiError>)>,
    pub(super) subscribers: Subscribers,
    /// While something waits in it, nothing new is taken and nothing settled.
    pub(super) outbox: Outbox,
    pub(super) next_ticket: Ticket,
    pub(super) health: Health,
    /// What may be stored and was told to nobody, because it or what came before it failed.
    pub(super) untold: Vec<Untold>,
    timer: CoreTimer,
    pub(super) unheard: Unheard,
    /// Sessions that are to begin a call once there are ids for its message.
    pub(super) awaiting_ids: BTreeMap<SubscriberId, VoiceRequest>,
    /// Accounts that changed, of which nobody was told for the same reason.
    pub(super) untold_users: HashMap<UserId, Arc<User>>,
    last_active: Instant,
}

/// Whether the core is what the store holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    Sound,
    /// The core is ahead of what could be stored: nothing more is decided, and it is loaded anew once everything in
    /// flight is settled.
    Ahead,
    /// As `Ahead`; and since a batch failed, what follows it in flight is not told to anybody either.
    Failed,
    /// The guild was deleted: the owner ends.
    Deleted,
}

/// A call on its way to the core.
pub(super) struct ParkedCall {
    pub(super) command: Box<CallCommand>,
    pub(super) locks: Vec<LockKey>,
    pub(super) given: Given,
    pub(super) rounds: u32,
}

/// What follows an outcome once it is durable.
#[derive(Default)]
pub(super) struct Pending {
    pub(super) effects: Vec<Effect>,
    pub(super) dispatches: Vec<Dispatch>,
    pub(super) reply: Option<(Answer<Reply>, Result<Reply, ApiError>)>,
    pub(super) locks: Option<(Ticket, Vec<LockKey>)>,
    /// Its place among all outcomes in flight.
    pub(super) place: Option<OwnedSemaphorePermit>,
    /// The session that waits for what is in `dispatches`, and hears of it if they are not delivered.
    pub(super) asked: Option<Asked>,
    /// The operation that is recorded with the outcome's rows; none without rows.
    pub(super) recorded: Option<OperationId>,
    /// The account whose change `dispatches` tell of.
    pub(super) user_updated: Option<Arc<User>>,
    /// Subscriptions that came before it.
    pub(super) subscriptions: Count,
}

/// What a session asked for.
pub(super) enum Asked {
    Snapshot(Box<SubscribeCommand>),
    Members(Box<MembersCommand>),
    /// It was decided that it gets nothing, which holds only if everything before it does.
    NoSnapshot(Box<SubscribeCommand>, Box<ApiError>),
    NoMembers(Box<MembersCommand>, Box<ApiError>),
}

impl GuildOwner {
    /// An owner that will load itself when it runs.
    pub fn new(shared: Arc<Shared>, tenure: Arc<Tenure>, key: OwnerKey, mailbox: mpsc::Receiver<GuildCommand>) -> Self {
        // In place before anything is read, so that no change is missed, and before anybody can tell it something.
        let register = shared.registers.open_owner(key);
        Self { shared, tenure, key, mailbox, register }
    }

    /// Runs until the guild is idle, deleted or unknown, or the region stops.
    pub async fn run(self) {
        let span = tracing::info_span!("guild", region = &*self.shared.region, guild_id = %self.key);
        self.load_and_run().instrument(span).await;
    }

    async fn load_and_run(mut self) {
        let mut outbox = self.shared.outbox();
        let loaded = match recovery::load(&self.shared, self.key).await {
            Ok(Some(core)) => Ok(core),
            Ok(None) => Err(self.key.unknown()),
            Err(error) => Err(from_store(error)),
        };
        let core = match loaded {
            Ok(mut core) => {
                core.load_presences(transient::present(&self.shared, &core));
                core
            }
            Err(error) => {
                self.shared.registers.close_owner(self.key, &self.register);
                let (shared, mailbox) = (&self.shared, &mut self.mailbox);
                return recovery::refuse_and_leave(shared, self.key, mailbox, &error, &mut outbox).await;
            }
        };
        let loaded = LoadedGuild {
            pipeline: Pipeline::new(self.shared.config.in_flight_max),
            shared: self.shared,
            tenure: self.tenure,
            key: self.key,
            mailbox: self.mailbox,
            register: self.register,
            core,
            locks: Locks::default(),
            ready: VecDeque::new(),
            parked: HashMap::new(),
            reads: JoinSet::new(),
            subscribers: Subscribers::default(),
            outbox,
            next_ticket: 0,
            health: Health::Sound,
            untold: Vec::new(),
            timer: CoreTimer::default(),
            unheard: Unheard::default(),
            awaiting_ids: BTreeMap::new(),
            untold_users: HashMap::new(),
            last_active: Instant::now(),
        };
        // Large, and it lives long: not inside the future of the task.
        Box::pin(loaded.run()).await;
    }
}

impl Drop for LoadedGuild {
    fn drop(&mut self) {
        self.shared.registers.close_owner(self.key, &self.register);
    }
}

impl LoadedGuild {
    async fn run(mut self) {
        let idle_after = ms(self.shared.config.idle_evict_ms);
        let mut idle = Box::pin(tokio::time::sleep(idle_after));
        let stop = self.tenure.stop().clone();
        loop {
            self.run_ready();
            if self.health != Health::Sound && self.pipeline.is_empty() && !self.recover().await {
                return;
            }
            let room = self.parked.len() < self.shared.config.in_flight_max && !self.pipeline.is_full();
            let is_flushed = self.outbox.is_empty();
            let accepts = self.health == Health::Sound && room && is_flushed;
            // One of them is of guilds, the other of DMs.
            self.timer.set(self.core.poll_passive_timeout().or(self.core.poll_call_timeout()));
            let presences_due = self.core.poll_timeout();
            tokio::select! {
                biased;
                () = self.outbox.flush(), if !is_flushed => {}
                (result, pending) = self.pipeline.next(), if is_flushed => self.settle(result, pending),
                Some(read) = self.reads.join_next() => {
                    if let Ok((ticket, given)) = read {
                        self.rows_read(ticket, given);
                    }
                }
                () = self.timer.wait(), if accepts => self.core_is_due(),
                () = self.register.changed(), if accepts => self.take_news(),
                () = self.shared.clock.reached(presences_due), if accepts => self.presence_timeout(),
                command = self.mailbox.recv(), if accepts => {
                    let Some(command) = command else { return };
                    self.last_active = Instant::now();
                    self.command(command);
                }
                () = &mut idle => {
                    if self.leave_if_idle(idle_after, idle.as_mut()) {
                        return;
                    }
                }
                () = stop.cancelled(), if self.is_settled() => {
                    // Sessions that go on in the next process are to know that nobody is in voice there.
                    self.end_voice();
                    self.save_call();
                    if self.is_settled() && self.leave() {
                        return;
                    }
                }
            }
        }
    }

    /// Whether nothing is under way.
    fn is_settled(&self) -> bool {
        self.pipeline.is_empty() && self.outbox.is_empty() && self.parked.is_empty() && self.mailbox.is_empty()
    }

    fn leave_if_idle(&mut self, idle_after: Duration, idle: Pin<&mut Sleep>) -> bool {
        let due = self.last_active + idle_after;
        if due > Instant::now() {
            idle.reset(due);
            return false;
        }
        if self.subscribers.is_empty() && !self.core.has_call() && self.is_settled() && self.leave() {
            tracing::debug!("unloaded");
            return true;
        }
        idle.reset(Instant::now() + idle_after);
        false
    }

    pub(super) fn leave(&mut self) -> bool {
        let left = self.shared.guilds.leave(self.key, &self.mailbox);
        if left {
            self.subscribers.clear();
        }
        left
    }

    /// Runs the core. A bug in it costs the command at hand, and the core's state, which is loaded anew.
    pub(super) fn with_core<R>(&mut self, run: impl FnOnce(&mut GuildCore) -> R) -> Result<R, ApiError> {
        catch_unwind(AssertUnwindSafe(|| run(&mut self.core))).map_err(|_| {
            tracing::error!("the guild's core panicked; it is loaded anew");
            self.mark(Health::Ahead);
            ErrorCode::Internal.into()
        })
    }

    /// Takes note that the core no longer stands for what is stored.
    pub(super) fn mark(&mut self, health: Health) {
        if self.health == Health::Sound || health == Health::Failed && self.health == Health::Ahead {
            self.health = health;
        }
    }

    /// An outcome's commit is resolved: tells everybody, or nobody.
    pub(super) fn settle(&mut self, result: Result<(), StoreError>, pending: Pending) {
        let Pending { effects, dispatches, reply, locks, place, asked, recorded, user_updated, subscriptions } =
            pending;
        let writes = place.is_some();
        drop(place);
        let failure = match result {
            Ok(()) if self.health != Health::Failed && (!writes || self.tenure.may_acknowledge()) => None,
            Ok(()) => {
                // Where it was lost meanwhile, another owner may have read before this was stored.
                self.mark(Health::Failed);
                Some(ErrorCode::Unavailable.into())
            }
            Err(error) => {
                self.mark(Health::Failed);
                Some(from_store(error))
            }
        };
        if let Some(error) = failure {
            self.unheard.note(&dispatches);
            if let Some(operation) = recorded {
                self.untold.push(Untold { operation, effects, dispatches });
            }
            self.untold_users.extend(user_updated.map(|user| (user.id, user)));
            if let Some(asked) = asked {
                self.refuse(asked, error.clone());
            }
            if let Some((answer, _)) = reply {
                let _ = answer.send(Err(error));
            }
        } else {
            self.deliver(effects, dispatches, subscriptions);
            match asked {
                Some(Asked::Snapshot(command)) => {
                    let input = Input::Control(Control::Subscribed(command.guild_id));
                    self.outbox.send(command.session.subscriber, input);
                }
                // Its user left the guild meanwhile: nothing was delivered.
                Some(Asked::Members(command)) if !self.subscribers.contains(command.session.subscriber) => {
                    command.refuse(ErrorCode::UnknownGuild.into(), &mut self.outbox);
                }
                Some(Asked::NoSnapshot(command, error)) => command.refuse(*error, &mut self.outbox),
                Some(Asked::NoMembers(command, error)) => command.refuse(*error, &mut self.outbox),
                Some(Asked::Members(_)) | None => {}
            }
            if let Some((answer, reply)) = reply {
                let _ = answer.send(reply);
            }
        }
        if let Some((ticket, keys)) = locks {
            self.release(ticket, &keys);
        }
    }

    /// What a session asked for was decided and is not delivered: it asks again.
    fn refuse(&mut self, asked: Asked, error: ApiError) {
        match asked {
            Asked::Snapshot(command) => {
                // Without its snapshot it must not get what follows either.
                self.unsubscribe(command.subscriber.id);
                command.refuse(error, &mut self.outbox);
            }
            Asked::NoSnapshot(command, _) => command.refuse(error, &mut self.outbox),
            Asked::Members(command) | Asked::NoMembers(command, _) => command.refuse(error, &mut self.outbox),
        }
    }

    fn deliver(&mut self, effects: Vec<Effect>, dispatches: Vec<Dispatch>, subscriptions: Count) {
        let mut left: Vec<UserId> = Vec::new();
        let mut deleted = false;
        for effect in effects {
            match &effect {
                Effect::MemberLeft { user_id, .. } => left.push(*user_id),
                Effect::GuildDeleted { .. } => deleted = true,
                Effect::MemberJoined { .. }
                | Effect::Mentioned { .. }
                | Effect::VoiceConnected(_)
                | Effect::VoiceDisconnected { .. } => {}
            }
            self.shared.carry(effect);
        }
        for dispatch in dispatches {
            self.subscribers.dispatch(&self.shared, &mut self.outbox, dispatch);
        }
        if self.pipeline.is_empty() {
            self.subscribers.forget_removed();
        }
        // Their sessions got the guild's last word; the core forgot them when it decided.
        for user_id in left {
            self.subscribers.remove_user(user_id, subscriptions);
        }
        if deleted {
            self.subscribers.clear();
            self.mark(Health::Deleted);
        }
    }

    pub(super) fn unsubscribe(&mut self, id: SubscriberId) {
        if self.subscribers.remove(id)
            // A panic is noted inside.
            && let Ok(outcome) = self.with_core(|core| core.unsubscribe(id))
            && !(outcome.dispatches.is_empty() && outcome.effects.is_empty())
        {
            // Not at once: the session may have turned out to be gone while something was delivered.
            let Outcome { dispatches, effects, .. } = outcome;
            self.pipeline.push(None, Pending { dispatches, effects, ..Pending::default() });
        }
    }
}
