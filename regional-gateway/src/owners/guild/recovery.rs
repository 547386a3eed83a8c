//! How the owner of a guild comes back to what is stored after a write that failed.

use std::time::Duration;

use rookery_core_db::StoreError;
use rookery_guild::{Audience, Dispatch, Effect, GuildCore};
use rookery_model::{ApiError, ErrorCode};
use tokio::sync::mpsc;

use super::actor::{Health, LoadedGuild};
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

/// An outcome whose caller was told that it failed, and of which the store may hold the rows.
pub struct Untold {
    pub operation: OperationId,
    pub effects: Vec<Effect>,
    pub dispatches: Vec<Dispatch>,
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
                    if self.shared.stop.is_cancelled() && self.leave() {
                        return false;
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
        for (session, subscriber) in self.subscribers.all() {
            let id = subscriber.id;
            // The session has the guild already: the snapshot is not sent a second time.
            let subscribed = self.with_core(|core| core.subscribe(subscriber));
            if !matches!(subscribed, Ok(Ok(_))) {
                self.subscribers.remove(id);
                session.signal(Signal::Lost);
            }
        }
        self.keep_transient(transient);
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
