//! How the owner of a guild comes back to what is stored after a write that failed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rookery_core_db::StoreError;
use rookery_guild::{Audience, Dispatch, Effect, GuildCore, Outcome, Subscriber};
use rookery_model::gateway::{Event, SubscriberId};
use rookery_model::guild::UnavailableGuild;
use rookery_model::{ApiError, ErrorCode};
use tokio::sync::mpsc;

use super::actor::{Health, LoadedGuild, Pending};
use super::command::GuildCommand;
use crate::errors::from_store;
use crate::gateway::registry::Signal;
use crate::gateway::worker::Outbox;
use crate::id_generator::now;
use crate::loader;
use crate::operations::OperationId;
use crate::owners::locks::Locks;
use crate::owners::{OwnerKey, Shared};

/// Pauses between attempts to load a guild anew after a failed write.
const RELOAD_PAUSE_MIN: Duration = Duration::from_millis(50);
const RELOAD_PAUSE_MAX: Duration = Duration::from_secs(2);

/// A guild that cannot be loaded for so long is gone as far as its sessions can see; shorter is not worth the snapshots
/// that follow.
const OUTAGE_AFTER: Duration = Duration::from_secs(1);

/// An outcome whose caller was told that it failed, and of which the store may hold the rows.
pub struct Untold {
    pub operation: OperationId,
    pub effects: Vec<Effect>,
    pub dispatches: Vec<Dispatch>,
}

/// Whether the guild's sessions were told that it is away.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outage {
    No,
    Told,
}

impl LoadedGuild {
    /// Brings the core back to what is stored; false if the owner ended.
    pub(super) async fn recover(&mut self) -> bool {
        self.fail_parked();
        if self.health == Health::Deleted {
            refuse_and_leave(&self.shared, self.key, &mut self.mailbox, &self.key.unknown(), &mut self.outbox).await;
            return false;
        }
        let is_missed = self.carry_untold().await;
        metrics::counter!("rookery_owner_reloads_total", "kind" => "guild").increment(1);
        let looks = self.core.subscriptions();
        let mut pause = RELOAD_PAUSE_MIN;
        let transient;
        let lost_at = Instant::now();
        let mut outage = Outage::No;
        loop {
            match load(&self.shared, self.key).await {
                Ok(Some(core)) => {
                    transient = self.core.take_transient();
                    self.core = core;
                    break;
                }
                Ok(None) => {
                    // Its sessions believe in a guild that is not there: they start anew.
                    self.subscribers.lose_all();
                    let (error, outbox) = (self.key.unknown(), &mut self.outbox);
                    refuse_and_leave(&self.shared, self.key, &mut self.mailbox, &error, outbox).await;
                    return false;
                }
                Err(error) => {
                    let error = from_store(error);
                    while let Ok(command) = self.mailbox.try_recv() {
                        match command {
                            GuildCommand::UserUpdated(user) => drop(self.untold_users.insert(user.id, user)),
                            command => command.refuse(error.clone(), &mut self.outbox),
                        }
                        self.outbox.flush().await;
                    }
                    if self.tenure.stop().is_cancelled() && self.leave() {
                        return false;
                    }
                    if outage == Outage::No && lost_at.elapsed() >= OUTAGE_AFTER {
                        tracing::error!(%error, "the guild is unavailable");
                        self.tell_unavailable().await;
                        outage = Outage::Told;
                    }
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(RELOAD_PAUSE_MAX);
                }
            }
        }
        self.health = Health::Sound;
        if is_missed {
            // They start anew and see it in what they read then.
            self.subscribers.lose_all();
        }
        // The sessions have the guild already: the snapshot is not sent a second time.
        self.subscribe_again(|_, _| {});
        self.keep_transient(transient);
        if outage == Outage::Told {
            // To them the guild was away, and is back with its GUILD_CREATE: made only now, with presences and voice.
            self.subscribe_again(|this, snapshot| this.submit(snapshot, None, Pending::default()));
        }
        // After the presences, which the lists that sessions look at are made of.
        for (id, subscription) in looks {
            self.command(GuildCommand::Subscriptions(id, Box::new(subscription)));
        }
        let _ = self.with_core(|core| core.renew_passive(now()));
        // What was read has the changed accounts already, but nobody heard of them.
        for user in std::mem::take(&mut self.untold_users).into_values() {
            self.command(GuildCommand::UserUpdated(user));
        }
        tracing::warn!("loaded anew after a write that failed");
        true
    }

    /// Subscribes the sessions to the core that is there now; those that it does not take are lost.
    fn subscribe_again(&mut self, with_snapshot: impl Fn(&mut Self, Outcome)) {
        for (session, subscriber) in self.subscribers.all() {
            let id = subscriber.id;
            match self.with_core(|core| core.subscribe(subscriber)) {
                Ok(Ok(snapshot)) => with_snapshot(self, snapshot),
                Ok(Err(_)) | Err(_) => {
                    self.subscribers.remove(id);
                    session.signal(Signal::Lost);
                }
            }
        }
    }

    /// Tells the guild's sessions that it is away for a while, as libraries expect it: GUILD_DELETE with `unavailable`, and
    /// later GUILD_CREATE. Sessions that did not ask for guilds hear of neither.
    async fn tell_unavailable(&mut self) {
        let OwnerKey::Guild(id) = self.key else { return };
        let event = Event::GuildDelete(UnavailableGuild { id, unavailable: Some(true) });
        let required = event.required_intents();
        let wants = |s: &Subscriber| s.intents.is_none_or(|intents| intents.intersects(required));
        let sessions = self.subscribers.all().into_iter();
        let to: Vec<SubscriberId> = sessions.filter(|(_, s)| wants(s)).map(|(_, s)| s.id).collect();
        let dispatch = Dispatch { event: Arc::new(event), audience: Audience::Subscribers(to.into()) };
        self.subscribers.dispatch(&self.shared, &mut self.outbox, dispatch);
        self.outbox.flush().await;
    }

    /// Nothing was decided about calls that wait: they may be tried again.
    fn fail_parked(&mut self) {
        self.reads.abort_all();
        for (_, parked) in self.parked.drain() {
            let _ = parked.command.reply.send(Err(ErrorCode::Unavailable.into()));
        }
        self.locks = Locks::default();
        self.ready.clear();
    }

    /// Finds out what of the untold is stored: a retry of its operation will be answered as if all had gone well. Those
    /// outside the guild are told now; true if the guild's sessions missed something that nobody can tell them any
    /// more, because the core that knew who may see it was ahead of the store.
    async fn carry_untold(&mut self) -> bool {
        let mut is_missed = false;
        for Untold { operation, effects, dispatches } in std::mem::take(&mut self.untold) {
            // Where the store cannot say it, the sessions are better safe.
            let is_stored = self.shared.store.operation(&operation).await.map_or(true, |row| row.is_some());
            if !is_stored {
                continue;
            }
            effects.into_iter().for_each(|effect| self.shared.carry(effect));
            for dispatch in dispatches {
                match dispatch.audience {
                    Audience::Subscribers(_) => is_missed = true,
                    Audience::Users(user_ids) => {
                        // Their owners keep lists of DMs, which the next READY shows.
                        self.shared.deliver_to_users(&user_ids, dispatch.event);
                        user_ids.iter().for_each(|id| self.shared.sessions.lose(*id));
                    }
                }
            }
        }
        is_missed
    }
}

pub(super) async fn load(shared: &Shared, key: OwnerKey) -> Result<Option<GuildCore>, StoreError> {
    let limits = shared.guild_limits.clone();
    Ok(match key {
        OwnerKey::Guild(id) => loader::guild(&shared.store, id).await?.map(|state| GuildCore::load(state, limits)),
        OwnerKey::Dm(id) => loader::dm(&shared.store, id).await?.map(|state| GuildCore::load_dm(state, limits)),
    })
}

/// Answers everybody with the error until nobody asks any more.
pub(super) async fn refuse_and_leave(
    shared: &Shared,
    key: OwnerKey,
    mailbox: &mut mpsc::Receiver<GuildCommand>,
    error: &ApiError,
    outbox: &mut Outbox,
) {
    loop {
        while let Ok(command) = mailbox.try_recv() {
            command.refuse(error.clone(), outbox);
            outbox.flush().await;
        }
        if shared.guilds.leave(key, mailbox) {
            return;
        }
    }
}
