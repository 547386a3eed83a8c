//! Who hears of an outcome once it is durable.

use std::sync::Arc;

use rookery_guild::{Audience, Dispatch, Effect, Outcome, Subscriber};
use rookery_model::gateway::event::EventData;
use rookery_model::gateway::{Event, Intents, SubscriberId};
use rookery_model::{ErrorCode, UserId};
use rookery_session::Payload;

use super::{Health, Loaded, Pending, Untold};
use crate::bus::{Actor, CommitResult, Input, OwnerKey, Refusal, UserMessage};
use crate::check::Invariant;
use crate::env::Env;
use crate::fact::{Data, Fact, Source};
use crate::plant::Plant;
use crate::truth;

/// Tells a session that it is not subscribed.
pub(super) fn refuse(env: &mut Env, key: OwnerKey, id: SubscriberId, refusal: Refusal) {
    if let OwnerKey::Guild(guild_id) = key {
        env.tell_session(Actor::Owner(key), id, Input::NotSubscribed(guild_id, refusal));
    }
}

/// An event as a client would read it.
fn fact_of(event: &Event) -> Option<Fact> {
    let data = serde_json::to_value(EventData(event)).ok()?;
    Fact::read(event.name(), &Data::Tree(data)).ok().flatten().map(|(_, fact)| fact)
}

/// Holds what a DM's core tells its users against what the truth wants them to be told.
pub(super) fn check_dm(env: &mut Env, dispatches: &[Dispatch], due: &[(UserId, Fact)]) {
    let mut told = Vec::new();
    for dispatch in dispatches {
        let Audience::Users(users) = &dispatch.audience else {
            return env.violate(Invariant::Truth, "a DM has no subscribers");
        };
        let Some(fact) = fact_of(&dispatch.event) else { continue };
        told.extend(users.iter().map(|user| (*user, fact.clone())));
    }
    let is_right = told.len() == due.len()
        && told.iter().zip(due).all(|((a, came), (b, expected))| a == b && expected.is_as_expected(came));
    if !is_right {
        env.violate(Invariant::Truth, format!("{due:?} are due in a DM, {told:?} came"));
    }
}

impl Loaded {
    pub(super) fn subscribe(&mut self, env: &mut Env, key: OwnerKey, subscriber: Subscriber) {
        let was_in = self.truth.subscribed.contains_key(&subscriber.id);
        match self.core.subscribe(subscriber.clone()) {
            Ok(outcome) => {
                env.counts.subscribed += 1;
                env.counts.resubscribed += u64::from(was_in);
                env.note(|| format!("{key:?}: {:?} of {} subscribes", subscriber.id, subscriber.user_id));
                self.subscribers.insert(subscriber.id, (subscriber.clone(), self.subscriptions));
                self.subscriptions += 1;
                let viewer = env.as_asked(&subscriber);
                let due = self.due_of_snapshot(env, &viewer);
                self.truth.subscribed.insert(viewer.id, viewer);
                let pending = Pending { due, snapshot_for: Some(subscriber), ..Pending::default() };
                self.submit(env, key, outcome, None, pending);
            }
            Err(_) => {
                let pending = Pending { no_snapshot_for: Some(subscriber.id), ..Pending::default() };
                self.enqueue(env, key, None, pending);
            }
        }
    }

    fn due_of_snapshot(&self, env: &Env, viewer: &Subscriber) -> Vec<(SubscriberId, Vec<Fact>)> {
        let Some(guild) = self.truth.rows.guild.as_ref().filter(|_| truth::wants(viewer, Intents::GUILDS)) else {
            return Vec::new();
        };
        let is_bot = |id: UserId| env.store.users.get(&id).is_some_and(|user| user.bot);
        let connected = self.truth.subscribed.values().chain([viewer]);
        let snapshot = truth::snapshot(guild, viewer, &self.truth.names, connected, is_bot);
        vec![(viewer.id, vec![Fact::GuildCreate(Box::new(snapshot))])]
    }

    pub(super) fn unsubscribe(&mut self, id: SubscriberId) {
        self.truth.subscribed.remove(&id);
        if self.subscribers.remove(&id).is_some() {
            self.core.unsubscribe(id);
        }
    }

    /// An outcome's commit is resolved: tells everybody, or nobody.
    pub(super) fn settle(&mut self, env: &mut Env, key: OwnerKey, result: CommitResult, pending: Pending) {
        let Pending { effects, dispatches, reply, locks, snapshot_for, no_snapshot_for, .. } = pending;
        let Pending { recorded, user_updated, due, due_of_dm, subscriptions, .. } = pending;
        if result != CommitResult::Durable {
            self.mark(Health::Failed);
        }
        if let Some(id) = no_snapshot_for {
            let holds = self.health != Health::Failed;
            refuse(env, key, id, if holds { Refusal::Unknown } else { Refusal::Unavailable });
        }
        if self.health == Health::Failed {
            if let Some(operation) = recorded {
                self.untold.push(Untold { operation, effects, dispatches, due_of_dm });
            }
            self.untold_users.extend(user_updated.map(|user| (user.id, user)));
            if let Some(subscriber) = snapshot_for {
                // Without its snapshot it must not get what follows either.
                self.unsubscribe(subscriber.id);
                refuse(env, key, subscriber.id, Refusal::Unavailable);
            }
            env.counts.unavailable += u64::from(reply.is_some());
        } else {
            for (id, facts) in due {
                if let OwnerKey::Guild(guild_id) = key {
                    env.check.expect(id, Source::Guild(guild_id), facts);
                }
            }
            self.deliver(env, key, effects, dispatches, due_of_dm, subscriptions);
            if let (Some(subscriber), OwnerKey::Guild(guild_id)) = (snapshot_for, key) {
                env.tell_session(Actor::Owner(key), subscriber.id, Input::Subscribed(guild_id));
            }
            match reply {
                Some(Ok(_)) => env.counts.accepted += 1,
                Some(Err(error)) if error.is(ErrorCode::Unavailable) => env.counts.unavailable += 1,
                Some(Err(_)) => env.counts.refused += 1,
                None => {}
            }
        }
        if let Some((ticket, keys)) = locks {
            self.ready.extend(self.locks.release(&keys, ticket));
        }
    }

    fn deliver(
        &mut self,
        env: &mut Env,
        key: OwnerKey,
        effects: Vec<Effect>,
        dispatches: Vec<Dispatch>,
        due_of_dm: Vec<(UserId, Fact)>,
        subscriptions: u64,
    ) {
        let mut left: Vec<UserId> = Vec::new();
        let mut is_deleted = false;
        for effect in effects {
            match &effect {
                Effect::MemberLeft { user_id, .. } => {
                    env.counts.left += 1;
                    left.push(*user_id);
                }
                Effect::GuildDeleted { .. } => is_deleted = true,
                Effect::MemberJoined { .. } => env.counts.joined += 1,
                Effect::Mentioned { .. } | Effect::VoiceConnected(_) | Effect::VoiceDisconnected { .. } => {}
            }
            carry(env, key, effect);
        }
        let mut due_of_dm = due_of_dm.into_iter();
        for Dispatch { event, audience } in dispatches {
            match audience {
                Audience::Users(users) => deliver_to_users(env, key, &event, &users, &mut due_of_dm),
                Audience::Subscribers(ids) => self.fan_out(env, key, event, &ids),
            }
        }
        for user_id in left {
            self.subscribers.retain(|_, (subscriber, at)| subscriber.user_id != user_id || *at >= subscriptions);
        }
        if is_deleted {
            self.subscribers.clear();
            self.mark(Health::Deleted);
        }
    }

    fn fan_out(&mut self, env: &mut Env, key: OwnerKey, event: Arc<Event>, ids: &[SubscriberId]) {
        let is_own = matches!((ids, &*event), ([_], Event::GuildCreate(_)));
        let payload = Payload::new(Event::clone(&event));
        for id in ids {
            // One that unsubscribed while the event waited to become durable is no longer here.
            if !self.subscribers.contains_key(id) {
                continue;
            }
            let input =
                if is_own { Input::Own(Box::new(Event::clone(&event))) } else { Input::Dispatch(Arc::clone(&payload)) };
            if !env.tell_session(Actor::Owner(key), *id, input) {
                self.unsubscribe(*id);
            }
        }
    }

    /// The planted bug: an audience is kept over a change of who may read.
    pub(super) fn plant_stale_audience(&mut self, env: &Env, outcome: &mut Outcome) {
        if env.plant != Plant::StaleAudience {
            return;
        }
        for dispatch in &mut outcome.dispatches {
            let Event::MessageCreate(event) = &*dispatch.event else { continue };
            let channel = event.message.channel_id;
            if let Some(stale) = self.truth.readers.insert(channel, dispatch.audience.clone()) {
                dispatch.audience = stale;
            }
        }
    }
}

/// Sends an event of a DM to its users, each with what the truth has for them.
pub(super) fn deliver_to_users(
    env: &mut Env,
    key: OwnerKey,
    event: &Arc<Event>,
    users: &[UserId],
    due: &mut impl Iterator<Item = (UserId, Fact)>,
) {
    let payload = Payload::new(Event::clone(event));
    for user in users {
        let (Some((_, fact)), OwnerKey::Dm(dm)) = (due.next(), key) else { continue };
        env.tell_of_dm(dm, *user, Arc::clone(event), Arc::clone(&payload), fact);
    }
}

/// Tells somebody outside of a guild what happened to them.
pub(super) fn carry(env: &mut Env, key: OwnerKey, effect: Effect) {
    let from = Actor::Owner(key);
    match effect {
        Effect::MemberJoined { guild_id, user_id } => {
            env.tell_user_if_loaded(from, user_id, UserMessage::GuildJoined(guild_id));
        }
        Effect::MemberLeft { guild_id, user_id } => {
            env.tell_user_if_loaded(from, user_id, UserMessage::GuildLeft(guild_id));
        }
        Effect::GuildDeleted { guild_id, user_ids } => {
            for user_id in user_ids {
                env.tell_user_if_loaded(from, user_id, UserMessage::GuildLeft(guild_id));
            }
        }
        Effect::Mentioned { channel_id, message_id, user_ids } => {
            for user_id in user_ids {
                // One whose owner has too much to do is not counted, as in the region after some attempts.
                let _ = env.tell_user(Actor::Outside, user_id, UserMessage::Mentioned(channel_id, message_id));
            }
        }
        // There are no voice nodes here.
        Effect::VoiceConnected(_) | Effect::VoiceDisconnected { .. } => {}
    }
}
