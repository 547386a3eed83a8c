//! What the owner of a guild does with a command: locks, rows, decision, submission.

use std::sync::Arc;

use rookery_guild::{Given, GuildCore, LockKey, Outcome};
use rookery_model::call::Reply;
use rookery_model::gateway::{Event, StreamAction, StreamDeleteReason, StreamDeleted};
use rookery_model::{ApiError, ErrorCode, VoiceServerId};
use tokio::sync::OwnedSemaphorePermit;

use super::actor::{Asked, Health, LoadedGuild, ParkedCall, Pending};
use super::command::{Answer, CallCommand, GuildCommand, MembersCommand, StreamCommand, SubscribeCommand};
use super::reads;
use crate::errors::from_store;
use crate::gateway::input::Input;
use crate::id_generator::{IssuedIds, now};
use crate::operations::OperationContext;
use crate::owners::locks::Ticket;

/// Rounds of reading that a call may ask for; each follows a reference of a row that the last one brought.
const READ_ROUNDS_MAX: u32 = 8;

impl LoadedGuild {
    /// Takes a command out of the mailbox.
    pub(super) fn command(&mut self, command: GuildCommand) {
        match command {
            GuildCommand::Load => {}
            GuildCommand::Call(command) => self.call(command),
            GuildCommand::Query(query) => {
                // A panic inside drops the answer, which its asker hears.
                let _ = self.with_core(|core| query(Ok(core)));
            }
            GuildCommand::Subscribe(command) => self.subscribe(*command),
            GuildCommand::TakeUp(commands) => commands.into_iter().for_each(|command| self.take_up(command)),
            GuildCommand::Unsubscribe(ids) => ids.into_iter().for_each(|id| self.unsubscribe(id)),
            GuildCommand::UserUpdated(user) => {
                // Kept by a core that panics over it, so that the next one tells of it.
                let outcome = self.with_core(|core| core.user_updated(&user)).unwrap_or_default();
                self.submit(outcome, None, Pending { user_updated: Some(user), ..Pending::default() });
            }
            GuildCommand::RequestMembers(command) => self.request_members(command),
            GuildCommand::RequestChannelInfo(id, request) => {
                self.decide_transient(|core| core.request_channel_info(id, &request.fields));
            }
            GuildCommand::Stream(command) => self.stream(command),
            GuildCommand::Subscriptions(id, subscription) => {
                if let Ok(outcome) = self.with_core(|core| core.set_subscriptions(id, &subscription)) {
                    self.submit(outcome, None, Pending::default());
                }
            }
        }
    }

    fn subscribe(&mut self, command: SubscribeCommand) {
        let subscriber = command.subscriber.clone();
        match self.with_core(|core| core.subscribe(subscriber)) {
            Ok(Ok(outcome)) => {
                self.subscribers.insert(Arc::clone(&command.session), command.subscriber.clone());
                let asked = Some(Asked::Snapshot(Box::new(command)));
                self.submit(outcome, None, Pending { asked, ..Pending::default() });
            }
            // Who is no member by a decision that may still fail is refused behind it.
            Ok(Err(error)) => self.ask(Asked::NoSnapshot(Box::new(command), Box::new(error))),
            Err(error) => command.refuse(error, &mut self.outbox),
        }
    }

    /// Subscribes a session that has the guild already: of the snapshot nothing is told.
    fn take_up(&mut self, command: SubscribeCommand) {
        let subscriber = command.subscriber.clone();
        match self.with_core(|core| core.subscribe(subscriber)) {
            Ok(Ok(_)) => {
                self.subscribers.insert(Arc::clone(&command.session), command.subscriber.clone());
                self.ask(Asked::Snapshot(Box::new(command)));
            }
            Ok(Err(error)) | Err(error) => command.refuse(error, &mut self.outbox),
        }
    }

    /// Answers a session without an outcome, behind everything that was decided before it.
    fn ask(&mut self, asked: Asked) {
        self.enqueue(None, Pending { asked: Some(asked), ..Pending::default() });
    }

    fn request_members(&mut self, command: Box<MembersCommand>) {
        let id = command.session.subscriber;
        match self.with_core(|core| core.request_members(id, &command.request, command.cursor)) {
            Ok(Ok(outcome)) => {
                let asked = Some(Asked::Members(command));
                self.submit(outcome, None, Pending { asked, ..Pending::default() });
            }
            Ok(Err(error)) => self.ask(Asked::NoMembers(command, Box::new(error))),
            Err(error) => command.refuse(error, &mut self.outbox),
        }
    }

    /// Decides what a session wants of a stream.
    fn stream(&mut self, mut command: Box<StreamCommand>) {
        let begins = matches!(command.action, StreamAction::Create { .. });
        let server_id = if begins { self.shared.ids.next().map(VoiceServerId).ok() } else { None };
        if begins && server_id.is_none() && !command.has_waited {
            // Nobody asked for ids for a while. They are no longer in doubt when it comes again.
            command.has_waited = true;
            let (shared, key) = (Arc::clone(&self.shared), self.key);
            self.shared.tasks.spawn(async move {
                let _ = shared.ids.ensure().await;
                if shared.send_guild_if_loaded(key, GuildCommand::Stream(command)).is_err() {
                    metrics::counter!("rookery_streams_dropped_total").increment(1);
                }
            });
            return;
        }
        let StreamCommand { session, key, action, .. } = *command;
        match self.with_core(|core| core.stream(session, key, &action, server_id)).and_then(|outcome| outcome) {
            Ok(outcome) => self.submit(outcome, None, Pending::default()),
            // It does not get the events of the guild or DM: of this it is told all the same.
            Err(error) => {
                let is_foreign = error.is(ErrorCode::UnknownChannel);
                let reason =
                    if is_foreign { StreamDeleteReason::InvalidChannel } else { StreamDeleteReason::Unauthorized };
                let stream_key = key.to_string();
                let event = Event::StreamDelete(StreamDeleted { stream_key, reason, unavailable: false });
                self.outbox.send(session.subscriber, Input::Own(Box::new(event)));
            }
        }
    }

    fn call(&mut self, command: Box<CallCommand>) {
        self.shared.degradation.note_queue_age(command.queued_at.elapsed());
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        let mut locks = GuildCore::locks(&command.call);
        locks.sort_unstable();
        locks.dedup();
        self.proceed(ticket, ParkedCall { command, locks, given: Given::default(), rounds: 0 });
    }

    /// Takes a call as far as it gets: to a lock that another holds, to a reading, or to its decision.
    fn proceed(&mut self, ticket: Ticket, mut call: ParkedCall) {
        for key in &call.locks {
            if !self.locks.acquire(*key, ticket) {
                self.parked.insert(ticket, call);
                return;
            }
        }
        let asked = self.with_core(|core| core.needs(now(), &call.command.caller, &call.command.call, &call.given));
        let needs = match asked {
            Ok(needs) if needs.is_empty() => return self.decide(ticket, call),
            Ok(needs) => needs,
            Err(error) => return self.answer(ticket, call.locks, call.command.reply, Err(error), None),
        };
        call.rounds += 1;
        if call.rounds > READ_ROUNDS_MAX {
            tracing::error!("a call asks for rows without end");
            return self.answer(ticket, call.locks, call.command.reply, Err(ErrorCode::Internal.into()), None);
        }
        let mut given = std::mem::take(&mut call.given);
        let (shared, key) = (Arc::clone(&self.shared), self.key);
        self.reads.spawn(async move {
            let read = reads::read(&shared, key, needs, &mut given).await;
            (ticket, read.map(|()| given))
        });
        self.parked.insert(ticket, call);
    }

    /// Rows came for a call.
    pub(super) fn rows_read(&mut self, ticket: Ticket, given: Result<Given, ApiError>) {
        let Some(mut call) = self.parked.remove(&ticket) else { return };
        match given {
            _ if self.health != Health::Sound => {
                self.answer(ticket, call.locks, call.command.reply, Err(ErrorCode::Unavailable.into()), None);
            }
            Ok(given) => {
                call.given = given;
                self.proceed(ticket, call);
            }
            Err(error) => self.answer(ticket, call.locks, call.command.reply, Err(error), None),
        }
    }

    /// Gives a call's keys back; those who waited for them go on with [`Self::run_ready`].
    pub(super) fn release(&mut self, ticket: Ticket, keys: &[LockKey]) {
        self.ready.extend(self.locks.release(keys, ticket));
    }

    /// Lets the calls go on whose keys became free.
    pub(super) fn run_ready(&mut self) {
        while let Some(ticket) = self.ready.pop_front() {
            // While the core is not sound nobody goes on; they are all answered when it is loaded anew.
            if self.health == Health::Sound
                && let Some(call) = self.parked.remove(&ticket)
            {
                self.proceed(ticket, call);
            }
        }
    }

    fn decide(&mut self, ticket: Ticket, call: ParkedCall) {
        let ParkedCall { command, locks, given, .. } = call;
        let CallCommand { caller, call, operation, reply, queued_at: _ } = *command;
        let place = match self.place(call.is_read()) {
            Ok(place) => place,
            Err(error) => return self.answer(ticket, locks, reply, Err(error), None),
        };
        let generator = Arc::clone(&self.shared.ids);
        let mut ids = IssuedIds::new(&generator);
        let decided = self.with_core(|core| core.handle(now(), &caller, &call, &given, &mut ids));
        let decided = decided.and_then(|outcome| outcome);
        if ids.are_exhausted() {
            // What the core decided names an id that nobody issued.
            self.mark(Health::Ahead);
            return self.answer(ticket, locks, reply, Err(ErrorCode::Unavailable.into()), place);
        }
        match decided {
            Ok(outcome) => {
                let pending = Pending { locks: Some((ticket, locks)), place, ..Pending::default() };
                self.submit(outcome, Some((reply, operation)), pending);
            }
            Err(error) => self.answer(ticket, locks, reply, Err(error), place),
        }
    }

    /// A place among the outcomes in flight, if the store takes writes and has room for this one.
    ///
    /// Asked before the core decides: an outcome that cannot be submitted costs the core.
    pub(super) fn place(&self, is_read: bool) -> Result<Option<OwnedSemaphorePermit>, ApiError> {
        if is_read {
            return Ok(None);
        }
        if !self.shared.store.health().writable || !self.tenure.may_acknowledge() {
            return Err(ErrorCode::Unavailable.into());
        }
        Arc::clone(&self.shared.in_flight).try_acquire_owned().map(Some).map_err(|_| {
            metrics::counter!("rookery_owner_in_flight_full_total").increment(1);
            ErrorCode::Unavailable.into()
        })
    }

    /// Asks the core for what is due by the clock.
    pub(super) fn core_is_due(&mut self) {
        self.decide_transient(|core| core.handle_passive_timeout(now()));
        self.decide_transient(|core| core.handle_call_timeout(now()));
        self.save_call();
    }

    /// Puts an outcome's rows on their way, and what follows it behind them.
    pub(super) fn submit(
        &mut self,
        outcome: Outcome,
        reply: Option<(Answer<Reply>, Option<OperationContext>)>,
        mut pending: Pending,
    ) {
        let Outcome { mut writes, reply: answer, dispatches, effects } = outcome;
        pending.subscriptions = self.subscribers.count();
        let commit = if writes.is_empty() {
            None
        } else {
            if let Some((_, Some(operation))) = &reply {
                writes.push(operation.record(&answer));
                pending.recorded = Some(operation.id);
            }
            match self.shared.store.submit(writes) {
                Ok(commit) => Some(commit),
                Err(error) => {
                    self.mark(Health::Ahead);
                    pending.reply = reply.map(|(reply, _)| (reply, Err(from_store(error))));
                    return self.enqueue(None, pending);
                }
            }
        };
        pending.dispatches = dispatches;
        pending.effects = effects;
        pending.reply = reply.map(|(reply, _)| (reply, Ok(answer)));
        self.enqueue(commit, pending);
    }

    /// Answers a call without an outcome, behind everything that was decided before it.
    fn answer(
        &mut self,
        ticket: Ticket,
        locks: Vec<LockKey>,
        reply: Answer<Reply>,
        result: Result<Reply, ApiError>,
        place: Option<OwnedSemaphorePermit>,
    ) {
        let pending =
            Pending { reply: Some((reply, result)), locks: Some((ticket, locks)), place, ..Pending::default() };
        self.enqueue(None, pending);
    }

    fn enqueue(&mut self, commit: Option<rookery_core_db::Commit>, pending: Pending) {
        if commit.is_none() && self.pipeline.is_empty() {
            self.settle(Ok(()), pending);
        } else {
            self.pipeline.push(commit, pending);
        }
    }
}
