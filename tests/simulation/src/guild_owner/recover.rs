//! How an owner comes back to what is stored after a batch that failed.

use rookery_guild::{Audience, GuildCore, Subscriber};

use super::{Health, Loaded, Truth, Untold, deliver};
use crate::bus::{GuildMessage, OwnerKey};
use crate::env::{Env, LOST};
use crate::shell::locks::Locks;

impl Loaded {
    /// Begins to bring the core back to what is stored.
    pub(super) fn recover(&mut self, env: &mut Env, key: OwnerKey) {
        self.fail_parked(env);
        self.is_missed = self.carry_untold(env, key);
        self.health = Health::Reloading;
        env.counts.reloads += 1;
        env.note(|| format!("{key:?} is loaded anew"));
        env.load_guild(key, 0);
    }

    /// Nothing was decided about calls that wait: they may be tried again.
    pub(super) fn fail_parked(&mut self, env: &mut Env) {
        env.counts.unavailable += self.parked.len() as u64;
        self.parked.clear();
        self.locks = Locks::default();
        self.ready.clear();
    }

    /// Finds out what of the untold is stored, and tells those outside; true if sessions missed something that nobody
    /// can tell them any more.
    fn carry_untold(&mut self, env: &mut Env, key: OwnerKey) -> bool {
        let mut is_missed = false;
        for Untold { operation, effects, dispatches, due_of_dm } in std::mem::take(&mut self.untold) {
            if !env.store.operations.contains(&operation) {
                continue;
            }
            effects.into_iter().for_each(|effect| deliver::carry(env, key, effect));
            let mut due_of_dm = due_of_dm.into_iter();
            for dispatch in dispatches {
                match dispatch.audience {
                    Audience::Subscribers(_) => is_missed = true,
                    Audience::Users(users) => {
                        deliver::deliver_to_users(env, key, &dispatch.event, &users, &mut due_of_dm);
                        users.iter().for_each(|id| env.lose_user(*id));
                    }
                }
            }
        }
        is_missed
    }

    /// The rows are there.
    pub(super) fn reloaded(&mut self, env: &mut Env, key: OwnerKey, core: GuildCore) {
        self.core = core;
        self.truth = Truth::load(env, key);
        self.health = Health::Sound;
        if std::mem::take(&mut self.is_missed) {
            // They start anew and see it in what they read then.
            self.lose_all(env);
        }
        let subscribers: Vec<Subscriber> =
            self.subscribers.values().map(|(subscriber, _)| subscriber.clone()).collect();
        for subscriber in subscribers {
            // The session has the guild already: the snapshot is not sent a second time.
            if self.core.subscribe(subscriber.clone()).is_ok() {
                self.truth.subscribed.insert(subscriber.id, env.as_asked(&subscriber));
            } else {
                self.subscribers.remove(&subscriber.id);
                env.signal(subscriber.id, LOST);
            }
        }
        // What was read has the changed accounts already, but nobody heard of them.
        for user in std::mem::take(&mut self.untold_users).into_values() {
            self.command(env, key, GuildMessage::UserUpdated(user));
        }
    }

    /// Ends the sessions of all of them, who would otherwise go on with a gap.
    pub(super) fn lose_all(&mut self, env: &mut Env) {
        for id in std::mem::take(&mut self.subscribers).into_keys() {
            env.signal(id, LOST);
        }
        self.truth.subscribed.clear();
    }
}
